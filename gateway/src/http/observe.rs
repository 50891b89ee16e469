//! What an HTTP request leaves behind: a count, and a line at its end. Its id is in the answer, so
//! that whoever was refused can name the line.
//!
//! Never: the path or the query as they were sent. The route tells enough, and a query may hold a
//! token.

use std::fmt;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use uuid::Uuid;

use crate::handles::Handles;
use crate::metrics::{Route, StatusClass};
use crate::record::{Source, millis};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names a request in logs and in its answer. Always ours: a client could choose another's.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestId(Uuid);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The request as the source of a call.
pub(super) fn source_of(request: &Request) -> Source {
    let id = request.extensions().get::<RequestId>();
    Source::Http(id.map_or(Uuid::nil(), |id| id.0))
}

/// Counts a request and names it.
pub(super) async fn observe(
    State(handles): State<Arc<Handles>>,
    mut request: Request,
    next: Next,
) -> Response {
    let (id, started) = (RequestId(Uuid::now_v7()), Instant::now());
    let matched = request.extensions().get::<MatchedPath>();
    let route = Route::of(matched.map(MatchedPath::as_str));
    request.extensions_mut().insert(id);
    let mut response = next.run(request).await;
    let status = response.status();
    handles.metrics.http_responses.inc((route, StatusClass::of(status.as_u16())));
    tracing::debug!(
        request.id = %id,
        %route,
        status = status.as_u16(),
        duration_ms = millis(started.elapsed()),
        "http request ended"
    );
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
