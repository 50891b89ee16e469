//! ⑧ Outcomes become frames and HTTP answers. Errors of the wire are made here, from the table
//! in `proto/src/error.rs`.
//!
//! A call puts its chunks into [`Chunks`] and returns its one outcome. Where the call runs in a task
//! of its own, the task puts the outcome behind the chunks; whoever holds the other end of the queue
//! writes them under the call's id.

use tokio::sync::mpsc;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::frame::server;
use tollgate_proto::iam::{Actor, Refusal, RefusalKind};

use crate::authorise::NotPermitted;
use crate::call::TraceParent;
use crate::iam::{Ended, NotDecided, TooOften};

/// Part of an answer, on its way to the socket's task.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Which call of the socket.
    pub(crate) number: u64,
    /// What it says.
    pub(crate) part: Part,
}

/// A chunk, or the end.
#[derive(Debug)]
pub(crate) enum Part {
    /// More follows.
    Chunk(String),
    /// Nothing follows.
    Last(Outcome),
}

/// How a call ended.
pub(crate) type Outcome = Result<String, Failed>;

/// Why a call did not end well: what its caller is told, and what only the log may have.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: WireError,
    pub(crate) reason: Option<Box<NotPermitted>>,
}

impl Failed {
    /// Whose credential has ended, if that is it.
    pub(crate) fn ended(&self) -> Option<&Actor> {
        match self.reason.as_deref() {
            Some(NotPermitted::NotDecided(NotDecided::Ended(Ended(actor)))) => Some(actor),
            _ => None,
        }
    }
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self { error, reason: None }
    }
}

impl From<ErrorKind> for Failed {
    fn from(kind: ErrorKind) -> Self {
        WireError::new(kind).into()
    }
}

impl From<NotPermitted> for Failed {
    fn from(reason: NotPermitted) -> Self {
        let error = match &reason {
            NotPermitted::NotDecided(NotDecided::TooOften(too_often)) => rate_limited(*too_often),
            other => other.kind().into(),
        };
        Self { error, reason: Some(Box::new(reason)) }
    }
}

/// To whoever was refused too often. Never too early.
pub(crate) fn rate_limited(TooOften(wait): TooOften) -> WireError {
    let after = u64::try_from(wait.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
    WireError { retry_after_ms: Some(after), ..WireError::new(ErrorKind::RateLimited) }
}

/// The last body of a stream whose own last chunk did not say that it was one: existing clients hang
/// if the last frame holds no `response`.
pub(crate) const END_OF_STREAM: &str = r#"{"end_of_stream":true}"#;

/// The way of replies to whoever writes them. Boxed: a queue has room for its replies from the
/// start, and most sockets need none of it.
pub(crate) type Replies = mpsc::Sender<Box<Reply>>;

/// Where a call puts its answer. The queue is bounded: a slow reader makes the backend wait.
#[derive(Debug)]
pub(crate) struct Chunks {
    number: u64,
    queue: Replies,
}

impl Chunks {
    pub(crate) fn new(number: u64, queue: Replies) -> Self {
        Self { number, queue }
    }

    /// One chunk. Fails when nobody listens any more.
    pub(crate) async fn send(&self, body: String) -> Result<(), WireError> {
        self.put(Part::Chunk(body)).await.map_err(|_| ErrorKind::Cancelled.into())
    }

    /// The end of the call.
    pub(crate) async fn finish(self, outcome: Outcome) {
        // Without a reader there is nobody to tell.
        let _ = self.put(Part::Last(outcome)).await;
    }

    async fn put(&self, part: Part) -> Result<(), mpsc::error::SendError<Box<Reply>>> {
        self.queue.send(Box::new(Reply { number: self.number, part })).await
    }
}

/// An error that names a trace: the caller's own, or one that is made for it. The log has the same
/// name, and tells there what is masked here.
#[derive(Debug)]
pub(crate) struct Traced(WireError);

impl Traced {
    pub(crate) fn new(mut error: WireError, trace: Option<&TraceParent>) -> Self {
        error.trace_id.get_or_insert_with(|| match trace {
            Some(trace) => trace.trace_id().to_owned(),
            None => draw_trace_id(),
        });
        Self(error)
    }

    pub(crate) fn error(&self) -> &WireError {
        &self.0
    }

    pub(crate) fn trace_id(&self) -> &str {
        self.0.trace_id.as_deref().unwrap_or_default()
    }
}

impl From<Traced> for WireError {
    fn from(Traced(error): Traced) -> Self {
        error
    }
}

/// W3C trace context: 16 bytes, not all of them zero.
fn draw_trace_id() -> String {
    format!("{:032x}", rand::random_range(1..=u128::MAX))
}

/// The frame of a chunk, under the call's id.
pub(crate) fn chunk_frame(id: &str, body: &str) -> String {
    server::write_response(id, body, false)
}

/// The last frame of a call that ended well, under its id.
pub(crate) fn last_frame(id: &str, body: &str) -> String {
    server::write_response(id, body, true)
}

/// The frame of an error; without an id where none can be told.
pub(crate) fn error_frame(id: Option<&str>, error: &Traced) -> String {
    server::write_error(id, &error.0)
}

/// A refusal of IAM. What is masked becomes an error of the gateway; the rest is the service's
/// own answer, which existing clients read inside `response`.
pub(crate) fn refusal(refusal: &Refusal) -> Outcome {
    match refusal.kind {
        RefusalKind::AccessDenied => Err(ErrorKind::AccessDenied.into()),
        RefusalKind::Unavailable => Err(ErrorKind::Unavailable.into()),
        RefusalKind::TooManyRequests => Err(WireError {
            retry_after_ms: refusal.retry_after_ms,
            ..WireError::new(ErrorKind::RateLimited)
        }
        .into()),
        RefusalKind::InvalidArgument
        | RefusalKind::NotFound
        | RefusalKind::Duplicate
        | RefusalKind::AuthFailed
        | RefusalKind::OperationNotPermitted
        | RefusalKind::WeakPassword
        | RefusalKind::NotSupported
        | RefusalKind::InternalError => {
            let body = serde_json::json!({
                "error": { "type": refusal.kind.as_str(), "message": refusal.message },
            });
            Ok(body.to_string())
        }
    }
}

/// The body of a refused HTTP request: a string, which is what existing clients show.
pub(crate) fn http_error(error: &WireError) -> String {
    serde_json::json!({ "error": error.message }).to_string()
}
