//! What every socket and every HTTP request shares: what is made once at the start, and the
//! [`Rules`], which a reload replaces.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::lifecycle::Lifecycle;

use crate::dispatch::Dispatcher;
use crate::iam::Questions;
use crate::metrics::Metrics;
use crate::origin::Origins;
use crate::peer::Proxies;
use crate::registry::Registry;
use crate::seats::{Caps, Seats};
use crate::sessions::Sessions;

/// Shared by all.
pub(crate) struct Handles {
    pub(crate) rules: ArcSwap<Rules>,
    pub(crate) questions: Arc<Questions>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) seats: Arc<Seats>,
    pub(crate) clock: SharedClock,
    pub(crate) life: Lifecycle,
    pub(crate) metrics: Arc<Metrics>,
    /// Of frames, to tell a repeated one from another.
    pub(crate) hasher: RandomState,
}

impl Handles {
    /// Cancelled when the process shall stop.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.life.stop
    }

    /// Ends when what runs has had its time after the stop.
    pub(crate) async fn drained(&self) {
        self.stop().cancelled().await;
        tokio::time::sleep(self.rules.load().limits.drain).await;
    }
}

/// What a reload replaces, as one value: whoever takes it sees no mix of two. A call takes it once
/// and ends under the rules under which it began.
pub(crate) struct Rules {
    pub(crate) registry: Registry,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) origins: Origins,
    pub(crate) proxies: Proxies,
    /// Whether clients in clear are refused.
    pub(crate) require_tls: bool,
    /// Whether `?token=` on the socket's URL is read.
    pub(crate) url_token: bool,
    pub(crate) limits: Limits,
}

/// The numbers that bound a session.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) auth_deadline: Duration,
    pub(crate) grace: Duration,
    pub(crate) drain: Duration,
    pub(crate) write_stall: Duration,
    pub(crate) heartbeat: Rhythm,
    pub(crate) caps: Caps,
    pub(crate) max_message: usize,
    pub(crate) max_inflight: usize,
    pub(crate) max_waiting: usize,
    pub(crate) max_waiting_bytes: usize,
}

/// How often a client is pinged that asked for it, and how long it may then be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rhythm {
    pub(crate) interval: Duration,
    pub(crate) patience: Duration,
}
