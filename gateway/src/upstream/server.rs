//! One server: its idle connections, how busy it is, and whether it is in reach.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap};
use hyper::http::response::Parts;
use rand::RngExt;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::stream::Stream;

use super::connection::{Attempt, Connection};
use super::upgrade::{Upgraded, upgrade};
use super::{Address, Bounds, Place, RequestBody};
use crate::metrics::UpstreamMetrics;

/// Between the probes of a server out of reach: doubling from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// How long a server may take to answer an upgrade: clients do not wait longer themselves.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(10);

/// Between two looks at the idle connections, however short their time is.
const SHORTEST_SWEEP: Duration = Duration::from_secs(1);

/// One server of a backend.
pub(super) struct Server {
    address: Address,
    bounds: Bounds,
    life: Lifecycle,
    metrics: Arc<UpstreamMetrics>,
    /// The newest is at the back and used first: the others get old enough to be closed.
    idle: Mutex<VecDeque<Idle>>,
    running: AtomicUsize,
    /// A probe runs while this is set, and nothing else clears it.
    out_of_reach: AtomicBool,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// What came of asking a server for a WebSocket.
pub(super) enum Attempted {
    /// There was no connection: another server may be asked.
    Unreachable(String),
    /// It has been asked.
    Asked(Result<Upgraded, String>),
}

/// One of the requests that a server is busy with; it counts until it is dropped.
pub(super) struct Slot(Arc<Server>);

impl Server {
    pub(super) fn new(
        address: &Address,
        bounds: &Bounds,
        metrics: Arc<UpstreamMetrics>,
        life: &Lifecycle,
    ) -> Self {
        Self {
            address: address.clone(),
            bounds: bounds.clone(),
            life: life.clone(),
            metrics,
            idle: Mutex::default(),
            running: AtomicUsize::new(0),
            out_of_reach: AtomicBool::new(false),
        }
    }

    pub(super) fn in_reach(&self) -> bool {
        !self.out_of_reach.load(Ordering::Relaxed)
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection in time. Without one the server is passed over from here on.
    async fn reach(self: &Arc<Self>) -> Result<Stream, String> {
        self.connect().await.inspect_err(|reason| self.lose(reason))
    }

    async fn connect(&self) -> Result<Stream, String> {
        let within = self.bounds.connect_timeout;
        match timeout(within, self.address.connect()).await {
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no connection within {within:?}")),
        }
    }

    /// Passes the server over until a probe reaches it.
    fn lose(self: &Arc<Self>, reason: &str) {
        if !self.out_of_reach.swap(true, Ordering::Relaxed) {
            self.metrics.lost.add(1);
            tracing::warn!(server = ?self.address.authority(), reason, "a server is out of reach");
            self.life.tasks.spawn(probe(Arc::clone(self)));
        }
    }

    fn close_old(&self) {
        let oldest = Instant::now().checked_sub(self.bounds.idle_timeout);
        let mut idle = self.idle();
        while idle.front().is_some_and(|front| Some(front.since) <= oldest) {
            idle.pop_front();
        }
    }
}

impl Slot {
    pub(super) fn take(server: &Arc<Server>) -> Self {
        server.running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(server))
    }

    /// Sends a request: over an idle connection as long as one takes it, else over a new one.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        place: Place<'_>,
    ) -> Result<(Parts, Incoming, Box<Connection>), Attempt> {
        let server = &self.0;
        let Some(target) = server.address.target(place) else {
            return Err(Attempt::Broken("no URL may hold what was asked for".to_owned()));
        };
        *request.uri_mut() = target;
        request.headers_mut().insert(HOST, server.address.authority().clone());
        loop {
            server.close_old();
            let idle = server.idle().pop_back();
            let is_new = idle.is_none();
            let connection = match idle {
                Some(idle) => Ok(idle.connection),
                None => match server.reach().await {
                    Ok(stream) => Connection::begin(stream).await,
                    Err(reason) => Err(reason),
                },
            };
            let mut connection = match connection {
                Ok(connection) => connection,
                Err(reason) => return Err(Attempt::NotSent(Box::new(request), reason)),
            };
            match connection.send(request).await {
                Ok((head, body)) => return Ok((head, body, connection)),
                // The server had closed it while it was idle.
                Err(Attempt::NotSent(unsent, _)) if !is_new => request = *unsent,
                Err(failed) => return Err(failed),
            }
        }
    }

    /// Opens a connection of its own and asks for a WebSocket.
    pub(super) async fn upgrade(&self, headers: &HeaderMap) -> Attempted {
        let server = &self.0;
        let stream = match server.reach().await {
            Ok(stream) => stream,
            Err(reason) => return Attempted::Unreachable(reason),
        };
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = server.address.target(Place::default()).unwrap_or_default();
        headers.clone_into(request.headers_mut());
        request.headers_mut().insert(HOST, server.address.authority().clone());
        let upgraded = timeout(UPGRADE_DEADLINE, upgrade(stream, request)).await;
        let upgraded = upgraded.unwrap_or_else(|_| Err("no answer to the upgrade".to_owned()));
        Attempted::Asked(upgraded)
    }

    /// Takes back a connection whose answer has ended.
    pub(super) fn keep(self, mut connection: Box<Connection>) {
        let server = &self.0;
        if server.life.stop.is_cancelled() || !connection.is_free() {
            return;
        }
        let mut idle = server.idle();
        if idle.len() < server.bounds.max_idle {
            idle.push_back(Idle { connection, since: Instant::now() });
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connects now and then, until it works.
async fn probe(server: Arc<Server>) {
    let mut pause = FIRST_PAUSE;
    loop {
        // Gateways that lost a server together shall not come back to it together.
        let jittered = pause.mul_f64(rand::rng().random_range(0.75..1.25));
        // Both arms only wait.
        tokio::select! {
            biased;
            () = server.life.stop.cancelled() => break,
            () = sleep(jittered) => {}
        }
        if server.connect().await.is_ok() {
            tracing::info!(server = ?server.address.authority(), "a server is in reach again");
            server.out_of_reach.store(false, Ordering::Relaxed);
            break;
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
    server.metrics.lost.add(-1);
}

/// Closes idle connections that have become old, until the stop closes them all.
pub(super) async fn sweep(servers: Vec<Arc<Server>>, every: Duration, stop: CancellationToken) {
    loop {
        // Both arms only wait.
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep(every.max(SHORTEST_SWEEP)) => {}
        }
        for server in &servers {
            server.close_old();
        }
    }
    for server in &servers {
        drop(take(&mut *server.idle()));
    }
}
