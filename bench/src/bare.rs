//! The yardstick: an echo server of the same libraries, tuned as the gateway is, that does
//! nothing else.
//!
//! hyper answers the upgrade, one task serves each socket through a 4-KiB read buffer, and what
//! is ready is answered in one write. No JSON, no identity, no calls. Not tuned, it is what these
//! libraries do by themselves: 128-KiB buffers, and each reply is flushed.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::Write;
use std::task::Poll;

use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::task::TaskTracker;

/// As the gateway's.
const READ_BUFFER: usize = 4 << 10;
const WRITE_BUFFER: usize = 64 << 10;
/// Messages of one socket in one turn; then other sockets have theirs.
const TURN: usize = 16;

/// How the server is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    Tuned,
    Stock,
}

/// Serves on a port of the system's choice, which it tells on stderr, until it is killed.
pub(crate) async fn run(setup: Setup) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stderr(), "Clients connect to ws://{}/", listener.local_addr()?)?;
    let tasks = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tasks.spawn(serve(stream, setup, tasks.clone()));
    }
}

async fn serve(stream: TcpStream, setup: Setup, tasks: TaskTracker) {
    let service = service_fn(|request| {
        let response = upgrade(request, setup, &tasks);
        async move { Ok::<_, Infallible>(response) }
    });
    // A connection that fails is the client's to report.
    let _ =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

fn upgrade(mut request: Request<Incoming>, setup: Setup, tasks: &TaskTracker) -> Response<String> {
    let key = request.headers().get(SEC_WEBSOCKET_KEY);
    let accept = key.map(|key| derive_accept_key(key.as_bytes())).map(HeaderValue::try_from);
    let mut response = Response::new(String::new());
    let Some(Ok(accept)) = accept else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    let upgrade = hyper::upgrade::on(&mut request);
    match setup {
        Setup::Tuned => tasks.spawn(echo(upgrade)),
        Setup::Stock => tasks.spawn(echo_each(upgrade)),
    };
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

async fn echo(upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(usize::MAX);
    let (stream, mut early) = (parts.io.into_inner(), Vec::from(parts.read_buf));
    // hyper's buffer becomes ours, and is larger. Cut in place it leaves no hole behind.
    early.shrink_to(READ_BUFFER);
    let mut socket =
        WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await;
    while let Some(Ok(message)) = socket.next().await {
        let mut next = Some(message);
        for _ in 0..TURN {
            let Some(message) = next.take() else { break };
            if (message.is_text() || message.is_binary()) && socket.feed(message).await.is_err() {
                return;
            }
            let ready = poll_fn(|cx| Poll::Ready(socket.poll_next_unpin(cx))).await;
            next = match ready {
                Poll::Ready(Some(Ok(message))) => Some(message),
                Poll::Ready(Some(Err(_)) | None) => return,
                Poll::Pending => None,
            };
        }
        // The one that was read when the turn was over is answered too.
        if let Some(message) = next
            && socket.feed(message).await.is_err()
        {
            return;
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
}

async fn echo_each(upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}
