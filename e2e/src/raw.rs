//! The wire by hand: what no SDK would send.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Any connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A WebSocket on which tests send what they like.
pub struct Socket(pub WebSocketStream<Box<dyn Stream>>);

/// What came off it.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A frame.
    Frame(Value),
    /// The server closed with this code.
    Closed(u16),
    /// The connection ended without a close frame.
    Gone,
}

impl Socket {
    /// Opens one without authenticating.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Self::open_with(address, "", &[]).await
    }

    /// Opens one with a query and headers of the test's own.
    pub async fn open_with(
        address: SocketAddr,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Self> {
        let url = format!("ws://{address}/api/v1/socket{query}");
        Self::open_over(TcpStream::connect(address).await?, &url, headers).await
    }

    /// Opens one over a connection of the test's own.
    pub async fn open_over(
        stream: impl Stream + 'static,
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Self> {
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse()?);
        }
        let stream: Box<dyn Stream> = Box::new(stream);
        Ok(Self(client_async(request, stream).await?.0))
    }

    /// The other end of one, over a connection that has been upgraded.
    pub async fn of_server(stream: TcpStream) -> Self {
        let stream: Box<dyn Stream> = Box::new(stream);
        Self(WebSocketStream::from_raw_socket(stream, Role::Server, None).await)
    }

    /// Opens one and authenticates.
    pub async fn authenticated(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let mut socket = Self::open(address).await?;
        let answer = socket.auth(token).await?;
        anyhow::ensure!(answer["type"] == "auth-ok", "{answer}");
        Ok(socket)
    }

    /// Sends an auth frame and gives the next frame.
    pub async fn auth(&mut self, token: &str) -> anyhow::Result<Value> {
        self.send(&json!({ "type": "auth", "token": token })).await?;
        self.frame().await
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) -> anyhow::Result<()> {
        self.send_text(&frame.to_string()).await
    }

    /// Sends any text.
    pub async fn send_text(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(text)).await?)
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, bytes: Vec<u8>) -> anyhow::Result<()> {
        Ok(self.0.send(Message::binary(bytes)).await?)
    }

    /// Sends a ping of the protocol.
    pub async fn ping(&mut self) -> anyhow::Result<()> {
        Ok(self.0.send(Message::Ping("x".into())).await?)
    }

    /// Waits for a ping of the protocol, which is answered when the next message is read.
    pub async fn pinged(&mut self) -> anyhow::Result<()> {
        match tokio::time::timeout(PATIENCE, self.0.next()).await?.context("gone")?? {
            Message::Ping(_) => Ok(()),
            other => bail!("a ping was expected, and there came {other:?}"),
        }
    }

    /// Plays dead: whatever comes until the server hangs up, as bytes, and nothing is answered.
    pub async fn silent(self) -> anyhow::Result<Vec<u8>> {
        let (mut stream, mut bytes) = (self.0.into_inner(), Vec::new());
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await??;
        Ok(bytes)
    }

    /// Whether nothing comes for so long: no frame, no ping, no close.
    pub async fn hears_nothing(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.0.next()).await.is_err()
    }

    /// The next message, a text or bytes, as it came.
    pub async fn message(&mut self) -> anyhow::Result<Message> {
        Ok(tokio::time::timeout(PATIENCE, self.0.next()).await?.context("gone")??)
    }

    /// Says goodbye with this code.
    pub async fn goodbye(&mut self, code: u16) -> anyhow::Result<()> {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        Ok(self.0.close(Some(frame)).await?)
    }

    /// Sends a call of the echo.
    pub async fn call(&mut self, id: Value, request: Value) -> anyhow::Result<()> {
        let frame = json!({
            "id": id, "service": "text-completion", "flow": "default", "request": request,
        });
        self.send(&frame).await
    }

    /// The next frame.
    pub async fn frame(&mut self) -> anyhow::Result<Value> {
        match self.next().await? {
            Received::Frame(frame) => Ok(frame),
            other => bail!("a frame was expected, and there came {other:?}"),
        }
    }

    /// The next frame, as the bytes that came.
    pub async fn text(&mut self) -> anyhow::Result<String> {
        match tokio::time::timeout(PATIENCE, self.0.next()).await?.context("gone")?? {
            Message::Text(text) => Ok(text.to_string()),
            other => bail!("{other:?}"),
        }
    }

    /// Says goodbye, and waits until the server has too.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        self.0.close(None).await?;
        while self.next().await? != Received::Gone {}
        Ok(())
    }

    /// The code of the close, and the frames before it.
    pub async fn close(&mut self) -> anyhow::Result<(Vec<Value>, u16)> {
        let mut frames = Vec::new();
        loop {
            match self.next().await? {
                Received::Frame(frame) => frames.push(frame),
                Received::Closed(code) => return Ok((frames, code)),
                Received::Gone => bail!("gone without a close, after {frames:?}"),
            }
        }
    }

    /// Whatever comes next.
    pub async fn next(&mut self) -> anyhow::Result<Received> {
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.context("nothing came")? {
                Some(Ok(Message::Text(text))) => {
                    return Ok(Received::Frame(serde_json::from_str(&text)?));
                }
                Some(Ok(Message::Close(close))) => {
                    return Ok(Received::Closed(close.map_or(1005, |close| close.code.into())));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(other)) => bail!("not a text frame: {other:?}"),
                Some(Err(_)) | None => return Ok(Received::Gone),
            }
        }
    }
}

