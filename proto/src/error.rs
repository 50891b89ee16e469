//! The one table of errors that a client may see.
//!
//! In: an [`ErrorKind`] and, where it helps, a message. Out: the `error` object of a frame, the
//! status and body of an HTTP answer. Never: text that came from inside.

use serde::Serialize;

macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $message:literal, $status:literal, $retryable:literal;)*) => {
        /// The kinds of errors that the gateway itself reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $($(#[$doc])* $variant,)* }

        impl ErrorKind {
            /// Every kind, in the order of the table.
            pub const ALL: &[ErrorKind] = &[$(ErrorKind::$variant,)*];

            /// The `type` on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The message, unless the place that reports it knows a better one.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }

            /// The HTTP status.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the same call may succeed later, unchanged.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }
        }
    };
}

errors! {
    /// A frame that could not be understood at all, or a flow that is not there.
    Error = "error", "Bad message", 400, false;
    /// Nobody is authenticated.
    AuthRequired = "auth-required", "auth failure", 401, false;
    /// The credential expired; its grace time runs.
    AuthExpired = "auth-expired", "the credential has expired", 401, false;
    /// Masked: the caller may not, whatever the reason.
    AccessDenied = "access-denied", "access denied", 403, false;
    /// No such service or operation is registered.
    UnknownService = "unknown-service", "unknown service", 400, false;
    /// Said only to callers who would be allowed.
    WorkspaceNotFound = "workspace-not-found", "workspace not found", 404, false;
    /// The request breaks a rule; the message says which.
    InvalidRequest = "invalid-request", "invalid request", 400, false;
    /// What was addressed is not there.
    NotFound = "not-found", "not found", 404, false;
    /// The time that the call was given is over.
    DeadlineExceeded = "deadline-exceeded", "the deadline of the call has passed", 504, false;
    /// Another call holds what this one wanted.
    Conflict = "conflict", "the id is in use by another call", 409, false;
    /// Beyond a size limit.
    TooLarge = "too-large", "beyond the size limit", 413, false;
    /// Too many requests for now.
    RateLimited = "rate-limited", "too many requests", 429, true;
    /// Too many calls of this socket run and wait.
    TooManyInflight = "too-many-inflight", "too many calls in flight", 429, true;
    /// The caller took the call back.
    Cancelled = "cancelled", "cancelled by the caller", 499, false;
    /// A fault of ours; the log has it.
    Internal = "internal", "internal error", 500, false;
    /// Known, and not offered here.
    NotSupported = "not-supported", "not supported", 501, false;
    /// The backend broke its contract.
    UpstreamError = "upstream-error", "the backend failed", 502, false;
    /// Not now: the backend or IAM is out of reach, or the gateway is going away.
    Unavailable = "unavailable", "unavailable", 503, true;
    /// The backend gave up; existing clients know it by this name.
    GatewayError = "gateway-error", "the backend gave no answer", 502, false;
}

/// The `error` object of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// For people.
    pub message: std::borrow::Cow<'static, str>,
    /// When to try again, where that is known.
    pub retry_after_ms: Option<u64>,
    /// Names the trace of the call, or one made for the error: on the wire it always has one.
    pub trace_id: Option<String>,
}

impl WireError {
    /// The kind with its own message.
    pub const fn new(kind: ErrorKind) -> Self {
        let message = std::borrow::Cow::Borrowed(kind.message());
        Self { kind, message, retry_after_ms: None, trace_id: None }
    }

    /// The kind with a message that tells more.
    pub fn with_message(
        kind: ErrorKind,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) -> Self {
        Self { message: message.into(), ..Self::new(kind) }
    }
}

impl From<ErrorKind> for WireError {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl Serialize for WireError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            r#type: &'a str,
            message: &'a str,
            retryable: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_ms: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            trace_id: Option<&'a str>,
        }
        Shape {
            r#type: self.kind.as_str(),
            message: &self.message,
            retryable: self.kind.retryable(),
            retry_after_ms: self.retry_after_ms,
            trace_id: self.trace_id.as_deref(),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_retryable_ones_are_few() {
        let mut names: Vec<_> = ErrorKind::ALL.iter().map(|k| k.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        let retryable: Vec<_> =
            ErrorKind::ALL.iter().filter(|k| k.retryable()).map(|k| k.as_str()).collect();
        assert_eq!(retryable, ["rate-limited", "too-many-inflight", "unavailable"]);
    }

    #[test]
    fn the_object_has_a_fixed_shape() {
        let json = serde_json::to_string(&WireError::new(ErrorKind::AccessDenied)).unwrap();
        assert_eq!(json, r#"{"type":"access-denied","message":"access denied","retryable":false}"#);
    }
}
