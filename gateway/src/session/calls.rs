//! The calls of a socket: from a frame to a running task, and from its answers to frames.

use std::future::pending;
use std::hash::BuildHasher;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError};
use tokio::time::Instant;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::frame::client::CallFrame;
use tollgate_proto::frame::server::Notice;
use tollgate_proto::iam::Check;

use super::Session;
use super::inflight::{Admission, Frame, Left, Running, Was};
use super::phase::{Action, Input, step};
use crate::authorise::Caller;
use crate::call::{Call, Fate, Target, TraceParent};
use crate::handles::Rules;
use crate::record::{Record, Source};
use crate::registry::resolve::Request;
use crate::reply::{self, Chunks, Failed, Outcome, Part, Replies, Reply, Traced};

/// Answers that wait for the socket's task; more make their backends wait.
const ANSWER_QUEUE: usize = 64;

/// A call that waits for its turn, with the rules under which it came and who calls. In a box: it
/// goes through several futures, and each would have room for it.
pub(super) type WaitingCall = (Arc<Rules>, Record, Option<Arc<Caller>>, Box<Call>);

type Answers = Option<(Replies, mpsc::Receiver<Box<Reply>>)>;

/// A call's task that is over.
pub(super) struct Ended {
    number: u64,
    panicked: bool,
}

/// What the first poll of a call came to.
enum Beginning {
    Ended(Outcome),
    Panicked,
    /// It waits for something, in a task of its own.
    Runs(AbortHandle, Option<Check>, Option<Arc<Fate>>),
}

/// Waits for the next answer.
pub(super) async fn next_answer(answers: &mut Answers) -> Option<Box<Reply>> {
    match answers {
        Some((_, answers)) => answers.recv().await,
        None => pending().await,
    }
}

impl Session {
    pub(super) fn on_call(&mut self, frame: CallFrame<'_>, text: &str) {
        let (id, trace) = (frame.id.get(), trace_of(&frame));
        if let Some(kind) = self.refusal() {
            return self.refuse(Some(id), kind.into(), trace.as_ref());
        }
        let fingerprint = || self.handles.hasher.hash_one(text);
        let runs = match self.inflight.admit(id, text.len(), fingerprint) {
            Admission::Run => true,
            Admission::Wait => false,
            Admission::Joined => return,
            Admission::Conflict => return self.tell_conflict(id),
            Admission::Full => {
                let error = ErrorKind::TooManyInflight.into();
                return self.refuse(Some(id), error, trace.as_ref());
            }
        };
        // With the first call, and before its texts, among which it would leave a hole.
        self.answers.get_or_insert_with(answer_queue);
        let request = Request {
            service: frame.service,
            flow: frame.flow,
            workspace: frame.workspace,
            body: frame.request.object,
            deadline: frame.deadline_ms.map(Duration::from_millis),
            traceparent: trace.clone(),
            fate: None,
        };
        let rules = self.handles.rules.load_full();
        let identity = self.caller.as_ref().map(|caller| &**caller.identity());
        match rules.registry.resolve(request, identity) {
            Ok(call) => {
                let record = Record::new(Source::Socket(self.id), &call, identity);
                let call = (rules, record, self.caller.clone(), Box::new(call));
                if runs {
                    self.start(id, text, call);
                } else {
                    let (frame, due) = (self.frame(text), call.3.deadline());
                    self.inflight.wait(id, frame, due, call);
                }
            }
            Err(error) => self.refuse(Some(id), error, trace.as_ref()),
        }
    }

    fn frame(&self, text: &str) -> Frame {
        Frame { fingerprint: self.handles.hasher.hash_one(text), bytes: text.len() }
    }

    /// Why no call may run now, if none may.
    fn refusal(&self) -> Option<ErrorKind> {
        let (_, actions) = step(self.phase, Input::Call);
        match actions {
            [Action::Run] if self.draining => Some(ErrorKind::Unavailable),
            [Action::Run] => None,
            [Action::Refuse(kind)] => Some(*kind),
            // The machine gives every call one of these two.
            _ => Some(ErrorKind::Internal),
        }
    }

    fn tell_conflict(&mut self, id: &str) {
        if !self.terms.negotiated {
            return;
        }
        if let Ok(req) = serde_json::from_str(id) {
            let error = ErrorKind::Conflict.as_str().to_owned();
            self.socket.write(Notice::Notice { req, error }.write());
        }
    }

