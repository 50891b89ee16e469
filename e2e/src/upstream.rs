//! A server behind the gateway that a test plays itself, byte by byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::raw::Socket;

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where it listens.
pub struct Upstream {
    /// The address.
    pub address: SocketAddr,
    listener: TcpListener,
}

/// One connection of the gateway's.
pub struct Line(pub TcpStream);

/// A request as it came.
#[derive(Debug)]
pub struct Posted {
    /// `POST / HTTP/1.1`
    pub line: String,
    /// Names in lower case. A name that came twice fails the test.
    pub headers: BTreeMap<String, String>,
    /// The body, byte for byte.
    pub body: String,
}

impl Upstream {
    /// Listens on a port of the system's choice.
    pub async fn listen() -> anyhow::Result<Self> {
        Self::listen_at("127.0.0.1:0".parse()?).await
    }

    /// Listens where another has listened.
    pub async fn listen_at(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// The next connection.
    pub async fn accept(&self) -> anyhow::Result<Line> {
        timeout(PATIENCE, self.wait()).await.context("nobody connects")?
    }

    /// The next connection, whenever it comes.
    pub async fn wait(&self) -> anyhow::Result<Line> {
        Ok(Line(self.listener.accept().await?.0))
    }

    /// The next connection as a WebSocket, and the request that opened it.
    pub async fn socket(&self) -> anyhow::Result<(Socket, Posted)> {
        let mut line = self.accept().await?;
        let asked = line.posted().await?;
        line.send(switching(&asked)?).await?;
        Ok((Socket::of_server(line.0).await, asked))
    }

    /// The next connection and the request on it.
    pub async fn posted(&self) -> anyhow::Result<(Line, Posted)> {
        let mut line = self.accept().await?;
        let posted = line.posted().await?;
        Ok((line, posted))
    }
}

impl Line {
    /// The next request on this connection.
    pub async fn posted(&mut self) -> anyhow::Result<Posted> {
        timeout(PATIENCE, self.read()).await.context("no request came")?
    }

    async fn read(&mut self) -> anyhow::Result<Posted> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await?);
        }
        let head = String::from_utf8(head)?;
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().context("no request line")?.to_owned();
        let mut headers = BTreeMap::new();
        for header in lines {
            let (name, value) = header.split_once(": ").context("no header")?;
            let former = headers.insert(name.to_ascii_lowercase(), value.to_owned());
            anyhow::ensure!(former.is_none(), "{name} came twice");
        }
        // As HTTP has it: a request that says nothing about a body has none.
        let length = headers.get("content-length").map_or(Ok(0), |length| length.parse())?;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        Ok(Posted { line, headers, body: String::from_utf8(body)? })
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        Ok(timeout(PATIENCE, self.0.write_all(bytes.as_ref())).await.context("stuck")??)
    }

    /// Answers with JSON.
    pub async fn answer(&mut self, body: &Value) -> anyhow::Result<()> {
        self.send(&json_answer("200 OK", &body.to_string())).await
    }

    /// Answers with JSON, or with a stream if there is more of it.
    pub async fn answer_all(&mut self, bodies: &[Value]) -> anyhow::Result<()> {
        if let [body] = bodies {
            return self.answer(body).await;
        }
        self.begin_stream("application/x-ndjson").await?;
        for body in bodies {
            self.chunk(&format!("{body}\n")).await?;
        }
        self.chunk("").await
    }

    /// Begins a stream of this content type.
    pub async fn begin_stream(&mut self, content_type: &str) -> anyhow::Result<()> {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        self.send(&head).await
    }

    /// Sends a chunk of a stream; an empty one ends it.
    pub async fn chunk(&mut self, text: &str) -> anyhow::Result<()> {
        self.send(&format!("{:x}\r\n{text}\r\n", text.len())).await
    }

    /// Waits until the gateway has closed the connection.
    pub async fn closed(&mut self) -> anyhow::Result<()> {
        let mut rest = [0; 64];
        match timeout(PATIENCE, self.0.read(&mut rest)).await.context("not closed")? {
            // It was closed over bytes that were under way.
            Ok(0) | Err(_) => Ok(()),
            Ok(more) => anyhow::bail!("more came: {:?}", String::from_utf8_lossy(&rest[..more])),
        }
    }
}

/// The answer to an upgrade, as bytes.
pub fn switching(asked: &Posted) -> anyhow::Result<String> {
    let key = asked.headers.get("sec-websocket-key").context("no Sec-WebSocket-Key")?;
    let accept = derive_accept_key(key.as_bytes());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    ))
}

/// An answer with a JSON body, as bytes.
pub fn json_answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}
