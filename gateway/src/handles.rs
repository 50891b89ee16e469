//! What every socket and every HTTP request shares, made once at the start.

use std::hash::RandomState;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::lifecycle::Lifecycle;

use crate::dispatch::Dispatcher;
use crate::origin::Origins;
use crate::registry::Registry;

/// Shared by all.
pub(crate) struct Handles {
    pub(crate) registry: Registry,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) origins: Origins,
    /// Whether clients in clear are refused.
    pub(crate) require_tls: bool,
    /// Whether `?token=` on the socket's URL is read.
    pub(crate) url_token: bool,
    pub(crate) limits: Limits,
    pub(crate) clock: SharedClock,
    pub(crate) life: Lifecycle,
    /// Of frames, to tell a repeated one from another.
    pub(crate) hasher: RandomState,
}

impl Handles {
    /// Cancelled when the process shall stop.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.life.stop
    }
}

/// The numbers that bound a session.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) auth_deadline: Duration,
    pub(crate) grace: Duration,
    pub(crate) drain: Duration,
    pub(crate) write_stall: Duration,
    pub(crate) max_message: usize,
    pub(crate) max_inflight: usize,
    pub(crate) max_waiting: usize,
}
