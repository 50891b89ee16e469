//! Frames from the gateway: written by `gateway/src/reply.rs`, parsed by the SDK.
//!
//! A frame with an `id` holds exactly one of `response` and `error`, and `complete`. Frames that
//! the server sends of itself have a `type` and no `id`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::close::CloseCode;
use crate::error::WireError;
use crate::ids::WorkspaceId;
use crate::json::Json;

/// The version of the protocol that `auth-ok` names.
pub const PROTOCOL: u32 = 1;

/// `{"type":"auth-ok",…}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthOk {
    /// The workspace that a call without one goes to.
    pub default_workspace: String,
    /// The same under its name of old.
    #[serde(default)]
    pub workspace: String,
    /// Names the session in logs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// The user behind it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub principal: String,
    /// When the credential expires, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_ms: Option<u64>,
    /// When to authenticate again: 85 % of the life, jittered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reauth_in_ms: Option<u64>,
    /// The interval of heartbeats, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_ms: Option<u64>,
    /// What this session may use.
    #[serde(default)]
    pub limits: SessionLimits,
    /// The features that were granted.
    #[serde(default)]
    pub features: Vec<String>,
    /// The ids of the calls that go on under the new identity; for clients with features, from the
    /// second `auth-ok` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Vec<serde_json::Value>>,
    /// The ids of those that it may not make, and that end now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Vec<serde_json::Value>>,
    /// The version of the protocol.
    #[serde(default)]
    pub protocol: u32,
}

impl AuthOk {
    /// The least that an `auth-ok` says.
    pub fn new(workspace: &WorkspaceId) -> Self {
        Self {
            default_workspace: workspace.to_string(),
            workspace: workspace.to_string(),
            session: String::new(),
            principal: String::new(),
            expires_in_ms: None,
            reauth_in_ms: None,
            heartbeat_ms: None,
            limits: SessionLimits::default(),
            features: Vec::new(),
            kept: None,
            dropped: None,
            protocol: PROTOCOL,
        }
    }

    /// The frame as text.
    pub fn write(&self) -> String {
        typed("auth-ok", self)
    }
}

/// The numbers that bound one session.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLimits {
    /// Bytes of one message to the gateway.
    #[serde(default)]
    pub max_message: u64,
    /// Calls that run at once.
    #[serde(default)]
    pub max_inflight: u64,
    /// Requests a minute, if they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_min: Option<u64>,
    /// Channels at once, if there are channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_subscriptions: Option<u64>,
    /// The longest life of a session, if it is bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_ms: Option<u64>,
}

/// `{"type":"auth-failed",…}`; `error` is a string here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthFailed {
    /// Always the same text: the reason is masked.
    pub error: String,
    /// Present where the credential was not judged: IAM was out of reach, or throttled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
}

impl AuthFailed {
    /// The masked refusal.
    pub fn refused() -> Self {
        Self { error: "auth failure".to_owned(), retryable: None }
    }

    /// The credential could not be judged.
    pub fn unreachable() -> Self {
        Self { retryable: Some(true), ..Self::refused() }
    }

    /// The frame as text.
    pub fn write(&self) -> String {
        typed("auth-failed", self)
    }
}

/// What the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Notice {
    /// The credential ends soon.
    AuthExpiring {
        /// How soon.
        expires_in_ms: u64,
    },
    /// The credential ended, and its grace with it.
    AuthExpired {},
    /// The authority was taken away.
    AuthRevoked {
        /// What was taken: `credential`, `user`, `workspace`.
        scope: String,
        /// What to do now.
        reconnect: String,
    },
    /// No new calls from here on.
    GoingAway {
        /// Why.
        reason: String,
        /// How long running calls have.
        deadline_ms: u64,
        /// When to come back.
        reconnect_after_ms: u64,
    },
    /// The last frame before a close.
    Closing {
        /// The code that the close frame will carry.
        code: u16,
        /// Its reason.
        reason: String,
        /// What to do then.
        reconnect: String,
        /// When.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// Something about one call that is no answer to it.
    Notice {
        /// The id of the call.
        req: serde_json::Value,
        /// What it is about.
        error: String,
    },
}

impl Notice {
    /// The `closing` frame of a code.
    pub fn closing(code: CloseCode) -> Self {
        Self::Closing {
            code: code.code(),
            reason: code.reason().to_owned(),
            reconnect: code.reconnect().as_str().to_owned(),
            retry_after_ms: None,
        }
    }

