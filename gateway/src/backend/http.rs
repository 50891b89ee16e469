//! A backend that is a service of its own, over HTTP: one POST a call.
//!
//! In: the request as the registry resolved it, and who calls. Out: the service's own answer, whole
//! or in pieces, as it came. What the caller's connection said (headers, credentials) stays here;
//! the service learns who calls from headers that only the gateway writes.

mod answer;
mod headers;
mod passage;
mod pieces;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, InvalidHeaderValue,
};
use tokio::time::Instant;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::json::Object;
use tollgate_runtime::lifecycle::Lifecycle;

use super::Backend;
use crate::authorise::Permit;
use crate::metrics::UpstreamMetrics;
use crate::registry::HttpSettings;
use crate::reply::{Chunks, Outcome, Traced};
use crate::upstream::{Failure, Upstream};
use headers::{add_deadline, identify};

/// A backend over HTTP.
pub(crate) struct Http {
    name: Arc<str>,
    upstream: Upstream,
    /// Said with every request.
    headers: HeaderMap,
    max_answer: usize,
}

impl Http {
    pub(super) fn new(
        name: Arc<str>,
        settings: &HttpSettings,
        metrics: Arc<UpstreamMetrics>,
        life: &Lifecycle,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accepted = "application/json, application/x-ndjson, text/event-stream";
        headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        if let Some(authorization) = &settings.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let upstream = Upstream::new(&settings.addresses, &settings.bounds, metrics, life);
        Self { name, upstream, headers, max_answer: settings.max_answer }
    }

    async fn answer(
        &self,
        permit: &Permit,
        request: Object<'static>,
        deadline: Option<Instant>,
        chunks: &Chunks,
    ) -> Outcome {
        let headers = self.headers(permit, deadline).map_err(|_| ErrorKind::Internal)?;
        let body = Bytes::from(request.into_string());
        let read = async {
            let answer = self.upstream.post(headers, body).await?;
            answer::read(answer, self.max_answer, chunks).await
        };
        read.await.map_err(|failed| self.log(permit, failed).into())
    }

    fn headers(
        &self,
        permit: &Permit,
        deadline: Option<Instant>,
    ) -> Result<HeaderMap, InvalidHeaderValue> {
        let mut headers = self.headers.clone();
        identify(&mut headers, permit)?;
        if let Some(deadline) = deadline {
            add_deadline(&mut headers, deadline);
        }
        Ok(headers)
    }

    /// Tells the log why, and gives what the caller is told.
    fn log(&self, permit: &Permit, failed: Failed) -> WireError {
        let call = permit.call();
        let error = Traced::new(failed.error, call.traceparent.as_ref());
        if let Some(reason) = &failed.reason {
            let (operation, trace_id) = (&*call.name, error.trace_id());
            let backend = &*self.name;
            tracing::warn!(backend, operation, trace.id = trace_id, reason, "a backend failed");
        }
        error.into()
    }
}

impl Backend for Http {
    fn call<'a>(
        &'a self,
        permit: &'a Permit,
        request: Object<'static>,
        deadline: Option<Instant>,
        chunks: &'a Chunks,
    ) -> BoxFuture<'a, Outcome> {
        self.answer(permit, request, deadline, chunks).boxed()
    }
}

/// Why a call failed: what the caller is told, and what the log is.
struct Failed {
    error: WireError,
    reason: Option<String>,
}

impl Failed {
    fn new(error: impl Into<WireError>, reason: impl Into<String>) -> Self {
        Self { error: error.into(), reason: Some(reason.into()) }
    }
}

/// What needs no line in the log: the caller's own doing.
impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self { error, reason: None }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let kind = match &failure {
            Failure::Busy | Failure::Unreachable(_) => ErrorKind::Unavailable,
            Failure::Broken(_) | Failure::Refused(_) => ErrorKind::UpstreamError,
        };
        Self::new(kind, failure.to_string())
    }
}
