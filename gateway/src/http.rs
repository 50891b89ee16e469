//! HTTP callers: upgrades to sockets, the requests of login and bootstrap, IAM operations and
//! services. They take the road of a frame from the registry on.
//!
//! Refusals of a credential or a permit are byte constants: 401, 403 and 404 say nothing more.

mod head;
mod answer;
mod auth;
mod body;
mod calls;
mod flow_sockets;
mod path;
mod query;
mod streams;
mod upgrade;
mod watch;
mod observe;

use std::pin::pin;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

use tollgate_proto::error::ErrorKind;

use crate::call::Fate;
use crate::handles::Handles;
use crate::peer::Peer;
use crate::seats::Seat;

/// The largest body of a login, which anybody may send.
const LOGIN_BODY: usize = 4 << 10;
/// The largest body of a stranger, and of an operation of IAM.
const SMALL_BODY: usize = 64 << 10;
/// The largest body of a request to a service, from somebody who is authenticated.
const LARGE_BODY: usize = 8 << 20;
/// The largest body that is passed on as it comes.
const STREAMED_BODY: usize = 256 << 20;

/// All paths of the public listener.
pub(crate) fn router(handles: Arc<Handles>) -> Router {
    let requests = Router::new()
        .route("/api/v1/auth/bootstrap", post(auth::bootstrap))
        .route("/api/v1/auth/bootstrap-status", post(auth::bootstrap_status))
        .route("/api/v1/auth/login", post(auth::login))
        .route("/api/v1/auth/change-password", post(auth::change_password))
        .route("/api/v1/iam", post(calls::iam))
        .route("/api/v1/{kind}", post(calls::service))
        .route("/api/v1/flow/{flow}/service/{*kind}", post(calls::flow_service))
        .route("/api/v1/document-stream", get(streams::document))
        .route("/api/v1/export-core", get(streams::export_core))
        .route("/api/v1/import-core", post(streams::import_core))
        .route("/api/metrics/{*path}", get(streams::metrics))
        .route("/api/v1/flow/{flow}/import/{kind}", get(flow_sockets::import))
        .route("/api/v1/flow/{flow}/export/{kind}", get(flow_sockets::export))
        .layer(from_fn_with_state(Arc::clone(&handles), require_tls))
        .layer(from_fn(turn_away));
    Router::new()
        .route("/api/v1/socket", get(upgrade::socket))
        // The path that TrustGraph's browser client asks for by itself.
        .route("/api/socket", get(upgrade::socket))
        .merge(requests)
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(from_fn_with_state(Arc::clone(&handles), end_with_the_drain))
        .layer(from_fn(head::check))
        .layer(from_fn(protect))
        .layer(from_fn_with_state(Arc::clone(&handles), observe::observe))
        .with_state(handles)
}

/// Refuses requests that came in clear, if the configuration says so.
async fn require_tls(
    State(handles): State<Arc<Handles>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if handles.rules.load().require_tls && !peer.secure {
        return answer::tls_required();
    }
    next.run(request).await
}

/// Refuses the requests of a connection for which there is no room; a socket closes itself.
async fn turn_away(
    Extension(seat): Extension<Arc<Seat>>,
    request: Request,
    next: Next,
) -> Response {
    if seat.is_turned_away() {
        return answer::no_room();
    }
    next.run(request).await
}

/// Ends the request that a stop can wait for no longer; a change that was sent to IAM is heard to
/// its end.
async fn end_with_the_drain(
    State(handles): State<Arc<Handles>>,
    mut request: Request,
    next: Next,
) -> Response {
    let fate = Arc::new(Fate::default());
    request.extensions_mut().insert(Arc::clone(&fate));
    let mut answered = pin!(next.run(request));
    // An answer that is there counts.
    tokio::select! {
        biased;
        response = &mut answered => return response,
        () = handles.drained() => {}
    }
    // Dropping the other cancels what runs, which is meant.
    if fate.take_back() { answer::refuse(&ErrorKind::Unavailable.into()) } else { answered.await }
}

/// Headers of every answer: nothing here is a page, and nothing may be kept.
async fn protect(Extension(peer): Extension<Peer>, request: Request, next: Next) -> Response {
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
    if peer.secure {
        // RFC 6797: a year, and said only where it counts.
        let year = HeaderValue::from_static("max-age=31536000");
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, year);
    }
    response
}
