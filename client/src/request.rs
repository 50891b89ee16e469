//! What a call asks for.
//!
//! In: a body, as JSON or as anything that serialises. Out: the text of a `call` frame.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tollgate_proto::frame::CallFrame;
use tollgate_proto::json::{Body, Limits};

use crate::error::CallError;

/// A request to a service.
#[derive(Debug, Clone)]
pub struct Request {
    /// The service: `text-completion`, `config`, `iam`, …
    pub service: String,
    /// The flow, for flow services.
    pub flow: Option<String>,
    /// The workspace, unless the session's default is meant.
    pub workspace: Option<String>,
    /// What the service gets: a JSON object.
    pub body: Box<RawValue>,
    /// The time for all of it, stream included. The gateway is told; and whatever it does, the
    /// call ends with [`CallError::Timeout`] then.
    pub deadline: Option<Duration>,
    /// W3C trace context, passed on.
    pub traceparent: Option<String>,
    /// Whether it may be made twice: a [`LastingClient`](crate::LastingClient) makes it again then
    /// when its socket is lost.
    pub safe: bool,
}

impl Request {
    /// A request whose body is written now.
    pub fn new(service: impl Into<String>, body: &impl Serialize) -> Result<Self, CallError> {
        let body = serde_json::value::to_raw_value(body)
            .map_err(|error| CallError::Request(error.to_string()))?;
        Ok(Self::raw(service, body))
    }

    /// A request with a body that is JSON already.
    pub fn raw(service: impl Into<String>, body: Box<RawValue>) -> Self {
        Self {
            service: service.into(),
            flow: None,
            workspace: None,
            body,
            deadline: None,
            traceparent: None,
            safe: false,
        }
    }

    /// To a flow.
    #[must_use]
    pub fn flow(mut self, flow: impl Into<String>) -> Self {
        self.flow = Some(flow.into());
        self
    }

    /// In a workspace.
    #[must_use]
    pub fn workspace(mut self, workspace: impl Into<String>) -> Self {
        self.workspace = Some(workspace.into());
        self
    }

    /// That may be made twice.
    #[must_use]
    pub fn safe(mut self) -> Self {
        self.safe = true;
        self
    }

    /// Within a time.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The frame as text. A body beyond the protocol's limits is refused here: the gateway would
    /// answer it without an id, and the call would wait for nothing.
    pub(crate) fn write(&self, id: &RawValue) -> Result<String, CallError> {
        let body = Body::parse(self.body.get(), FRAME_LIMITS)
            .map_err(|error| CallError::Request(error.to_string()))?;
        let frame = CallFrame {
            id: id.into(),
            service: self.service.as_str().into(),
            flow: self.flow.as_deref().map(Into::into),
            workspace: self.workspace.as_deref().map(Into::into),
            request: body,
            deadline_ms: self
                .deadline
                .map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
            traceparent: self.traceparent.as_deref().map(Into::into),
        };
        Ok(frame.write())
    }
}

/// What is left of a frame's limits for its body: the envelope is one level and has fewer tokens.
const FRAME_LIMITS: Limits =
    Limits { depth: Limits::FRIEND.depth - 1, tokens: Limits::FRIEND.tokens - 20 };

#[cfg(test)]
mod tests {
    use tollgate_proto::frame::ClientFrame;

    use super::*;

    fn id() -> &'static RawValue {
        serde_json::from_str("\"c-1\"").unwrap()
    }

    #[test]
    fn a_request_becomes_the_frame_that_the_gateway_reads() {
        let request = Request::new("text-completion", &serde_json::json!({ "prompt": "hello" }))
            .unwrap()
            .flow("default")
            .deadline(Duration::from_secs(30));
        assert_eq!(
            request.write(id()).unwrap(),
            r#"{"id":"c-1","service":"text-completion","flow":"default","deadline_ms":30000,"request":{"prompt":"hello"}}"#
        );
    }

    #[test]
    fn the_deepest_body_that_is_sent_is_one_that_the_gateway_takes() {
        let nested = |depth: usize| {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            Request::raw("echo", RawValue::from_string(text).unwrap()).write(id())
        };
        let deepest = nested(Limits::FRIEND.depth - 1).unwrap();
        assert!(matches!(ClientFrame::parse(&deepest, Limits::FRIEND), Ok(ClientFrame::Call(_))));
        let error = nested(Limits::FRIEND.depth).unwrap_err();
        assert!(matches!(error, CallError::Request(_)), "{error}");
    }
}
