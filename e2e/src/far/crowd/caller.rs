//! What each manner of caller does.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{End, Manner, Seen};
use crate::raw::{self, Received, Socket};

/// How long a call takes that takes a while.
const WHILE_MS: u64 = 200;
/// Who has no answer for so long asks something else meanwhile.
const NUDGE: Duration = Duration::from_millis(250);
/// Between calls: the machine has more to do.
const PAUSE: Duration = Duration::from_millis(10);

/// Where a caller notes what it sees.
struct Notes(watch::Sender<Seen>);

impl Notes {
    fn got(&self) {
        self.0.send_modify(|seen| seen.last = Some(Instant::now()));
    }

    fn told_to_wait(&self) {
        self.0.send_modify(|seen| seen.unavailable += 1);
    }
}

/// Acts until it may not any more.
pub(super) async fn act(
    manner: Manner,
    address: SocketAddr,
    token: String,
    seen: watch::Sender<Seen>,
) {
    let notes = Notes(seen);
    let ended = match manner {
        Manner::Calls => calls(address, &token, 0, &notes).await,
        Manner::SlowCalls => calls(address, &token, WHILE_MS, &notes).await,
        Manner::Listens => listens(address, &token, &notes).await,
        Manner::Posts => posts(address, &token, 0, &notes).await,
        Manner::SlowPosts => posts(address, &token, WHILE_MS, &notes).await,
        Manner::Reads => reads(address, &token, &notes).await,
    };
    notes.0.send_modify(|seen| match ended {
        Ok(end) => seen.end = Some((Instant::now(), end)),
        Err(error) => seen.fault = Some(format!("{error:#}")),
    });
}

fn call(id: u64, request: &Value) -> Value {
    json!({ "id": id, "service": "mine", "flow": "default", "request": request })
}

/// What is said before a close.
fn is_goodbye(frame: &Value) -> bool {
    frame["type"] == "auth-revoked" || frame["type"] == "closing"
}

/// One call after the other, and another one beside those that wait.
async fn calls(
    address: SocketAddr,
    token: &str,
    pause_ms: u64,
    notes: &Notes,
) -> anyhow::Result<End> {
    let mut socket = Socket::authenticated(address, token).await?;
    let (mut next, mut waiting) = (0_u64, HashSet::new());
    let request = json!({ "pause_ms": pause_ms });
    loop {
        waiting.insert(next);
        // One that is closed says so when it is read.
        drop(socket.send(&call(next, &request)).await);
        next += 1;
        // What has come is not lost when the time runs out.
        while let Ok(received) = timeout(NUDGE, socket.next()).await {
            match received? {
                Received::Frame(frame) if is_goodbye(&frame) => {}
                Received::Frame(frame) => {
                    let is_owed = frame["id"].as_u64().is_some_and(|id| waiting.remove(&id));
                    ensure!(is_owed, "nobody waits for {frame}");
                    match frame["error"]["type"].as_str() {
                        None => notes.got(),
                        Some("unavailable") => notes.told_to_wait(),
                        Some("access-denied") => {}
                        Some(_) => bail!("{frame}"),
                    }
                }
                Received::Closed(code) => return Ok(End::Closed(code)),
                Received::Gone => bail!("gone without a close"),
            }
            if waiting.is_empty() {
                sleep(PAUSE).await;
                break;
            }
        }
    }
}

async fn listens(address: SocketAddr, token: &str, notes: &Notes) -> anyhow::Result<End> {
    let mut socket = Socket::authenticated(address, token).await?;
    socket.send(&call(0, &json!({}))).await?;
    let mut next = 0;
    loop {
        match socket.next().await? {
            Received::Frame(frame) if frame["response"]["n"] == next => {
                notes.got();
                next += 1;
            }
            Received::Frame(frame) => {
                let is_end = frame["error"]["type"] == "access-denied";
                ensure!(is_end || is_goodbye(&frame), "instead of {next}: {frame}");
            }
            Received::Closed(code) => return Ok(End::Closed(code)),
            Received::Gone => bail!("gone without a close"),
        }
    }
}

/// One request after the other, and another one beside those that wait.
async fn posts(
    address: SocketAddr,
    token: &str,
    pause_ms: u64,
    notes: &Notes,
) -> anyhow::Result<End> {
    let (path, body) = ("/api/v1/flow/default/service/mine", json!({ "pause_ms": pause_ms }));
    let (body, mut waiting) = (body.to_string(), FuturesUnordered::new());
    loop {
        waiting.push(raw::post(address, path, Some(token), body.as_bytes()));
        while let Ok(Some(answered)) = timeout(NUDGE, waiting.next()).await {
            match answered? {
                (200, _) => notes.got(),
                (503, _) => notes.told_to_wait(),
                (status @ (401 | 403), _) => return Ok(End::Refused(status)),
                other => bail!("{other:?}"),
            }
            sleep(PAUSE).await;
        }
    }
}

async fn reads(address: SocketAddr, token: &str, notes: &Notes) -> anyhow::Result<End> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let head = format!(
        "GET /api/v1/document-stream?document-id=a HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let (mut next, mut line) = (0_u64, String::new());
    stream.read_line(&mut line).await?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "{line}");
    loop {
        line.clear();
        // A reset is an end, too.
        if stream.read_line(&mut line).await.unwrap_or_default() == 0 {
            return Ok(End::BrokenOff);
        }
        ensure!(line != "0\r\n", "half of it looks whole");
        if let Some(n) = line.strip_prefix('#') {
            let n: u64 = n.trim_end().parse().with_context(|| line.clone())?;
            ensure!(n == next, "{n} instead of {next}");
            notes.got();
            next += 1;
        }
    }
}
