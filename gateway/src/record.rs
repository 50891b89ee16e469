//! What a call leaves behind at its end, however it ends: a count, a time and one line in the log.
//!
//! In: the call, when it is taken in. Out: what an operator asks about it later. A record that is
//! dropped tells of a call that nobody waited for any more.
//! Never: the request, the answer, or text of the caller but the id of its frame.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::iam::Identity;
use tollgate_proto::ids::{UserId, WorkspaceId};
use uuid::Uuid;

use crate::authorise::NotPermitted;
use crate::call::{Call, Target, TraceParent};
use crate::metrics::{CallEnd, CallMetrics};

/// Where a call came from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// A frame of this socket.
    Socket(Uuid),
    /// This HTTP request.
    Http(Uuid),
}

/// A call that has not ended.
#[derive(Debug)]
pub(crate) struct Record {
    source: Source,
    name: Arc<str>,
    metrics: Arc<CallMetrics>,
    workspace: Option<WorkspaceId>,
    principal: Option<UserId>,
    backend: Option<Arc<str>>,
    trace: Option<TraceParent>,
    taken: Instant,
    /// Why it was refused, which its caller is not told.
    reason: Option<Box<NotPermitted>>,
    ended: bool,
}

impl Record {
    /// Begins the record of a call.
    pub(crate) fn new(source: Source, call: &Call, identity: Option<&Identity>) -> Self {
        let backend = match &call.target {
            Target::Backend(name, _) | Target::Passage(name) => Some(Arc::clone(name)),
            Target::Nothing | Target::Iam(..) => None,
        };
        Self {
            source,
            name: Arc::clone(&call.name),
            metrics: Arc::clone(&call.metrics),
            workspace: call.needs.check().and_then(|check| check.resource.workspace().cloned()),
            principal: identity.map(|identity| identity.actor.user),
            backend,
            trace: call.traceparent.clone(),
            taken: call.taken,
            reason: None,
            ended: false,
        }
    }

    /// The trace that the caller named.
    pub(crate) fn trace(&self) -> Option<&TraceParent> {
        self.trace.as_ref()
    }

    /// Notes why it is refused, for its line.
    pub(crate) fn because(&mut self, reason: Option<Box<NotPermitted>>) {
        self.reason = reason;
    }

    /// The call has ended well, or with an error. `id` is that of its frame, as JSON.
    pub(crate) fn end(mut self, id: Option<&str>, error: Option<&WireError>) {
        let told = error.and_then(|error| error.trace_id.as_deref());
        let trace_id = told.or(self.trace.as_ref().map(TraceParent::trace_id));
        self.tell(id, error.map(|error| error.kind), trace_id);
        self.ended = true;
    }

    fn tell(&self, id: Option<&str>, error: Option<ErrorKind>, trace_id: Option<&str>) {
        let (end, took) = (CallEnd(error), self.taken.elapsed());
        self.metrics.ends.inc(end);
        self.metrics.duration.observe(took);
        let (conn, http) = match self.source {
            Source::Socket(id) => (Some(id), None),
            Source::Http(id) => (None, Some(id.to_string())),
        };
        tracing::debug!(
            conn.id = conn.map(tracing::field::display),
            request.id = id.or(http.as_deref()),
            trace.id = trace_id,
            operation = &*self.name,
            workspace = self.workspace.as_ref().map(WorkspaceId::as_str),
            principal = self.principal.map(tracing::field::display),
            backend = self.backend.as_deref(),
            outcome = end.as_str(),
            reason = self.reason.as_ref().map(tracing::field::display),
            duration_ms = millis(took),
            "call ended"
        );
    }
}

/// For a line of the log: a number there, which 128 bits are not.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.ended {
            let trace_id = self.trace.as_ref().map(TraceParent::trace_id);
            self.tell(None, Some(ErrorKind::Cancelled), trace_id);
        }
    }
}
