//! The contract between gateway and IAM: what travels over the link.
//!
//! `POST /v1/call` takes a [`Call`] and answers an [`Answer`], always with status 200 once the
//! service secret was accepted. The gateway asserts who the actor is; IAM checks that actor again
//! and decides by itself.

mod claim;
mod event;
mod feed;
mod live;
mod operation;
mod order;
mod record;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use claim::{Claim, Confirmed};
pub use event::{Event, Moved};
pub use feed::{About, Ask, Ended, Found, LiveSocket, News, Poll};
pub use live::{Receipt, Rehearsal, Rehearsed, SessionRecord, Survey};
pub use operation::{
    GrantInput, KeyInput, Operation, RequestError, UserInput, WorkspaceInput, known_arguments,
    known_operations,
};
pub use order::{Manner, Order};
pub use record::{
    ApiKeyRecord, EffectivePermissions, GrantRecord, Reply, ScopePermissions, UserRecord,
    WorkspaceRecord,
};
use secrecy::SecretString;

use crate::capability::Capability;
use crate::ids::{JournalId, KeyId, KeyName, OperationId, Seq, SessionId, UserId, WorkspaceId};
use crate::resource::Resource;
use crate::secret;

/// The path that takes calls on IAM's listener.
pub const CALL_PATH: &str = "/v1/call";
/// The path of the feed.
pub const FEED_PATH: &str = "/v1/feed";
/// The path of the public keys, RFC 7517.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// How long IAM may take for a question.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long for an operation that hashes a password, and waits for its turn in IAM's pool.
const HASHING_DEADLINE: Duration = Duration::from_secs(8);

/// One question to IAM.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// Names the operation, so that a retry is answered with the first outcome.
    pub id: OperationId,
    /// The newest mark that the gateway has seen; an IAM node that is behind catches up first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Mark>,
    /// Where the question came from, for audit and throttles.
    #[serde(default)]
    pub client: Client,
    /// The question.
    pub question: Question,
}

/// A position in one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which journal; marks of another are ignored.
    pub journal: JournalId,
    /// How far.
    pub seq: Seq,
}

/// The peer that the gateway serves.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its address as the gateway saw it, without a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How it came.
    #[serde(default)]
    pub via: Via,
}

/// The way a request came to the gateway.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// A frame on a socket.
    Socket,
    /// An HTTP request.
    #[default]
    Http,
}

/// What may be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Whose credential is this?
    Authenticate {
        /// An API key or a session token.
        #[serde(serialize_with = "secret::expose")]
        credential: SecretString,
    },
    /// May this actor do that?
    Authorise {
        /// Who.
        actor: Actor,
        /// What.
        check: Check,
    },
    /// Several of those, decided on one state.
    AuthoriseMany {
        /// Who.
        actor: Actor,
        /// What, answered in this order.
        checks: Vec<Check>,
    },
    /// Which of these are still who they were, and what may they still do? Asked when something
    /// moved that they rest on, and when events may have been missed.
    Revalidate {
        /// Who, answered in this order.
        claims: Vec<Claim>,
    },
    /// An operation of the public surface: IAM checks the actor and decides.
    Operate {
        /// Who, unless the operation is public.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<Actor>,
        /// The operation as the client sent it, parsed once.
        operation: Operation,
        /// How it is to be done.
        #[serde(default, skip_serializing_if = "Manner::is_usual")]
        manner: Manner,
    },
}

impl Question {
    /// The longest of all deadlines, where gateways trust what they heard for the `lease`.
    pub const fn longest_deadline(lease: Duration) -> Duration {
        HASHING_DEADLINE.saturating_add(lease)
    }

    /// How long the answer may take, at either end of the link, where gateways trust what they
    /// heard for the `lease`: whoever waits for all of them waits that long for those that are
    /// silent.
    pub const fn deadline(&self, lease: Duration) -> Duration {
        use Operation::{ChangePassword, CreateUser, Login, ResetPassword};
        let (work, manner) = match self {
            Self::Operate {
                operation:
                    Login { .. } | CreateUser { .. } | ChangePassword { .. } | ResetPassword { .. },
                manner,
                ..
            } => (HASHING_DEADLINE, *manner),
            Self::Operate { manner, .. } => (DEADLINE, *manner),
            Self::Authenticate { .. }
            | Self::Authorise { .. }
            | Self::AuthoriseMany { .. }
            | Self::Revalidate { .. } => (DEADLINE, Manner::Usual),
        };
        match manner {
            Manner::Usual | Manner::DryRun => work,
            Manner::Wait => work.saturating_add(lease),
        }
    }

