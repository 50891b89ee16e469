//! ⑦ What answers a call.
//!
//! In: a permit and the request. Out: any number of chunks, then the last body, each the text of
//! a JSON object. Dropping the future cancels the call: a backend stops its work then.
//! Never: an answer without a permit, or one under another call's number.

mod echo;
mod http;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tollgate_proto::json::Object;
use tollgate_runtime::lifecycle::Lifecycle;

use crate::authorise::Permit;
use crate::metrics::Metrics;
use crate::registry::{BackendSettings, Registry};
use crate::reply::{Chunks, Outcome};

/// The seam: built in, or a server behind the gateway.
pub(crate) trait Backend: Send + Sync {
    /// Runs the call. `request` is the caller's request as the registry resolved it. The call is
    /// ended at its `deadline`; a backend only passes it on.
    fn call<'a>(
        &'a self,
        permit: &'a Permit,
        request: Object<'static>,
        deadline: Option<Instant>,
        chunks: &'a Chunks,
    ) -> BoxFuture<'a, Outcome>;
}

/// The backends of this process, by name.
pub(crate) type Backends = HashMap<Arc<str>, Arc<dyn Backend>>;

/// Makes every backend that the registry names; what they need besides lives as long as `life`.
/// A backend of `before` whose settings are the same is kept, with its connections.
pub(crate) fn open(
    registry: &Registry,
    before: Option<(&Registry, &Backends)>,
    metrics: &Metrics,
    life: &Lifecycle,
) -> Backends {
    let known = |name: &str, settings: &BackendSettings| {
        let (registry, backends) = before?;
        let same = registry.backends().get(name) == Some(settings);
        backends.get(name).filter(|_| same).cloned()
    };
    let open = |name: &Arc<str>, settings: &BackendSettings| -> Arc<dyn Backend> {
        if let Some(backend) = known(name, settings) {
            return backend;
        }
        match settings {
            BackendSettings::Echo { flows } => Arc::new(echo::Echo::new(flows)),
            BackendSettings::Http(settings) => Arc::new(http::Http::new(
                name.clone(),
                settings,
                metrics.upstream_requests.of(name),
                life,
            )),
        }
    };
    let backends = registry.backends().iter();
    backends.map(|(name, settings)| (name.clone(), open(name, settings))).collect()
}
