//! Credentials that end by themselves while something comes, and ones that follow each other while it
//! comes.
//!
//! `TOLLGATE_STREAM_SECONDS` says how long the stream runs through which somebody authenticates sixty
//! times; a few seconds without it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, interval};
use tollgate_e2e::ahead::Ahead;
use tollgate_e2e::far::{Ticker, count};
use tollgate_e2e::raw::{self, Received, Socket};
use tollgate_e2e::upstream::Line;
use tollgate_e2e::{PASSWORD, Tollgate};

const GRACE: Duration = Duration::from_millis(500);
/// How far clocks may differ about a session token; IAM alone judges keys.
const LEEWAY: Duration = Duration::from_secs(5);
/// What a busy machine takes to show the client what has left.
const LATE: Duration = Duration::from_millis(500);
/// How long the credentials live that end here.
const LIFE: Duration = Duration::from_secs(2);

/// A Tollgate behind which something counts.
struct Scene {
    tollgate: Tollgate,
    clock: Arc<Ahead>,
    _folder: tempfile::TempDir,
    _ticker: Ticker,
}

impl Scene {
    async fn open() -> anyhow::Result<Self> {
        let (ticker, folder) = (Ticker::start().await?, tempfile::tempdir()?);
        let (registry, clock) = (folder.path().join("registry.toml"), Ahead::shared());
        std::fs::write(&registry, ticker.registry())?;
        let registry = registry.display().to_string();
        let settings = [("gateway.registry_file", &*registry), ("gateway.auth.grace", "500ms")];
        let tollgate = Tollgate::start_by(clock.clone(), &settings).await?;
        Ok(Self { tollgate, clock, _folder: folder, _ticker: ticker })
    }

    /// A key that ends soon, and when.
    async fn brief_key(&self, user: &str) -> anyhow::Result<(String, Instant)> {
        let (ends, time) = (Instant::now() + LIFE, jiff::Timestamp::now() + LIFE);
        let key = json!({ "user_id": user, "name": "brief", "expires": time.to_string() });
        let made = self.tollgate.iam(json!({ "operation": "create-api-key", "key": key })).await?;
        Ok((made["api_key_plaintext"].as_str().context("no key")?.to_owned(), ends))
    }

    /// A session that ends soon, and when.
    async fn brief_session(&self, name: &str) -> anyhow::Result<(String, Instant)> {
        let login = json!({ "username": name, "password": PASSWORD });
        let (_, session) = self.tollgate.post("/api/v1/auth/login", None, &login).await?;
        // Rounded to seconds, down.
        let ends = Instant::now() + LIFE;
        self.clock.pass(Duration::from_hours(1).saturating_sub(LIFE));
        Ok((session["jwt"].as_str().context("no session")?.to_owned(), ends))
    }

    /// A request over HTTP: when it was answered, and with which status.
    async fn posts(&self, key: &str, request: Value) -> anyhow::Result<(Instant, u16)> {
        let (path, body) = ("/api/v1/flow/default/service/mine", request.to_string());
        let answer = raw::post(self.tollgate.address, path, Some(key), body.as_bytes()).await;
        Ok((Instant::now(), answer.context("an endless request")?.0))
    }

    /// A body that comes as long as its caller may have it: how long it came.
    async fn reads(&self, key: &str) -> anyhow::Result<Instant> {
        let mut line = Line(TcpStream::connect(self.tollgate.address).await?);
        let head = format!(
            "GET /api/v1/document-stream?document-id=a HTTP/1.1\r\nHost: x\r\n\
             Authorization: Bearer {key}\r\n\r\n"
        );
        line.send(head).await?;
        let (mut last, mut bytes) = (Instant::now(), [0; 1_024]);
        while line.0.read(&mut bytes).await.unwrap_or_default() > 0 {
            last = Instant::now();
        }
        Ok(last)
    }
}

fn stream(id: &str) -> Value {
    json!({ "id": id, "service": "mine", "flow": "default", "request": {} })
}

/// What came of a stream until its credential had ended.
struct Watched {
    last_chunk: Instant,
    expiring: Instant,
}

