//! Frames from the client: parsed once by the gateway, written by the SDK.
//!
//! In: the text of one message. Out: a [`ClientFrame`] that borrows from it, or what to answer.
//! Never: a judgement on who may send it.

use std::borrow::Cow;
use std::fmt::Write;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::feature::Feature;
use crate::error::ErrorKind;
use crate::json::{self, Limits, text_of};

/// The longest `id`, in bytes of JSON.
pub const MAX_ID: usize = 256;
/// The longest service name, in bytes.
pub const MAX_SERVICE: usize = 128;
const MAX_FEATURES: usize = 32;

/// One frame from a client.
#[derive(Debug)]
pub enum ClientFrame<'a> {
    /// A credential, at any time.
    Auth(AuthFrame),
    /// A request to a service.
    Call(CallFrame<'a>),
    /// Stop that call.
    Cancel {
        /// The id of the call.
        id: &'a RawValue,
    },
    /// Are you there?
    Ping {
        /// Echoed in the pong.
        t: Option<&'a RawValue>,
    },
    /// The answer to a ping of ours.
    Pong,
    /// A `type` that is not known: answered if it has an id, else ignored and counted.
    Unknown {
        /// The id, if there is one.
        id: Option<&'a RawValue>,
    },
}

/// `{"type":"auth","token":…}`
#[derive(Debug, Default)]
pub struct AuthFrame {
    /// The API key or JWT, without surrounding blanks. Missing, empty and of another type are one.
    pub token: Option<SecretString>,
    /// What the client can do with more than the frames of old.
    pub features: Vec<String>,
    /// The largest frame that the client takes.
    pub max_frame: Option<u64>,
}

/// `{"id":…,"service":…,"request":{…}}`
#[derive(Debug)]
pub struct CallFrame<'a> {
    /// Echoed with its JSON type.
    pub id: &'a RawValue,
    /// Which service; empty if none was named.
    pub service: Cow<'a, str>,
    /// The flow, for flow services.
    pub flow: Option<Cow<'a, str>>,
    /// The workspace, unless the identity's default is meant.
    pub workspace: Option<Cow<'a, str>>,
    /// What the service gets.
    pub request: &'a RawValue,
    /// The caller's budget.
    pub deadline_ms: Option<u64>,
    /// W3C trace context, passed on.
    pub traceparent: Option<Cow<'a, str>>,
}

/// What to answer to a frame that could not be taken.
#[derive(Debug, Clone, Copy)]
pub struct Malformed<'a> {
    /// The id to answer under, if there is a usable one.
    pub id: Option<&'a RawValue>,
    /// The error's type.
    pub kind: ErrorKind,
    /// The error's message.
    pub message: &'static str,
}

impl<'a> Malformed<'a> {
    fn new(kind: ErrorKind, message: &'static str) -> Self {
        Self { id: None, kind, message }
    }

    fn invalid(id: &'a RawValue, message: &'static str) -> Self {
        Self { id: Some(id), kind: ErrorKind::InvalidRequest, message }
    }
}

/// The envelope as it came: every known key at most once, unknown keys ignored.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    r#type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    token: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    features: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    max_frame: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    service: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    flow: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    workspace: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    request: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    deadline_ms: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    traceparent: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    t: Option<&'a RawValue>,
}

/// Keeps an explicit `null`, which as an id is echoed.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl<'a> ClientFrame<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// Says what to answer; the socket stays open.
    pub fn parse(text: &'a str, limits: Limits) -> Result<Self, Malformed<'a>> {
        let is_object = text.trim_ascii_start().starts_with('{');
        let envelope = match serde_json::from_str::<Envelope<'a>>(text) {
            Ok(envelope) if is_object => envelope,
            Err(error) if !error.is_data() => {
                return Err(Malformed::new(ErrorKind::Error, "the frame is not JSON"));
            }
            Err(_) if is_object => {
                return Err(Malformed::new(ErrorKind::Error, "a key of the frame is repeated"));
            }
            // A derived struct would also read an array.
            Ok(_) | Err(_) => {
                return Err(Malformed::new(ErrorKind::Error, "the frame is not a JSON object"));
            }
        };
        if envelope.id.is_some_and(|id| id.get().len() > MAX_ID) {
            return Err(Malformed::new(ErrorKind::InvalidRequest, "the id is too long"));
        }
        // After the envelope, whose values are skipped without recursion: a caller that waits for
        // this id is told.
        if json::check_limits(text, limits).is_err() {
            return Err(Malformed {
                id: envelope.id,
                kind: ErrorKind::InvalidRequest,
                message: "the frame is nested too deep or has too many members",
            });
        }
        match envelope.r#type.and_then(text_of).as_deref() {
            Some("auth") => Ok(Self::Auth(AuthFrame::read(&envelope))),
            _ if envelope.request.is_some() => CallFrame::read(&envelope).map(Self::Call),
            Some("cancel") => match envelope.id {
                Some(id) => Ok(Self::Cancel { id }),
                None => Err(bad_message(None)),
            },
            Some("ping") => Ok(Self::Ping { t: envelope.t }),
            Some("pong") => Ok(Self::Pong),
            Some(_) => Ok(Self::Unknown { id: envelope.id }),
            None => Err(bad_message(envelope.id)),
        }
    }
}

