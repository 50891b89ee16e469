//! The service behind the gateways: it counts, for as long as anybody listens, or answers after a pause.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::upstream::{Line, Upstream};

const TICK: Duration = Duration::from_millis(10);

/// The server. It ends with the value.
pub struct Ticker {
    address: SocketAddr,
    _server: JoinSet<()>,
}

impl Ticker {
    /// Starts it.
    pub async fn start() -> anyhow::Result<Self> {
        let upstream = Upstream::listen().await?;
        let (address, mut server) = (upstream.address, JoinSet::new());
        server.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok(line) = upstream.wait().await {
                while lines.try_join_next().is_some() {}
                lines.spawn(serve(line));
            }
        });
        Ok(Self { address, _server: server })
    }

    /// The registry that puts it behind the flow service `mine` and the documents.
    pub fn registry(&self) -> String {
        format!(
            "[backend.ticker]\ntype = \"http\"\nurls = [\"http://{}/\"]\n\
             [flow-service.mine]\ncapability = \"llm\"\nbackend = \"ticker\"\n\
             [stream.document-stream]\nbackend = \"ticker\"\n",
            self.address
        )
    }
}

/// Serves one connection until the gateway has had enough of it.
async fn serve(mut line: Line) -> anyhow::Result<()> {
    loop {
        let posted = line.posted().await?;
        if posted.line.starts_with("GET ") {
            return tick(line, "application/octet-stream", |n| format!("#{n}\n")).await;
        }
        let request: Value = serde_json::from_str(&posted.body)?;
        let Some(pause_ms) = request["pause_ms"].as_u64() else {
            return tick(line, "application/x-ndjson", |n| format!("{{\"n\":{n}}}\n")).await;
        };
        sleep(Duration::from_millis(pause_ms)).await;
        line.answer(&json!({})).await?;
    }
}

async fn tick(
    mut line: Line,
    content_type: &str,
    chunk: impl Fn(u64) -> String,
) -> anyhow::Result<()> {
    line.begin_stream(content_type).await?;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0.. {
        ticks.tick().await;
        line.chunk(&chunk(n)).await?;
    }
    Ok(())
}
