//! The servers of one backend, or IAM: connections that are kept and used again, the least busy of two
//! chosen, those out of reach passed over and probed.
//!
//! In: a request. Out: the head of its answer, and then its body piece by piece, read no faster
//! than asked for. Dropping either closes the connection, which is how the server learns that
//! nobody waits any more.
//! Never: a second try of a request of which a byte may have left.

mod connection;
mod server;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use rand::RngExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;
pub(crate) use tollgate_runtime::address::{Address, Place};
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::stream::Stream;

use crate::metrics::{Sent, UpstreamMetrics};
use connection::{Attempt, Connection};
use server::{Attempted, Server, Slot};
use upgrade::Upgraded;

/// The body of a request: at hand, or passed on as it comes.
pub(crate) type RequestBody = Either<Full<Bytes>, axum::body::Body>;

/// What bounds the connections of one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// How long a connection may take to be made.
    pub(crate) connect_timeout: Duration,
    /// How long an idle connection is kept.
    pub(crate) idle_timeout: Duration,
    /// Idle connections to each server; more are closed.
    pub(crate) max_idle: usize,
    /// Requests that run at once, over all servers; more are refused.
    pub(crate) max_inflight: usize,
}

/// The servers of one backend.
pub(crate) struct Upstream {
    servers: Vec<Arc<Server>>,
    turns: Arc<Semaphore>,
    metrics: Arc<UpstreamMetrics>,
    /// Ends what looks after the servers.
    _life: DropGuard,
}

/// Why there is no answer, or no more of it. For the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("too many calls are running")]
    Busy,
    #[error("no server can be reached: {0}")]
    Unreachable(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    /// To an upgrade.
    #[error("it answered {}", .0.status)]
    Refused(Box<hyper::http::response::Parts>),
}

impl Failure {
    fn sent(&self) -> Sent {
        match self {
            Self::Busy => Sent::Busy,
            Self::Unreachable(_) => Sent::Unreachable,
            Self::Broken(_) => Sent::Broken,
            Self::Refused(_) => Sent::Answered,
        }
    }
}

/// A connection that has become a WebSocket.
pub(crate) struct Opened {
    /// The bare connection.
    pub(crate) stream: Stream,
    /// What the server sent behind its answer.
    pub(crate) early: Bytes,
    /// To be kept as long as the connection.
    pub(crate) hold: Hold,
}

/// That a server is busy with something; until it is dropped.
pub(crate) struct Hold {
    _slot: Slot,
    _turn: OwnedSemaphorePermit,
}

/// An answer whose head has come.
pub(crate) struct Answer {
    /// Status and headers.
    pub(crate) head: hyper::http::response::Parts,
    body: Incoming,
    /// Given back at the body's end.
    line: Option<(Slot, Box<Connection>)>,
    _turn: OwnedSemaphorePermit,
}

impl Upstream {
    /// The servers at these addresses. Idle connections and servers out of reach are looked after
    /// until `life` ends or this is dropped.
    pub(crate) fn new(
        addresses: &[Address],
        bounds: &Bounds,
        metrics: Arc<UpstreamMetrics>,
        life: &Lifecycle,
    ) -> Self {
        let life = life.part();
        let server = |address| Arc::new(Server::new(address, bounds, Arc::clone(&metrics), &life));
        let servers: Vec<_> = addresses.iter().map(server).collect();
        let turns = Arc::new(Semaphore::new(bounds.max_inflight.min(Semaphore::MAX_PERMITS)));
        life.tasks.spawn(server::sweep(servers.clone(), bounds.idle_timeout, life.stop.clone()));
        Self { servers, turns, metrics, _life: life.stop.drop_guard() }
    }