    /// Runs a call that has just come. One that is answered at once is never in flight.
    fn start(&mut self, id: &str, text: &str, (rules, record, caller, call): WaitingCall) {
        let number = self.inflight.number();
        match self.begin(number, rules, caller, call) {
            Beginning::Ended(outcome) if self.nothing_queued() => {
                let frame = self.last_frame(id, Some(record), outcome);
                self.socket.write(frame);
            }
            beginning => {
                let frame = self.frame(text);
                self.inflight.run(number, id, frame);
                self.go_on(number, record, beginning);
            }
        }
    }

    /// Polls a call for the first time. One that can be answered at once costs no task.
    fn begin(
        &mut self,
        number: u64,
        rules: Arc<Rules>,
        caller: Option<Arc<Caller>>,
        call: Box<Call>,
    ) -> Beginning {
        let (queue, _) = self.answers.get_or_insert_with(answer_queue);
        let chunks = Chunks::new(number, queue.clone());
        let check = call.needs.check().cloned();
        let fate = match &call.target {
            Target::Iam(_, fate) => Some(Arc::clone(fate)),
            Target::Nothing | Target::Backend(..) | Target::Passage(_) => None,
        };
        let client = Arc::clone(&self.client);
        let run = async move {
            let outcome = rules.dispatcher.answer(caller, client, call, &chunks).await;
            (outcome, chunks)
        };
        let mut run = AssertUnwindSafe(run).catch_unwind().boxed();
        // The first poll is ours. If more are needed, a task makes them all, beginning with one
        // that registers its own waker. Answers that the client leaves unread wait in tasks.
        let first = if self.socket.has_room() {
            run.poll_unpin(&mut Context::from_waker(Waker::noop()))
        } else {
            Poll::Pending
        };
        match first {
            Poll::Ready(Ok((outcome, _))) => Beginning::Ended(outcome),
            Poll::Ready(Err(_)) => Beginning::Panicked,
            Poll::Pending => {
                let abort = self.tasks.spawn(async move {
                    match run.await {
                        Ok((outcome, chunks)) => {
                            // Behind the call's own chunks.
                            chunks.finish(outcome).await;
                            Ended { number, panicked: false }
                        }
                        Err(_) => Ended { number, panicked: true },
                    }
                });
                Beginning::Runs(abort, check, fate)
            }
        }
    }

    /// What follows the beginning of a call that is in flight.
    fn go_on(&mut self, number: u64, record: Record, beginning: Beginning) {
        let (abort, check, fate, outcome) = match beginning {
            Beginning::Ended(outcome) => (None, None, None, Some(outcome)),
            Beginning::Panicked => {
                self.tell_panic();
                (None, None, None, Some(Err(ErrorKind::Internal.into())))
            }
            Beginning::Runs(abort, check, fate) => (Some(abort), check, fate, None),
        };
        self.inflight.running_as(number, Running { abort, check, fate, record });
        if let Some(outcome) = outcome {
            self.write_queued();
            self.end_call(number, outcome);
        }
    }

    fn nothing_queued(&self) -> bool {
        self.answers.as_ref().is_none_or(|(_, answers)| answers.is_empty())
    }

    /// Writes the chunks of a call that has just ended, before its end.
    fn write_queued(&mut self) {
        while let Some(Ok(answer)) = self.answers.as_mut().map(|(_, answers)| answers.try_recv()) {
            self.on_answer(*answer);
        }
    }

    /// Starts calls whose turn has come.
    pub(super) fn start_waiting(&mut self) {
        if !self.is_open() {
            return;
        }
        while let Some((number, waiting)) = self.inflight.next_waiting() {
            let (rules, record, caller, call) = waiting;
            let beginning = self.begin(number, rules, caller, call);
            self.go_on(number, record, beginning);
        }
    }

    /// Ends calls whose time is over before their turn has come.
    pub(super) fn end_overdue(&mut self, now: Instant) {
        while let Some(number) = self.inflight.overdue(now) {
            self.end_call(number, Err(ErrorKind::DeadlineExceeded.into()));
        }
    }

