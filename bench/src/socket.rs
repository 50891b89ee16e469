//! A client's socket, authenticated where the server asks for it, with as little as can be
//! around it.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::frame::Frames;
use crate::server::Entrance;

const READ_BUFFER: usize = 16 << 10;

/// A socket of ours.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Opens a socket, and authenticates where the server asks for it.
pub(crate) async fn open(entrance: &Entrance) -> anyhow::Result<Socket> {
    let mut socket = connect(entrance.address).await?;
    if let Some(token) = &entrance.token {
        sign_in(&mut socket, &auth_frame(token)).await?;
    }
    Ok(socket)
}

/// Opens a socket on which nobody is known yet.
pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Socket> {
    let stream = TcpStream::connect(address)
        .await
        .context("a socket could not be opened; `ulimit -n` may be too low")?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let url = format!("ws://{address}/api/v1/socket");
    Ok(client_async_with_config(url, stream, Some(config)).await?.0)
}

/// The frame that shows a token.
pub(crate) fn auth_frame(token: &str) -> String {
    json!({ "type": "auth", "token": token }).to_string()
}

/// Authenticates with an auth frame.
pub(crate) async fn sign_in(socket: &mut Socket, frame: &str) -> anyhow::Result<()> {
    socket.send(Message::text(frame)).await?;
    let answer = next_text(socket).await?;
    ensure!(answer.contains("\"auth-ok\""), "not authenticated: {answer}");
    Ok(())
}

/// One call, and its reply checked.
pub(crate) async fn call(socket: &mut Socket, frames: &Frames) -> anyhow::Result<()> {
    socket.send(Message::text(frames.call(0))).await?;
    frames.check_body(&next_text(socket).await?, 1)
}

/// The next message, which is text.
pub(crate) async fn next_text(socket: &mut Socket) -> anyhow::Result<Utf8Bytes> {
    text_of(socket.next().await.context("the server hung up")??)
}

/// A message as text; anything else is an error here.
pub(crate) fn text_of(message: Message) -> anyhow::Result<Utf8Bytes> {
    match message {
        Message::Text(text) => Ok(text),
        Message::Binary(_)
        | Message::Ping(_)
        | Message::Pong(_)
        | Message::Close(_)
        | Message::Frame(_) => bail!("not a text message: {message:?}"),
    }
}
