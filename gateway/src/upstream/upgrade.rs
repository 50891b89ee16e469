//! A connection that becomes a WebSocket: RFC 6455 §4.1, from the client's side.
//!
//! In: a fresh connection and headers. Out: the bare connection, or the head of the answer of a
//! server that will not. Such a connection is of no other use: it is never kept.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::response::Parts;
use hyper::upgrade;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tollgate_runtime::stream::Stream;

use super::connection::{MAX_BUFFER, MAX_HEAD, MAX_HEADERS, describe};

/// What a server answered to the upgrade.
pub(super) enum Upgraded {
    /// It agreed: the connection, and what it sent behind its answer.
    Socket(Stream, Bytes),
    /// It did not.
    Refused(Box<Parts>),
}

/// Asks for the upgrade.
pub(super) async fn upgrade(
    stream: Stream,
    mut request: Request<Empty<Bytes>>,
) -> Result<Upgraded, String> {
    let key = generate_key();
    add_headers(request.headers_mut(), &key)?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_BUFFER).max_header_size(MAX_HEAD).max_headers(MAX_HEADERS);
    let connection = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, driver) = connection.map_err(|error| describe(&error))?;
    let mut driver = pin!(driver.with_upgrades());
    let answered = sender.send_request(request);
    let mut response = drive(&mut driver, answered).await.map_err(|error| describe(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Upgraded::Refused(Box::new(response.into_parts().0)));
    }
    check(response.headers(), &key)?;
    let upgraded = drive(&mut driver, upgrade::on(&mut response)).await;
    let parts = upgraded
        .map_err(|error| describe(&error))?
        .downcast::<TokioIo<Stream>>()
        .map_err(|_| "the connection was not given back".to_owned())?;
    Ok(Upgraded::Socket(parts.io.into_inner(), parts.read_buf))
}

fn add_headers(headers: &mut HeaderMap, key: &str) -> Result<(), String> {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let key = HeaderValue::from_str(key).map_err(|error| error.to_string())?;
    headers.insert(SEC_WEBSOCKET_KEY, key);
    Ok(())
}

/// A server that understood the question has its proof.
fn check(headers: &HeaderMap, key: &str) -> Result<(), String> {
    let accept = derive_accept_key(key.as_bytes());
    if headers.get(SEC_WEBSOCKET_ACCEPT).is_none_or(|value| value != accept.as_str()) {
        return Err("its 101 is that of no WebSocket: Sec-WebSocket-Accept is wrong".to_owned());
    }
    Ok(())
}

/// Waits for something that comes over the connection, and moves its bytes meanwhile.
async fn drive<F: Future>(driver: &mut std::pin::Pin<&mut impl Future>, wanted: F) -> F::Output {
    let mut wanted = pin!(wanted);
    let mut is_over = false;
    poll_fn(|cx| {
        if let Poll::Ready(value) = wanted.as_mut().poll(cx) {
            return Poll::Ready(value);
        }
        if !is_over && driver.as_mut().poll(cx).is_ready() {
            is_over = true;
        }
        wanted.as_mut().poll(cx)
    })
    .await
}
