//! ⑦ What answers a call.
//!
//! In: a permit and the request. Out: any number of chunks, then the last body, each the text of
//! a JSON object. Dropping the future cancels the call: a backend stops its work then.
//! Never: an answer without a permit, or one under another call's number.

mod echo;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tollgate_proto::error::WireError;

use crate::authorise::Permit;
use crate::registry::{BackendSettings, Registry};
use crate::reply::Chunks;

/// The seam: built in, or a server behind the gateway.
pub(crate) trait Backend: Send + Sync {
    /// Runs the call. `request` is the caller's request as the registry resolved it.
    fn call<'a>(
        &'a self,
        permit: &'a Permit,
        request: String,
        chunks: &'a Chunks,
    ) -> BoxFuture<'a, Result<String, WireError>>;
}

/// The backends of this process, by name.
pub(crate) type Backends = HashMap<Arc<str>, Arc<dyn Backend>>;

/// Makes every backend that the registry names.
pub(crate) fn open(registry: &Registry) -> Backends {
    let open = |settings: &BackendSettings| -> Arc<dyn Backend> {
        match settings {
            BackendSettings::Echo { flows } => Arc::new(echo::Echo::new(flows)),
        }
    };
    registry.backends().iter().map(|(name, settings)| (name.clone(), open(settings))).collect()
}
