//! The frames of one call, as they come.
//!
//! In: the bounded queue that the connection fills. Out: one response after another, ending with
//! the last frame or the first error. Dropped before that, it cancels its call.

use std::fmt;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::error::CallError;
use crate::handle::{Part, Ticket};

/// The answer to a call, frame by frame.
pub struct Stream {
    // Before the ticket: fields are dropped in this order, and the ticket wants to be last.
    parts: mpsc::Receiver<Part>,
    ticket: Ticket,
    deadline: Option<Deadline>,
    is_over: bool,
}

/// When a call must have ended.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    pub at: Instant,
    /// What the caller asked for, for the error's text.
    pub after: Duration,
}

impl Stream {
    pub(crate) fn new(
        parts: mpsc::Receiver<Part>,
        ticket: Ticket,
        deadline: Option<Deadline>,
    ) -> Self {
        Self { parts, ticket, deadline, is_over: false }
    }

    /// The next response; `None` after the last one, and after an error. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Box<RawValue>, CallError>> {
        if self.is_over {
            return None;
        }
        let part = match self.deadline {
            None => self.parts.recv().await,
            Some(Deadline { at, after }) => {
                let Ok(part) = timeout_at(at, self.parts.recv()).await else {
                    self.end();
                    return Some(Err(CallError::Timeout(after)));
                };
                part
            }
        };
        let Some(Part { result, is_last }) = part else {
            self.is_over = true;
            self.ticket.done();
            return Some(Err(self.ticket.why_ended().into()));
        };
        if is_last {
            self.is_over = true;
            self.ticket.done();
        } else if result.is_err() {
            self.end();
        }
        Some(result)
    }

    /// Ends before the last frame. What still comes is not wanted; the ticket cancels the call
    /// when the stream is dropped.
    fn end(&mut self) {
        self.is_over = true;
        self.parts.close();
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
