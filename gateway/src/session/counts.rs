//! What a session adds to the metrics: once a turn, so that a message or a call that ends in its
//! own turn costs no atomic of the process.

use tollgate_proto::ids::UserId;

use super::{Ending, Session};
use crate::metrics::Closed;
use crate::record::millis;

impl Session {
    /// Brings the metrics up to date.
    pub(super) fn count(&mut self) {
        self.counted.move_traffic(self.socket.traffic());
        self.counted.move_calls(self.inflight.counts());
    }

    /// Who is authenticated now.
    pub(super) fn principal(&self) -> Option<UserId> {
        self.caller.as_ref().map(|caller| caller.identity().actor.user)
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
        let traffic = self.counted.traffic();
        tracing::info!(
            conn.id = %self.id,
            client.address = self.client.address.as_deref().unwrap_or_default(),
            principal = self.principal().map(tracing::field::display),
            code = closed.code(),
            reason = closed.reason(),
            duration_ms = millis(self.counted.elapsed()),
            calls = self.inflight.admitted(),
            received.messages = traffic.received,
            received.bytes = traffic.received_bytes,
            sent.messages = traffic.sent,
            sent.bytes = traffic.sent_bytes,
            "connection closed"
        );
    }
}
