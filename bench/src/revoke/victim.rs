//! Somebody from whom something is taken away, and in which of six ways.

use serde_json::{Value, json};

/// What is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The API key that the socket showed.
    Key,
    /// The user is disabled.
    Disabled,
    /// The user is deleted.
    Deleted,
    /// The only grant.
    Role,
    /// The workspace is disabled, and the user has no place elsewhere.
    Workspace,
    /// The password is reset, which ends the session.
    Password,
}

/// All, in the order in which they take turns.
pub(crate) const KINDS: [Kind; 6] =
    [Kind::Key, Kind::Disabled, Kind::Deleted, Kind::Role, Kind::Workspace, Kind::Password];

impl Kind {
    /// As people read it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Key => "key revoked",
            Self::Disabled => "user disabled",
            Self::Deleted => "user deleted",
            Self::Role => "role removed",
            Self::Workspace => "workspace disabled",
            Self::Password => "password reset",
        }
    }

    /// With which code the socket is closed.
    pub(crate) fn code(self) -> u16 {
        if self == Self::Workspace { 4451 } else { 4403 }
    }

    /// As the audit file has it.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::Key => "key.revoke",
            Self::Disabled => "user.disable",
            Self::Deleted => "user.delete",
            Self::Role => "grant.remove",
            Self::Workspace => "workspace.disable",
            Self::Password => "password.reset",
        }
    }

    /// The operation, on the key, the workspace or the user of this id.
    pub(crate) fn operation(self, id: &str) -> Value {
        let about = |operation: &str| json!({ "operation": operation, "user_id": id });
        match self {
            Self::Key => json!({ "operation": "revoke-api-key", "key_id": id }),
            Self::Disabled => about("disable-user"),
            Self::Deleted => about("delete-user"),
            Self::Role => {
                let grant = json!({ "role": "reader", "workspace": "default" });
                json!({ "operation": "remove-user-grant", "user_id": id, "grant": grant })
            }
            Self::Workspace => {
                json!({ "operation": "disable-workspace", "workspace_record": { "id": id } })
            }
            Self::Password => about("reset-password"),
        }
    }
}

/// One of them.
pub(crate) struct Victim {
    /// What is taken away.
    pub(crate) kind: Kind,
    /// Of what: a key, a workspace, else a user.
    pub(crate) id: String,
    /// What the socket shows.
    pub(crate) token: String,
}
