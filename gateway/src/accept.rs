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
use tollgate_runtime::lifecycle::Lifecycle;
use tower::ServiceExt;

use crate::http::Peer;

/// How long a request's head may take to arrive.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 << 10;
/// Out of descriptors: others must end first.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the process stops.
pub(crate) async fn accept(listener: TcpListener, router: Router, life: Lifecycle) {
    let router = Arc::new(router);
    loop {
        // Both arms only wait: a connection is taken whole or not at all.
        let accepted = tokio::select! {
            biased;
            () = life.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let connection =
                    serve(stream, Peer(address.ip()), Arc::clone(&router), life.clone());
                life.tasks.spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: Peer, router: Arc<Router>, life: Lifecycle) {
    // Answers are small and awaited: they must not wait for more to send.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let request: Request = request.map(Body::new);
        Router::clone(&router).oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut stopping = false;
    loop {
        // The connection is polled by reference: a stop interrupts nothing.
        tokio::select! {
            biased;
            () = life.stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            // What a peer did to its own connection is no concern of ours.
            _ = connection.as_mut() => return,
        }
    }
}
