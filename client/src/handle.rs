//! What every clone of a client shares with the one task that owns the socket.
//!
//! In: calls, credentials and abandoned ids from any task. Out: bounded queues that the
//! connection empties, and the facts that it publishes. Never: the socket itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tollgate_proto::frame::{AuthFailed, AuthOk, Notice};

use crate::config::Config;
use crate::error::{CallError, Closed, Ended};

/// Credentials that wait to be sent; one more waits in its own `authenticate`.
const AUTH_QUEUE: usize = 4;
/// Notices that a slow listener may be behind; beyond it misses the oldest and is told.
const NOTICE_QUEUE: usize = 64;

/// The number in the id of a call: `"c-7"` is 7. Counted by socket, never used twice.
pub(crate) type CallNumber = u64;

/// The id of a call as it stands in frames.
pub(crate) fn id_of(number: CallNumber) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(format!(r#""c-{number}""#))
}

/// The number in an id that came back, if it is one of ours.
pub(crate) fn number_of(id: &RawValue) -> Option<CallNumber> {
    id.get().strip_prefix(r#""c-"#)?.strip_suffix('"')?.parse().ok()
}

/// A call on its way to the socket.
pub(crate) struct CallCommand {
    pub number: CallNumber,
    /// The whole frame, written by the caller's task.
    pub frame: String,
    pub slot: Slot,
}

/// Where the frames of a call go.
pub(crate) enum Slot {
    /// The last frame only.
    Call(oneshot::Sender<Result<Box<RawValue>, CallError>>),
    /// Every frame. The queue has one place more than frames may wait: it is for the error that
    /// ends a stream whose consumer is too slow.
    Stream(mpsc::Sender<Part>),
}

impl Slot {
    /// Whether nobody waits any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Call(sender) => sender.is_closed(),
            Self::Stream(sender) => sender.is_closed(),
        }
    }
}

/// One frame of a stream.
pub(crate) struct Part {
    pub result: Result<Box<RawValue>, CallError>,
    pub is_last: bool,
}

/// A credential on its way to the socket.
pub(crate) struct AuthCommand {
    pub token: SecretString,
    pub answer: oneshot::Sender<Result<AuthOk, AuthFailed>>,
}

/// The callers' side.
pub(crate) struct Handle {
    pub calls: mpsc::Sender<CallCommand>,
    pub auths: mpsc::Sender<AuthCommand>,
    pub closing: CancellationToken,
    pub session: watch::Receiver<Option<AuthOk>>,
    pub ended: watch::Receiver<Option<Ended>>,
    pub notices: broadcast::Sender<Notice>,
    abandoned: Arc<Abandoned>,
    last_number: AtomicU64,
}

/// The connection's side. It holds no sender of the queues, so that they end with the last handle.
pub(crate) struct Ends {
    pub calls: mpsc::Receiver<CallCommand>,
    pub auths: mpsc::Receiver<AuthCommand>,
    pub closing: CancellationToken,
    pub session: watch::Sender<Option<AuthOk>>,
    pub ended: watch::Sender<Option<Ended>>,
    pub notices: broadcast::Sender<Notice>,
    pub abandoned: Arc<Abandoned>,
}

/// Both sides of one connection.
pub(crate) fn pair(config: &Config) -> (Handle, Ends) {
    let (call_sender, calls) = mpsc::channel(config.call_queue.max(1));
    let (auth_sender, auths) = mpsc::channel(AUTH_QUEUE);
    let (session, session_receiver) = watch::channel(None);
    let (ended, ended_receiver) = watch::channel(None);
    let (notices, _) = broadcast::channel(NOTICE_QUEUE);
    let closing = CancellationToken::new();
    let abandoned = Arc::new(Abandoned::default());
    let handle = Handle {
        calls: call_sender,
        auths: auth_sender,
        closing: closing.clone(),
        session: session_receiver,
        ended: ended_receiver,
        notices: notices.clone(),
        abandoned: Arc::clone(&abandoned),
        last_number: AtomicU64::new(0),
    };
    (handle, Ends { calls, auths, closing, session, ended, notices, abandoned })
}

impl Handle {
    /// The number of the next call.
    pub(crate) fn next_number(&self) -> CallNumber {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Why the socket is gone. The connection says so before it drops what waits on it.
    pub(crate) fn why_ended(&self) -> Ended {
        let ended = self.ended.borrow().clone();
        ended.unwrap_or_else(|| Closed::lost("the connection's task is gone").into())
    }
}

/// Calls that nobody waits for any more. A drop cannot wait for room in a queue, so this is a
/// list: bounded all the same, because a call enters it once.
#[derive(Default)]
pub(crate) struct Abandoned {
    numbers: Mutex<Vec<CallNumber>>,
    changed: Notify,
}

impl Abandoned {
    /// Returns when the list may not be empty. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Empties the list.
    pub(crate) fn take(&self) -> Vec<CallNumber> {
        std::mem::take(&mut *self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, number: CallNumber) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        self.changed.notify_one();
    }
}

/// Cancels its call when it is dropped before the last frame came.
///
/// It must be dropped after the receiver of that call: a call that is still queued when it is
/// abandoned is then seen to be so, and not sent.
pub(crate) struct Ticket {
    handle: Arc<Handle>,
    number: CallNumber,
    is_done: bool,
}

impl Ticket {
    pub(crate) fn new(handle: &Arc<Handle>, number: CallNumber) -> Self {
        Self { handle: Arc::clone(handle), number, is_done: false }
    }

    /// The last frame came, or the socket went: nothing is left to cancel.
    pub(crate) fn done(&mut self) {
        self.is_done = true;
    }

    pub(crate) fn why_ended(&self) -> Ended {
        self.handle.why_ended()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_done {
            self.handle.abandoned.push(self.number);
        }
    }
}
