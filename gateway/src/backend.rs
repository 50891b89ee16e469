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
pub(crate) use http::Http;

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
#[derive(Default)]
pub(crate) struct Backends {
    /// All of them: each answers calls.
    answering: HashMap<Arc<str>, Arc<dyn Backend>>,
    /// Those that can be passed bytes.
    passing: HashMap<Arc<str>, Arc<Http>>,
}

impl Backends {
    /// What answers calls.
    pub(crate) fn answering(&self, name: &str) -> Option<&Arc<dyn Backend>> {
        self.answering.get(name)
    }

    /// What is passed bytes.
    pub(crate) fn passing(&self, name: &str) -> Option<&Arc<Http>> {
        self.passing.get(name)
    }
}

/// Makes every backend that the registry names; what they need besides lives as long as `life`.
/// A backend of `before` whose settings are the same is kept, with its connections.
pub(crate) fn open(
    registry: &Registry,
    before: Option<(&Registry, &Backends)>,
    metrics: &Metrics,
    life: &Lifecycle,
) -> Backends {
    let mut backends = Backends::default();
    for (name, settings) in registry.backends() {
        let same = |(registry, _): &(&Registry, &Backends)| {
            registry.backends().get(name) == Some(settings)
        };
        let known = before.filter(same).map(|(_, backends)| backends);
        let backend: Arc<dyn Backend> = match settings {
            BackendSettings::Echo { flows } => Arc::new(echo::Echo::new(flows)),
            BackendSettings::Http(settings) => {
                let known = known.and_then(|known| known.passing(name)).cloned();
                let http = known.unwrap_or_else(|| {
                    let metrics = metrics.upstream_requests.of(name);
                    Arc::new(Http::new(name.clone(), settings, metrics, life))
                });
                backends.passing.insert(name.clone(), Arc::clone(&http));
                http
            }
        };
        backends.answering.insert(name.clone(), backend);
    }
    backends
}
