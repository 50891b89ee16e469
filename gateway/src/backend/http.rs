//! A backend that is a service of its own, over HTTP: one POST a call.
//!
//! In: the request as the registry resolved it, and who calls. Out: the service's own answer, whole
//! or in pieces, as it came. What the caller's connection said (headers, credentials) stays here;
//! the service learns who calls from headers that only the gateway writes.

mod answer;
mod pieces;

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue,
};
use tokio::time::Instant;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::json::Object;
use tollgate_runtime::lifecycle::Lifecycle;

use super::Backend;
use crate::authorise::Permit;
use crate::metrics::UpstreamMetrics;
use crate::registry::HttpSettings;
use crate::reply::{Chunks, Outcome};
use crate::upstream::{Failure, Upstream};

const SERVICE: HeaderName = HeaderName::from_static("tollgate-service");
const FLOW: HeaderName = HeaderName::from_static("tollgate-flow");
const WORKSPACE: HeaderName = HeaderName::from_static("tollgate-workspace");
const PRINCIPAL: HeaderName = HeaderName::from_static("tollgate-principal");
const DEADLINE: HeaderName = HeaderName::from_static("tollgate-deadline-ms");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A backend over HTTP.
pub(super) struct Http {
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
        read.await.map_err(|failed: Failed| {
            if let Some(reason) = &failed.reason {
                let operation = &*permit.call().name;
                tracing::warn!(backend = &*self.name, operation, reason, "a backend failed");
            }
            failed.error
        })
    }

    fn headers(
        &self,
        permit: &Permit,
        deadline: Option<Instant>,
    ) -> Result<HeaderMap, InvalidHeaderValue> {
        let call = permit.call();
        let mut headers = self.headers.clone();
        headers.insert(SERVICE, header(&call.service)?);
        if let Some(flow) = &call.flow {
            headers.insert(FLOW, header(flow.as_str())?);
        }
        if let Some(workspace) = permit.workspace() {
            headers.insert(WORKSPACE, header(workspace.as_str())?);
        }
        if let Some(identity) = permit.identity() {
            headers.insert(PRINCIPAL, header(&identity.actor.user.to_string())?);
        }
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis();
            headers.insert(DEADLINE, u64::try_from(left).unwrap_or(u64::MAX).into());
        }
        if let Some(traceparent) = &call.traceparent {
            headers.insert(TRACEPARENT, header(traceparent.as_str())?);
        }
        Ok(headers)
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
            Failure::Broken(_) => ErrorKind::UpstreamError,
        };
        Self::new(kind, failure.to_string())
    }
}

/// A name as a header's value: what is not visible ASCII, and the percent sign, percent-encoded.
fn header(name: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'%';
    if name.as_bytes().iter().all(plain) {
        return HeaderValue::from_str(name);
    }
    let mut encoded = String::with_capacity(name.len() + 16);
    for byte in name.bytes() {
        if plain(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(encoded)
}

#[cfg(test)]
mod tests;
