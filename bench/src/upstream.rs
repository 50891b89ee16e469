//! A service behind the gateway that does nothing: hyper answers each POST with its body.
//!
//! And the least that a client of it can cost: a connection and one request after the other on it.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::ensure;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, client, server};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::load::{self, Sample, Shape, Shared};
use crate::server::Server;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Serves on a port of the system's choice, which it tells on stderr, until it is killed.
pub(crate) async fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stderr(), "POST to http://{}/", listener.local_addr()?)?;
    let tasks = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tasks.spawn(async {
            // A connection that fails is the client's to report.
            let connection = server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service_fn(echo)).await;
        });
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // What cannot be read is answered with less, which the client reports.
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let mut response = Response::new(Full::new(body.unwrap_or_default()));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    Ok(response)
}

/// Loads the service directly: one request outstanding on each connection. `cpu` is the client's.
pub(crate) async fn ask(server: &Server, bytes: usize, shape: Shape) -> anyhow::Result<Sample> {
    let shared = Arc::new(Shared::default());
    let body = Bytes::from(format!("{{\"payload\":\"{}\"}}", "x".repeat(bytes)));
    let mut load = JoinSet::new();
    for _ in 0..shape.connections {
        let stream = TcpStream::connect(server.entrance.address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender.
        load.spawn(async move { Ok(driver.await?) });
        load.spawn(requests(
            sender,
            server.entrance.address.to_string(),
            body.clone(),
            shared.clone(),
        ));
    }
    let sample = load::measure(server, shape.time, &shared, load).await?;
    Ok(Sample { cpu: sample.busy * 1e6 / sample.rate, ..sample })
}

async fn requests(
    mut sender: client::conn::http1::SendRequest<Full<Bytes>>,
    host: String,
    body: Bytes,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    let mut times = Vec::new();
    while !shared.stopped.load(Ordering::Relaxed) {
        let sent = Instant::now();
        let request = Request::builder()
            .method(Method::POST)
            .uri("/")
            .header(HOST, &host)
            .header(CONTENT_TYPE, JSON)
            .body(Full::new(body.clone()))?;
        sender.ready().await?;
        let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
        ensure!(answer.len() == body.len(), "an answer that was not due");
        times.push(sent.elapsed().as_secs_f32() * 1e6);
        shared.count(&mut times);
    }
    Ok(())
}