/// One POST on a connection of its own: status and JSON (null if it is none).
pub async fn post(
    address: SocketAddr,
    path: &str,
    token: Option<&str>,
    body: &[u8],
) -> anyhow::Result<(u16, Value)> {
    let bearer = token.map(|token| ("Authorization", format!("Bearer {token}")));
    let answer = http(address, "POST", path, bearer.as_slice(), body).await?;
    Ok((answer.status, serde_json::from_str(&answer.body).unwrap_or_default()))
}

/// Claims a deployment through a gateway: the admin's key.
pub async fn claim(gateway: SocketAddr) -> anyhow::Result<String> {
    let claimed = post(gateway, "/api/v1/auth/bootstrap", None, b"{}").await?.1;
    Ok(claimed["bootstrap_admin_api_key"].as_str().context("no key")?.to_owned())
}

/// An operation of IAM through a gateway; an error if it is refused.
pub async fn operate(gateway: SocketAddr, token: &str, request: &Value) -> anyhow::Result<Value> {
    let body = request.to_string();
    let (status, reply) = post(gateway, "/api/v1/iam", Some(token), body.as_bytes()).await?;
    ensure!(status == 200 && reply.get("error").is_none(), "{status} {reply}");
    Ok(reply)
}

/// What an HTTP server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// One HTTP/1.1 request on a connection of its own, with headers of the test's own.
pub async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> anyhow::Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    if !headers.iter().any(|(name, _)| *name == "Connection") {
        head.push_str("Connection: close\r\n");
    }
    if method == "POST" {
        write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())?;
    }
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    head.push_str("\r\n");
    // In one write: a second one would wait for the first to be acknowledged.
    let request = [head.as_bytes(), body].concat();
    let exchange = async {
        let mut stream = BufReader::new(TcpStream::connect(address).await?);
        stream.write_all(&request).await?;
        read_answer(&mut stream).await
    };
    tokio::time::timeout(PATIENCE, exchange).await?
}

/// What `/readyz` says there: nothing, or what is lacking.
pub async fn lacking(admin_address: SocketAddr) -> anyhow::Result<Option<String>> {
    let Answer { status, body, .. } = http(admin_address, "GET", "/readyz", &[], b"").await?;
    match (status, body.strip_prefix("not ready: ")) {
        (200, None) if body == "ok" => Ok(None),
        (503, Some(lacking)) => Ok(Some(lacking.to_owned())),
        (_, _) => anyhow::bail!("{status}: {body}"),
    }
}

/// The next answer on a connection.
pub async fn read_answer(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Answer> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let status = line.split(' ').nth(1).context("no status")?.parse()?;
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Answer { status, headers, body: String::from_utf8(body)? })
}
