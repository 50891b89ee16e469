//! HTTP callers: the upgrade to a socket, the requests of login and bootstrap, IAM operations and
//! services. They take the road of a frame from the registry on.
//!
//! Refusals of a credential or a permit are byte constants: 401, 403 and 404 say nothing more.

mod answer;
mod auth;
mod calls;
mod upgrade;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use tollgate_proto::iam::{Client, Via};

use crate::handles::Handles;

/// The largest body of a request that carries a credential or an operation of IAM.
const SMALL_BODY: usize = 64 << 10;
/// The largest body of a request to a service.
const LARGE_BODY: usize = 8 << 20;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Where a request came from; the accept loop puts it there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    fn client(self, via: Via) -> Client {
        Client { address: Some(self.0.to_string()), via }
    }
}

/// All paths of the public listener.
pub(crate) fn router(handles: Arc<Handles>) -> Router {
    let small = Router::new()
        .route("/api/v1/auth/bootstrap", post(auth::bootstrap))
        .route("/api/v1/auth/bootstrap-status", post(auth::bootstrap_status))
        .route("/api/v1/auth/login", post(auth::login))
        .route("/api/v1/auth/change-password", post(auth::change_password))
        .route("/api/v1/iam", post(calls::iam))
        .layer(DefaultBodyLimit::max(SMALL_BODY));
    let large = Router::new()
        .route("/api/v1/{kind}", post(calls::service))
        .route("/api/v1/flow/{flow}/service/{*kind}", post(calls::flow_service))
        .layer(DefaultBodyLimit::max(LARGE_BODY));
    Router::new()
        .route("/api/v1/socket", get(upgrade::socket))
        // The path that TrustGraph's browser client asks for by itself.
        .route("/api/socket", get(upgrade::socket))
        .merge(small)
        .merge(large)
        .layer(from_fn(protect))
        .with_state(handles)
}

/// Headers of every answer: nothing here is a page, and nothing may be kept.
async fn protect(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
