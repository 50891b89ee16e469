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

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tollgate_proto::close::CloseCode;
use tollgate_proto::error::WireError;
use tollgate_proto::ids::SocketId;
use uuid::Uuid;

use crate::authorise::Permit;
use crate::handles::{Handles, Limits};
use crate::metrics::Closed;
use crate::record::{Record, millis};
use crate::sessions::{Gate, Held};
use crate::socket::{Counted, End, Socket};
use crate::tenure::{Over, Tenure};
use crate::upstream::Hold;
use ending::{Ending, Goodbye};
use pair::{Pair, Side, Stall};

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
    tenure: Tenure,
    pair: Pair,
    client_stall: Stall,
    backend_stall: Stall,
    sleep: Pin<Box<Sleep>>,
}

enum Event {
    Stop,
    Timer,
    /// The permit holds no more.
    Over(Over),
    /// Something went its way.
    Moved,
    Ended(Side, End),
}

/// Serves a relay until one of its sockets ends.
pub(crate) async fn serve(
    mut client: Socket,
    mut backend: ToBackend,
    (permit, record): (Arc<Permit>, Record),
    limits: Limits,
    handles: Arc<Handles>,
) {
    let id = Uuid::now_v7();
    client.trust(limits.max_message);
    backend.socket.trust(limits.max_message);
    let gate = Arc::<Gate>::default();
    let pair = Pair { client, backend: backend.socket };
    let held = Held::BySocket { id: SocketId(id), client: Arc::new(permit.client().clone()) };
    let tenure = Tenure::new(Arc::clone(&handles), Arc::clone(&permit), held, &gate);
    let mut relay = Relay::new(pair, permit, limits, handles, tenure);
    let ending = gate.around(relay.run()).await;
    record.end(None, ending.error().map(WireError::new).as_ref());
    relay.end(ending, id).await;
    drop(backend.hold);
}

impl Relay {
    fn new(
        pair: Pair,
        permit: Arc<Permit>,
        limits: Limits,
        handles: Arc<Handles>,
        tenure: Tenure,
    ) -> Self {
        Self {
            tenure,
            client_stall: Stall::after(limits.write_stall),
            // A backend may take its time, but not for ever.
            backend_stall: Stall::after(permit.call().budget),
            counted: Counted::new(Arc::clone(&handles.metrics)),
            sleep: Box::pin(sleep_until(Instant::now())),
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
                Event::Over(over) => Some(Ending::Over(over)),
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
        let due = [self.client_stall.due(), self.backend_stall.due()].into_iter().flatten().min();
        let Self { handles, pair, tenure, sleep, .. } = self;
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
            event = poll_fn(|cx| match tenure.poll(cx) {
                Poll::Ready(Err(over)) => Poll::Ready(Event::Over(over)),
                may_read => pair.poll(cx, may_read.is_ready()),
            }) => event,
        }
    }

    fn on_timer(&mut self) -> Option<Ending> {
        if self.client_stall.is_over(self.pair.client.backlog()) {
            return Some(Ending::Stalled(Side::Client));
        }
        if self.backend_stall.is_over(self.pair.backend.backlog()) {
            return Some(Ending::Stalled(Side::Backend));
        }
        None
    }

    /// Delivers what was read before, says goodbye on both sides and why in the log.
    async fn end(mut self, ending: Ending, id: Uuid) {
        let Goodbye { to_client, to_backend } = ending.goodbye();
        let limits = &self.limits;
        let patience = match ending {
            Ending::Stop => limits.drain,
            // For what came under an authority that has ended, or for who does not read, nobody
            // waits.
            Ending::Over(_) | Ending::Stalled(_) => Duration::ZERO,
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
