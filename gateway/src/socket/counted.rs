//! What an open socket has added to the metrics so far: whoever serves it says once a turn how things
//! stand, so that a message costs no atomic of the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Traffic;
use crate::metrics::Metrics;

/// What was added so far. What is open here is taken back when this is dropped, however it
/// ends.
pub(crate) struct Counted {
    metrics: Arc<Metrics>,
    since: Instant,
    traffic: Traffic,
    running: usize,
    waiting: usize,
}

impl Counted {
    /// Counts a socket that has just been opened.
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        metrics.sockets.inc();
        metrics.sockets_open.add(1);
        let traffic = Traffic::default();
        Self { metrics, since: Instant::now(), traffic, running: 0, waiting: 0 }
    }

    /// How long it is open.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// What has come and gone so far.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// So many run and wait now.
    pub(crate) fn move_calls(&mut self, (running, waiting): (usize, usize)) {
        if self.running != running {
            self.metrics.calls_in_flight.add(difference(self.running, running));
        }
        if self.waiting != waiting {
            self.metrics.calls_waiting.add(difference(self.waiting, waiting));
        }
        (self.running, self.waiting) = (running, waiting);
    }

    /// So much has come and gone.
    pub(crate) fn move_traffic(&mut self, traffic: Traffic) {
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
