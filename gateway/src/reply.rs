//! ⑧ Outcomes become frames and HTTP answers. Errors of the wire are made here, from the table
//! in `proto/src/error.rs`.
//!
//! A call puts its chunks into [`Chunks`] and returns its one outcome. Where the call runs in a task
//! of its own, the task puts the outcome behind the chunks; whoever holds the other end of the queue
//! writes them under the call's id.

use tokio::sync::mpsc;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::frame::client::Malformed;
use tollgate_proto::frame::server;
use tollgate_proto::iam::{Refusal, RefusalKind};
use tollgate_proto::json::Json;

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
    /// Nothing follows. Boxed, so that a queue of parts is small.
    Last(Box<Outcome>),
}

/// How a call ended.
pub(crate) type Outcome = Result<String, WireError>;

/// The last body of a stream whose own last chunk did not say that it was one: existing clients hang
/// if the last frame holds no `response`.
pub(crate) const END_OF_STREAM: &str = r#"{"end_of_stream":true}"#;

/// Where a call puts its answer. The queue is bounded: a slow reader makes the backend wait.
#[derive(Debug)]
pub(crate) struct Chunks {
    number: u64,
    queue: mpsc::Sender<Reply>,
}

impl Chunks {
    pub(crate) fn new(number: u64, queue: mpsc::Sender<Reply>) -> Self {
        Self { number, queue }
    }

    /// One chunk. Fails when nobody listens any more.
    pub(crate) async fn send(&self, body: String) -> Result<(), WireError> {
        self.put(Part::Chunk(body)).await.map_err(|_| ErrorKind::Cancelled.into())
    }

    /// The end of the call.
    pub(crate) async fn finish(self, outcome: Outcome) {
        // Without a reader there is nobody to tell.
        let _ = self.put(Part::Last(Box::new(outcome))).await;
    }

    async fn put(&self, part: Part) -> Result<(), mpsc::error::SendError<Reply>> {
        self.queue.send(Reply { number: self.number, part }).await
    }
}

/// The frame of a chunk, under the call's id.
pub(crate) fn chunk_frame(id: &str, body: &str) -> String {
    server::write_response(id, body, false)
}

/// The last frame of a call, under its id.
pub(crate) fn last_frame(id: &str, outcome: &Outcome) -> String {
    match outcome {
        Ok(body) => server::write_response(id, body, true),
        Err(error) => server::write_error(Some(id), error),
    }
}

/// The frame of an error.
pub(crate) fn error_frame(id: Option<&str>, error: &WireError) -> String {
    server::write_error(id, error)
}

/// The frame that answers one that could not be taken.
pub(crate) fn malformed_frame(malformed: &Malformed<'_>) -> String {
    let error = WireError::with_message(malformed.kind, malformed.message);
    server::write_error(malformed.id.map(Json::get), &error)
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
        }),
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
