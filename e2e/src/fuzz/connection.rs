//! Connections to a whole Tollgate: heads of requests, and frames on a socket.
//!
//! Time is skipped when nothing happens, so that a head that does not end costs nothing.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::Tollgate;
use crate::frames::opcode::TEXT;
use crate::frames::{self, FIN, HANDSHAKE, Reader, Seen};

/// Longer than any deadline of a connection that says nothing.
const SILENCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(2);

/// A Tollgate that all runs of a target share.
pub struct Gateway {
    runtime: Runtime,
    tollgate: Tollgate,
}

impl Gateway {
    /// Starts it, in this thread.
    pub fn start() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let tollgate = runtime.block_on(async {
            let tollgate = Tollgate::start().await?;
            tokio::time::pause();
            anyhow::Ok(tollgate)
        })?;
        Ok(Self { runtime, tollgate })
    }

    /// Everything that is answered to these bytes, until the server ends the connection or, when
    /// it has no more to say, we do.
    fn answer(&self, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.tollgate.address).await?;
            // Thousands of connections a second: none may wait for its port to be free again.
            stream.set_zero_linger()?;
            let (mut reader, mut writer) = stream.split();
            let mut output = Vec::new();
            let write = async {
                // Whoever is refused in the middle does not get the rest out.
                let _ = writer.write_all(bytes).await;
            };
            let mut is_over = false;
            let read = async {
                let mut piece = [0; 4 << 10];
                while let Ok(read) = timeout(SILENCE, reader.read(&mut piece)).await {
                    let Ok(count @ 1..) = read else {
                        // Bytes that the server left unread make its end a reset.
                        is_over = true;
                        break;
                    };
                    output.extend_from_slice(&piece[..count]);
                }
            };
            tokio::join!(write, read);
            if !is_over {
                let _ = writer.shutdown().await;
                let _ = reader.read_to_end(&mut output).await;
            }
            anyhow::Ok(output)
        };
        let exchange = async { timeout(PATIENCE, exchange).await.context("it hangs")? };
        self.runtime.block_on(exchange)
    }
}

/// Bytes as what a client sends first: what is answered is HTTP, and says so of itself.
pub fn head(gateway: &Gateway, bytes: &[u8]) {
    let answer = gateway.answer(bytes);
    let checked = answer.and_then(|answer| check_answer(&answer));
    assert!(checked.is_ok(), "{checked:?}: {}", bytes.escape_ascii());
}

fn check_answer(answer: &[u8]) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(answer);
    // Said to an `Expect`, in front of the answer itself.
    let text = text.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        ensure!(text.is_empty(), "a head without end: {text}");
        return Ok(());
    };
    ensure!(head.starts_with("HTTP/1."), "{head}");
    let is_upgrade = head.starts_with("HTTP/1.1 101 ");
    // hyper's own refusals have no body.
    let is_protected = head.contains("x-content-type-options: nosniff");
    ensure!(is_upgrade || is_protected || body.is_empty(), "{text}");
    Ok(())
}

/// Bytes as frames behind a handshake, of a friend if the first byte is odd: what is answered are
/// frames that a server may send, with one JSON object each.
pub fn frame(gateway: &Gateway, bytes: &[u8]) {
    let Some((who, bytes)) = bytes.split_first() else { return };
    let auth = json!({ "type": "auth", "token": gateway.tollgate.admin_key }).to_string();
    let auth = if who % 2 == 1 { frames::frame(FIN | TEXT, auth.as_bytes()) } else { Vec::new() };
    let sent = [HANDSHAKE.as_bytes(), b"\r\n", &auth, bytes].concat();
    let checked = gateway.answer(&sent).and_then(|answer| check_frames(gateway, &answer));
    assert!(checked.is_ok(), "{checked:?}: {}", bytes.escape_ascii());
}

fn check_frames(gateway: &Gateway, answer: &[u8]) -> anyhow::Result<()> {
    ensure!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no head")?;
    let mut reader = Reader::new(&answer[head + 4..]);
    gateway.runtime.block_on(async {
        loop {
            match reader.next().await {
                Ok(Seen::End | Seen::Close(_)) => return Ok(()),
                Ok(Seen::Pong(payload)) => ensure!(payload.len() <= 125, "{payload:?}"),
                Ok(Seen::Text(text)) => check_text(&text)?,
                // Cut off by the end of the connection.
                Err(error) if error.is::<std::io::Error>() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    })
}

/// Rule 2 of the protocol.
fn check_text(text: &str) -> anyhow::Result<()> {
    let frame: Value = serde_json::from_str(text)?;
    let (response, error) = (frame.get("response"), frame.get("error"));
    if frame.get("id").is_some() {
        ensure!(response.is_some() != error.is_some() && frame["complete"].is_boolean(), "{text}");
        ensure!(response.or(error).is_some_and(Value::is_object), "{text}");
    } else {
        ensure!(frame["type"].is_string() || frame["error"]["type"].is_string(), "{text}");
    }
    Ok(())
}