impl AuthFrame {
    fn read(envelope: &Envelope<'_>) -> Self {
        let token = envelope
            .token
            .and_then(text_of)
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty())
            .map(SecretString::from);
        let features = envelope
            .features
            .and_then(|features| serde_json::from_str::<Vec<String>>(features.get()).ok())
            .map(|mut features| {
                features.truncate(MAX_FEATURES);
                features
            })
            .unwrap_or_default();
        Self { token, features, max_frame: envelope.max_frame.and_then(number_of) }
    }

    /// Whether the client can do with this.
    pub fn asks_for(&self, feature: Feature) -> bool {
        self.features.iter().any(|name| name == feature.as_str())
    }

    /// The frame as text. It holds the token: for the socket only.
    pub fn write(&self) -> String {
        use secrecy::ExposeSecret;
        let mut out = r#"{"type":"auth","token":"#.to_owned();
        json::push_string(&mut out, self.token.as_ref().map_or("", |token| token.expose_secret()));
        if let (false, Ok(features)) =
            (self.features.is_empty(), serde_json::to_string(&self.features))
        {
            out.push_str(r#","features":"#);
            out.push_str(&features);
        }
        if let Some(max_frame) = self.max_frame {
            let _ = write!(out, r#","max_frame":{max_frame}"#);
        }
        out.push('}');
        out
    }
}

impl<'a> CallFrame<'a> {
    fn read(envelope: &Envelope<'a>) -> Result<Self, Malformed<'a>> {
        let (Some(id), Some(request)) = (envelope.id, envelope.request) else {
            return Err(bad_message(None));
        };
        let text = |value: Option<&'a RawValue>, what| match value {
            Some(value) if is_falsy(value) => Ok(None),
            Some(value) => text_of(value).map(Some).ok_or(Malformed::invalid(id, what)),
            None => Ok(None),
        };
        let service =
            text(envelope.service, "service must be a string")?.unwrap_or(Cow::Borrowed(""));
        if service.len() > MAX_SERVICE {
            return Err(Malformed::invalid(id, "the service name is too long"));
        }
        let deadline_ms = match envelope.deadline_ms {
            None => None,
            Some(value) => Some(number_of(value).ok_or(Malformed::invalid(
                id,
                "deadline_ms must be a whole number of milliseconds",
            ))?),
        };
        Ok(Self {
            id,
            service,
            flow: text(envelope.flow, "flow must be a string")?,
            workspace: text(envelope.workspace, "workspace must be a string")?,
            request,
            deadline_ms,
            traceparent: text(envelope.traceparent, "traceparent must be a string")?,
        })
    }

    /// The frame as text.
    pub fn write(&self) -> String {
        let mut out = String::with_capacity(self.request.get().len() + 128);
        out.push_str(r#"{"id":"#);
        out.push_str(self.id.get());
        out.push_str(r#","service":"#);
        json::push_string(&mut out, &self.service);
        for (key, value) in [
            (r#","flow":"#, &self.flow),
            (r#","workspace":"#, &self.workspace),
            (r#","traceparent":"#, &self.traceparent),
        ] {
            if let Some(value) = value {
                out.push_str(key);
                json::push_string(&mut out, value);
            }
        }
        if let Some(deadline_ms) = self.deadline_ms {
            let _ = write!(out, r#","deadline_ms":{deadline_ms}"#);
        }
        out.push_str(r#","request":"#);
        out.push_str(self.request.get());
        out.push('}');
        out
    }
}

/// `{"type":"cancel","id":…}` as text.
pub fn write_cancel(id: &RawValue) -> String {
    format!(r#"{{"type":"cancel","id":{}}}"#, id.get())
}

/// `{"type":"ping"}` as text.
pub fn write_ping() -> String {
    r#"{"type":"ping"}"#.to_owned()
}

/// The answer that existing clients know; it carries the id if one was there and truthy.
fn bad_message(id: Option<&RawValue>) -> Malformed<'_> {
    Malformed { id: id.filter(|id| !is_falsy(id)), kind: ErrorKind::Error, message: "Bad message" }
}

fn is_falsy(value: &RawValue) -> bool {
    matches!(value.get(), "null" | "false" | "0" | "\"\"" | "[]" | "{}")
}

fn number_of(value: &RawValue) -> Option<u64> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parse(text: &str) -> Result<ClientFrame<'_>, Malformed<'_>> {
        ClientFrame::parse(text, Limits::FRIEND)
    }

    fn token(text: &str) -> Option<String> {
        match parse(text) {
            Ok(ClientFrame::Auth(auth)) => auth.token.map(|t| t.expose_secret().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    fn malformed(text: &str) -> (Option<String>, &'static str, &'static str) {
        let error = parse(text).unwrap_err();
        (error.id.map(|id| id.get().to_owned()), error.kind.as_str(), error.message)
    }

    #[test]
    fn tokens_of_every_wrong_kind_are_one() {
        assert_eq!(token(r#"{"type":"auth","token":" tg_x\n"}"#).unwrap(), "tg_x");
        for none in ["", r#","token":"""#, r#","token":" ""#, r#","token":7"#, r#","token":null"#] {
            assert_eq!(token(&format!(r#"{{"type":"auth"{none}}}"#)), None);
        }
    }

    #[test]
    fn ids_keep_their_json_type() {
        for id in ["7", "\"7\"", "0", "\"\"", "null", "1.0", "[1]", r#"{"a":1}"#] {
            let text = format!(r#"{{"id":{id},"service":"s","request":{{}}}}"#);
            let Ok(ClientFrame::Call(call)) = parse(&text) else { panic!("{id}") };
            assert_eq!(call.id.get(), id);
        }
    }

    #[test]
    fn falsy_flow_and_workspace_are_absent() {
        for falsy in ["null", "\"\"", "false", "0"] {
            let text = format!(r#"{{"id":1,"flow":{falsy},"workspace":{falsy},"request":{{}}}}"#);
            let Ok(ClientFrame::Call(call)) = parse(&text) else { panic!("{falsy}") };
            assert!(call.flow.is_none() && call.workspace.is_none() && call.service.is_empty());
        }
    }

    #[test]
    fn a_frame_with_a_request_is_a_call_whatever_its_type() {
        for kind in [r#""ping""#, r#""cancel""#, "7", r#""no such""#] {
            let text = format!(r#"{{"type":{kind},"id":1,"request":{{}}}}"#);
            assert!(matches!(parse(&text), Ok(ClientFrame::Call(_))), "{kind}");
        }
    }

    #[test]
    fn frames_that_cannot_be_taken_say_why() {
        assert_eq!(malformed("nonsense"), (None, "error", "the frame is not JSON"));
        assert_eq!(malformed("[1]"), (None, "error", "the frame is not a JSON object"));
        assert_eq!(malformed("\"x\""), (None, "error", "the frame is not a JSON object"));
        assert_eq!(malformed("{}"), (None, "error", "Bad message"));
        assert_eq!(malformed(r#"{"id":"a"}"#), (Some("\"a\"".into()), "error", "Bad message"));
        assert_eq!(malformed(r#"{"id":0}"#), (None, "error", "Bad message"));
        assert_eq!(malformed(r#"{"request":{}}"#), (None, "error", "Bad message"));
        assert_eq!(malformed(r#"{"type":"cancel"}"#), (None, "error", "Bad message"));
        assert_eq!(
            malformed(r#"{"id":1,"id":2,"request":{}}"#),
            (None, "error", "a key of the frame is repeated"),
        );
        assert_eq!(
            malformed(r#"{"id":1,"service":7,"request":{}}"#),
            (Some("1".into()), "invalid-request", "service must be a string"),
        );
        assert_eq!(
            malformed(r#"{"id":1,"deadline_ms":-1,"request":{}}"#).2,
            "deadline_ms must be a whole number of milliseconds",
        );
        let deep = format!(r#"{{"id":1,"request":{}{}}}"#, "[".repeat(99), "]".repeat(99));
        assert_eq!(malformed(&deep).0, Some("1".into()));
        assert_eq!(malformed(&deep).1, "invalid-request");
    }

    #[test]
    fn a_written_call_reads_back() {
        let text = r#"{"id":"a\"b","service":"s","flow":"f","workspace":"w","traceparent":"t","deadline_ms":5,"request":{"x":[1]}}"#;
        let Ok(ClientFrame::Call(call)) = parse(text) else { panic!() };
        assert_eq!(call.write(), text);
    }
}
