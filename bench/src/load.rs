//! The load: on each socket a fixed number of calls is outstanding, and every reply lets the next
//! one go. What is ready is read first and answered in one write.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

const WARM_UP: Duration = Duration::from_millis(300);
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
}

#[derive(Default)]
pub(crate) struct Shared {
    /// Replies that have come.
    pub(crate) replies: AtomicU64,
    /// No more calls are to be sent.
    pub(crate) stopped: AtomicBool,
}

/// Loads a server and measures it. Any error on any socket is an error.
pub(crate) async fn run(server: &Server, frames: &Frames, shape: Shape) -> anyhow::Result<Sample> {
    let shared = Arc::new(Shared::default());
    let mut sockets = JoinSet::new();
    for _ in 0..shape.connections {
        let socket = socket::open(server).await?;
        let calls = Calls { socket, frames: frames.clone(), depth: shape.depth, sent: 0, due: 0 };
        sockets.spawn(calls.run(Arc::clone(&shared)));
    }
    measure(server, shape.time, &shared, sockets).await
}

/// Measures a server under a load that runs already, and ends the load.
pub(crate) async fn measure(
    server: &Server,
    time: Duration,
    shared: &Shared,
    mut load: JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Sample> {
    sleep(WARM_UP).await;
    let before = Moment::now(server, shared)?;
    sleep(time).await;
    let after = Moment::now(server, shared)?;
    shared.stopped.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended??;
    }
    before.until(&after)
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
        Ok(Sample { cpu: cpu * 1e6 / replies, rate: replies / seconds, busy: own / seconds })
    }
}

/// The calls of one socket.
struct Calls {
    socket: Socket,
    frames: Frames,
    depth: u64,
    sent: u64,
    /// Calls without a reply yet.
    due: u64,
}

impl Calls {
    async fn run(mut self, shared: Arc<Shared>) -> anyhow::Result<()> {
        loop {
            if !shared.stopped.load(Ordering::Relaxed) {
                while self.due < self.depth {
                    self.socket.feed(Message::text(self.frames.call(self.sent))).await?;
                    self.sent += 1;
                    self.due += 1;
                }
                self.socket.flush().await?;
            } else if self.due == 0 {
                self.socket.close(None).await?;
                return Ok(());
            }
            let message = self.socket.next().await.context("the server hung up")??;
            self.take(message)?;
            let mut replies = 1;
            while self.due > 0 {
                let ready = poll_fn(|cx| Poll::Ready(self.socket.poll_next_unpin(cx))).await;
                let Poll::Ready(message) = ready else { break };
                self.take(message.context("the server hung up")??)?;
                replies += 1;
            }
            shared.replies.fetch_add(replies, Ordering::Relaxed);
        }
    }

    fn take(&mut self, message: Message) -> anyhow::Result<()> {
        let reply = socket::text_of(message)?;
        self.due -= 1;
        if (self.sent - self.due).is_multiple_of(COMPARED) {
            self.frames.check_body(&reply, self.sent)
        } else {
            self.frames.check_length(&reply)
        }
    }
}
