//! Heads of requests as no client should send them, and requests that share a connection.

mod paths;
mod refused;
mod shared;
mod tokens;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tollgate_e2e::raw::{Answer, read_answer};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection on which a test writes its requests by hand.
struct Line(BufReader<TcpStream>);

impl Line {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self(BufReader::new(TcpStream::connect(address).await?)))
    }

    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.write_all(bytes).await?)
    }

    async fn answer(&mut self) -> anyhow::Result<Answer> {
        timeout(PATIENCE, read_answer(&mut self.0)).await.context("nothing came")?
    }

    /// The status of the next answer, whatever belongs to it.
    async fn status(&mut self) -> anyhow::Result<u16> {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.context("nothing came")??;
        Ok(line.split(' ').nth(1).context("no status")?.parse()?)
    }

    /// Nothing comes any more.
    async fn ended(&mut self) -> anyhow::Result<()> {
        let mut rest = Vec::new();
        // With bytes left unread on its side, the end is a reset.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.context("it stays open")?;
        ensure!(rest.is_empty(), "there came {}", String::from_utf8_lossy(&rest));
        Ok(())
    }
}

/// What is said to some bytes; then the connection goes on, or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoesOn,
    Ends,
}

/// Sends the bytes on a connection of their own.
async fn check(
    address: SocketAddr,
    bytes: &[u8],
    status: u16,
    then: Then,
) -> anyhow::Result<Answer> {
    let mut line = Line::open(address).await?;
    line.write(bytes).await?;
    let answer = line.answer().await?;
    ensure!(answer.status == status, "{status} was expected, and there came {answer:?}");
    if then == Then::Ends {
        line.ended().await?;
    } else {
        line.write(b"GET /no-such-path HTTP/1.1\r\nHost: x\r\n\r\n").await?;
        let next = line.answer().await?;
        ensure!(next.status == 404, "{next:?}");
    }
    Ok(answer)
}
