//! Sign-ins, as many as there are tokens: each on a socket that is open already, or on one of its own.
//!
//! In: a server and the tokens. Out: what each sign-in cost. A sign-in that is refused is an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::measure::cpu_time;
use crate::server::{Entrance, Server};
use crate::socket;

/// Sockets that sign in at the same time.
pub(crate) const SLOTS: usize = 32;
/// Calls that are under way on the socket that mints.
const MINTING: usize = 32;

/// Where one signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// On sockets that are open, one token behind the other.
    OpenSockets,
    /// Each on a socket of its own.
    NewSockets,
    /// The same at a server that says again what it hears.
    NewSocketsOfAStub,
}

/// What one of them took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Microseconds of CPU each.
    pub(crate) cpu: f64,
    /// How many a second.
    pub(crate) rate: f64,
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn of(count: usize, cpu: Duration, wall: Duration) -> Self {
        let (cpu, wall) = (cpu.as_secs_f64(), wall.as_secs_f64());
        Self { cpu: cpu * 1e6 / count as f64, rate: count as f64 / wall }
    }
}

/// Shows each of the tokens that are left, and measures the server meanwhile.
pub(crate) async fn measure(
    server: &Server,
    tokens: &Arc<Tokens>,
    work: Work,
) -> anyhow::Result<Sample> {
    let before = (Instant::now(), cpu_time(server.pid)?);
    let mut slots = JoinSet::new();
    for _ in 0..SLOTS {
        let (entrance, tokens) = (server.entrance.clone(), Arc::clone(tokens));
        match work {
            Work::OpenSockets => slots.spawn(on_an_open_socket(entrance, tokens)),
            Work::NewSockets => slots.spawn(on_new_sockets(entrance, tokens, false)),
            Work::NewSocketsOfAStub => slots.spawn(on_new_sockets(entrance, tokens, true)),
        };
    }
    while let Some(ended) = slots.join_next().await {
        ended??;
    }
    let cpu = cpu_time(server.pid)?.saturating_sub(before.1);
    Ok(Sample::of(tokens.count(), cpu, before.0.elapsed()))
}

/// Auth frames, each with a token of its own, given out once.
pub(crate) struct Tokens {
    frames: Vec<String>,
    next: AtomicUsize,
}

impl Tokens {
    /// The same one, so many times.
    pub(crate) fn repeat(token: &str, count: usize) -> Self {
        Self { frames: vec![socket::auth_frame(token); count], next: AtomicUsize::new(0) }
    }

    /// The same one, which IAM has signed.
    pub(crate) async fn repeat_minted(entrance: &Entrance, count: usize) -> anyhow::Result<Self> {
        let minted = Self::mint(entrance, 1).await?.frames.pop().context("no token")?;
        Ok(Self { frames: vec![minted; count], next: AtomicUsize::new(0) })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.frames.len()
    }

    /// Has IAM sign them.
    pub(crate) async fn mint(entrance: &Entrance, count: usize) -> anyhow::Result<Self> {
        let mut socket = socket::open(entrance).await?;
        let mut frames = Vec::with_capacity(count);
        while frames.len() < count {
            let batch = MINTING.min(count - frames.len());
            for id in 0..batch {
                let call = json!({ "id": id, "service": "iam",
                    "request": { "operation": "mint-token", "workspace": "default" } });
                socket.feed(Message::text(call.to_string())).await?;
            }
            socket.flush().await?;
            for _ in 0..batch {
                let answer: Value = serde_json::from_str(&socket::next_text(&mut socket).await?)?;
                let token = answer.pointer("/response/jwt").and_then(Value::as_str);
                let token = token.with_context(|| format!("no token was minted: {answer}"))?;
                frames.push(socket::auth_frame(token));
            }
        }
        Ok(Self { frames, next: AtomicUsize::new(0) })
    }

    /// How many were taken.
    pub(crate) fn shown(&self) -> usize {
        self.next.load(Ordering::Relaxed).min(self.frames.len())
    }

    /// The next one, if there is one.
    pub(crate) fn take(&self) -> Option<&str> {
        self.frames.get(self.next.fetch_add(1, Ordering::Relaxed)).map(String::as_str)
    }
}

async fn on_an_open_socket(entrance: Entrance, tokens: Arc<Tokens>) -> anyhow::Result<()> {
    let mut socket = socket::open(&entrance).await?;
    while let Some(frame) = tokens.take() {
        socket::sign_in(&mut socket, frame).await?;
    }
    Ok(())
}

async fn on_new_sockets(
    entrance: Entrance,
    tokens: Arc<Tokens>,
    is_stub: bool,
) -> anyhow::Result<()> {
    while let Some(frame) = tokens.take() {
        let mut socket = socket::connect(entrance.address).await?;
        if is_stub {
            socket.send(Message::text(frame)).await?;
            let answer = socket::next_text(&mut socket).await?;
            ensure!(answer.as_str() == frame, "not the frame that was sent: {answer}");
        } else {
            socket::sign_in(&mut socket, frame).await?;
        }
        // A reset: the port of a socket that says goodbye would wait a minute.
        socket.get_ref().set_zero_linger()?;
    }
    Ok(())
}
