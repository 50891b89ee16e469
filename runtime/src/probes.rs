//! `/livez`, `/readyz` and `/metrics` on a private port.
//!
//! Live: the process answers. Ready: it can do its work now, and says what it lacks if not. One with
//! a [`Fault`](crate::lifecycle::Fault) is not ready any more, nor is one that stops: it tells so until its work has ended.
//! Metrics: what its services count, as OpenMetrics text.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::lifecycle::Lifecycle;
use crate::listen::{self, ListenError};
use crate::metrics::{self, Exposition, Process};

/// Whether a process can take work: not before it has started, and only while what it needs holds,
/// which is looked at whenever somebody asks.
#[derive(Clone, Default)]
pub struct Readiness(Arc<OnceLock<Need>>);

struct Need {
    lacking: &'static str,
    holds: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Readiness {
    /// It has started, once and for all. `lacking` says what it lacks while what it needs does not hold.
    pub fn started(&self, lacking: &'static str, holds: impl Fn() -> bool + Send + Sync + 'static) {
        self.0.get_or_init(|| Need { lacking, holds: Box::new(holds) });
    }

    /// What it lacks.
    pub fn lacking(&self) -> Option<&'static str> {
        match self.0.get() {
            None => Some("it is starting"),
            Some(need) => (!(need.holds)()).then_some(need.lacking),
        }
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
        let answer = match (fault.get(), readiness.lacking()) {
            (Some(part), _) => format!("not ready: {part} failed; restart the process"),
            (None, _) if stop.is_cancelled() => "not ready: stopping".to_owned(),
            (None, Some(lacking)) => format!("not ready: {lacking}"),
            (None, None) => return (StatusCode::OK, "ok".to_owned()),
        };
        (StatusCode::SERVICE_UNAVAILABLE, answer)
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
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn ready_means_started_and_nothing_lacking() {
        let (readiness, is_heard) = (Readiness::default(), Arc::new(AtomicBool::new(false)));
        assert_eq!(readiness.lacking(), Some("it is starting"));
        let heard = Arc::clone(&is_heard);
        readiness.started("iam is not heard", move || heard.load(Ordering::Relaxed));
        for is_so in [false, true, false] {
            is_heard.store(is_so, Ordering::Relaxed);
            assert_eq!(readiness.lacking(), (!is_so).then_some("iam is not heard"));
        }
    }
}