    /// Whether its answer may have to wait for what other gateways say.
    pub const fn waits_for_gateways(&self) -> bool {
        match self {
            Self::Operate { operation, manner, .. } => {
                !matches!(manner, Manner::Usual) || operation.asks_gateways()
            }
            Self::Authenticate { .. }
            | Self::Authorise { .. }
            | Self::AuthoriseMany { .. }
            | Self::Revalidate { .. } => false,
        }
    }
}

/// Who acts, as the gateway knows it: IAM checks that it is still so.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The user.
    pub user: UserId,
    /// The credential that stands behind it.
    pub credential: Credential,
    /// The user's credential epoch when it was authenticated.
    pub auth_epoch: u64,
}

/// Which credential an identity came from. Never the credential itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// An API key.
    Key(KeyId),
    /// A login session.
    Session(SignedSession),
    /// A session that somebody minted for the user.
    Minted {
        /// The session.
        session: SignedSession,
        /// Who minted it.
        by: UserId,
        /// The minter's credential epoch when it was minted: the session dies with it.
        epoch: u64,
    },
}

/// A session, and the signing key behind its token: it ends when either does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SignedSession {
    /// The session.
    pub id: SessionId,
    /// The key's `kid`.
    pub signed_by: KeyName,
}

/// What a credential stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Who, as later questions name it.
    pub actor: Actor,
    /// The user's decision epoch: part of the key under which decisions are cached.
    pub authz_epoch: u64,
    /// Fills in where a call names no workspace. Never a permission.
    pub default_workspace: WorkspaceId,
    /// When the credential expires, in milliseconds since 1970, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// JSON that a minted token carries to the backends; never an input of a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_context: Option<String>,
}

/// One thing to decide.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Check {
    /// What is needed.
    pub capability: Capability,
    /// On what.
    pub resource: Resource,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// A grant covers it.
    Allow,
    /// No grant covers it, or the actor is no longer who it was.
    Deny,
    /// It would be allowed, and the workspace is not there or disabled.
    NoWorkspace,
}

/// IAM's answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The state that was answered from.
    pub mark: Mark,
    /// The answer itself.
    pub outcome: Outcome,
}

/// The answers, one for each kind of question, and the refusal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "lives for one answer; boxing would obscure it")]
pub enum Outcome {
    /// To `authenticate`.
    Identity(Identity),
    /// To `authorise`.
    Decision(Decision),
    /// To `authorise-many`, in the order of the checks.
    Decisions(Vec<Decision>),
    /// To `revalidate`, in the order of the claims.
    Confirmed(Vec<Confirmed>),
    /// To `operate`.
    Reply(Reply),
    /// To any of them.
    Refused(Refusal),
}

/// Why IAM did not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", kind.as_str())]
pub struct Refusal {
    /// The kind, which is the error `type` that clients see.
    pub kind: RefusalKind,
    /// For people. Never says more than the caller may know.
    pub message: String,
    /// When to try again, for the two that pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal with its message.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after_ms: None }
    }
}

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// A field is missing or breaks a rule; the message names it.
    InvalidArgument,
    /// What was addressed is not there; said only to those who may know.
    NotFound,
    /// The name is taken.
    Duplicate,
    /// Masked: the credential or the password was not accepted.
    AuthFailed,
    /// Masked: no grant allows it.
    AccessDenied,
    /// Allowed in general, and against a rule here: the last admin, another workspace.
    OperationNotPermitted,
    /// The password breaks the policy; the message says how.
    WeakPassword,
    /// Known, and not offered.
    NotSupported,
    /// The hash pool is full or the caller is throttled.
    TooManyRequests,
    /// This node cannot answer for now.
    Unavailable,
    /// A fault of IAM; its log has it. Nothing was changed.
    InternalError,
}

impl RefusalKind {
    /// The error `type` on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid-argument",
            Self::NotFound => "not-found",
            Self::Duplicate => "duplicate",
            Self::AuthFailed => "auth-failed",
            Self::AccessDenied => "access-denied",
            Self::OperationNotPermitted => "operation-not-permitted",
            Self::WeakPassword => "weak-password",
            Self::NotSupported => "not-supported",
            Self::TooManyRequests => "too-many-requests",
            Self::Unavailable => "unavailable",
            Self::InternalError => "internal-error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_survives_the_link() {
        let text = r#"{"id":"0198c2f0-5b1e-7cc0-b8a5-0d4d3f1f0a01","client":{"via":"socket"},"question":{"operate":{"operation":{"operation":"create-user","workspace":"default","user":{"username":"ann","password":"a long enough one","roles":["reader"]}}}}}"#;
        let call: Call = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&call).unwrap(), text);
        assert!(!format!("{call:?}").contains("long enough"), "a secret is never printed");
    }
}
