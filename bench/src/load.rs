//! The load: on each socket a fixed number of calls is outstanding, and every reply lets the next
//! one go. What is ready is read first and answered in one write.
//!
//! Replies come in the order of their calls here, so each call's time is known: from the flush that
//! sent it to the read that took its reply.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem::take;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

use crate::frame::Frames;
use crate::measure::{cpu_time, own_cpu_time};
use crate::server::Server;
use crate::socket::{self, Socket};

pub(crate) const WARM_UP: Duration = Duration::from_millis(300);
/// One of so many bodies is compared as a whole.
const COMPARED: u64 = 256;

/// How much load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Sockets.
    pub(crate) connections: usize,
    /// Calls outstanding on each.
    pub(crate) depth: u64,
    /// How long it is measured.
    pub(crate) time: Duration,
}

/// What was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// The server's CPU, in microseconds a reply.
    pub(crate) cpu: f64,
    /// Replies a second.
    pub(crate) rate: f64,
    /// How much of its time the generator was running: near 1 it is the limit.
    pub(crate) busy: f64,
    /// Half of the calls took no longer than this, in microseconds.
    pub(crate) p50: f64,
    /// The time that 99 of 100 calls kept, over that of 50.
    pub(crate) spread: f64,
}

#[derive(Default)]
pub(crate) struct Shared {
    /// Replies that have come.
    pub(crate) replies: AtomicU64,
    /// No more calls are to be sent.
    pub(crate) stopped: AtomicBool,
    /// How long calls took, in microseconds.
    times: Mutex<Vec<f32>>,
}

impl Shared {
    /// Counts replies that have come, with the time of each call.
    pub(crate) fn count(&self, times: &mut Vec<f32>) {
        self.replies.fetch_add(times.len() as u64, Ordering::Relaxed);
        self.times.lock().unwrap_or_else(PoisonError::into_inner).append(times);
    }

    fn take_times(&self) -> Vec<f32> {
        take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Loads a server and measures it. Any error on any socket is an error.
pub(crate) async fn run(server: &Server, frames: &Frames, shape: Shape) -> anyhow::Result<Sample> {
    let shared = Arc::new(Shared::default());
    let sockets = begin(server, frames, shape, &shared).await?;
    measure(server, shape.time, &shared, sockets).await
}

/// Loads a server, until the load is stopped.
pub(crate) async fn begin(
    server: &Server,
    frames: &Frames,
    shape: Shape,
    shared: &Arc<Shared>,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let mut sockets = JoinSet::new();
    for _ in 0..shape.connections {
        let socket = socket::open(&server.entrance).await?;
        let (frames, depth) = (frames.clone(), shape.depth);
        let calls = Calls { socket, frames, depth, sent: 0, due: VecDeque::new() };
        sockets.spawn(calls.run(Arc::clone(shared)));
    }
    Ok(sockets)
}

/// Measures a server under a load that runs already, and ends the load.
pub(crate) async fn measure(
    server: &Server,
    time: Duration,
    shared: &Shared,
    mut load: JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Sample> {
    sleep(WARM_UP).await;
    shared.take_times();
    let before = Moment::now(server, shared)?;
    sleep(time).await;
    let after = Moment::now(server, shared)?;
    let mut times = shared.take_times();
    shared.stopped.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended??;
    }
    times.sort_unstable_by(f32::total_cmp);
    let at = |percent: usize| times.get(times.len() * percent / 100).map_or(0.0, |t| f64::from(*t));
    let (p50, p99) = (at(50), at(99));
    Ok(Sample { p50, spread: p99 / p50, ..before.until(&after)? })
}

/// What the clocks and counters say at one time.
struct Moment {
    at: Instant,
    server: Duration,
    own: Duration,
    replies: u64,
}

impl Moment {
    fn now(server: &Server, shared: &Shared) -> anyhow::Result<Self> {
        let replies = shared.replies.load(Ordering::Relaxed);
        let (server, own) = (cpu_time(server.pid)?, own_cpu_time()?);
        Ok(Self { at: Instant::now(), server, own, replies })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn until(&self, after: &Self) -> anyhow::Result<Sample> {
        let replies = (after.replies - self.replies) as f64;
        ensure!(replies > 0.0, "no reply came");
        let seconds = (after.at - self.at).as_secs_f64();
        let cpu = after.server.saturating_sub(self.server).as_secs_f64();
        let own = after.own.saturating_sub(self.own).as_secs_f64();
        let (cpu, rate, busy) = (cpu * 1e6 / replies, replies / seconds, own / seconds);
        Ok(Sample { cpu, rate, busy, p50: 0.0, spread: 0.0 })
    }
}

/// The calls of one socket.
struct Calls {
    socket: Socket,
    frames: Frames,
    depth: u64,
    sent: u64,
    /// When each call without a reply was sent.
    due: VecDeque<Instant>,
}

impl Calls {
    async fn run(mut self, shared: Arc<Shared>) -> anyhow::Result<()> {
        let mut times = Vec::new();
        loop {
            if !shared.stopped.load(Ordering::Relaxed) {
                let now = Instant::now();
                while (self.due.len() as u64) < self.depth {
                    self.socket.feed(Message::text(self.frames.call(self.sent))).await?;
                    self.sent += 1;
                    self.due.push_back(now);
                }
                self.socket.flush().await?;
            } else if self.due.is_empty() {
                self.socket.close(None).await?;
                return Ok(());
            }
            let message = self.socket.next().await.context("the server hung up")??;
            let now = Instant::now();
            times.push(self.take(message, now)?);
            while !self.due.is_empty() {
                let ready = poll_fn(|cx| Poll::Ready(self.socket.poll_next_unpin(cx))).await;
                let Poll::Ready(message) = ready else { break };
                times.push(self.take(message.context("the server hung up")??, now)?);
            }
            shared.count(&mut times);
        }
    }

    /// Checks a reply. Gives the time of its call.
    fn take(&mut self, message: Message, now: Instant) -> anyhow::Result<f32> {
        let reply = socket::text_of(message)?;
        let sent = self.due.pop_front().context("a reply that was not due")?;
        if (self.sent - self.due.len() as u64).is_multiple_of(COMPARED) {
            self.frames.check_body(&reply, self.sent)?;
        } else {
            self.frames.check_length(&reply)?;
        }
        Ok(now.saturating_duration_since(sent).as_secs_f32() * 1e6)
    }
}
