//! One HTTP/1.1 connection, driven by the task whose request is on it.
//!
//! There is no task behind a connection: an answer costs no wake-up of another task, a reader that
//! waits stops the reading, and whoever drops the answer closes the connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;
use tollgate_runtime::stream::Stream;

use super::RequestBody;

/// Read with one call of the operating system at most; the head of an answer must fit.
pub(super) const MAX_BUFFER: usize = 64 << 10;
pub(super) const MAX_HEAD: usize = 16 << 10;
pub(super) const MAX_HEADERS: usize = 64;

/// Why a request has no answer.
pub(super) enum Attempt {
    /// No byte of it has left: another server may have it.
    NotSent(Box<Request<RequestBody>>, String),
    /// It may have been read, and even obeyed.
    Broken(String),
}

type Driver = http1::Connection<TokioIo<Stream>, RequestBody>;

/// A connection that is not over.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    /// Moves the bytes; gone when the connection is over.
    driver: Option<Driver>,
}

impl Connection {
    /// Prepares a connection that has just been made.
    pub(super) async fn begin(stream: Stream) -> Result<Box<Self>, String> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_BUFFER).max_header_size(MAX_HEAD).max_headers(MAX_HEADERS);
        let begun = builder.handshake(TokioIo::new(stream)).await;
        let (sender, driver) = begun.map_err(|error| describe(&error))?;
        Ok(Box::new(Self { sender, driver: Some(driver) }))
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<(Parts, Incoming), Attempt> {
        let answer = self.sender.try_send_request(request);
        self.drive(answer).await.map(hyper::Response::into_parts).map_err(|mut error| {
            // What hyper gives back it has not begun to write.
            match error.take_message() {
                Some(request) => Attempt::NotSent(Box::new(request), error.error().to_string()),
                None => Attempt::Broken(describe(error.error())),
            }
        })
    }

    /// The next piece of the answer's body, or `None` at its end.
    pub(super) async fn piece(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, String> {
        while let Some(frame) = self.drive(body.frame()).await {
            // Trailers say nothing that is passed on.
            if let Ok(piece) = frame.map_err(|error| describe(&error))?.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Whether the connection, whose last answer has ended, takes another request.
    pub(super) fn is_free(&mut self) -> bool {
        // Whoever takes it up polls it again.
        self.poll(&mut Context::from_waker(Waker::noop()));
        self.sender.is_ready()
    }

    /// Waits for something that comes over this connection, and moves its bytes meanwhile.
    async fn drive<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            // First what has come already. Polled once more behind the driver, it needs no
            // wake-up for what the driver brought.
            if let Poll::Ready(value) = wanted.as_mut().poll(cx) {
                return Poll::Ready(value);
            }
            self.poll(cx);
            wanted.as_mut().poll(cx)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            // What waits for something of it is told so.
            self.driver = None;
        }
    }
}

/// The error with its innermost cause, for the log.
pub(super) fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
