//! Frames from the client: parsed once by the gateway, written by the SDK.
//!
//! In: the text of one message. Out: a [`ClientFrame`] that borrows from it, or what to answer.
//! Never: a judgement on who may send it.

use std::borrow::Cow;
use std::fmt::Write;

use secrecy::SecretString;
use serde_json::value::RawValue;

use super::feature::Feature;
use crate::error::ErrorKind;
use crate::json::{self, Body, Json, Limits, ObjectError, Scanner};

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
        id: Json<'a>,
    },
    /// Are you there?
    Ping {
        /// Echoed in the pong.
        t: Option<Json<'a>>,
    },
    /// The answer to a ping of ours.
    Pong,
    /// A `type` that is not known: answered if it has an id, else ignored and counted.
    Unknown {
        /// The id, if there is one.
        id: Option<Json<'a>>,
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
    pub id: Json<'a>,
    /// Which service; empty if none was named.
    pub service: Cow<'a, str>,
    /// The flow, for flow services.
    pub flow: Option<Cow<'a, str>>,
    /// The workspace, unless the identity's default is meant.
    pub workspace: Option<Cow<'a, str>>,
    /// What the service gets.
    pub request: Body<'a>,
    /// The caller's budget.
    pub deadline_ms: Option<u64>,
    /// W3C trace context, passed on.
    pub traceparent: Option<Cow<'a, str>>,
}

/// What to answer to a frame that could not be taken.
#[derive(Debug, Clone, Copy)]
pub struct Malformed<'a> {
    /// The id to answer under, if there is a usable one.
    pub id: Option<Json<'a>>,
    /// The error's type.
    pub kind: ErrorKind,
    /// The error's message.
    pub message: &'static str,
}

impl<'a> Malformed<'a> {
    fn new(kind: ErrorKind, message: &'static str) -> Self {
        Self { id: None, kind, message }
    }

    fn invalid(id: Json<'a>, message: &'static str) -> Self {
        Self { id: Some(id), kind: ErrorKind::InvalidRequest, message }
    }
}

/// The envelope as it came: every known key at most once, unknown keys ignored.
#[derive(Default)]
struct Envelope<'a> {
    id: Option<Json<'a>>,
    r#type: Option<Json<'a>>,
    token: Option<Json<'a>>,
    features: Option<Json<'a>>,
    max_frame: Option<Json<'a>>,
    service: Option<Json<'a>>,
    flow: Option<Json<'a>>,
    workspace: Option<Json<'a>>,
    request: Option<Body<'a>>,
    deadline_ms: Option<Json<'a>>,
    traceparent: Option<Json<'a>>,
    t: Option<Json<'a>>,
    /// A known key came twice.
    is_repeated: bool,
}

impl<'a> Envelope<'a> {
    fn parse(text: &'a str, limits: Limits) -> Result<Self, ObjectError> {
        let mut scanner = Scanner::new(text, limits);
        let mut envelope = Self::default();
        if scanner.peek() != Some(b'{') {
            scanner.value()?;
            return scanner.end().and(Err(ObjectError::NotAnObject));
        }
        scanner.object(|scanner, key| envelope.take(key.as_str(), scanner))?;
        scanner.end()?;
        if envelope.is_repeated { Err(ObjectError::DuplicateKey) } else { Ok(envelope) }
    }

    /// Reads the value of a key.
    fn take(&mut self, key: &str, scanner: &mut Scanner<'a>) -> Result<(), ObjectError> {
        let place = match key {
            "id" => &mut self.id,
            "type" => &mut self.r#type,
            "token" => &mut self.token,
            "features" => &mut self.features,
            "max_frame" => &mut self.max_frame,
            "service" => &mut self.service,
            "flow" => &mut self.flow,
            "workspace" => &mut self.workspace,
            "deadline_ms" => &mut self.deadline_ms,
            "traceparent" => &mut self.traceparent,
            "t" => &mut self.t,
            "request" => {
                let request = Body::read(scanner)?;
                self.is_repeated |= self.request.replace(request).is_some();
                return Ok(());
            }
            _ => return scanner.value().map(drop),
        };
        self.is_repeated |= place.replace(scanner.value()?).is_some();
        Ok(())
    }
}

/// The id of a frame that is beyond the limits, so that a caller who waits for it is told.
fn id_of_huge(text: &str) -> Option<Json<'_>> {
    #[derive(serde::Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let Id { id } = serde_json::from_str(text).ok()?;
    (id.get().len() <= MAX_ID).then_some(id.into())
}

impl<'a> ClientFrame<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// Says what to answer; the socket stays open.
    pub fn parse(text: &'a str, limits: Limits) -> Result<Self, Malformed<'a>> {
        let envelope = Envelope::parse(text, limits).map_err(|error| match error {
            ObjectError::NotJson => Malformed::new(ErrorKind::Error, "the frame is not JSON"),
            ObjectError::NotAnObject => {
                Malformed::new(ErrorKind::Error, "the frame is not a JSON object")
            }
            ObjectError::DuplicateKey => {
                Malformed::new(ErrorKind::Error, "a key of the frame is repeated")
            }
            ObjectError::BeyondLimits => Malformed {
                id: id_of_huge(text),
                kind: ErrorKind::InvalidRequest,
                message: "the frame is nested too deep, or has too many members or too long a number",
            },
        })?;
        if envelope.id.is_some_and(|id| id.get().len() > MAX_ID) {
            return Err(Malformed::new(ErrorKind::InvalidRequest, "the id is too long"));
        }
        match envelope.r#type.and_then(Json::text).as_deref() {
            Some("auth") => Ok(Self::Auth(AuthFrame::read(&envelope))),
            _ if envelope.request.is_some() => CallFrame::read(envelope).map(Self::Call),
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
            .and_then(Json::text)
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
    fn read(envelope: Envelope<'a>) -> Result<Self, Malformed<'a>> {
        let (Some(id), Some(request)) = (envelope.id, envelope.request) else {
            return Err(bad_message(None));
        };
        let text = |value: Option<Json<'a>>, what| match value {
            Some(value) if is_falsy(value) => Ok(None),
            Some(value) => value.text().map(Some).ok_or(Malformed::invalid(id, what)),
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
        let mut out = String::with_capacity(self.request.text.get().len() + 128);
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
        out.push_str(self.request.text.get());
        out.push('}');
        out
    }
}

/// `{"type":"cancel","id":…}` as text.
pub fn write_cancel(id: Json<'_>) -> String {
    format!(r#"{{"type":"cancel","id":{}}}"#, id.get())
}

/// `{"type":"ping"}` as text.
pub fn write_ping() -> String {
    r#"{"type":"ping"}"#.to_owned()
}

/// The answer that existing clients know; it carries the id if one was there and truthy.
fn bad_message(id: Option<Json<'_>>) -> Malformed<'_> {
    Malformed { id: id.filter(|id| !is_falsy(*id)), kind: ErrorKind::Error, message: "Bad message" }
}

fn is_falsy(value: Json<'_>) -> bool {
    matches!(value.get(), "null" | "false" | "0" | "\"\"" | "[]" | "{}")
}

fn number_of(value: Json<'_>) -> Option<u64> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests;