    /// Writes what a call says. Whatever a call says after its end is dropped here.
    pub(super) fn on_answer(&mut self, answer: Reply) {
        match answer.part {
            Part::Chunk(body) => {
                let Some(id) = self.inflight.id(answer.number) else { return };
                let frame = reply::chunk_frame(&id, &body);
                if self.terms.allow(&frame) {
                    self.socket.write(frame);
                } else {
                    self.end_call(answer.number, Err(frame_too_large().into()));
                    self.start_waiting();
                }
            }
            Part::Last(outcome) => {
                self.end_call(answer.number, outcome);
                self.start_waiting();
            }
        }
    }

    /// Ends a call that is in flight.
    pub(super) fn end_call(&mut self, number: u64, outcome: Outcome) {
        if let Some(left) = self.inflight.end(number) {
            self.write_last(left, outcome);
        }
    }

    /// Writes the last frame of a call that is in flight no more.
    pub(super) fn write_last(&mut self, left: Left<WaitingCall>, outcome: Outcome) {
        let frame = self.last_frame(&left.id, record_of(left.was), outcome);
        self.socket.write(frame);
    }

    /// Ends the record of a call, and gives its last frame.
    fn last_frame(&mut self, id: &str, mut record: Option<Record>, outcome: Outcome) -> String {
        let error = match outcome.map(|body| reply::last_frame(id, &body)) {
            Ok(frame) if self.terms.allow(&frame) => {
                if let Some(record) = record {
                    record.end(Some(id), None);
                }
                return frame;
            }
            Ok(_) => frame_too_large(),
            Err(failed) => {
                let ended = failed.ended().map(|actor| self.note_ended(actor)).is_some();
                let Failed { error, reason } = failed;
                if let Some(record) = &mut record {
                    record.because(reason);
                }
                if ended { ErrorKind::AccessDenied.into() } else { error }
            }
        };
        let error = Traced::new(error, record.as_ref().and_then(Record::trace));
        if let Some(record) = record {
            record.end(Some(id), Some(error.error()));
        }
        reply::error_frame(Some(id), &error)
    }

    pub(super) fn on_task_ended(&mut self, ended: &Result<Ended, JoinError>) {
        // A task that was cancelled has had its last frame from whoever cancelled it.
        if let Ok(Ended { number, panicked: true }) = ended {
            self.tell_panic();
            self.end_call(*number, Err(ErrorKind::Internal.into()));
            self.start_waiting();
        }
    }

    fn tell_panic(&self) {
        tracing::error!(conn.id = %self.id, "a call panicked");
    }

    /// Gives every call that is in flight its last frame, but those whose own answer is waited for.
    /// Says how many were ended.
    pub(super) fn end_calls(&mut self, kind: ErrorKind) -> u64 {
        let ended = self.inflight.take_back_all();
        let count = ended.len() as u64;
        for left in ended {
            self.write_last(left, Err(kind.into()));
        }
        count
    }

    /// Ends the calls of a client that is not there any more, but those.
    pub(super) fn forget_calls(&mut self) {
        for Left { id, was } in self.inflight.take_back_all() {
            self.last_frame(&id, record_of(was), Err(ErrorKind::Cancelled.into()));
        }
    }

    /// Waits for the answers of changes that were sent to IAM, after all other calls were ended.
    /// None takes longer than its question may.
    pub(super) async fn hear_changes(&mut self) {
        while !self.tasks.is_empty() {
            // Both arms only wait. What a task has said is there when it ends.
            tokio::select! {
                biased;
                Some(answer) = next_answer(&mut self.answers) => self.on_answer(*answer),
                Some(ended) = self.tasks.join_next() => self.on_task_ended(&ended),
                else => break,
            }
        }
        self.write_queued();
    }
}

/// The trace that a frame names.
pub(super) fn trace_of(frame: &CallFrame<'_>) -> Option<TraceParent> {
    frame.traceparent.as_deref().and_then(TraceParent::parse)
}

fn record_of(was: Was<WaitingCall>) -> Option<Record> {
    match was {
        Was::Running(Running { record, .. }) | Was::Waiting((_, record, ..)) => Some(record),
        Was::New => None,
    }
}

fn answer_queue() -> (Replies, mpsc::Receiver<Box<Reply>>) {
    mpsc::channel(ANSWER_QUEUE)
}

fn frame_too_large() -> WireError {
    let message = "the answer is larger than a frame that this client takes";
    WireError::with_message(ErrorKind::TooLarge, message)
}
