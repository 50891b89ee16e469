//! What an operation costs on each engine, in one run: questions over the link, changes a second of
//! 1, 32 and 256 writers, and of three nodes that write at once.
//!
//! `cargo run --release -p tollgate-iam --example engines -- --cluster $TOLLGATE_CQL`, which `iam/tests/cassandra.sh` says
//!
//! The keyspaces are made with one copy and dropped in the end. The figures in
//! `docs/PERFORMANCE.md` come from here.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use scylla::client::session_builder::SessionBuilder;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate_iam::config::{DEFAULTS, IamSettings};
use tollgate_proto::iam::CALL_PATH;
use tollgate_runtime::clock::SystemClock;
use tollgate_runtime::config::{Flags, LinkSettings, load};
use tollgate_runtime::files;
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::units::Period;
use uuid::Uuid;

const SECRET: &str = "a service secret of 32 characters";
const SEAL_KEY: &str = "5555555555555555555555555555555555555555555555555555555555555555";
const PASSWORD: &str = "a long enough one";
const LEASE: Duration = Duration::from_secs(5);

#[derive(Debug, Parser)]
struct Line {
    /// A node of the cluster.
    #[arg(long)]
    cluster: String,
    /// How often each question is asked; a login a tenth as often.
    #[arg(long, default_value_t = 1_000)]
    questions: usize,
    /// How long each row of changes is measured.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Where the data goes; a folder of its own is made there and removed.
    #[arg(default_value = ".")]
    folder: std::path::PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let line = Line::parse();
    let folder = line.folder.join(format!("engines-bench-{}", std::process::id()));
    files::make_private_folder(&folder)?;
    let keyspace = format!("bench{}", Uuid::new_v4().simple());
    let measured = measure(&line, &folder, &keyspace).await;
    std::fs::remove_dir_all(&folder)?;
    let session = SessionBuilder::new().known_node(&line.cluster).build().await?;
    session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await?;
    measured
}

async fn measure(line: &Line, folder: &Path, keyspace: &str) -> anyhow::Result<()> {
    let seal = folder.join("seal");
    files::write_new_secret(&seal, SEAL_KEY)?;
    let start = async |name: &str, journal: &str| {
        let data = folder.join(name).display().to_string();
        let settings = [
            ("iam.listen", "127.0.0.1:0".to_owned()),
            ("iam.bootstrap_mode", "bootstrap".to_owned()),
            ("iam.data_dir", data),
            ("iam.journal", journal.to_owned()),
            ("iam.seal_key_file", seal.display().to_string()),
            ("iam.cql.contact_points", format!("[\"{}\"]", line.cluster)),
            ("iam.cql.keyspace", keyspace.to_owned()),
            ("iam.cql.replication", "1".to_owned()),
        ];
        Node::start(&settings).await
    };
    let embedded = start("embedded", "embedded").await?;
    let cql = start("one", "cql").await?;
    let admins = [embedded.claim().await?, cql.claim().await?];
    let nodes = [("embedded", &embedded, &admins[0]), ("cql", &cql, &admins[1])];
    say("question          engine      p50 ms   p99 ms")?;
    for question in ["login", "authenticate", "authorise", "create-api-key"] {
        for (engine, node, admin) in nodes {
            let [p50, p99] = node.ask_often(admin, question, line.questions).await?;
            say(&format!("{question:17} {engine:9} {p50:8.2} {p99:8.2}"))?;
        }
    }
    say("nodes  writers  engine     changes/s   longest stall ms")?;
    for writers in [1, 32, 256] {
        for (engine, node, admin) in nodes {
            let rate = write(&[node], admin, writers, line.seconds).await?;
            say(&format!("    1  {writers:7}  {engine:9} {rate}"))?;
        }
    }
    let others = [start("two", "cql").await?, start("three", "cql").await?];
    for writers in [1, 32, 256] {
        let three = [&cql, &others[0], &others[1]];
        let rate = write(&three, &admins[1], writers, line.seconds).await?;
        say(&format!("    3  {writers:7}  cql       {rate}"))?;
    }
    for node in [embedded, cql].into_iter().chain(others) {
        node.life.stop(Duration::from_secs(5)).await;
    }
    Ok(())
}

/// IAM, running in this process.
struct Node {
    address: std::net::SocketAddr,
    life: Lifecycle,
}

/// Somebody who may do everything.
struct Admin {
    key: String,
    actor: Value,
}

