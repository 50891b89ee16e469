//! The accept loop of the public listener: connections in, one HTTP server each.
//!
//! It survives every error of `accept`: a process that is out of descriptors pauses and goes on.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tollgate_runtime::stream::Stream;
use tollgate_runtime::tls::Acceptor;
use tower::ServiceExt;

use crate::guarded::Guarded;
use crate::handles::Handles;
use crate::peer::Peer;
use crate::seats::Seat;
use crate::sessions::Gate;

/// How long a TLS handshake may take, and then a request's head, also behind another request.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// The same for whoever is only told that there is no room.
const SHORT_DEADLINE: Duration = Duration::from_secs(2);
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 << 10;
/// Behind the drain and what IAM still answers then, for the last answers to be read.
const GOODBYE: Duration = Duration::from_secs(1);
/// Out of descriptors: others must end first.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two lines in the log about that.
const BETWEEN_ERRORS: Duration = Duration::from_secs(10);

/// What every connection is served with.
pub(crate) struct Front {
    pub(crate) router: Router,
    /// None: connections are in clear.
    pub(crate) tls: Option<Arc<Acceptor>>,
    pub(crate) handles: Arc<Handles>,
}

/// Accepts until the process stops.
pub(crate) async fn accept(listener: TcpListener, front: Front) {
    let life = front.handles.life.clone();
    let front = Arc::new(front);
    let mut warned: Option<Instant> = None;
    loop {
        // Both arms only wait: a connection is taken whole or not at all.
        let accepted = tokio::select! {
            biased;
            () = life.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                front.handles.metrics.connections.inc();
                let peer = Peer { address: address.ip(), secure: front.tls.is_some() };
                // Without a seat the connection is left at once.
                if let Some(seat) = front.seat(peer) {
                    life.tasks.spawn(serve(stream, peer, seat, Arc::clone(&front)));
                }
            }
            Err(error) => {
                front.handles.metrics.accept_errors.inc();
                if warned.is_none_or(|warned| warned.elapsed() > BETWEEN_ERRORS) {
                    warned = Some(Instant::now());
                    tracing::error!(%error, "no connection can be accepted for now");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Front {
    fn seat(&self, peer: Peer) -> Option<Arc<Seat>> {
        let rules = self.handles.rules.load();
        let address = (!rules.proxies.contain(peer.address)).then_some(peer.address);
        let seat = self.handles.seats.take(address, &rules.limits.caps);
        if seat.as_ref().is_none_or(Seat::is_turned_away) {
            self.handles.metrics.connections_refused.inc();
        }
        seat.map(Arc::new)
    }
}

async fn serve(stream: TcpStream, peer: Peer, seat: Arc<Seat>, front: Arc<Front>) {
    let handles = Arc::clone(&front.handles);
    let life = &handles.life;
    let deadline = if seat.is_turned_away() { SHORT_DEADLINE } else { HEAD_DEADLINE };
    // Answers are small and awaited: they must not wait for more to send.
    let _ = stream.set_nodelay(true);
    let stream = match &front.tls {
        None => Stream::Plain(stream),
        Some(acceptor) => match handshake(acceptor, stream, deadline, &handles).await {
            Some(stream) => stream,
            None => return,
        },
    };
    let patience = handles.rules.load().limits.write_stall;
    let stream = Guarded::new(stream, Arc::clone(&seat), patience);
    let gate = Arc::<Gate>::default();
    let at = Arc::clone(&gate);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let peer = peer.behind(&front.handles.rules.load().proxies, request.headers());
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(Arc::clone(&seat));
        request.extensions_mut().insert(Arc::clone(&at));
        let request: Request = request.map(Body::new);
        front.router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(deadline)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let served = async {
        let mut connection = std::pin::pin!(connection);
        // The connection is polled by reference: a stop interrupts nothing.
        tokio::select! {
            biased;
            () = life.stop.cancelled() => connection.as_mut().graceful_shutdown(),
            // What a peer did to its own connection is no concern of ours.
            _ = connection.as_mut() => return,
        }
        // Every request is answered at the end of the drain; who does not read it then is left.
        let drain = handles.rules.load().limits.drain;
        let _ = timeout(drain + handles.questions.patience() + GOODBYE, connection).await;
    };
    gate.around(served).await;
}

/// TLS, in time.
async fn handshake(
    acceptor: &Acceptor,
    stream: TcpStream,
    deadline: Duration,
    handles: &Handles,
) -> Option<Stream> {
    // Nothing is lost when the process stops meanwhile: there was no request yet.
    let outcome = tokio::select! {
        biased;
        () = handles.stop().cancelled() => return None,
        outcome = acceptor.accept(stream, deadline) => outcome,
    };
    let noted = outcome.inspect_err(|error| {
        handles.metrics.tls_failures.inc(error.failure());
        tracing::debug!(%error, "a TLS handshake failed");
    });
    noted.ok()
}
