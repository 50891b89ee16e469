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
use tokio::time::timeout;
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::tls::Acceptor;
use tower::ServiceExt;

use crate::handles::Handles;
use crate::metrics::{Metrics, TlsFailure};
use crate::peer::Peer;
use crate::stream::Stream;

/// How long a TLS handshake may take, and then a request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 << 10;
/// Behind the drain, for the last answers to be read.
const GOODBYE: Duration = Duration::from_secs(1);
/// Out of descriptors: others must end first.
const PAUSE: Duration = Duration::from_millis(50);

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
                life.tasks.spawn(serve(stream, peer, Arc::clone(&front)));
            }
            Err(error) => {
                front.handles.metrics.accept_errors.inc();
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: Peer, front: Arc<Front>) {
    let handles = Arc::clone(&front.handles);
    let life = &handles.life;
    // Answers are small and awaited: they must not wait for more to send.
    let _ = stream.set_nodelay(true);
    let stream = match &front.tls {
        None => Stream::Plain(stream),
        Some(acceptor) => match handshake(acceptor, stream, &front.handles.metrics, life).await {
            Some(stream) => stream,
            None => return,
        },
    };
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let peer = peer.behind(&front.handles.rules.load().proxies, request.headers());
        request.extensions_mut().insert(peer);
        let request: Request = request.map(Body::new);
        front.router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
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
    let _ = timeout(drain + GOODBYE, connection).await;
}

/// TLS, in time. A peer that fails it is told so by TLS itself.
async fn handshake(
    acceptor: &Acceptor,
    stream: TcpStream,
    metrics: &Metrics,
    life: &Lifecycle,
) -> Option<Stream> {
    // Nothing is lost when the process stops meanwhile: there was no request yet.
    let outcome = tokio::select! {
        biased;
        () = life.stop.cancelled() => return None,
        outcome = timeout(HEAD_DEADLINE, acceptor.accept(stream)) => outcome,
    };
    match outcome {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream.into()))),
        Ok(Err(error)) => {
            metrics.tls_failures.inc(TlsFailure::Failed);
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            metrics.tls_failures.inc(TlsFailure::TooSlow);
            None
        }
    }
}