impl Node {
    async fn start(settings: &[(&'static str, String)]) -> anyhow::Result<Self> {
        #[derive(serde::Deserialize)]
        struct Whole {
            iam: IamSettings,
        }
        let flags = Flags { file: None, settings: settings.to_vec() };
        let iam = load::<Whole>(&[DEFAULTS], &flags, [])?.iam;
        let (secret, life) = (SecretString::from(SECRET), Lifecycle::new());
        let (secret_file, ca_file) = (PathBuf::new(), PathBuf::new());
        let link = LinkSettings { secret_file, ca_file, lease: Period(LEASE) };
        let start = tollgate_iam::start(&iam, &link, secret, SystemClock::shared(), &life);
        let running = Box::pin(start).await?;
        Ok(Self { address: running.address, life })
    }

    async fn claim(&self) -> anyhow::Result<Admin> {
        let mut link = Link::to(self).await?;
        let claimed = link.operate(&Value::Null, json!({"operation": "bootstrap"})).await?;
        let key = claimed["bootstrap_admin_api_key"].as_str().context("no key")?.to_owned();
        let known = link.ask(json!({"authenticate": {"credential": key}})).await?;
        let actor = known["identity"]["actor"].clone();
        let user = json!({"username": "ann", "password": PASSWORD, "roles": ["reader"]});
        let create = json!({"operation": "create-user", "workspace": "default", "user": user});
        link.operate(&actor, create).await?;
        Ok(Admin { key, actor })
    }

    /// One question after the other. Gives p50 and p99 in milliseconds.
    async fn ask_often(
        &self,
        admin: &Admin,
        question: &str,
        times: usize,
    ) -> anyhow::Result<[f64; 2]> {
        let mut link = Link::to(self).await?;
        let (actor, key) = (&admin.actor, &admin.key);
        let times = if question == "login" { times / 10 } else { times };
        let asked = match question {
            "authenticate" => json!({"authenticate": {"credential": key}}),
            "authorise" => {
                let resource = json!({"level": "workspace", "workspace": "default"});
                let check = json!({"capability": "agent", "resource": resource});
                json!({"authorise": {"actor": actor, "check": check}})
            }
            "login" => {
                let login = json!({"operation": "login", "username": "ann", "password": PASSWORD});
                json!({"operate": {"operation": login}})
            }
            _ => {
                let key = json!({"user_id": actor["user"], "name": "bench"});
                let create = json!({"operation": "create-api-key", "key": key});
                json!({"operate": {"actor": actor, "operation": create}})
            }
        };
        let mut took = Vec::new();
        for _ in 0..times {
            let begun = Instant::now();
            let answered = link.ask(asked.clone()).await?;
            took.push(begun.elapsed());
            // Nobody has more than a few keys.
            if let Some(key) = answered["reply"]["api_key"]["id"].as_str() {
                link.operate(actor, json!({"operation": "revoke-api-key", "key_id": key})).await?;
            }
        }
        took.sort_unstable();
        let at = |hundredths: usize| {
            let index = took.len() * hundredths / 100;
            took.get(index).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
        };
        Ok([at(50), at(99)])
    }
}

/// Writers in closed loops, spread over the nodes. Gives changes a second and the longest stall.
async fn write(
    nodes: &[&Node],
    admin: &Admin,
    writers: usize,
    seconds: u32,
) -> anyhow::Result<String> {
    let end = Instant::now() + Duration::from_secs(seconds.into());
    let actor = Arc::new(admin.actor.clone());
    let mut tasks = JoinSet::new();
    let run = Uuid::new_v4().simple().to_string();
    for writer in 0..writers {
        let mut link = Link::to(nodes[writer % nodes.len()]).await?;
        let (actor, run) = (Arc::clone(&actor), run.clone());
        tasks.spawn(async move {
            let (mut changes, mut longest) = (0_u32, Duration::ZERO);
            while Instant::now() < end {
                let id = format!("b{}-{writer}-{changes}", &run[..8]);
                let record = json!({"id": id});
                let make = json!({"operation": "create-workspace", "workspace_record": record});
                let begun = Instant::now();
                link.operate(&actor, make).await?;
                longest = longest.max(begun.elapsed());
                changes += 1;
            }
            anyhow::Ok((changes, longest))
        });
    }
    let (mut changes, mut longest) = (0, Duration::ZERO);
    for done in tasks.join_all().await {
        let (own, stall) = done?;
        changes += own;
        longest = longest.max(stall);
    }
    let rate = f64::from(changes) / f64::from(seconds);
    Ok(format!("{rate:10.0} {:18.0}", longest.as_secs_f64() * 1_000.0))
}

/// A connection that is kept.
struct Link {
    stream: BufReader<TcpStream>,
}

impl Link {
    async fn to(node: &Node) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(node.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    async fn operate(&mut self, actor: &Value, operation: Value) -> anyhow::Result<Value> {
        let mut asked = json!({"operation": operation});
        if !actor.is_null() {
            asked["actor"] = actor.clone();
        }
        Ok(self.ask(json!({"operate": asked})).await?["reply"].clone())
    }

    /// Asks, and gives the outcome.
    async fn ask(&mut self, question: Value) -> anyhow::Result<Value> {
        let body = json!({"id": Uuid::now_v7(), "question": question}).to_string();
        let head = format!(
            "POST {CALL_PATH} HTTP/1.1\r\nHost: iam\r\nAuthorization: Bearer {SECRET}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await?;
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        let answer: Value = serde_json::from_slice(&body)?;
        let outcome = answer["outcome"].clone();
        if !outcome["refused"].is_null() || outcome.is_null() {
            bail!("refused: {answer}");
        }
        Ok(outcome)
    }
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
