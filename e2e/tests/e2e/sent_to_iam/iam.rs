//! A gateway and an IAM that the test plays: everybody may do everything there, and an operation is
//! answered when the test says so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tollgate::{DEFAULTS, Settings};
use tollgate_e2e::upstream::{Line, Upstream};
use tollgate_proto::iam::{Call, Claim, FEED_PATH, Poll, Question};
use tollgate_proto::secret::SecretString;
use tollgate_runtime::clock::SystemClock;
use tollgate_runtime::config::{self, Flags};
use tollgate_runtime::lifecycle::Lifecycle;

/// A key of the right form.
pub(super) const KEY: &str = "tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2";

/// A gateway before an IAM that takes its time.
pub(super) struct Slow {
    pub(super) address: SocketAddr,
    pub(super) admin_address: SocketAddr,
    life: Lifecycle,
    asked: mpsc::Receiver<Held>,
    connections: Arc<AtomicUsize>,
    _lines: JoinSet<()>,
    _folder: tempfile::TempDir,
}

/// An operation that waits for its answer.
pub(super) struct Held {
    operation: &'static str,
    release: oneshot::Sender<()>,
}

impl Slow {
    /// Starts one with these settings, where everybody's key expires then, if at all.
    pub(super) async fn start(
        settings: &[(&'static str, &str)],
        expires_at_ms: Option<u64>,
    ) -> anyhow::Result<Self> {
        let (upstream, folder) = (Upstream::listen().await?, tempfile::tempdir()?);
        let file = folder.path().join("tollgate.toml");
        std::fs::write(&file, "")?;
        let mut flags = vec![
            ("gateway.listen", "127.0.0.1:0".to_owned()),
            ("gateway.admin_listen", "127.0.0.1:0".to_owned()),
            ("gateway.iam_url", format!("http://{}", upstream.address)),
        ];
        flags.extend(settings.iter().map(|(path, value)| (*path, (*value).to_owned())));
        let flags = Flags { file: Some(file), settings: flags };
        let settings: Settings = config::load(&DEFAULTS, &flags, [])?;
        let life = Lifecycle::new();
        let secret = SecretString::from("the secret of the link");
        let (clock, gateway) = (SystemClock::shared(), &settings.gateway);
        let running =
            tollgate_gateway::start(gateway, &settings.link, &secret, clock, &life).await?;
        let (ask, asked) = mpsc::channel(8);
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let mut lines = JoinSet::new();
        lines.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok(line) = upstream.wait().await {
                lines.spawn(answer(line, ask.clone(), Arc::clone(&counted), expires_at_ms));
            }
        });
        Ok(Self {
            address: running.address,
            admin_address: running.admin_address,
            life,
            asked,
            connections,
            _lines: lines,
            _folder: folder,
        })
    }

    /// How many connections have carried questions so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The next operation that reaches IAM, which must be this one.
    pub(super) async fn held(&mut self, operation: &str) -> anyhow::Result<Held> {
        let held = self.asked.recv().await.context("nobody listens")?;
        anyhow::ensure!(held.operation == operation, "{} came", held.operation);
        Ok(held)
    }

    /// Stops the gateway as SIGTERM does. True, in the end: nothing is left behind.
    pub(super) fn stop(&self) -> JoinSet<bool> {
        let (mut stopped, life) = (JoinSet::new(), self.life.clone());
        stopped.spawn(async move { life.stop(Duration::from_secs(15)).await });
        stopped
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.life.stop.cancel();
    }
}

impl Held {
    /// Lets IAM answer it.
    pub(super) fn release(self) -> anyhow::Result<()> {
        self.release.send(()).ok().context("the connection is gone")
    }
}

async fn answer(
    mut line: Line,
    ask: mpsc::Sender<Held>,
    connections: Arc<AtomicUsize>,
    expires_at_ms: Option<u64>,
) -> anyhow::Result<()> {
    let mut is_counted = false;
    let mark = json!({ "journal": ID, "seq": 1 });
    loop {
        let posted = line.posted().await?;
        if posted.line.contains(FEED_PATH) {
            if serde_json::from_str::<Poll>(&posted.body)?.after.is_some() {
                // Nothing ever moves.
                return line.closed().await;
            }
            line.answer(&json!({ "head": mark, "age_ms": 0, "resync": true })).await?;
            continue;
        }
        if !std::mem::replace(&mut is_counted, true) {
            connections.fetch_add(1, Ordering::SeqCst);
        }
        let outcome = match serde_json::from_str::<Call>(&posted.body)?.question {
            Question::Authenticate { .. } => json!({ "identity": identity(expires_at_ms) }),
            Question::Authorise { .. } => json!({ "decision": "allow" }),
            Question::AuthoriseMany { checks, .. } => {
                json!({ "decisions": vec!["allow"; checks.len()] })
            }
            Question::Revalidate { claims } => {
                let good = |claim: &Claim| json!({ "live": vec!["allow"; claim.checks.len()] });
                json!({ "confirmed": claims.iter().map(good).collect::<Vec<_>>() })
            }
            Question::Operate { operation, .. } => {
                let (release, released) = oneshot::channel();
                ask.send(Held { operation: operation.name(), release }).await?;
                // One that is let go of is never answered.
                if released.await.is_err() {
                    return line.closed().await;
                }
                json!({ "reply": {} })
            }
        };
        line.answer(&json!({ "mark": mark, "outcome": outcome })).await?;
    }
}

const ID: &str = "00000000-0000-0000-0000-000000000001";

fn identity(expires_at_ms: Option<u64>) -> Value {
    json!({
        "actor": { "user": ID, "credential": { "key": ID }, "auth_epoch": 1 },
        "authz_epoch": 1,
        "default_workspace": "default",
        "expires_at_ms": expires_at_ms,
    })
}
