//! Sockets that carry data into and out of a flow. The backend behind them is played by the tests.

mod copying;
mod ends;
mod refusals;

use anyhow::Context;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::Socket;
use tollgate_e2e::upstream::{Posted, Upstream};

/// A Tollgate whose imports and exports of triples are at a server of the test's.
struct Scene {
    tollgate: Tollgate,
    upstream: Upstream,
}

impl Scene {
    async fn open() -> anyhow::Result<Self> {
        Self::open_with("", &[]).await
    }

    /// With more lines in the backend's stanza, and other settings.
    async fn open_with(lines: &str, settings: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        let upstream = Upstream::listen().await?;
        let stanzas = stanzas(&format!("http://{}/bulk?x=1", upstream.address), lines);
        let tollgate = Tollgate::start_with_registry_and(&stanzas, settings).await?;
        Ok(Self { tollgate, upstream })
    }

    /// The URL of a socket of the flow `default`.
    fn url(&self, way: &str, query: &str) -> String {
        format!("ws://{}/api/v1/flow/default/{way}/triples?{query}", self.tollgate.address)
    }

    /// Joins a client with the backend: both ends, and the request that came there.
    async fn join(&self, way: &str, token: &str) -> anyhow::Result<(Socket, Socket, Posted)> {
        let url = self.url(way, &format!("token={token}"));
        let (client, backend) = tokio::join!(open_at(&url), self.upstream.socket());
        let (backend, asked) = backend?;
        Ok((client?, backend, asked))
    }

    async fn join_as_admin(&self, way: &str) -> anyhow::Result<(Socket, Socket)> {
        let (client, backend, _) = self.join(way, &self.tollgate.admin_key).await?;
        Ok((client, backend))
    }
}

fn stanzas(url: &str, lines: &str) -> String {
    format!(
        "[backend.bulk]\ntype = \"http\"\nurls = [{url:?}]\n{lines}\n\
         [flow-import.triples]\nbackend = \"bulk\"\n[flow-export.triples]\nbackend = \"bulk\"\n"
    )
}

/// Opens a socket at a URL.
async fn open_at(url: &str) -> anyhow::Result<Socket> {
    let address = url.split('/').nth(2).context("no address")?;
    Socket::open_over(TcpStream::connect(address).await?, url, &[]).await
}

/// Opens a socket that must be refused: status and body.
async fn refused(url: &str) -> anyhow::Result<(u16, String)> {
    match open_at(url).await.err().context("it opened")?.downcast()? {
        Error::Http(answer) => {
            let body = answer.body().clone().unwrap_or_default();
            Ok((answer.status().as_u16(), String::from_utf8(body)?))
        }
        other => anyhow::bail!("{url}: {other}"),
    }
}