    /// Posts a body. A server that cannot be reached is passed over for another, each is tried
    /// once; when all are known to be out of reach they are tried all the same, because a refused
    /// connection costs less than a call that need not have failed.
    pub(crate) async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let mut request = Request::new(RequestBody::Left(Full::new(body)));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        self.send(request, Place::default()).await
    }

    /// Sends any request; the URI in it does not count.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        place: Place<'_>,
    ) -> Result<Answer, Failure> {
        let mut measured = Measured::begin(&self.metrics);
        let answer = self.try_servers(request, place).await;
        measured.sent = answer.as_ref().map_or_else(Failure::sent, |_| Sent::Answered);
        answer
    }

    async fn try_servers(
        &self,
        mut request: Request<RequestBody>,
        place: Place<'_>,
    ) -> Result<Answer, Failure> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| Failure::Busy)?;
        let mut untried: Vec<&Arc<Server>> = self.servers.iter().collect();
        let mut reason = "there is none".to_owned();
        while let Some(slot) = pick(&mut untried) {
            match slot.send(request, place).await {
                Ok((head, body, connection)) => {
                    return Ok(Answer { head, body, line: Some((slot, connection)), _turn: turn });
                }
                Err(Attempt::NotSent(unsent, why)) => (request, reason) = (*unsent, why),
                Err(Attempt::Broken(why)) => return Err(Failure::Broken(why)),
            }
        }
        Err(Failure::Unreachable(reason))
    }

    /// Opens a WebSocket at the first server that can be reached.
    pub(crate) async fn upgrade(&self, headers: &HeaderMap) -> Result<Opened, Failure> {
        let mut request = Measured::begin(&self.metrics);
        let opened = self.open(headers).await;
        request.sent = opened.as_ref().map_or_else(Failure::sent, |_| Sent::Answered);
        opened
    }

    async fn open(&self, headers: &HeaderMap) -> Result<Opened, Failure> {
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| Failure::Busy)?;
        let mut untried: Vec<&Arc<Server>> = self.servers.iter().collect();
        let mut reason = "there is none".to_owned();
        while let Some(slot) = pick(&mut untried) {
            match slot.upgrade(headers).await {
                Attempted::Unreachable(why) => reason = why,
                Attempted::Asked(Err(why)) => return Err(Failure::Broken(why)),
                Attempted::Asked(Ok(Upgraded::Refused(head))) => {
                    return Err(Failure::Refused(head));
                }
                Attempted::Asked(Ok(Upgraded::Socket(stream, early))) => {
                    let hold = Hold { _slot: slot, _turn: turn };
                    return Ok(Opened { stream, early, hold });
                }
            }
        }
        Err(Failure::Unreachable(reason))
    }
}

/// A request that is counted when its answer has begun, or when nobody waits for it any more.
struct Measured<'a> {
    metrics: &'a UpstreamMetrics,
    started: Instant,
    sent: Sent,
}

impl<'a> Measured<'a> {
    fn begin(metrics: &'a UpstreamMetrics) -> Self {
        Self { metrics, started: Instant::now(), sent: Sent::Dropped }
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        self.metrics.sent.inc(self.sent);
        if self.sent == Sent::Answered {
            self.metrics.duration.observe(self.started.elapsed());
        }
    }
}

impl Answer {
    /// The next piece of the body, or its end: then the connection is free for another request.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some((_, connection)) = &mut self.line else { return Ok(None) };
        let piece = connection.piece(&mut self.body).await.map_err(Failure::Broken)?;
        if piece.is_none()
            && let Some((slot, connection)) = self.line.take()
        {
            slot.keep(connection);
        }
        Ok(piece)
    }
}

/// Takes out the less busy of two at random, of those in reach if any are.
fn pick(untried: &mut Vec<&Arc<Server>>) -> Option<Slot> {
    let mut candidates: Vec<usize> =
        (0..untried.len()).filter(|at| untried[*at].in_reach()).collect();
    if candidates.is_empty() {
        candidates = (0..untried.len()).collect();
    }
    let mut draw = || match candidates.len() {
        0 => None,
        count => Some(candidates.swap_remove(rand::rng().random_range(0..count))),
    };
    let (first, second) = (draw()?, draw());
    let chosen = second.map_or(first, |second| {
        if untried[second].running() < untried[first].running() { second } else { first }
    });
    Some(Slot::take(untried.swap_remove(chosen)))
}
