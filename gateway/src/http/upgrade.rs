//! `GET /api/v1/socket`: every well-formed upgrade is accepted, whatever credential comes or does
//! not. A browser would treat a refusal here as final.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    USER_AGENT,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tollgate_proto::close::CloseCode;
use tollgate_proto::iam::Via;
use tollgate_proto::secret::SecretString;

use super::answer::wrong_method;
use super::calls::bearer;
use crate::handles::{Handles, Rules};
use crate::metrics::Closed;
use crate::peer::Peer;
use crate::session::{self, Arrival};
use crate::socket::Socket;
use crate::stream::Stream;

/// Answers 101 and serves the socket in a task of its own.
pub(super) async fn socket(
    State(handles): State<Arc<Handles>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
) -> Response {
    // A route for GET takes HEAD too.
    if request.method() != Method::GET {
        return wrong_method().await.into_response();
    }
    let accept = match check_handshake(request.headers()) {
        Ok(accept) => accept,
        Err((StatusCode::UPGRADE_REQUIRED, text)) => {
            let version = [(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))];
            return (StatusCode::UPGRADE_REQUIRED, version, text).into_response();
        }
        Err(refusal) => return refusal.into_response(),
    };
    // What follows the head must be frames, for whoever stands in between too.
    if !request.body().is_end_stream() {
        let close = [(CONNECTION, HeaderValue::from_static("close"))];
        return (StatusCode::BAD_REQUEST, close, "an upgrade has no body").into_response();
    }
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return (StatusCode::BAD_REQUEST, "this connection cannot be upgraded").into_response();
    };
    let origin = request.headers().get(ORIGIN).map(|origin| origin.to_str().unwrap_or("null"));
    let rules = handles.rules.load();
    let refused = if rules.require_tls && !peer.secure {
        Some("in clear")
    } else {
        (!rules.origins.allow(origin)).then_some("a foreign Origin")
    };
    let arrival = Arrival {
        client: peer.client(Via::Socket),
        token: early_token(&rules, &request),
        usual_frame: usual_frame(request.headers()),
    };
    drop(rules);
    handles.life.tasks.clone().spawn(async move {
        let Some(socket) = upgraded(upgrade).await else { return };
        if let Some(reason) = refused {
            tracing::info!(
                client.address = arrival.client.address,
                reason,
                "socket closed unheard"
            );
            handles.metrics.sockets.inc();
            handles.metrics.socket_closes.inc(Closed::Ours(CloseCode::Policy));
            socket.close(CloseCode::Policy).await;
        } else {
            session::serve(socket, handles, arrival).await;
        }
    });
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
    let from_url = || {
        let query = request.uri().query().filter(|_| rules.url_token)?;
        let value = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        Some(SecretString::from(decode_percent(value))).filter(|_| !value.is_empty())
    };
    bearer(request.headers()).or_else(from_url)
}

/// The largest frame that this kind of client takes: Python's `websockets`, which existing clients
/// are built on, closes over a larger one, and their calls then wait for ever.
fn usual_frame(headers: &HeaderMap) -> Option<u64> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    agent.contains("websockets/").then_some(1 << 20)
}

/// Undoes percent-encoding. Clients also send tokens as they are: a lone `%` stays.
fn decode_percent(text: &str) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = match tail {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        out.push(decoded.map_or(*first, |(high, low)| high << 4 | low));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The bare connection under an upgrade: no layer of HTTP stays on a socket's road.
async fn upgraded(upgrade: OnUpgrade) -> Option<Socket> {
    let upgraded = upgrade.await.ok()?;
    let Parts { io, read_buf, .. } = upgraded.downcast::<TokioIo<Stream>>().ok()?;
    // A copy: the buffer itself is twice as large as the one that a socket keeps.
    Some(Socket::new(io.into_inner(), read_buf.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_urls_are_read_escaped_or_not() {
        assert_eq!(decode_percent("tg_a-b_c"), "tg_a-b_c");
        assert_eq!(decode_percent("a%2Eb%2ec%"), "a.b.c%");
        assert_eq!(decode_percent("%zz%+1"), "%zz%+1");
    }

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
