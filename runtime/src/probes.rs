//! `/livez` and `/readyz` on a private port.
//!
//! Live: the process answers. Ready: it can do its work now, and says what it lacks if not. One with
//! a [`Fault`] is not ready any more, nor is one that stops: it tells so until its work has ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::lifecycle::{Fault, Lifecycle};
use crate::listen::{self, ListenError};

/// What must hold before a process takes work; each part sets its own.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Vec<Condition>>);

#[derive(Debug)]
struct Condition {
    name: &'static str,
    holds: AtomicBool,
}

impl Readiness {
    /// Conditions that do not hold yet.
    pub fn of(names: &[&'static str]) -> Self {
        let condition = |name: &&'static str| Condition { name, holds: AtomicBool::new(false) };
        Self(Arc::new(names.iter().map(condition).collect()))
    }

    /// Says whether one of them holds.
    pub fn set(&self, name: &str, holds: bool) {
        if let Some(condition) = self.0.iter().find(|condition| condition.name == name) {
            condition.holds.store(holds, Ordering::Relaxed);
        }
    }

    /// The first that does not hold.
    pub fn lacking(&self) -> Option<&'static str> {
        self.0.iter().find(|c| !c.holds.load(Ordering::Relaxed)).map(|c| c.name)
    }
}

/// Answers the probes on a private address; `setting` is its name in the configuration.
pub async fn serve(
    address: SocketAddr,
    setting: &'static str,
    readiness: Readiness,
    life: &Lifecycle,
) -> Result<SocketAddr, ListenError> {
    let listener = listen::bind(address, setting).await?;
    let bound =
        listener.local_addr().map_err(|source| ListenError::Failed { address, setting, source })?;
    let stop = life.probes.stop.clone().cancelled_owned();
    let router = router(readiness, life.fault.clone(), life.stop.clone());
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop);
    life.probes.tasks.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the probes ended");
        }
    });
    Ok(bound)
}

/// The two probes.
fn router(readiness: Readiness, fault: Fault, stop: CancellationToken) -> Router {
    Router::new().route("/livez", get(|| async { "ok" })).route(
        "/readyz",
        get(move || async move {
            let lacking = match (fault.get(), readiness.lacking()) {
                (Some(part), _) => format!("not ready: {part} failed; restart the process"),
                (None, _) if stop.is_cancelled() => "not ready: stopping".to_owned(),
                (None, Some(name)) => format!("not ready: {name}"),
                (None, None) => return (StatusCode::OK, "ok".to_owned()),
            };
            (StatusCode::SERVICE_UNAVAILABLE, lacking)
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_nothing_is_lacking() {
        let readiness = Readiness::of(&["iam", "listener"]);
        assert_eq!(readiness.lacking(), Some("iam"));
        readiness.set("iam", true);
        readiness.set("no such", true);
        assert_eq!(readiness.lacking(), Some("listener"));
        readiness.set("listener", true);
        assert_eq!(readiness.lacking(), None);
    }
}
