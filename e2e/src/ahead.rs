//! The machine's clock, ahead of time: an hour passes when a test says so, and the seconds behind it
//! pass by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tollgate_runtime::clock::{Clock, SystemClock};

/// The clock.
#[derive(Debug, Default)]
pub struct Ahead(AtomicU64);

impl Ahead {
    /// One that is not ahead yet.
    pub fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// Lets this time have passed.
    pub fn pass(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for Ahead {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}
