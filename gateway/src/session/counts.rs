//! What a session adds to the metrics: once a turn, so that a message or a call that ends in its
//! own turn costs no atomic of the process.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Ending, Session};
use crate::metrics::{Closed, Metrics};
use crate::socket::Traffic;

/// What was added so far. What is open here is taken back when this is dropped, however the
/// session ends.
pub(super) struct Counted {
    metrics: Arc<Metrics>,
    since: Instant,
    traffic: Traffic,
    running: usize,
    waiting: usize,
}

impl Counted {
    /// Counts a socket that has just been opened.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        metrics.sockets.inc();
        metrics.sockets_open.add(1);
        let traffic = Traffic::default();
        Self { metrics, since: Instant::now(), traffic, running: 0, waiting: 0 }
    }

    fn move_calls(&mut self, (running, waiting): (usize, usize)) {
        if self.running != running {
            self.metrics.calls_in_flight.add(difference(self.running, running));
        }
        if self.waiting != waiting {
            self.metrics.calls_waiting.add(difference(self.waiting, waiting));
        }
        (self.running, self.waiting) = (running, waiting);
    }

    fn move_traffic(&mut self, traffic: Traffic) {
        let before = std::mem::replace(&mut self.traffic, traffic);
        if traffic.received > before.received {
            self.metrics.received_messages.add(traffic.received - before.received);
            self.metrics.received_bytes.add(traffic.received_bytes - before.received_bytes);
        }
        if traffic.sent > before.sent {
            self.metrics.sent_messages.add(traffic.sent - before.sent);
            self.metrics.sent_bytes.add(traffic.sent_bytes - before.sent_bytes);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.move_calls((0, 0));
        self.metrics.sockets_open.add(-1);
    }
}

fn difference(before: usize, now: usize) -> i64 {
    let count = |calls: usize| i64::try_from(calls).unwrap_or(i64::MAX);
    count(now) - count(before)
}

impl Session {
    /// Brings the metrics up to date.
    pub(super) fn count(&mut self) {
        self.counted.move_traffic(self.socket.traffic());
        self.counted.move_calls(self.inflight.counts());
    }

    /// Counts the end of the session and says it in one line.
    pub(super) fn tell_end(&mut self, ending: Ending) {
        self.count();
        let closed = match ending {
            Ending::Close(code) => Closed::Ours(code),
            Ending::Closed => Closed::Client,
            Ending::Gone => Closed::Gone,
        };
        self.handles.metrics.socket_closes.inc(closed);
        let traffic = self.counted.traffic;
        tracing::info!(
            conn.id = %self.id,
            client.address = self.client.address.as_deref().unwrap_or_default(),
            principal = self.caller.as_ref().map(|c| tracing::field::display(c.identity().actor.user)),
            code = closed.code(),
            reason = closed.reason(),
            duration_ms = self.counted.since.elapsed().as_millis(),
            calls = self.inflight.admitted(),
            received.messages = traffic.received,
            received.bytes = traffic.received_bytes,
            sent.messages = traffic.sent,
            sent.bytes = traffic.sent_bytes,
            "connection closed"
        );
    }
}
