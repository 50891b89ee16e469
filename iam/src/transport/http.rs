//! HTTP/1.1 on IAM's own listener, which is never exposed to the public; under TLS, if that is set.
//!
//! In: `POST /v1/call` and `POST /v1/feed` of gateways and `POST /v1/survey` of other nodes, with the
//! service secret; `GET /.well-known/jwks.json`, whose keys are public. The secret is compared, in
//! constant time, before a body is read. Whoever has not shown it is a stranger: a few at a time,
//! for a few seconds each, and the next ones wait.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tollgate_proto::iam::{CALL_PATH, Call, FEED_PATH, JWKS_PATH, Poll};
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::tls::Acceptor;
use tower::ServiceExt;

use super::Rim;
use super::handshake::Handshake;
use crate::nodes::{PeerAsk, SURVEY_PATH};
use crate::operation::Context;

/// The largest body.
const MAX_BODY: usize = 1 << 20;
/// Connections that have not shown the secret; beyond that, new ones wait to be accepted.
const STRANGERS: usize = 64;
/// How long they wait before it is said: those who know the secret make room sooner.
const CROWDED: Duration = Duration::from_secs(1);
/// How long a connection may be open without having shown the secret, whatever it does.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(5);
/// The smallest buffer that hyper takes for a head.
const HEAD: usize = 8_192;
/// For how long others may keep the public keys, in seconds: less than a key is published before
/// it signs.
const JWKS_CACHE: &str = "public, max-age=5";

#[derive(Clone)]
struct App {
    rim: Rim,
    secret: Arc<SecretString>,
}

