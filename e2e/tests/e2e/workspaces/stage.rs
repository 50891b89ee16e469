//! A Tollgate, its callers, and a service behind every entry that tells what it was asked.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_e2e::raw::{self, Socket};
use tollgate_e2e::upstream::{Line, Posted, Upstream};
use tollgate_e2e::{PASSWORD, Tollgate};
use tollgate_proto::error::ErrorKind;

use super::ask::{Asked, Sent};
use super::law::{CLERK, Caller, HOME, OTHER, Outcome, SHUT};
use super::{Entry, Way};

/// HTTP requests at once.
const AT_ONCE: usize = 8;
/// How the service refuses a socket; the gateway passes it on.
const FULL: u16 = 429;
const HANDSHAKE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

pub(super) struct Stage {
    tollgate: Tollgate,
    keys: HashMap<Caller, String>,
    log: Log,
    _service: JoinSet<()>,
}

/// What the services were asked.
#[derive(Clone, Default)]
struct Log {
    posted: Arc<AtomicUsize>,
    /// The last request without a body.
    bare: Arc<Mutex<Option<Posted>>>,
}

impl Stage {
    pub(super) async fn set(entries: &[Entry]) -> anyhow::Result<Self> {
        let upstream = Upstream::listen().await?;
        let mut stanzas = String::new();
        let table = |entry: &Entry| match &entry.way {
            Way::Flow => "flow-service".to_owned(),
            Way::Operation(_) => "service".to_owned(),
            Way::Data(data) => format!("flow-{data}"),
            Way::Stream => "stream".to_owned(),
            Way::Metrics => String::new(),
        };
        let services: BTreeSet<_> =
            entries.iter().map(|entry| (table(entry), &entry.service)).collect();
        for (table, service) in services {
            let service = service.replace("any/thing", "*");
            let address = upstream.address;
            let stanza = format!("{table}.{service:?}");
            let stanza = stanza.trim_start_matches('.');
            write!(stanzas, "[{stanza}]\nbackend = \"http://{address}/\"\n")?;
        }
        let (log, mut service) = (Log::default(), JoinSet::new());
        service.spawn(serve(upstream, log.clone()));
        let tollgate = Tollgate::start_with_registry(&stanzas).await?;
        for id in [HOME, OTHER, SHUT] {
            let record = json!({ "id": id });
            let create = json!({ "operation": "create-workspace", "workspace_record": record });
            tollgate.iam(create).await?;
        }
        let record = json!({ "id": SHUT });
        let disable = json!({ "operation": "disable-workspace", "workspace_record": record });
        tollgate.iam(disable).await?;
        let mut stage = Self { tollgate, keys: HashMap::new(), log, _service: service };
        for caller in Caller::ALL {
            stage.engage(*caller).await?;
        }
        Ok(stage)
    }

    /// Makes a caller's user and key.
    async fn engage(&mut self, caller: Caller) -> anyhow::Result<()> {
        let role = match caller {
            Caller::Nobody => return Ok(()),
            Caller::Clerk => None,
            Caller::Reader | Caller::Keeper => Some("reader"),
            Caller::Writer => Some("writer"),
            Caller::Ended | Caller::Admin => Some("admin"),
        };
        let roles: Vec<_> = role.into_iter().collect();
        let name = format!("a-{caller:?}");
        let user = json!({ "username": name, "password": PASSWORD, "roles": roles });
        let made = json!({ "operation": "create-user", "workspace": HOME, "user": user });
        let id = self.tollgate.iam(made).await?["user"]["id"].clone();
        let key = json!({ "user_id": id, "name": "laptop" });
        let made = json!({ "operation": "create-api-key", "key": key });
        let made = self.tollgate.iam(made).await?;
        let key = made["api_key_plaintext"].as_str().context("no key")?.to_owned();
        let grant = match caller {
            Caller::Keeper => Some(json!({ "role": "admin", "workspace": HOME })),
            Caller::Clerk => Some(json!({ "capability": CLERK, "workspace": HOME })),
            _ => None,
        };
        if let Some(grant) = grant {
            let add = json!({ "operation": "add-user-grant", "user_id": id, "grant": grant });
            self.tollgate.iam(add).await?;
        }
        if caller == Caller::Ended {
            self.tollgate.iam(json!({ "operation": "disable-user", "user_id": id })).await?;
        }
        self.keys.insert(caller, key);
        Ok(())
    }

    /// How often the services were asked.
    pub(super) fn posted(&self) -> usize {
        self.log.posted.load(Ordering::SeqCst)
    }