    /// The frame as text.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// `{"id":…,"response":…,"complete":…}` as text. `response` must be a JSON object.
pub fn write_response(id: &str, response: &str, complete: bool) -> String {
    let end = if complete { r#","complete":true}"# } else { r#","complete":false}"# };
    // Without room to spare: a message is made of it as it is.
    [r#"{"id":"#, id, r#","response":"#, response, end].concat()
}

/// `{"id":…,"error":{…},"complete":true}` as text; without an id if there is none.
pub fn write_error(id: Option<&str>, error: &WireError) -> String {
    let error = serde_json::to_string(error).unwrap_or_default();
    match id {
        Some(id) => format!(r#"{{"id":{id},"error":{error},"complete":true}}"#),
        None => format!(r#"{{"error":{error},"complete":true}}"#),
    }
}

/// `{"type":"pong"}` as text, with the ping's `t`.
pub fn write_pong(t: Option<Json<'_>>) -> String {
    match t {
        Some(t) => format!(r#"{{"type":"pong","t":{}}}"#, t.get()),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

fn typed<T: Serialize>(kind: &'static str, body: &T) -> String {
    #[derive(Serialize)]
    struct Typed<'a, T> {
        r#type: &'static str,
        #[serde(flatten)]
        body: &'a T,
    }
    serde_json::to_string(&Typed { r#type: kind, body }).unwrap_or_default()
}

/// One frame from the gateway, as a client reads it.
#[derive(Debug)]
pub enum ServerFrame<'a> {
    /// The credential was taken.
    AuthOk(AuthOk),
    /// It was not.
    AuthFailed(AuthFailed),
    /// A part of an answer, or its last.
    Response {
        /// Whose.
        id: &'a RawValue,
        /// What the service said.
        response: &'a RawValue,
        /// Whether it is the last.
        complete: bool,
    },
    /// A call failed, or a frame without a usable id did.
    Error {
        /// Whose, if it is known.
        id: Option<&'a RawValue>,
        /// What went wrong.
        error: ReceivedError,
    },
    /// The answer to a ping.
    Pong,
    /// The server asks whether we are there.
    Ping,
    /// What the server says of itself.
    Notice(Notice),
    /// A frame of a later protocol.
    Unknown,
}

/// An `error` object as a client reads it: its type may be one that we do not know.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub struct ReceivedError {
    /// The error's type.
    #[serde(default)]
    pub r#type: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Whether the same may succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// When.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    /// The trace of the call.
    #[serde(default)]
    pub trace_id: Option<String>,
}

impl<'a> ServerFrame<'a> {
    /// Reads one message.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(default)]
            r#type: Option<String>,
            #[serde(borrow, default, deserialize_with = "present")]
            id: Option<&'a RawValue>,
            #[serde(borrow, default)]
            response: Option<&'a RawValue>,
            #[serde(default)]
            error: Option<serde_json::Value>,
            #[serde(default)]
            complete: bool,
        }
        let envelope: Envelope<'a> = serde_json::from_str(text)?;
        if let (Some(id), Some(response)) = (envelope.id, envelope.response) {
            return Ok(Self::Response { id, response, complete: envelope.complete });
        }
        match (envelope.r#type.as_deref(), envelope.error) {
            // Other gateways are known to send the text alone.
            (None, Some(serde_json::Value::String(message))) => {
                let error = ReceivedError { message, ..ReceivedError::default() };
                Ok(Self::Error { id: envelope.id, error })
            }
            (None, Some(error)) => {
                Ok(Self::Error { id: envelope.id, error: serde_json::from_value(error)? })
            }
            (Some("auth-ok"), _) => serde_json::from_str(text).map(Self::AuthOk),
            (Some("auth-failed"), _) => serde_json::from_str(text).map(Self::AuthFailed),
            (Some("pong"), _) => Ok(Self::Pong),
            (Some("ping"), _) => Ok(Self::Ping),
            (Some(_), _) => Ok(serde_json::from_str(text).map_or(Self::Unknown, Self::Notice)),
            (None, None) => Ok(Self::Unknown),
        }
    }
}

/// Keeps an explicit `null`, which is an id like others.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}
