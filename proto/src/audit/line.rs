//! What a line says. Every field is always there, `null` where there is nothing to say.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Event;
use crate::capability::Capability;
use crate::iam::{Actor, Client, Credential, Via};
use crate::ids::{OperationId, Seq, UserId, WorkspaceId};

/// The version of the form.
const VERSION: u8 = 1;
/// The most bytes of a value that others chose.
const MAX_TEXT: usize = 256;

/// One line, without what chains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The version of the form.
    pub v: u8,
    /// The journal's entry, for what was changed.
    pub seq: Option<Seq>,
    /// When, RFC 3339, UTC, in nanoseconds.
    pub time: String,
    /// What happened.
    pub event: Event,
    /// What else the same operation changed.
    #[serde(default)]
    pub also: Vec<Event>,
    /// The operation's id; none, if nobody asked for it.
    pub request_id: Option<OperationId>,
    /// The host that wrote the line.
    pub node: Arc<str>,
    /// Who did it; nobody, if nobody was authenticated.
    pub actor: Option<Who>,
    /// Where it came from.
    pub client: Option<Peer>,
    /// What it was done to.
    pub target: Option<Target>,
    /// The operation, as clients name it.
    pub operation: Option<Text>,
    /// What allowed it, or was missing.
    pub capability: Option<Capability>,
    /// Whether it was done.
    pub outcome: Verdict,
    /// Why not: the true reason, which the client was not told.
    pub reason: Option<Text>,
    /// How long it took. Not known of what was changed: those lines come from the journal.
    pub latency_us: Option<u64>,
}

impl Line {
    /// That something was done, and nothing more about it.
    pub fn new(event: Event, time: String, node: Arc<str>) -> Self {
        Self {
            v: VERSION,
            seq: None,
            time,
            event,
            also: Vec::new(),
            request_id: None,
            node,
            actor: None,
            client: None,
            target: None,
            operation: None,
            capability: None,
            outcome: Verdict::Ok,
            reason: None,
            latency_us: None,
        }
    }
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The user.
    pub id: UserId,
    /// What it acted with.
    #[serde(rename = "type")]
    pub kind: CredentialKind,
    /// The record of the API key, or the session.
    pub credential_id: uuid::Uuid,
    /// Who minted the session, if it was minted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minted_by: Option<UserId>,
}

/// What somebody acts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// An API key.
    ApiKey,
    /// A login session.
    Session,
    /// A socket of a gateway.
    Socket,
    /// A session that somebody minted for the user.
    MintedSession,
}

impl From<&Actor> for Who {
    fn from(actor: &Actor) -> Self {
        let (kind, credential_id, minted_by) = match actor.credential {
            Credential::Key(key) => (CredentialKind::ApiKey, key.0, None),
            Credential::Session(session) => (CredentialKind::Session, session.id.0, None),
            Credential::Minted { session, by, epoch: _ } => {
                (CredentialKind::MintedSession, session.id.0, Some(by))
            }
        };
        Self { id: actor.user, kind, credential_id, minted_by }
    }
}

/// Where something came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The address, as the gateway saw it.
    pub addr: Option<Text>,
    /// How it came.
    pub via: Via,
}

impl From<&Client> for Peer {
    fn from(client: &Client) -> Self {
        Self { addr: client.address.as_deref().map(Text::new), via: client.via }
    }
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What kind of thing.
    pub kind: TargetKind,
    /// Which.
    pub id: Option<Text>,
    /// The workspace that it belongs to, where that is known.
    pub workspace: Option<WorkspaceId>,
    /// The user that it belongs to, where that is known.
    pub user: Option<UserId>,
}

impl Target {
    /// A thing by its id.
    pub fn new(kind: TargetKind, id: impl fmt::Display) -> Self {
        let id = Some(Text::new(&id.to_string()));
        Self { kind, id, workspace: None, user: None }
    }

    /// There is one of it.
    pub const fn only(kind: TargetKind) -> Self {
        Self { kind, id: None, workspace: None, user: None }
    }

    /// It belongs to a workspace.
    #[must_use]
    pub fn at(self, workspace: &WorkspaceId) -> Self {
        Self { workspace: Some(workspace.clone()), ..self }
    }

    /// It belongs to a user.
    #[must_use]
    pub fn of(self, user: UserId) -> Self {
        Self { user: Some(user), ..self }
    }
}

/// The kinds of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// The deployment as a whole.
    Deployment,
    /// The journal.
    Journal,
    /// The name that a login gave, as a hash under a key.
    Login,
    /// A user.
    User,
    /// A workspace.
    Workspace,
    /// A flow.
    Flow,
    /// A grant.
    Grant,
    /// An API key.
    ApiKey,
    /// A login session.
    Session,
    /// A socket of a gateway.
    Socket,
    /// A signing key.
    SigningKey,
}

/// Whether something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was.
    Ok,
    /// A rule was against it.
    Refused,
    /// It could not be done.
    Failed,
}

impl Verdict {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// A value that others chose: at most 256 bytes, control characters written out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// As much of a text as has room.
    pub fn new(text: &str) -> Self {
        let mut kept = String::with_capacity(text.len().min(MAX_TEXT));
        for c in text.chars() {
            let before = kept.len();
            if c.is_control() {
                // Writing to a string cannot fail.
                let _ = write!(kept, "{}", c.escape_unicode());
            } else {
                kept.push(c);
            }
            if kept.len() > MAX_TEXT {
                kept.truncate(before);
                break;
            }
        }
        Self(kept)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_limit_and_moves_no_cursor() {
        let check = |text: &str, expect: &str| assert_eq!(Text::new(text).as_str(), expect);
        check("Ann", "Ann");
        check("a\n\u{1b}[2J\u{9b}", "a\\u{a}\\u{1b}[2J\\u{9b}");
        check(&"x".repeat(300), &"x".repeat(256));
        check(&"é".repeat(129), &"é".repeat(128));
        // What is cut is cut between characters.
        check(&format!("{}é", "x".repeat(255)), &"x".repeat(255));
        check(&format!("{}\u{1b}", "x".repeat(254)), &"x".repeat(254));
    }
}
