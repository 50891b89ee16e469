//! `/livez`, `/readyz` and `/metrics` on a private port.
//!
//! Live: the process answers. Ready: it can do its work now, and says what it lacks if not. One with
//! a [`Fault`](crate::lifecycle::Fault) is not ready any more, nor is one that stops: it tells so until its work has ended.
//! Metrics: what its services count, as OpenMetrics text.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::lifecycle::Lifecycle;
use crate::listen::{self, ListenError};
use crate::metrics::{self, Exposition, Process};

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
    life.metrics.add(Arc::new(Process::new()));
    let stop = life.probes.stop.clone().cancelled_owned();
    let serving = axum::serve(listener, router(readiness, life)).with_graceful_shutdown(stop);
    life.probes.tasks.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the probes ended");
        }
    });
    Ok(bound)
}

/// The two probes and the metrics.
fn router(readiness: Readiness, life: &Lifecycle) -> Router {
    let (fault, stop) = (life.fault.clone(), life.stop.clone());
    let metrics = life.metrics.clone();
    let ready = get(move || async move {
        let lacking = match (fault.get(), readiness.lacking()) {
            (Some(part), _) => format!("not ready: {part} failed; restart the process"),
            (None, _) if stop.is_cancelled() => "not ready: stopping".to_owned(),
            (None, Some(name)) => format!("not ready: {name}"),
            (None, None) => return (StatusCode::OK, "ok".to_owned()),
        };
        (StatusCode::SERVICE_UNAVAILABLE, lacking)
    });
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", ready)
        .route("/metrics", get(move || show(metrics.clone())))
}

/// The metrics. The process's own are read from files of the system.
async fn show(metrics: Exposition) -> Response {
    match tokio::task::spawn_blocking(move || metrics.text()).await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
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
