//! Messages become frames, and frames have their consequences.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tollgate_proto::close::CloseCode;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::frame::client::{ClientFrame, Malformed};
use tollgate_proto::frame::server::write_pong;
use tollgate_proto::json::{Json, Limits};

use super::calls::trace_of;
use super::{Ending, Flow, Session};
use crate::call::TraceParent;
use crate::metrics::Error;
use crate::reply::{self, Traced};
use crate::socket::Incoming;

/// Frames that wait behind an auth frame, and their bytes.
const MAX_HELD: usize = 64;
const MAX_HELD_BYTES: usize = 1 << 20;
/// How often a client may ping in the long run, and for how long faster than that.
const STRANGERS_PING: Duration = Duration::from_millis(200);
const FRIENDS_PING: Duration = Duration::from_millis(100);
const PING_BURST: Duration = Duration::from_secs(10);
/// A client that sends nothing but nonsense is broken or hostile.
const MAX_MALFORMED: u32 = 20;

impl Session {
    pub(super) fn on_message(&mut self, incoming: Incoming) -> Flow {
        self.note_heard();
        match incoming {
            Incoming::Text(text) => self.on_text(text),
            Incoming::Binary(bytes) => self.on_binary(bytes),
            Incoming::Control => self.on_ping(),
            Incoming::End(end) => Flow::Break(end.into()),
        }
    }

    /// JSON in a binary message is taken like text.
    fn on_binary(&mut self, bytes: Bytes) -> Flow {
        match Utf8Bytes::try_from(bytes) {
            Ok(text) => self.on_text(text),
            Err(_) => self.on_malformed(&Malformed {
                id: None,
                kind: ErrorKind::Error,
                message: "the frame is not JSON",
            }),
        }
    }

    fn on_text(&mut self, text: Utf8Bytes) -> Flow {
        let limits = if self.caller.is_some() { Limits::FRIEND } else { Limits::STRANGER };
        let frame = match ClientFrame::parse(&text, limits) {
            Ok(frame) => frame,
            Err(malformed) => return self.on_malformed(&malformed),
        };
        self.malformed = 0;
        match frame {
            // An auth frame is a barrier: what is behind it is decided under its outcome. So is the
            // moment in which IAM is asked what is left of the identity.
            ClientFrame::Auth(_) | ClientFrame::Call(_) if self.holds_frames() => {
                return self.hold(text);
            }
            ClientFrame::Auth(frame) => self.check(frame, false),
            ClientFrame::Call(frame) => self.on_call(frame, &text),
            ClientFrame::Cancel { id } => self.on_cancel(id),
            ClientFrame::Ping { t } => {
                self.socket.write(write_pong(t));
                return self.on_ping();
            }
            ClientFrame::Pong => {}
            ClientFrame::Unknown { id: Some(id) } => {
                self.refuse(Some(id.get()), ErrorKind::NotSupported.into(), None);
            }
            ClientFrame::Unknown { id: None } => {
                tracing::debug!(conn.id = %self.id, "a frame of unknown type was ignored");
            }
        }
        Flow::Continue(())
    }

    /// Counts a ping, of either kind. Whoever goes on for longer than a burst, faster than its
    /// kind may, is closed.
    fn on_ping(&mut self) -> Flow {
        let each = if self.caller.is_some() { FRIENDS_PING } else { STRANGERS_PING };
        let now = Instant::now();
        let paid = self.pinged.map_or(now, |pinged| pinged.max(now)) + each;
        self.pinged = Some(paid);
        if paid > now + PING_BURST {
            return ControlFlow::Break(Ending::Close(CloseCode::RateAbuse));
        }
        Flow::Continue(())
    }

    /// Answers a frame that does not become a call.
    pub(super) fn refuse(
        &mut self,
        id: Option<&str>,
        error: WireError,
        trace: Option<&TraceParent>,
    ) {
        let error = Traced::new(error, trace);
        self.handles.metrics.frames_refused.inc(Error(error.error().kind));
        tracing::debug!(
            conn.id = %self.id,
            request.id = id,
            trace.id = error.trace_id(),
            principal = self.principal().map(tracing::field::display),
            outcome = error.error().kind.as_str(),
            "frame refused"
        );
        self.socket.write(reply::error_frame(id, &error));
    }

    fn on_malformed(&mut self, malformed: &Malformed<'_>) -> Flow {
        let error = WireError::with_message(malformed.kind, malformed.message);
        self.refuse(malformed.id.map(Json::get), error, None);
        self.malformed += 1;
        if self.malformed >= MAX_MALFORMED {
            return ControlFlow::Break(Ending::Close(CloseCode::Malformed));
        }
        Flow::Continue(())
    }

    fn hold(&mut self, text: Utf8Bytes) -> Flow {
        // In the latter nothing is read beyond what there is room for, and so nothing refused.
        if self.checking.is_none()
            || self.held.len() < MAX_HELD && self.held_bytes + text.len() <= MAX_HELD_BYTES
        {
            self.held_bytes += text.len();
            self.held.push_back(text);
            return Flow::Continue(());
        }
        match ClientFrame::parse(&text, Limits::FRIEND) {
            Ok(ClientFrame::Call(call)) => {
                let (error, trace) = (ErrorKind::TooManyInflight.into(), trace_of(&call));
                self.refuse(Some(call.id.get()), error, trace.as_ref());
                Flow::Continue(())
            }
            // Each auth frame is owed an answer, and there is no room to remember this one.
            _ => ControlFlow::Break(Ending::Close(CloseCode::RateAbuse)),
        }
    }

    /// Whether there is no room for more frames that wait.
    pub(super) fn hold_is_full(&self) -> bool {
        self.held.len() >= MAX_HELD || self.held_bytes >= MAX_HELD_BYTES
    }

    /// Takes up the frames that waited for a verdict, up to the next auth frame.
    pub(super) fn release_held(&mut self) -> Flow {
        while !self.holds_frames() {
            let Some(text) = self.held.pop_front() else { break };
            self.held_bytes -= text.len();
            self.on_text(text)?;
        }
        Flow::Continue(())
    }

    /// Gives the calls that waited for a verdict their last frame.
    pub(super) fn refuse_held(&mut self, kind: ErrorKind) {
        while let Some(text) = self.held.pop_front() {
            if let Ok(ClientFrame::Call(call)) = ClientFrame::parse(&text, Limits::FRIEND) {
                self.refuse(Some(call.id.get()), kind.into(), trace_of(&call).as_ref());
            }
        }
    }

    fn on_cancel(&mut self, id: Json<'_>) {
        let held = self.held.iter().position(|text| is_call_of(text, id));
        if let Some(text) = held.and_then(|at| self.held.remove(at)) {
            self.held_bytes -= text.len();
            return self.refuse(Some(id.get()), ErrorKind::Cancelled.into(), None);
        }
        // A call that has ended already had its last frame; a change that was sent will have it.
        if let Some(left) = self.inflight.cancel(id.get()) {
            self.write_last(left, Err(ErrorKind::Cancelled.into()));
            self.start_waiting();
        }
    }
}

fn is_call_of(text: &str, id: Json<'_>) -> bool {
    match ClientFrame::parse(text, Limits::FRIEND) {
        Ok(ClientFrame::Call(call)) => call.id.get() == id.get(),
        _ => false,
    }
}
