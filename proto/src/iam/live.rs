//! What admins are told of live authority: how far a change has come, and what one would do.

use serde::{Deserialize, Serialize};

/// How far a change has come: told to whoever waited for it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Receipt {
    /// Gateways that have marked it.
    pub gateways_marked: u64,
    /// Gateways that were silent for the lease: they trust nothing of before any more.
    pub gateways_silent: u64,
    /// Sockets that were closed because of it.
    pub sockets_closed: u64,
    /// Calls that were ended because of it.
    pub calls_cancelled: u64,
    /// How long that took, from the moment when it was durable.
    pub took_ms: u64,
}

/// What an operation would do that was decided and not done.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rehearsal {
    /// What would change; nothing, if it is so already.
    pub changes: Vec<Rehearsed>,
    /// Sockets that would be closed, or judged anew.
    pub sockets: u64,
    /// Who was asked about them.
    pub survey: Survey,
}

/// Whom a question about sockets has reached.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Survey {
    /// Gateways that answered.
    pub gateways_heard: u64,
    /// Gateways that did not, in time: what they hold is missing.
    pub gateways_silent: u64,
    /// Other nodes of IAM that did not say, in time, what theirs hold: it is missing, too.
    #[serde(skip_serializing_if = "is_zero")]
    pub nodes_silent: u64,
    /// Whether there was no room for all that was found.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A socket that is open.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionRecord {
    /// Its id, which `auth-ok` calls `session`.
    pub id: String,
    /// Whose.
    pub user_id: String,
    /// The name to log in with.
    pub username: String,
    /// What its calls are about, if they name no workspace.
    pub workspace: String,
    /// The kind of credential: `api-key`, `session` or `minted-session`.
    pub credential: String,
    /// The id of the key's record, or of the login session.
    pub credential_id: String,
    /// The peer's address; empty, if it is not known.
    pub address: String,
    /// When it was opened, RFC 3339.
    pub opened: String,
    /// The gateway that holds it.
    pub gateway: String,
}

/// One change that would be, in the words of the audit file.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rehearsed {
    /// What it is called: `user.disable`.
    pub event: String,
    /// The id of what it would be done to, if there is more than one of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Whose that is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_id: String,
    /// The workspace that it belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workspace: String,
}
