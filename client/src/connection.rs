//! The one task that owns a socket.
//!
//! In: commands from the handles, messages from the server. Out: frames, and results into the
//! slots of the calls. It ends with the socket, or with the last handle, and says why before it
//! drops what still waits. Writing never holds up reading: both are polled in one place, and new
//! calls are taken only when what was taken before is written.

mod dispatch;
mod wire;

use std::future::{pending, poll_fn};
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tollgate_proto::close::CloseCode;
use tollgate_proto::frame::AuthFrame;

use crate::config::Config;
use crate::error::{Closed, Ended};
use crate::handle::{AuthCommand, CallCommand, Ends};
use dispatch::Dispatch;
pub(crate) use wire::Socket;
use wire::{Turn, Wire};

/// Calls that are taken at a time, between two looks at everything else.
const BATCH: usize = 16;
/// Credentials sent and not yet answered; one more waits in the queue.
const MAX_AUTHS: usize = 8;
/// How long the closing handshake may take. Nobody waits for it but `Client::close`.
const GOODBYE: Duration = Duration::from_secs(1);

/// A socket and everything that waits on it.
pub(crate) struct Connection {
    wire: Wire,
    dispatch: Dispatch,
    ends: Ends,
    batch: Vec<CallCommand>,
    features: Vec<String>,
    heartbeat: Heartbeat,
}

enum Event {
    Closing,
    Abandoned,
    Auth(AuthCommand),
    /// So many calls are in the batch; 0 when the last handle is gone.
    Calls(usize),
    Turn(Result<Turn, Ended>),
    Beat,
}

impl Connection {
    pub(crate) fn new(socket: Socket, ends: Ends, config: &Config) -> Self {
        let dispatch = Dispatch::new(ends.session.clone(), ends.notices.clone());
        Self {
            wire: Wire::new(socket),
            dispatch,
            ends,
            batch: Vec::with_capacity(BATCH),
            features: config.features.clone(),
            heartbeat: Heartbeat::new(config.heartbeat),
        }
    }

    /// Serves until the socket or the last handle is gone.
    pub(crate) async fn run(mut self) {
        let ended = loop {
            let event = self.next().await;
            if let Err(ended) = self.handle(event).await {
                break self.dispatch.explain(ended);
            }
        };
        tracing::debug!(reason = %ended, "connection ended");
        let code = match ended {
            Ended::Closed(_) => CloseCode::Normal,
            Ended::Protocol(_) => CloseCode::Protocol,
        };
        // Published before the slots and queues are dropped: those who wait on them read it then.
        self.ends.session.send_replace(None);
        self.ends.ended.send_replace(Some(ended));
        drop((self.dispatch, self.ends, self.batch));
        // Out of time means that the peer does not answer; the socket is dropped all the same.
        let _ = timeout(GOODBYE, self.wire.close(code)).await;
    }

    async fn next(&mut self) -> Event {
        let Self { wire, dispatch, ends, batch, heartbeat, .. } = self;
        // In this order: the end first; then control frames, which never wait behind calls; then
        // calls, a bounded batch that is not taken again before the wire has written it; then the
        // wire, which therefore gets its turn; then the clock. Every arm is cancel-safe: queues
        // and the wire keep what was not taken.
        tokio::select! {
            biased;
            () = ends.closing.cancelled() => Event::Closing,
            () = ends.abandoned.changed() => Event::Abandoned,
            Some(auth) = ends.auths.recv(), if dispatch.waiting_auths() < MAX_AUTHS => {
                Event::Auth(auth)
            }
            count = ends.calls.recv_many(batch, BATCH), if wire.is_idle() => Event::Calls(count),
            turn = poll_fn(|cx| wire.poll_turn(cx, |text| dispatch.take(text))) => {
                Event::Turn(turn)
            }
            () = heartbeat.tick() => Event::Beat,
        }
    }

    /// # Errors
    /// The connection is over.
    async fn handle(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Closing => return Err(Closed::ours("closed by the caller").into()),
            Event::Abandoned => {
                for number in self.ends.abandoned.take() {
                    if let Some(frame) = self.dispatch.cancel(number) {
                        self.wire.push(frame);
                    }
                }
            }
            Event::Auth(AuthCommand { token, answer }) => {
                let features = self.features.clone();
                let frame = AuthFrame { token: Some(token), features, max_frame: None };
                self.dispatch.wait_for_auth(answer);
                self.wire.push(frame.write());
            }
            Event::Calls(0) => return Err(Closed::ours("no handle is left").into()),
            Event::Calls(_) => {
                for CallCommand { number, frame, slot } in self.batch.drain(..) {
                    if !slot.is_abandoned() {
                        self.dispatch.wait_for_call(number, slot);
                        self.wire.push(frame);
                    }
                }
            }
            Event::Turn(turn) => {
                if let Turn::Full = turn? {
                    // Whoever got a frame has a chance to take it before more are read.
                    tokio::task::yield_now().await;
                }
            }
            Event::Beat => self.heartbeat.beat(&mut self.wire)?,
        }
        Ok(())
    }
}

/// Finds out that a server is gone which did not say so.
struct Heartbeat {
    interval: Option<Interval>,
    has_asked: bool,
}

impl Heartbeat {
    fn new(period: Option<Duration>) -> Self {
        let interval = period.map(|period| {
            // Tokio refuses a period of zero.
            let period = period.max(Duration::from_millis(1));
            let mut interval = interval_at(Instant::now() + period, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self { interval, has_asked: false }
    }

    async fn tick(&mut self) {
        match &mut self.interval {
            Some(interval) => drop(interval.tick().await),
            None => pending().await,
        }
    }

    fn beat(&mut self, wire: &mut Wire) -> Result<(), Ended> {
        if wire.take_heard() {
            self.has_asked = false;
        } else if self.has_asked {
            return Err(Closed::lost("the server does not answer").into());
        } else {
            self.has_asked = true;
            wire.push_ping();
        }
        Ok(())
    }
}
