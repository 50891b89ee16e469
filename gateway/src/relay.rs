//! A client's socket and a backend's, joined: each message of one is written to the other, as it
//! came, until one of them ends.
//!
//! In: two sockets whose handshakes are done, and the permit under which they were joined. Out: on
//! both sides a close that says why.
//! Reading waits until the other side has room, so a slow reader stops its own writer and nobody
//! else.
//! Never: a message under a permit that IAM has not confirmed within the lease. While IAM cannot be
//! asked nothing is read, and so nothing is lost.

mod ending;
mod pair;

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, Sleep, sleep_until};
use tollgate_proto::close::CloseCode;
use tollgate_proto::error::WireError;
use uuid::Uuid;

use crate::auth::life;
use crate::authorise::{NotPermitted, Permit};
use crate::handles::{Handles, Limits};
use crate::iam::cache::Decided;
use crate::metrics::Closed;
use crate::record::{Record, millis};
use crate::socket::{Counted, End, Socket};
use crate::upstream::Hold;
use ending::{Ending, Goodbye};
use pair::{Pair, Side, Stall};

/// Between two questions to an IAM that cannot be asked.
const RETRY: Duration = Duration::from_secs(1);

/// How far our clock and IAM's may differ about the end of a credential.
const SKEW: Duration = Duration::from_secs(5);

/// The other end of a relay.
pub(crate) struct ToBackend {
    pub(crate) socket: Socket,
    /// That the backend is busy with it.
    pub(crate) hold: Hold,
}

/// One relay.
struct Relay {
    counted: Counted,
    handles: Arc<Handles>,
    limits: Limits,
    permit: Arc<Permit>,
    pair: Pair,
    /// What the permit rests on. `None`: on nothing that is asked for again.
    decided: Option<Decided>,
    /// IAM is asked whether it still holds.
    renewal: Option<Renewal>,
    /// IAM is not asked again before.
    retry_at: Instant,
    /// When the credential's life is over, give or take what clocks differ, and its grace time too.
    life: Option<(Instant, Instant)>,
    client_stall: Stall,
    backend_stall: Stall,
    sleep: Pin<Box<Sleep>>,
}

type Renewed = Result<Option<Decided>, NotPermitted>;
type Renewal = BoxFuture<'static, Renewed>;

enum Event {
    Stop,
    Timer,
    Renewed(Renewed),
    /// Something went its way.
    Moved,
    Ended(Side, End),
}

/// Serves a relay until one of its sockets ends.
pub(crate) async fn serve(
    mut client: Socket,
    mut backend: ToBackend,
    (permit, record): (Permit, Record),
    limits: Limits,
    handles: Arc<Handles>,
) {
    let id = Uuid::now_v7();
    let permit = Arc::new(permit);
    client.trust(limits.max_message);
    backend.socket.trust(limits.max_message);
    let mut relay = Relay::new(Pair { client, backend: backend.socket }, permit, limits, handles);
    let ending = relay.run().await;
    record.end(None, ending.error().map(WireError::new).as_ref());
    relay.end(ending, id).await;
    drop(backend.hold);
}

impl Relay {
    fn new(pair: Pair, permit: Arc<Permit>, limits: Limits, handles: Arc<Handles>) -> Self {
        let now = Instant::now();
        let life = permit.identity().and_then(|identity| {
            let (life, leeway) = life(identity, handles.clock.now_ms());
            let over = now + life?;
            Some((over.checked_sub(SKEW).unwrap_or(now), over + leeway + limits.grace))
        });
        Self {
            decided: permit.decided(),
            renewal: None,
            retry_at: now,
            life,
            client_stall: Stall::after(limits.write_stall),
            // A backend may take its time, but not for ever.
            backend_stall: Stall::after(permit.call().budget),
            counted: Counted::new(Arc::clone(&handles.metrics)),
            sleep: Box::pin(sleep_until(now)),
            limits,
            handles,
            permit,
            pair,
        }
    }

    async fn run(&mut self) -> Ending {
        self.counted.move_calls((1, 0));
        loop {
            self.counted.move_traffic(self.pair.client.traffic());
            self.client_stall.watch(self.pair.client.backlog());
            self.backend_stall.watch(self.pair.backend.backlog());
            let ended = match self.next_event().await {
                Event::Stop => Some(Ending::Stop),
                Event::Timer => self.on_timer(),
                Event::Renewed(renewed) => self.on_renewed(&renewed),
                Event::Moved => None,
                Event::Ended(Side::Client, end) => Some(Ending::Client(end)),
                Event::Ended(Side::Backend, end) => Some(Ending::Backend(end)),
            };
            if let Some(ending) = ended {
                return ending;
            }
        }
    }

