//! Who waits for what, and which frame goes to whom.
//!
//! In: the text of each message, in order. Out: results into the slots of calls, answers to
//! credentials, notices; sometimes a frame to send back. No I/O and no waiting: a slot that is
//! full ends its stream.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tollgate_proto::frame::client::write_cancel;
use tollgate_proto::frame::server::{ReceivedError, write_pong};
use tollgate_proto::frame::{AuthFailed, AuthOk, Notice, ServerFrame};

use crate::error::{CallError, Closed, Ended};
use crate::handle::{CallNumber, Part, Slot, id_of, number_of};

type AuthAnswer = oneshot::Sender<Result<AuthOk, AuthFailed>>;
type CallResult = Result<Box<RawValue>, CallError>;

pub(super) struct Dispatch {
    calls: HashMap<CallNumber, Slot>,
    /// Credentials are answered in the order in which they were sent, without an id.
    auths: VecDeque<AuthAnswer>,
    session: watch::Sender<Option<AuthOk>>,
    notices: broadcast::Sender<Notice>,
    /// What the `closing` frame said; the close frame itself carries no advice.
    farewell: Option<Closed>,
}

impl Dispatch {
    pub(super) fn new(
        session: watch::Sender<Option<AuthOk>>,
        notices: broadcast::Sender<Notice>,
    ) -> Self {
        Self { calls: HashMap::new(), auths: VecDeque::new(), session, notices, farewell: None }
    }

    pub(super) fn wait_for_call(&mut self, number: CallNumber, slot: Slot) {
        self.calls.insert(number, slot);
    }

    pub(super) fn wait_for_auth(&mut self, answer: AuthAnswer) {
        self.auths.push_back(answer);
    }

    pub(super) fn waiting_auths(&self) -> usize {
        self.auths.len()
    }

    /// Forgets a call that nobody waits for; the frame that cancels it, if it was sent. Its last
    /// frame will still come, and is then nobody's.
    pub(super) fn cancel(&mut self, number: CallNumber) -> Option<String> {
        self.calls.remove(&number)?;
        id_of(number).ok().map(|id| write_cancel((&*id).into()))
    }

    /// How the connection ended, with what the server said of it before.
    pub(super) fn explain(&mut self, ended: Ended) -> Ended {
        match (ended, self.farewell.take()) {
            (Ended::Closed(closed), Some(farewell))
                if closed.code == farewell.code || closed.code == Closed::LOST =>
            {
                farewell.into()
            }
            (ended, _) => ended,
        }
    }

    /// Takes one message; what to send back, if anything.
    ///
    /// # Errors
    /// It is no frame. What it answered, if anything, can never be known, so the connection ends.
    pub(super) fn take(&mut self, text: &str) -> Result<Option<String>, Ended> {
        let frame = ServerFrame::parse(text)
            .map_err(|error| Ended::Protocol(format!("a message is no frame: {error}")))?;
        match frame {
            ServerFrame::Response { id, response, complete } => {
                Ok(number_of(id).and_then(|number| self.answer(number, response, complete)))
            }
            ServerFrame::Error { id, error } => {
                self.refuse(id.and_then(number_of), error);
                Ok(None)
            }
            ServerFrame::AuthOk(ok) => {
                self.session.send_replace(Some(ok.clone()));
                self.answer_auth(Ok(ok));
                Ok(None)
            }
            ServerFrame::AuthFailed(failed) => {
                self.answer_auth(Err(failed));
                Ok(None)
            }
            ServerFrame::Ping => Ok(Some(write_pong(None))),
            ServerFrame::Notice(notice) => {
                self.note(notice);
                Ok(None)
            }
            ServerFrame::Pong | ServerFrame::Unknown => Ok(None),
        }
    }

    fn answer(
        &mut self,
        number: CallNumber,
        response: &RawValue,
        complete: bool,
    ) -> Option<String> {
        let slot = self.calls.get(&number)?;
        let result = || match service_error(response) {
            Some(error) => Err(CallError::Service(error)),
            None => Ok(response.to_owned()),
        };
        if complete {
            self.finish(number, result());
            return None;
        }
        let Slot::Stream(parts) = slot else { return None };
        match push_part(parts, Part { result: result(), is_last: false }) {
            Pushed::Taken => None,
            Pushed::Overrun => self.cancel(number),
        }
    }

    fn refuse(&mut self, number: Option<CallNumber>, error: ReceivedError) {
        if let Some(number) = number {
            self.finish(number, Err(CallError::Refused(error)));
        } else {
            tracing::warn!(kind = ?error.r#type, "the server could not read a frame");
        }
    }

    /// The last frame of a call. Nobody may wait for it any more: then it is dropped.
    fn finish(&mut self, number: CallNumber, result: CallResult) {
        match self.calls.remove(&number) {
            Some(Slot::Call(sender)) => drop(sender.send(result)),
            Some(Slot::Stream(parts)) => drop(parts.try_send(Part { result, is_last: true })),
            None => {}
        }
    }

    fn answer_auth(&mut self, answer: Result<AuthOk, AuthFailed>) {
        if let Some(sender) = self.auths.pop_front() {
            // Whoever sent the credential may have stopped waiting.
            drop(sender.send(answer));
        }
    }

    fn note(&mut self, notice: Notice) {
        match &notice {
            Notice::AuthExpired {} | Notice::AuthRevoked { .. } => {
                self.session.send_replace(None);
            }
            Notice::Closing { code, reason, reconnect, retry_after_ms } => {
                self.farewell = Some(Closed {
                    code: *code,
                    reason: reason.clone(),
                    reconnect: Some(reconnect.clone()),
                    retry_after: retry_after_ms.map(Duration::from_millis),
                });
            }
            Notice::AuthExpiring { .. } | Notice::GoingAway { .. } | Notice::Notice { .. } => {}
        }
        // Nobody has to listen.
        drop(self.notices.send(notice));
    }
}

enum Pushed {
    Taken,
    /// The queue is full; its last place now has the error that ends the stream.
    Overrun,
}

fn push_part(parts: &mpsc::Sender<Part>, part: Part) -> Pushed {
    let has_room = parts.capacity() > 1;
    let part =
        if has_room { part } else { Part { result: Err(CallError::SlowConsumer), is_last: true } };
    // It can fail only if the stream was dropped, and then its ticket cancels the call.
    drop(parts.try_send(part));
    if has_room { Pushed::Taken } else { Pushed::Overrun }
}

/// The error that a service put into its response, which is how services report one.
fn service_error(response: &RawValue) -> Option<ReceivedError> {
    #[derive(Deserialize)]
    struct Response {
        error: Option<ReceivedError>,
    }
    // Most responses have none: a search for the key is cheaper than another parse.
    if !response.get().contains("\"error\"") {
        return None;
    }
    let Response { error } = serde_json::from_str(response.get()).ok()?;
    error.filter(|error| !error.r#type.is_empty() || !error.message.is_empty())
}

#[cfg(test)]
mod tests;
