//! `GET /api/v1/socket`: every well-formed upgrade is accepted, whatever credential comes or does
//! not. A browser would treat a refusal here as final.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    USER_AGENT,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tollgate_proto::close::CloseCode;
use tollgate_proto::iam::Via;
use tollgate_proto::secret::SecretString;

use super::calls::bearer;
use super::query::Query;
use crate::guarded::Guarded;
use crate::handles::{Handles, Rules};
use crate::metrics::Closed;
use crate::peer::Peer;
use crate::seats::Seat;
use crate::session::{Arrival, Session};
use crate::socket::Socket;

/// Answers 101 and serves the socket in a task of its own.
pub(super) async fn socket(
    State(handles): State<Arc<Handles>>,
    Extension(peer): Extension<Peer>,
    Extension(seat): Extension<Arc<Seat>>,
    mut request: Request,
) -> Response {
    let Handshake { accept, upgrade } = match Handshake::take(&mut request) {
        Ok(handshake) => handshake,
        Err(refusal) => return refusal,
    };
    let origin = request.headers().get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null"));
    let rules = handles.rules.load();
    seat.name(peer.address, &rules.limits.caps);
    let refused = if seat.is_turned_away() {
        Some((CloseCode::ConnectionCap, "no room"))
    } else if rules.require_tls && !peer.secure {
        Some((CloseCode::Policy, "in clear"))
    } else {
        (!rules.origins.allow(origin)).then_some((CloseCode::Policy, "a foreign Origin"))
    };
    let arrival = Arrival {
        client: peer.client(Via::Socket),
        token: early_token(&rules, &request),
        usual_frame: usual_frame(request.headers()),
    };
    drop(rules);
    handles.life.tasks.clone().spawn(async move {
        let Some((socket, seat)) = upgraded(upgrade).await else { return };
        let Some((code, reason)) = refused else {
            return Session::open(socket, seat, handles, arrival).serve().await;
        };
        let address = arrival.client.address;
        tracing::info!(client.address = address, reason, "socket closed unheard");
        handles.metrics.sockets.inc();
        handles.metrics.socket_closes.inc(Closed::Ours(code));
        Box::pin(socket.close(code)).await;
    });
    switch(accept)
}

/// A well-formed request for an upgrade.
pub(super) struct Handshake {
    /// The value of `Sec-WebSocket-Accept`.
    pub(super) accept: HeaderValue,
    /// The connection, once the answer has left.
    pub(super) upgrade: OnUpgrade,
}

impl Handshake {
    /// Takes it out of a request.
    #[expect(clippy::result_large_err, reason = "an answer is an answer")]
    pub(super) fn take(request: &mut Request) -> Result<Self, Response> {
        let accept = check_handshake(request.headers()).map_err(|(status, text)| {
            let version = [(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))];
            match status {
                StatusCode::UPGRADE_REQUIRED => (status, version, text).into_response(),
                _ => (status, text).into_response(),
            }
        })?;
        // What follows the head must be frames, for whoever stands in between too.
        if !request.body().is_end_stream() {
            let close = [(CONNECTION, HeaderValue::from_static("close"))];
            return Err((StatusCode::BAD_REQUEST, close, "an upgrade has no body").into_response());
        }
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let cannot = (StatusCode::BAD_REQUEST, "this connection cannot be upgraded");
        Ok(Self { accept, upgrade: upgrade.ok_or_else(|| cannot.into_response())? })
    }
}

/// The answer after which a connection is a WebSocket.
pub(super) fn switch(accept: HeaderValue) -> Response {
    let headers = [
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// RFC 6455 §4.2.1. Gives the value of `Sec-WebSocket-Accept`.
fn check_handshake(headers: &HeaderMap) -> Result<HeaderValue, (StatusCode, &'static str)> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade") {
        return Err((BAD, "this is a WebSocket: ask for an upgrade"));
    }
    let mut versions = headers.get_all(SEC_WEBSOCKET_VERSION).iter();
    if !matches!((versions.next(), versions.next()), (Some(version), None) if version == "13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "WebSocket version 13 is needed"));
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else {
        return Err((BAD, "one Sec-WebSocket-Key is needed"));
    };
    HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| (BAD, "the Sec-WebSocket-Key cannot be used"))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// A credential on the upgrade counts as a first frame sent early.
fn early_token(rules: &Rules, request: &Request) -> Option<SecretString> {
    let query = Query::of(request.uri());
    if rules.url_token { credential(request.headers(), query) } else { bearer(request.headers()) }
}

/// The largest frame that this kind of client takes: Python's `websockets`, which existing clients
/// are built on, closes over a larger one, and their calls then wait for ever.
fn usual_frame(headers: &HeaderMap) -> Option<u64> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    agent.contains("websockets/").then_some(1 << 20)
}

/// The credential that came with an upgrade: browsers can send one in the URL alone.
pub(super) fn credential(headers: &HeaderMap, query: Query<'_>) -> Option<SecretString> {
    bearer(headers).or_else(|| query.token())
}

/// The bare connection under an upgrade: no layer of HTTP stays on a socket's road.
pub(super) async fn upgraded(upgrade: OnUpgrade) -> Option<(Socket, Arc<Seat>)> {
    let upgraded = upgrade.await.ok()?;
    let Parts { io, read_buf, .. } = upgraded.downcast::<TokioIo<Guarded>>().ok()?;
    // A copy: the buffer itself is twice as large as the one that a socket keeps.
    let (stream, seat) = io.into_inner().into_parts();
    Some((Socket::new(stream, read_buf.to_vec()), seat))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_needs_its_headers() {
        let mut headers = HeaderMap::new();
        assert!(check_handshake(&headers).is_err());
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        assert_eq!(check_handshake(&headers).unwrap_err().0, StatusCode::UPGRADE_REQUIRED);
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        assert!(check_handshake(&headers).is_err());
        // The example of RFC 6455 §1.3.
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(check_handshake(&headers).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