/// The place among strangers that a connection has until it shows the secret.
#[derive(Clone)]
struct Stranger(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Stranger {
    fn is_known(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn is_stranger(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Serves until the process stops; what runs by then is answered.
pub fn serve(
    listener: TcpListener,
    tls: Option<Arc<Acceptor>>,
    context: Arc<Context>,
    secret: SecretString,
    lifecycle: &Lifecycle,
) {
    let handshake = Arc::new(Handshake::new(tls, Arc::clone(&context.metrics)));
    let rim = Rim { context, lifecycle: lifecycle.clone(), admission: Arc::default() };
    let app = App { rim, secret: Arc::new(secret) };
    let router = Router::new()
        .route(CALL_PATH, post(call))
        .route(FEED_PATH, post(feed))
        .route(SURVEY_PATH, post(survey))
        .route(JWKS_PATH, get(jwks))
        .with_state(app);
    lifecycle.tasks.spawn(accept(listener, handshake, router, lifecycle.clone()));
}

async fn accept(
    listener: TcpListener,
    handshake: Arc<Handshake>,
    router: Router,
    lifecycle: Lifecycle,
) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    loop {
        // Neither a place nor a connection is lost when the stop wins.
        let accepted = tokio::select! {
            biased;
            () = lifecycle.stop.cancelled() => return,
            accepted = accept_one(&listener, &strangers) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let stranger = Stranger(Arc::new(Mutex::new(Some(place))));
                let (handshake, router) = (Arc::clone(&handshake), router.clone());
                let connection =
                    connection(stream, peer, handshake, router, stranger, lifecycle.clone());
                lifecycle.tasks.spawn(connection);
            }
            Err(error) => {
                // Out of descriptors, most likely: others must close before it gets better.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Accepts once there is room for a stranger. Those who come meanwhile wait in the listener's
/// queue: every stranger is gone after [`PATIENCE`].
async fn accept_one(
    listener: &TcpListener,
    strangers: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let room = Arc::clone(strangers).acquire_owned();
    tokio::pin!(room);
    let place = if let Ok(place) = tokio::time::timeout(CROWDED, &mut room).await {
        place
    } else {
        tracing::warn!("{STRANGERS} connections without the service secret hold others up");
        room.await
    };
    let place = place.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    handshake: Arc<Handshake>,
    router: Router,
    stranger: Stranger,
    lifecycle: Lifecycle,
) {
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
    // Nothing is lost when the process stops meanwhile: there was no request yet.
    let shaken = tokio::select! {
        biased;
        () = lifecycle.stop.cancelled() => return,
        shaken = handshake.shake(stream, peer, PATIENCE) => shaken,
    };
    let Some(stream) = shaken else { return };
    let known = stranger.clone();
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(stranger.clone());
        let answered = router.clone().oneshot(request);
        async move {
            let mut response = answered.await.unwrap_or_else(|never: Infallible| match never {});
            harden(response.headers_mut());
            Ok::<_, Infallible>(response)
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // It would end the idle connections of gateways too: strangers have a limit of their own.
        .header_read_timeout(None)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let (mut stopping, mut judged) = (false, false);
    loop {
        // The connection keeps its own state; the other arms only wait.
        tokio::select! {
            biased;
            () = lifecycle.stop.cancelled(), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
            served = &mut serving => {
                if let Err(error) = served {
                    tracing::debug!(%peer, %error, "a connection ended early");
                }
                return;
            }
            () = &mut patience, if !judged => {
                judged = true;
                if known.is_stranger() {
                    return;
                }
            }
        }
    }
}

async fn call(State(app): State<App>, request: Request) -> Response {
    match read::<Call>(&app, request).await {
        Ok(call) => write(&app.rim.answer(call).await),
        Err(refusal) => refusal,
    }
}

async fn feed(State(app): State<App>, request: Request) -> Response {
    match read::<Poll>(&app, request).await {
        Ok(poll) => write(&app.rim.news(poll).await),
        Err(refusal) => refusal,
    }
}

async fn survey(State(app): State<App>, request: Request) -> Response {
    match read::<PeerAsk>(&app, request).await {
        Ok(asked) => match app.rim.survey(asked).await {
            Ok(survey) => write(&survey),
            Err(refusal) => refusal.into_response(),
        },
        Err(refusal) => refusal,
    }
}

/// What a gateway says, once it has shown the secret.
async fn read<T: DeserializeOwned>(app: &App, request: Request) -> Result<T, Response> {
    if !app.has_secret(request.headers()) {
        tracing::warn!("a call without the service secret was refused");
        return Err((StatusCode::UNAUTHORIZED, [(header::CONNECTION, "close")]).into_response());
    }
    let (parts, body) = request.into_parts();
    if let Some(stranger) = parts.extensions.get::<Stranger>() {
        stranger.is_known();
    }
    let body = tokio::time::timeout(BODY_PATIENCE, axum::body::to_bytes(body, MAX_BODY));
    let body = match body.await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE.into_response()),
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT.into_response()),
    };
    serde_json::from_slice(&body).map_err(|error| {
        // The gateway is ours: what it cannot say is a fault of one of us. Only the place is
        // logged, because the text may hold a secret.
        tracing::error!(column = error.column(), "a call could not be read");
        StatusCode::BAD_REQUEST.into_response()
    })
}

fn write(answer: &impl Serialize) -> Response {
    match serde_json::to_vec(answer) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn jwks(State(app): State<App>, headers: HeaderMap) -> Response {
    let now_ms = app.rim.context.clock.now_ms();
    let keys = match app.rim.context.state.view() {
        Ok(view) => app.rim.context.tokens.jwks(&view, now_ms),
        Err(error) => Err(error.into()),
    };
    let mut response = match keys {
        Ok(keys) => (
            [
                (header::CONTENT_TYPE, "application/jwk-set+json"),
                (header::CACHE_CONTROL, JWKS_CACHE),
            ],
            keys,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no public keys");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    };
    // A stranger gets the keys and no more.
    if !app.has_secret(&headers) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl App {
    fn has_secret(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let secret = self.secret.expose_secret();
        !secret.is_empty() && bool::from(shown.as_bytes().ct_eq(secret.as_bytes()))
    }
}

fn harden(headers: &mut HeaderMap) {
    let always = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: iam\r\n\r\n";

    /// A connection to a router whose only answer is that the secret was shown.
    async fn connect() -> (TcpStream, Lifecycle) {
        let router = Router::new().route(
            "/",
            get(|request: Request| async move {
                request.extensions().get::<Stranger>().unwrap().is_known();
                "known"
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let stranger = Stranger(Arc::new(Mutex::new(Some(place))));
        let life = Lifecycle::new();
        let handshake = Arc::new(Handshake::new(None, Arc::default()));
        life.tasks.spawn(connection(stream, peer, handshake, router, stranger, life.clone()));
        (client, life)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_who_dawdles_is_cut_off() {
        for begun in [&b""[..], b"POST /v1/call HTTP/1.1\r\nHost:"] {
            let (mut client, _life) = connect().await;
            client.write_all(begun).await.unwrap();
            assert_eq!(client.read(&mut [0; 64]).await.unwrap_or(0), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_may_be_idle_for_long() {
        let (mut client, life) = connect().await;
        for _ in 0..2 {
            client.write_all(REQUEST).await.unwrap();
            let mut answer = [0; 1_024];
            let read = client.read(&mut answer).await.unwrap();
            assert!(answer[..read].ends_with(b"known"));
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
        assert!(life.stop(Duration::from_secs(5)).await);
    }
}
