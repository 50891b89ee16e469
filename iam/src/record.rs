//! The records that the state holds and the journal's changes carry: plain data.
//!
//! Their JSON is what entries and rows are written in, so a field is added with a default and
//! never changes its meaning; see [`Format`].

mod change;
mod format;
mod operation;
#[cfg(test)]
pub(crate) mod samples;

use std::fmt;

use serde::{Deserialize, Serialize};
use tollgate_proto::capability::Capability;
use tollgate_proto::ids::{GrantId, KeyId, UserId, WorkspaceId};
use tollgate_proto::jwt::KeyName;

use crate::hash::Hash;

pub use change::Change;
pub use format::{Format, UnknownFormat};
pub use operation::{Done, Outcome};

/// What there is one of.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// When it was claimed, by bootstrap or by seeding; that happens once.
    pub claimed_ms: Option<u64>,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The name to log in with, as it was typed.
    pub username: String,
    /// The name to show.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// The home workspace.
    pub home: WorkspaceId,
    /// Whether the user can do anything at all.
    pub enabled: bool,
    /// Whether a restore took its authority away until an admin gives it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// The password, if there is one.
    pub password: Option<Password>,
    /// Whether sessions may do no more than change the password.
    pub must_change_password: bool,
    /// Counts what ends credentials: those of another epoch are dead.
    pub auth_epoch: u64,
    /// Counts what moves decisions: those of another epoch are decided again.
    pub authz_epoch: u64,
    /// When it was made.
    pub created_ms: u64,
}

impl User {
    /// Whether anything of the user's is in force.
    pub const fn is_live(&self) -> bool {
        self.enabled && !self.suspended
    }
}

/// A user's password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    /// What is kept of it.
    pub hash: PasswordHash,
    /// Whether its owner chose it.
    pub own: bool,
    /// When it stops working, for temporary ones.
    pub until_ms: Option<u64>,
}

/// `pbkdf2-sha256$rounds$salt$hash`. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password hash]")
    }
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// The id.
    pub id: WorkspaceId,
    /// The name to show.
    pub name: String,
    /// Whether it can be used.
    pub enabled: bool,
    /// When it was made.
    pub created_ms: u64,
}

/// A role or a capability, held by a subject over a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The id.
    pub id: GrantId,
    /// Who holds it.
    pub subject: Subject,
    /// What it allows.
    pub what: What,
    /// Where.
    pub scope: Scope,
    /// When it ends by itself.
    pub expires_ms: Option<u64>,
    /// Who gave it; nobody did to the first admin.
    pub granted_by: Option<UserId>,
    /// When it was given.
    pub created_ms: u64,
}

/// Who can hold a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A user.
    User(UserId),
}

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// All that the role has.
    Role(Role),
    /// One thing.
    Capability(Capability),
}

/// The built-in roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything, everywhere.
    Admin,
    /// Reads and uses services.
    Reader,
    /// That, and writes data.
    Writer,
}

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// In every workspace, and on the deployment as a whole.
    Deployment,
    /// In one workspace.
    Workspace(WorkspaceId),
}

/// An API key, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The id.
    pub id: KeyId,
    /// Whose it is.
    pub user: UserId,
    /// The owner's credential epoch when it was made, or moved on by a change of password.
    pub auth_epoch: u64,
    /// What its owner calls it.
    pub name: String,
    /// The first seven characters of the key.
    pub prefix: String,
    /// SHA-256 of the key.
    pub hash: Hash,
    /// When it ends by itself.
    pub expires_ms: Option<u64>,
    /// When it was revoked. Keys are never removed to revoke them.
    pub revoked_ms: Option<u64>,
    /// When it was made.
    pub created_ms: u64,
    /// Who made it; nobody did the first.
    pub created_by: Option<UserId>,
    /// Whether it is the operator's bootstrap token.
    #[serde(default)]
    pub bootstrap: bool,
}

/// A key pair that signs session tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The `kid`.
    pub name: KeyName,
    /// What it is good for now.
    pub state: SigningState,
    /// The public half.
    pub public: Hash,
    /// The private half, sealed.
    pub sealed: Sealed,
    /// When it was made.
    pub created_ms: u64,
}

/// The life of a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SigningState {
    /// Published, not signing yet.
    Next,
    /// Signs; there is one.
    Active,
    /// Verifies for a time after the moment named here, in milliseconds since 1970.
    Retired(u64),
    /// Verifies nothing.
    Revoked,
}

/// Bytes encrypted under the seal key: `xchacha20poly1305$key$nonce$text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);
