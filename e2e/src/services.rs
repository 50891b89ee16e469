//! Services behind the gateway, in one server of the test: what each is asked, and what it answers,
//! stands in a text.
//!
//! ```text
//! # the service, the flow or -, and members that the request must have
//! > text-completion default {"prompt":"who are you"}
//! < {"response":"A ","end_of_stream":false}
//! < {"response":"service.","end_of_stream":true}
//! ```
//!
//! Several answers are a stream. A message of an import socket is a question without answers, to the
//! service `import/triples`. What is asked with GET is a text, the place: `"/query?query=up"`; its
//! answers are texts too, the bytes, or JSON, and without any it is not there. A question behind `*>`
//! may come again. Clients ask some things at once, so the order in which they come does not count;
//! that each came, once, does.

mod exchange;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::raw::{Received, Socket};
use crate::upstream::{Line, Posted, Upstream, switching};
use exchange::Asked;
pub use exchange::Exchange;

/// Every service that there is.
const BUILT_IN: &str = include_str!("../../gateway/default.toml");

/// The server. It ends with the value.
pub struct Services {
    /// Where it is.
    pub address: SocketAddr,
    stage: Arc<Stage>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Stage {
    play: Mutex<Play>,
    /// How many import sockets are open.
    open: watch::Sender<usize>,
}

#[derive(Default)]
struct Play {
    exchanges: Vec<Exchange>,
    /// The workspace in which all of it must come whose exchange names no other.
    workspace: String,
    /// What should not have come.
    surprises: Vec<String>,
}

impl Services {
    /// Starts it.
    pub async fn start() -> anyhow::Result<Self> {
        let upstream = Upstream::listen().await?;
        let (address, stage) = (upstream.address, Arc::<Stage>::default());
        let mut server = JoinSet::new();
        let shared = Arc::clone(&stage);
        server.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok(line) = upstream.wait().await {
                lines.spawn(serve(line, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, stage, _server: server })
    }

    /// The registry that puts it behind every service but IAM.
    pub fn registry(&self) -> String {
        let stanzas = BUILT_IN.lines().filter(|line| {
            let is_other =
                ["[flow-", "[stream.", "[metrics]"].iter().any(|at| line.starts_with(at));
            is_other || line.starts_with("[service.") && !line.contains("iam")
        });
        let stanza = |line: &str| match line.strip_suffix(".operations]") {
            Some(service) => format!("{service}]\nbackend = \"services\"\n"),
            None => format!("{line}\nbackend = \"services\"\n"),
        };
        let (stanzas, address): (String, _) = (stanzas.map(stanza).collect(), self.address);
        format!("[backend.services]\ntype = \"http\"\nurls = [\"http://{address}/\"]\n{stanzas}")
    }

    /// Begins a play in this workspace.
    pub fn expect(&self, workspace: &str, exchanges: Vec<Exchange>) {
        let workspace = workspace.to_owned();
        *self.stage.play() = Play { exchanges, workspace, surprises: Vec::new() };
    }

    /// Fails unless all of the play was played, and nothing else.
    pub async fn finish(&self) -> anyhow::Result<()> {
        self.stage.open.subscribe().wait_for(|open| *open == 0).await?;
        let play = std::mem::take(&mut *self.stage.play());
        let left: Vec<_> = play.exchanges.iter().filter(|exchange| !exchange.came).collect();
        let surprises = play.surprises.join("\n");
        ensure!(surprises.is_empty(), "this should not have come:\n{surprises}\nleft: {left:?}");
        ensure!(left.is_empty(), "this should have come: {left:?}");
        Ok(())
    }
}

impl Stage {
    fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Play {
    /// What is answered; whoever asks what it should not is told so.
    fn answers(&mut self, asked: &Asked<'_>) -> Vec<Value> {
        let mut exchanges = self.exchanges.iter_mut();
        if let Some(exchange) = exchanges.find(|exchange| exchange.is(asked, &self.workspace)) {
            exchange.came = true;
            return exchange.answers.clone();
        }
        let Asked { service, flow, workspace, request } = asked;
        self.surprises.push(format!("(in {workspace}) > {service} {flow} {request}"));
        vec![json!({ "error": { "type": "surprise", "message": "nobody expects this" } })]
    }
}

/// Serves one connection until the gateway has had enough of it.
async fn serve(mut line: Line, stage: Arc<Stage>) {
    while let Ok(posted) = line.posted().await {
        if posted.headers.contains_key("upgrade") {
            stage.open.send_modify(|open| *open += 1);
            // Whatever ends it: what was to come, and did not, is missed in the end.
            drop(import(line, &posted, &stage).await);
            stage.open.send_modify(|open| *open -= 1);
            return;
        }
        let place = posted.line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
        let request = match place {
            Some(place) => json!(place),
            None => serde_json::from_str(&posted.body).unwrap_or_default(),
        };
        let answers = stage.play().answers(&asked(&posted, request));
        let sent = match (place, &*answers) {
            (Some(_), []) => line.send("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await,
            (Some(_), [Value::String(_), ..]) => answer_bytes(&mut line, &answers).await,
            (Some(_) | None, _) => line.answer_all(&answers).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn answer_bytes(line: &mut Line, pieces: &[Value]) -> anyhow::Result<()> {
    line.begin_stream("application/octet-stream").await?;
    for piece in pieces {
        line.chunk(piece.as_str().context("bytes and JSON")?).await?;
    }
    line.chunk("").await
}

async fn import(mut line: Line, opened: &Posted, stage: &Stage) -> anyhow::Result<()> {
    line.send(switching(opened)?).await?;
    let mut socket = Socket::of_server(line.0).await;
    while let Received::Frame(message) = socket.next().await? {
        stage.play().answers(&asked(opened, message));
    }
    Ok(())
}

fn asked(posted: &Posted, request: Value) -> Asked<'_> {
    let header = |name: &str| posted.headers.get(name).map_or("-", String::as_str);
    let [service, flow, workspace] =
        ["tollgate-service", "tollgate-flow", "tollgate-workspace"].map(header);
    Asked { service, flow, workspace, request }
}
