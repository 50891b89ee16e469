//! SIGTERM under load: every call that was under way gets its last frame, every socket its close, and
//! the process ends in time.
//!
//! `TOLLGATE_SOCKETS` says how many sockets; 200 without it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};
use tollgate_e2e::process::{Folder, PATIENCE, Server};
use tollgate_e2e::raw::{self, Socket};
use tollgate_e2e::upstream::{Line, Upstream};

use crate::folder;

const DRAIN: Duration = Duration::from_secs(4);
/// Behind the drain: for goodbyes, on a machine that is busy.
const LATE: Duration = Duration::from_secs(3);

/// What every socket calls, by the id of the call.
const CALLS: [&str; 3] = ["silent", "ending", "endless"];

/// A server whose service is played by this process.
struct Scene {
    server: Server,
    admin: String,
    key: String,
    /// True: streams that end do so now.
    finish: watch::Sender<bool>,
    _backend: JoinSet<()>,
    _folder: Folder,
}

impl Scene {
    async fn open(ports: Range<u16>, pause: Duration) -> Result<Self> {
        let folder = folder();
        let upstream = Upstream::listen().await?;
        let registry = format!(
            "[backend.mine]\ntype = \"http\"\nurls = [\"http://{}/\"]\nmax_inflight = 9999\n\
             [flow-service.mine]\ncapability = \"llm\"\nbackend = \"mine\"\n",
            upstream.address
        );
        std::fs::write(folder.path("registry.toml"), registry)?;
        let admin = crate::free_address(ports);
        let mut command = folder.command();
        command.env("TOLLGATE_GATEWAY__REGISTRY_FILE", folder.path("registry.toml"));
        command.env("TOLLGATE_GATEWAY__ADMIN_LISTEN", &admin);
        command.env("TOLLGATE_GATEWAY__DRAIN", format!("{}s", DRAIN.as_secs()));
        let server = Server::start(&mut command);
        let key = server.claim();
        let (finish, finishes) = watch::channel(false);
        let mut backend = JoinSet::new();
        backend.spawn(serve(upstream, finishes, pause));
        Ok(Self { server, admin, key, finish, _backend: backend, _folder: folder })
    }

    /// Waits until it says that it stops.
    async fn stops(&self) -> Result<()> {
        let admin = self.admin.parse()?;
        loop {
            let answer = raw::http(admin, "GET", "/readyz", &[], b"").await?;
            if answer.status == 503 {
                assert_eq!(answer.body, "not ready: stopping");
                return Ok(());
            }
        }
    }

    /// Its end: the status, and when.
    async fn ended(self) -> Result<(Option<i32>, Instant)> {
        let wait = move || self.server.wait(PATIENCE).0;
        Ok((tokio::task::spawn_blocking(wait).await?, Instant::now()))
    }
}

async fn serve(upstream: Upstream, finish: watch::Receiver<bool>, pause: Duration) {
    let mut lines = JoinSet::new();
    while let Ok(line) = upstream.accept().await {
        lines.spawn(answer(line, finish.clone(), pause));
    }
}

/// Answers as the request asks, until the gateway closes the connection.
async fn answer(mut line: Line, mut finish: watch::Receiver<bool>, pause: Duration) -> Result<()> {
    loop {
        let posted = line.posted().await?;
        let request: Value = serde_json::from_str(&posted.body)?;
        if request["call"] == "silent" {
            return line.closed().await;
        }
        line.begin_stream("application/x-ndjson").await?;
        let mut ticks = interval(pause);
        while !(request["call"] == "ending" && *finish.borrow_and_update()) {
            line.chunk("{\"response\":\"more\"}\n").await?;
            tokio::select! {
                _ = ticks.tick() => {}
                _ = finish.changed() => {}
            }
        }
        line.chunk("{\"response\":\"\",\"end_of_stream\":true}\n").await?;
        line.chunk("").await?;
    }
}

fn call(kind: &str) -> Value {
    let request = json!({ "call": kind });
    json!({ "id": kind, "service": "mine", "flow": "default", "request": request })
}

/// One socket from its calls, which are under way when the others' are, to its close.
async fn client(mut socket: Socket, under_way: Arc<Barrier>) -> Result<()> {
    for kind in CALLS {
        socket.send(&call(kind)).await?;
    }
    let mut frames = Vec::new();
    while !["ending", "endless"].iter().all(|id| frames.iter().any(|f: &Value| f["id"] == **id)) {
        frames.push(socket.frame().await?);
    }
    under_way.wait().await;
    let (rest, code) = socket.close().await?;
    frames.extend(rest);
    anyhow::ensure!(code == 1012, "closed {code}");
    for (id, error) in
        [("silent", Some("unavailable")), ("ending", None), ("endless", Some("unavailable"))]
    {
        let of_call: Vec<&Value> = frames.iter().filter(|frame| frame["id"] == id).collect();
        let (last, before) = of_call.split_last().with_context(|| format!("no frame for {id}"))?;
        let complete = |frame: &Value| frame["complete"] == true;
        anyhow::ensure!(complete(last) && !before.iter().any(|f| complete(f)), "{id}: {of_call:?}");
        anyhow::ensure!(last["error"]["type"].as_str() == error, "{id}: {last}");
    }
    let told = frames.iter().filter(|frame| frame["type"] == "going-away").count();
    anyhow::ensure!(told == 1, "going-away came {told} times");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_ends_every_call_and_every_socket_in_time() -> Result<()> {
    let count = sockets();
    // All streams together make about two thousand chunks a second.
    let scene = Scene::open(12_000..13_000, Duration::from_millis(count)).await?;
    let count = usize::try_from(count)?;
    let under_way = Arc::new(Barrier::new(count + 1));
    let mut clients = JoinSet::new();
    for _ in 0..count {
        let socket = Socket::authenticated(scene.server.address, &scene.key).await?;
        clients.spawn(client(socket, Arc::clone(&under_way)));
    }
    let over_http = {
        let (address, key) = (scene.server.address, scene.key.clone());
        let body = json!({ "call": "silent" }).to_string();
        async move {
            let path = "/api/v1/flow/default/service/mine";
            raw::post(address, path, Some(&key), body.as_bytes()).await
        }
    };
    clients.spawn(async move {
        let (status, body) = over_http.await?;
        anyhow::ensure!(status == 503, "{status} {body}");
        Ok(())
    });
    under_way.wait().await;

    let begin = Instant::now();
    scene.server.signal("TERM");
    scene.stops().await?;
    scene.finish.send(true)?;
    let (status, end) = scene.ended().await?;
    while let Some(client) = clients.join_next().await {
        client??;
    }
    assert_eq!(status, Some(0));
    let took = end - begin;
    assert!(DRAIN <= took && took < DRAIN + LATE, "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once() -> Result<()> {
    let scene = Scene::open(13_000..14_000, Duration::from_secs(1)).await?;
    let mut socket = Socket::authenticated(scene.server.address, &scene.key).await?;
    socket.send(&call("silent")).await?;
    socket.send(&call("endless")).await?;
    socket.frame().await?;
    let begin = Instant::now();
    scene.server.signal("TERM");
    scene.stops().await?;
    scene.server.signal("TERM");
    let (status, end) = scene.ended().await?;
    assert_eq!(status, Some(1));
    assert!(end - begin < DRAIN, "{:?}", end - begin);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a test has no other configuration")]
fn sockets() -> u64 {
    std::env::var("TOLLGATE_SOCKETS").map_or(200, |count| count.parse().unwrap())
}