    /// Asks all of it: what goes over a socket at once, over one.
    pub(super) async fn ask_all(
        &self,
        caller: Caller,
        asked: &[Asked<'_>],
    ) -> anyhow::Result<Vec<Outcome>> {
        let (mut frames, mut posts, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        for (id, asked) in asked.iter().enumerate() {
            match asked.write(id) {
                Sent::Frame(frame) => frames.push(frame),
                Sent::Post { path, body } => posts.push((id, path, body)),
                Sent::Bare { method, path } => bare.push((id, asked, method, path)),
            }
        }
        let key = self.keys.get(&caller).map(String::as_str);
        let posts = stream::iter(posts).map(async |(id, path, body)| {
            let (status, reply) = self.tollgate.post(&path, key, &body).await?;
            anyhow::Ok((id, of_http(id, asked[id], status, &reply)?))
        });
        let over_http = posts.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>();
        let over_socket = self.ask_socket(key, &frames, asked);
        let (over_http, over_socket) = tokio::try_join!(over_http, over_socket)?;
        let mut outcomes: Vec<_> = over_http.into_iter().chain(over_socket).collect();
        for (id, asked, method, path) in bare {
            outcomes.push((id, self.ask_bare(key, &asked.entry.way, (method, &path)).await?));
        }
        outcomes.sort_unstable_by_key(|(id, _)| *id);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Asks for a socket or a stream, which the service refuses: what comes of it is an HTTP answer
    /// of a known length in any case.
    async fn ask_bare(
        &self,
        key: Option<&str>,
        way: &Way,
        (method, path): (&str, &str),
    ) -> anyhow::Result<Outcome> {
        let bearer = key.map(|key| ("Authorization", format!("Bearer {key}")));
        let mut headers: Vec<_> = bearer.into_iter().collect();
        if matches!(way, Way::Data(_)) {
            headers.extend(HANDSHAKE.map(|(name, value)| (name, value.to_owned())));
        }
        let answer = raw::http(self.tollgate.address, method, path, &headers, b"").await?;
        let mut bare = self.log.bare.lock().unwrap_or_else(PoisonError::into_inner);
        match (answer.status, bare.take()) {
            (FULL, Some(asked)) => of_bare(way, &asked),
            (status, None) => refusal(status),
            (status, Some(_)) => anyhow::bail!("{path} is {status}, and the service was asked"),
        }
    }

    async fn ask_socket(
        &self,
        key: Option<&str>,
        frames: &[Value],
        asked: &[Asked<'_>],
    ) -> anyhow::Result<Vec<(usize, Outcome)>> {
        let mut socket = Socket::open(self.tollgate.address).await?;
        if let Some(key) = key {
            socket.auth(key).await?;
        }
        for frame in frames {
            socket.send(frame).await?;
        }
        let mut outcomes = Vec::new();
        for _ in frames {
            let frame = socket.frame().await?;
            let id = usize::try_from(frame["id"].as_u64().context("no id")?)?;
            let outcome = match frame["error"]["type"].as_str() {
                None => of_service(id, asked[id], &frame["response"])?,
                Some(name) => {
                    let kind = ErrorKind::ALL.iter().find(|kind| kind.as_str() == name);
                    Outcome::Refused(*kind.context("an unknown error")?)
                }
            };
            outcomes.push((id, outcome));
        }
        Ok(outcomes)
    }
}

fn of_http(id: usize, asked: Asked<'_>, status: u16, reply: &Value) -> anyhow::Result<Outcome> {
    if status == 200 { of_service(id, asked, reply) } else { refusal(status) }
}

fn refusal(status: u16) -> anyhow::Result<Outcome> {
    Ok(Outcome::Refused(match status {
        400 => ErrorKind::InvalidRequest,
        401 => ErrorKind::AuthRequired,
        403 => ErrorKind::AccessDenied,
        404 => ErrorKind::WorkspaceNotFound,
        other => anyhow::bail!("{other}"),
    }))
}

/// What the service tells: it must be this request, by its name, and one workspace in all of it.
fn of_service(id: usize, asked: Asked<'_>, told: &Value) -> anyhow::Result<Outcome> {
    anyhow::ensure!(told["service"] == *asked.entry.service, "{told} is of another service");
    let workspace = told["workspace"].as_str().context("no header")?;
    let body = told["body"].as_object().context("no body")?;
    anyhow::ensure!(body.get("mine") == Some(&json!(id)), "{told} is no answer to {id}");
    anyhow::ensure!(body.get("workspace") == Some(&json!(workspace)), "two workspaces: {told}");
    Ok(Outcome::Runs { workspace: workspace.to_owned() })
}

/// What the service was told: the workspace of a stream stands in its query too.
fn of_bare(way: &Way, asked: &Posted) -> anyhow::Result<Outcome> {
    let workspace = asked.headers.get("tollgate-workspace").cloned().unwrap_or_default();
    let parts = asked.line.split(['?', '&', ' ']);
    let told: Vec<_> = parts.filter_map(|part| part.strip_prefix("workspace=")).collect();
    let expect: &[&str] = match way {
        Way::Stream => &[&workspace],
        // The caller's own query, for what knows no workspaces.
        Way::Metrics => &told,
        Way::Flow | Way::Operation(_) | Way::Data(_) => &[],
    };
    anyhow::ensure!(told == expect, "another workspace: {asked:?}");
    Ok(Outcome::Runs { workspace })
}

/// Tells whoever asks what it asked.
async fn serve(upstream: Upstream, log: Log) {
    let mut lines = JoinSet::new();
    while let Ok(line) = upstream.wait().await {
        lines.spawn(answer(line, log.clone()));
    }
}

async fn answer(mut line: Line, log: Log) -> anyhow::Result<()> {
    loop {
        let asked = line.posted().await?;
        log.posted.fetch_add(1, Ordering::SeqCst);
        if asked.body.is_empty() {
            *log.bare.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
            line.send(format!("HTTP/1.1 {FULL} Full\r\ncontent-length: 0\r\n\r\n")).await?;
        } else {
            let body: Value = serde_json::from_str(&asked.body)?;
            let told =
                ["tollgate-workspace", "tollgate-service"].map(|name| asked.headers.get(name));
            let [workspace, service] = told;
            let told = json!({ "workspace": workspace, "service": service, "body": body });
            line.answer(&told).await?;
        }
    }
}
