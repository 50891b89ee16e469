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
//! Several answers are a stream. A question behind `*>` may come again. Clients ask some things at once, so the order in which they come
//! does not count; that each came, once, does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::upstream::{Line, Posted, Upstream};

/// Every service that there is.
const BUILT_IN: &str = include_str!("../../gateway/default.toml");

/// A question that must come, and its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    service: String,
    flow: String,
    /// What the request must have; `"*"` is any value.
    request: Value,
    answers: Vec<Value>,
    /// It may come again.
    often: bool,
    came: bool,
}

/// The server. It ends with the value.
pub struct Services {
    /// Where it is.
    pub address: SocketAddr,
    play: Arc<Mutex<Play>>,
    _server: JoinSet<()>,
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
        let (address, play) = (upstream.address, Arc::<Mutex<Play>>::default());
        let mut server = JoinSet::new();
        let shared = Arc::clone(&play);
        server.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok(line) = upstream.wait().await {
                lines.spawn(serve(line, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, play, _server: server })
    }

    /// The registry that puts it behind every service but IAM.
    pub fn registry(&self) -> String {
        let stanzas = BUILT_IN.lines().filter(|line| {
            line.starts_with("[flow-service.")
                || line.starts_with("[service.") && !line.contains("iam")
        });
        let stanza = |line: &str| match line.strip_suffix(".operations]") {
            Some(service) => format!("{service}]\nbackend = \"services\"\n"),
            None => format!("{line}\nbackend = \"services\"\n"),
        };
        let stanzas: String = stanzas.map(stanza).collect();
        format!(
            "[backend.services]\ntype = \"http\"\nurls = [\"http://{}/\"]\n{stanzas}",
            self.address
        )
    }

    /// Begins a play in this workspace.
    pub fn expect(&self, workspace: &str, exchanges: Vec<Exchange>) {
        let workspace = workspace.to_owned();
        *self.play() = Play { exchanges, workspace, surprises: Vec::new() };
    }

    /// Fails unless all of the play was played, and nothing else.
    pub fn finish(&self) -> anyhow::Result<()> {
        let play = std::mem::take(&mut *self.play());
        let left: Vec<_> = play.exchanges.iter().filter(|exchange| !exchange.came).collect();
        let surprises = play.surprises.join("\n");
        ensure!(surprises.is_empty(), "this should not have come:\n{surprises}\nleft: {left:?}");
        ensure!(left.is_empty(), "this should have come: {left:?}");
        Ok(())
    }

    fn play(&self) -> std::sync::MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// The exchanges of a text, without its comments.
    pub fn read(text: &str) -> anyhow::Result<Vec<Self>> {
        let mut exchanges: Vec<Self> = Vec::new();
        for line in text.lines() {
            let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
            match mark {
                ">" | "*>" => {
                    let asked = Self::question(rest, mark == "*>");
                    exchanges.push(asked.with_context(|| rest.to_owned())?);
                }
                "<" => {
                    let asked = exchanges.last_mut().context("an answer before a question")?;
                    asked
                        .answers
                        .push(serde_json::from_str(rest).with_context(|| rest.to_owned())?);
                }
                _ => ensure!(line.is_empty() || line.starts_with('#'), "neither: {line:?}"),
            }
        }
        Ok(exchanges)
    }

    fn question(text: &str, often: bool) -> anyhow::Result<Self> {
        let mut words = text.splitn(3, ' ');
        let mut word = || words.next().context("a service, a flow, and a request are needed");
        let (service, flow) = (word()?.to_owned(), word()?.to_owned());
        let request = serde_json::from_str(word()?)?;
        Ok(Self { service, flow, request, answers: Vec::new(), often, came: false })
    }

    fn is_asked_by(&self, service: &str, flow: &str, request: &Value) -> bool {
        self.service == service && self.flow == flow && has(request, &self.request)
    }
}

impl Play {
    /// What is answered; whoever asks what it should not is told so.
    fn answers(&mut self, posted: &Posted) -> Vec<Value> {
        let header = |name: &str| posted.headers.get(name).map_or("-", String::as_str);
        let (service, flow) = (header("tollgate-service"), header("tollgate-flow"));
        let workspace = header("tollgate-workspace");
        let request: Value = serde_json::from_str(&posted.body).unwrap_or_default();
        let is_it = |exchange: &Exchange| {
            let wanted = exchange.request["workspace"].as_str().unwrap_or(&self.workspace);
            // The header is what a service goes by; the request says the same.
            let placed = workspace == wanted && request["workspace"] == wanted;
            let due = exchange.often || !exchange.came;
            due && placed && exchange.is_asked_by(service, flow, &request)
        };
        if let Some(place) = self.exchanges.iter().position(is_it) {
            let exchange = &mut self.exchanges[place];
            exchange.came = true;
            return exchange.answers.clone();
        }
        self.surprises.push(format!("(in {workspace}) > {service} {flow} {request}"));
        vec![json!({ "error": { "type": "surprise", "message": "nobody expects this" } })]
    }
}

/// Whether a value has all that another one has.
fn has(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (_, Value::String(any)) if any == "*" => !value.is_null(),
        (Value::Object(value), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| value.get(name).is_some_and(|value| has(value, wanted))),
        (Value::Array(value), Value::Array(wanted)) => {
            value.len() == wanted.len() && value.iter().zip(wanted).all(|(v, w)| has(v, w))
        }
        (value, wanted) => value == wanted,
    }
}

/// Serves one connection until the gateway has had enough of it.
async fn serve(mut line: Line, play: Arc<Mutex<Play>>) {
    while let Ok(posted) = line.posted().await {
        let answers = play.lock().unwrap_or_else(PoisonError::into_inner).answers(&posted);
        if line.answer_all(&answers).await.is_err() {
            return;
        }
    }
}