/// Reads a stream to its end, and makes calls all the while.
async fn watch(mut socket: Socket, ends: Instant) -> anyhow::Result<Watched> {
    socket.send(&stream("stream")).await?;
    let (mut chunks, mut last_chunk, mut expiring) = (0, Instant::now(), None);
    let mut error = Value::Null;
    loop {
        let frame = socket.frame().await?;
        let now = Instant::now();
        if frame["id"] == "stream" && frame["error"].is_null() {
            ensure!(frame["response"]["n"] == chunks, "{frame} instead of {chunks}");
            (chunks, last_chunk) = (chunks + 1, now);
        } else if frame["id"] == "stream" {
            error = frame["error"]["type"].clone();
        } else if frame["type"] == "auth-expiring" {
            ensure!(now < ends, "warned {:?} too late", now - ends);
            expiring = Some(now);
        } else {
            ensure!(frame["type"] == "auth-expired", "{frame}");
            break;
        }
    }
    ensure!(error == "auth-expired", "the stream ended with {error}");
    socket.call(json!("late"), json!({})).await?;
    let late = socket.frame().await?;
    ensure!(late["error"]["type"] == "auth-required", "{late}");
    Ok(Watched { last_chunk, expiring: expiring.context("nobody was warned")? })
}

/// Everything stops, neither before the end nor too long after it.
async fn check_end(
    scene: &Scene,
    (credential, ends): (String, Instant),
    leeway: Duration,
) -> anyhow::Result<()> {
    let socket = Socket::authenticated(scene.tollgate.address, &credential).await?;
    let (watched, read, posted) = tokio::try_join!(
        watch(socket, ends),
        scene.reads(&credential),
        scene.posts(&credential, json!({})),
    )?;
    let over = ends + leeway + GRACE + LATE;
    // Its answer would have been the end of the stream, which never comes.
    ensure!(posted.1 == 401, "{posted:?}");
    for last in [watched.last_chunk, read, posted.0] {
        ensure!(last > ends, "it ended {:?} early", ends - last);
        ensure!(last < over, "it came {:?} too long", last - over + LATE);
    }
    ensure!(watched.expiring < ends, "warned too late");
    // Nor is it taken any more, though the gateway knew it a moment ago.
    let (_, status) = scene.posts(&credential, json!({ "pause_ms": 0 })).await?;
    ensure!(status == 401, "{status}");
    let mut stranger = Socket::open(scene.tollgate.address).await?;
    ensure!(stranger.auth(&credential).await?["type"] == "auth-failed", "it was taken");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_ends_takes_what_comes_with_it() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    let (user, _) = scene.tollgate.user("ann", "writer").await?;
    check_end(&scene, scene.brief_key(&user).await?, Duration::ZERO).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_takes_what_comes_with_it() -> anyhow::Result<()> {
    let scene = Scene::open().await?;
    scene.tollgate.user("ann", "writer").await?;
    check_end(&scene, scene.brief_session("ann").await?, LEEWAY).await
}

/// What comes goes on under whatever credential its caller has last shown, those that have ended
/// since among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_misses_nothing_while_its_caller_authenticates() -> anyhow::Result<()> {
    const TIMES: u32 = 60;
    let scene = Scene::open().await?;
    let (user, key) = scene.tollgate.user("ann", "writer").await?;
    let (_, other) = scene.tollgate.user("ben", "writer").await?;
    let login = json!({ "username": "ann", "password": PASSWORD });
    let (_, session) = scene.tollgate.post("/api/v1/auth/login", None, &login).await?;
    let session = session["jwt"].as_str().context("no session")?;
    let seconds = u32::try_from(count("TOLLGATE_STREAM_SECONDS", 6)?)?;
    let (brief, _) = scene.brief_key(&user).await?;
    let mut socket = Socket::open(scene.tollgate.address).await?;
    let auth = |token: &str| json!({ "type": "auth", "token": token, "features": ["heartbeat"] });
    socket.send(&auth(&brief)).await?;
    ensure!(socket.frame().await?["type"] == "auth-ok", "refused");
    socket.send(&stream("stream")).await?;

    let mut times = interval(Duration::from_secs(1) * seconds / TIMES);
    let (mut sent, mut taken, mut chunks) = (0_usize, 0, 0);
    while taken < TIMES {
        tokio::select! {
            biased;
            _ = times.tick(), if sent < TIMES as usize => {
                socket.send(&auth([&*key, &other, session][sent % 3])).await?;
                sent += 1;
            }
            received = socket.next() => {
                let Received::Frame(frame) = received? else { anyhow::bail!("closed") };
                if frame["type"] == "auth-ok" {
                    ensure!(frame["kept"] == json!(["stream"]), "{frame}");
                    taken += 1;
                } else if frame["id"] == "stream" {
                    ensure!(frame["response"]["n"] == chunks, "{frame} instead of {chunks}");
                    chunks += 1;
                } else {
                    ensure!(frame["type"] == "heartbeat", "{frame}");
                }
            }
        }
    }
    ensure!(chunks >= 20 * seconds, "{chunks} chunks in {seconds} s");
    Ok(())
}