    /// Waits for something to happen. Every arm is a poll without side effects until it is ready,
    /// but that of the sockets, which is ready whenever it has done something.
    async fn next_event(&mut self) -> Event {
        let holds = holds(self.decided.as_ref(), &self.handles);
        if !holds && self.renewal.is_none() && self.retry_at <= Instant::now() {
            self.renew();
        }
        let due = self.due(holds);
        let Self { handles, pair, renewal, sleep, decided, .. } = self;
        if let Some(due) = due
            && sleep.deadline() != due
        {
            sleep.as_mut().reset(due);
        }
        // The stop first, then what ends authority, then messages.
        tokio::select! {
            biased;
            () = handles.stop().cancelled() => Event::Stop,
            () = sleep.as_mut(), if due.is_some() => Event::Timer,
            renewed = answer_of(renewal), if renewal.is_some() => Event::Renewed(renewed),
            event = poll_fn(|cx| match holds {
                // It was forgotten meanwhile: ask.
                true if !self::holds(decided.as_ref(), handles) => Poll::Ready(Event::Moved),
                reads => pair.poll(cx, reads),
            }) => event,
        }
    }

    fn due(&self, holds: bool) -> Option<Instant> {
        let renew_at = match &self.renewal {
            Some(_) => None,
            None if holds => self.decided.map(|it| it.until()),
            None => Some(self.retry_at),
        };
        let expires = self.life.map(|(_, over)| over);
        [expires, renew_at, self.client_stall.due(), self.backend_stall.due()]
            .into_iter()
            .flatten()
            .min()
    }

    fn on_timer(&mut self) -> Option<Ending> {
        let now = Instant::now();
        if self.life.is_some_and(|(_, over)| over <= now) {
            return Some(Ending::Expired);
        }
        if self.client_stall.is_over(self.pair.client.backlog()) {
            return Some(Ending::Stalled(Side::Client));
        }
        if self.backend_stall.is_over(self.pair.backend.backlog()) {
            return Some(Ending::Stalled(Side::Backend));
        }
        None
    }

    fn renew(&mut self) {
        let (handles, permit) = (Arc::clone(&self.handles), Arc::clone(&self.permit));
        let renew = async move { permit.renew(&handles.questions).await };
        self.renewal = Some(renew.boxed());
    }

    fn on_renewed(&mut self, renewed: &Renewed) -> Option<Ending> {
        match renewed {
            Ok(decided) => {
                self.decided = *decided;
                None
            }
            Err(NotPermitted::NotDecided(_)) => {
                self.retry_at = Instant::now() + RETRY;
                None
            }
            // The credential ends of itself: what runs may go on for the grace time, as calls may.
            Err(NotPermitted::Denied)
                if self.life.is_some_and(|(ends, _)| ends <= Instant::now()) =>
            {
                self.decided = None;
                None
            }
            Err(NotPermitted::NoWorkspace) => Some(Ending::WorkspaceGone),
            Err(NotPermitted::Denied | NotPermitted::Anonymous) => Some(Ending::Revoked),
        }
    }

    /// Delivers what was read before, says goodbye on both sides and why in the log.
    async fn end(mut self, ending: Ending, id: Uuid) {
        let Goodbye { to_client, to_backend } = ending.goodbye();
        let limits = &self.limits;
        let patience = match ending {
            Ending::Stop => limits.drain,
            // For what came under an authority that has ended, or for who does not read, nobody
            // waits.
            Ending::Expired | Ending::Revoked | Ending::WorkspaceGone | Ending::Stalled(_) => {
                Duration::ZERO
            }
            Ending::Client(_) => self.permit.call().budget,
            Ending::Backend(_) => limits.write_stall,
        };
        self.counted.move_traffic(self.pair.client.traffic());
        let closed = match (to_client, ending) {
            (Some(code), _) => Closed::Ours(code),
            (None, Ending::Client(End::Gone)) => Closed::Gone,
            (None, _) => Closed::Client,
        };
        self.handles.metrics.socket_closes.inc(closed);
        let traffic = self.counted.traffic();
        tracing::info!(
            conn.id = %id,
            client.address = self.permit.client().address.as_deref().unwrap_or_default(),
            operation = &*self.permit.call().name,
            principal = self.permit.identity().map(|i| tracing::field::display(i.actor.user)),
            code = closed.code(),
            reason = closed.reason(),
            ending = ?ending,
            duration_ms = millis(self.counted.elapsed()),
            received.messages = traffic.received,
            received.bytes = traffic.received_bytes,
            sent.messages = traffic.sent,
            sent.bytes = traffic.sent_bytes,
            "connection closed"
        );
        let Pair { client, backend } = self.pair;
        tokio::join!(leave(client, to_client, patience), leave(backend, to_backend, patience));
    }
}

/// Whether messages may be passed on now.
fn holds(decided: Option<&Decided>, handles: &Handles) -> bool {
    decided.is_none_or(|it| handles.questions.again(it, Instant::now()).is_some())
}

/// `None`: the peer has gone first, and is owed no more than the answer to its goodbye.
async fn leave(mut socket: Socket, code: Option<CloseCode>, patience: Duration) {
    match code {
        Some(code) => {
            socket.deliver(patience).await;
            socket.close(code).await;
        }
        None => socket.finish().await,
    }
}

async fn answer_of(renewal: &mut Option<Renewal>) -> Renewed {
    let Some(current) = renewal else { return pending().await };
    let renewed = current.await;
    *renewal = None;
    renewed
}
