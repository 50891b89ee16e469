//! Records as clients of old and new read them, and the reply that carries them.

use serde::{Deserialize, Serialize};

use super::live::{Receipt, Rehearsal, SessionRecord, Survey};
use crate::secret::Disclosed;

/// A user.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserRecord {
    /// The id, a UUID.
    pub id: String,
    /// The home workspace.
    pub default_workspace: String,
    /// The same under its name of old.
    pub workspace: String,
    /// The name to log in with.
    pub username: String,
    /// The name to show.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// Roles held at home, or `admin`; sorted.
    pub roles: Vec<String>,
    /// Whether the user can do anything at all.
    pub enabled: bool,
    /// Whether the password is a temporary one.
    pub must_change_password: bool,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// A workspace.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkspaceRecord {
    /// The id.
    pub id: String,
    /// The name to show.
    pub name: String,
    /// Whether it can be used.
    pub enabled: bool,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// An API key, without the key.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiKeyRecord {
    /// The id, a UUID.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// What its owner calls it.
    pub name: String,
    /// The first seven characters of the key.
    pub prefix: String,
    /// When it expires, RFC 3339; empty if it does not.
    pub expires: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it was last used, RFC 3339; empty if never.
    pub last_used: String,
}

/// A grant, as `grants_json` has them in a list.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantRecord {
    /// The id, a UUID.
    pub id: String,
    /// The role that it gives, or
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// the capability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// Where; `*` is the whole deployment.
    pub workspace: String,
    /// When it expires, RFC 3339; empty if it does not.
    pub expires: String,
    /// Who gave it; empty for the first admin's.
    pub granted_by: String,
    /// When it was given, RFC 3339.
    pub created: String,
    /// What it allows, told with effective permissions only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

/// What a user may do, as `effective_permissions_json` has it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EffectivePermissions {
    /// Whose.
    pub user_id: String,
    /// Scope by scope.
    pub permissions: Vec<ScopePermissions>,
}

/// What somebody may do in one scope, because of grants for that scope.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScopePermissions {
    /// Where; `*` is the whole deployment.
    pub workspace: String,
    /// Their names, sorted.
    pub capabilities: Vec<String>,
    /// The grants that say so.
    pub grants: Vec<GrantRecord>,
}

/// What an operation answers: only what is not empty, and always `bootstrap_available`.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the wire, see docs/PROTOCOL.md")]
pub struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspaceRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<ApiKeyRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_plaintext: Option<Disclosed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Disclosed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temporary_password: Option<Disclosed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants_json: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_permissions_json: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap_admin_user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap_admin_api_key: Option<Disclosed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub survey: Option<Survey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<Rehearsal>,
    pub bootstrap_available: bool,
}
