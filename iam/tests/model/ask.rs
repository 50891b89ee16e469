//! What is asked of IAM in a history, and the same as the wire has it.

use serde_json::{Value, json};
use tollgate_proto::iam::{Actor, Operation};
use tollgate_proto::ids::{KeyId, UserId};

/// One operation of a history.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) actor: Actor,
    pub(crate) now: u64,
    pub(crate) ask: Ask,
    /// The `workspace` that operations on a user or a key may name to be sure.
    pub(crate) workspace: Option<String>,
    /// What is wrong with it, whatever the state.
    pub(crate) fault: Option<Fault>,
}

/// The operation with its arguments.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    CreateUser { workspace: String, username: String, change: UserChange },
    UpdateUser { user: UserId, username: Option<String>, change: UserChange },
    DisableUser(UserId),
    EnableUser(UserId),
    DeleteUser(UserId),
    ResetPassword(UserId),
    CreateKey { user: UserId, name: String, expires: Option<u64> },
    RevokeKey(KeyId),
    CreateWorkspace { id: String },
    UpdateWorkspace { id: String, name: Option<String>, enabled: Option<bool> },
    DisableWorkspace { id: String },
    AddGrant { user: UserId, what: &'static str, scope: String, expires: Option<u64> },
    RemoveGrant { user: UserId, what: &'static str, scope: String },
}

/// The fields of a user that can be set; those absent stay.
#[derive(Debug, Default, Clone)]
pub(crate) struct UserChange {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) roles: Option<Vec<&'static str>>,
    pub(crate) enabled: Option<bool>,
    pub(crate) must_change: Option<bool>,
}

/// Ways in which an operation can be wrong by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// An argument that is needed is not there.
    Missing,
    /// A role, a capability or a time that there is none of; or an id that breaks the rules.
    Unknown,
    /// A password where none belongs, or one that is weak.
    Password,
}

impl Ask {
    /// The name on the wire.
    pub(crate) const fn operation(&self) -> &'static str {
        match self {
            Self::CreateUser { .. } => "create-user",
            Self::UpdateUser { .. } => "update-user",
            Self::DisableUser(_) => "disable-user",
            Self::EnableUser(_) => "enable-user",
            Self::DeleteUser(_) => "delete-user",
            Self::ResetPassword(_) => "reset-password",
            Self::CreateKey { .. } => "create-api-key",
            Self::RevokeKey(_) => "revoke-api-key",
            Self::CreateWorkspace { .. } => "create-workspace",
            Self::UpdateWorkspace { .. } => "update-workspace",
            Self::DisableWorkspace { .. } => "disable-workspace",
            Self::AddGrant { .. } => "add-user-grant",
            Self::RemoveGrant { .. } => "remove-user-grant",
        }
    }

    fn arguments(&self) -> Value {
        match self {
            Self::CreateUser { workspace, username, change } => {
                let mut user = change.to_json();
                user["username"] = json!(username);
                user["password"] = json!("nine lives of a cat");
                json!({"workspace": workspace, "user": user})
            }
            Self::UpdateUser { user, username, change } => {
                let mut fields = change.to_json();
                fields["username"] = json!(username);
                json!({"user_id": user, "user": fields})
            }
            Self::DisableUser(user)
            | Self::EnableUser(user)
            | Self::DeleteUser(user)
            | Self::ResetPassword(user) => json!({"user_id": user}),
            Self::CreateKey { user, name, expires } => {
                json!({"key": {"user_id": user, "name": name, "expires": time(*expires)}})
            }
            Self::RevokeKey(key) => json!({"key_id": key}),
            Self::CreateWorkspace { id } | Self::DisableWorkspace { id } => {
                json!({"workspace_record": {"id": id}})
            }
            Self::UpdateWorkspace { id, name, enabled } => {
                json!({"workspace_record": {"id": id, "name": name, "enabled": enabled}})
            }
            Self::AddGrant { user, what, scope, expires } => {
                json!({"user_id": user, "grant": grant(what, scope, *expires)})
            }
            Self::RemoveGrant { user, what, scope } => {
                json!({"user_id": user, "grant": grant(what, scope, None)})
            }
        }
    }
}

impl UserChange {
    fn to_json(&self) -> Value {
        let Self { name, email, roles, enabled, must_change } = self;
        json!({"name": name, "email": email, "roles": roles, "enabled": enabled,
               "must_change_password": must_change})
    }
}

impl Asked {
    /// As the wire has it.
    pub(crate) fn to_operation(&self) -> Operation {
        let mut text = self.ask.arguments();
        text["operation"] = json!(self.ask.operation());
        if let Some(workspace) = &self.workspace {
            text["workspace"] = json!(workspace);
        }
        if let Some(fault) = self.fault {
            spoil(&mut text, fault);
        }
        Operation::parse(&text.to_string()).unwrap()
    }
}

/// Makes an operation wrong.
fn spoil(text: &mut Value, fault: Fault) {
    let fields = text.as_object_mut().unwrap();
    match fault {
        Fault::Missing => {
            for field in ["user_id", "key_id", "user", "key", "workspace_record"] {
                fields.remove(field);
            }
        }
        Fault::Password => {
            fields["user"]["password"] = json!("short");
        }
        Fault::Unknown => {
            for (record, field) in [
                ("user", "roles"),
                ("key", "expires"),
                ("grant", "expires"),
                ("workspace_record", "id"),
            ] {
                if let Some(record) = fields.get_mut(record) {
                    record[field] =
                        if field == "roles" { json!(["king"]) } else { json!("_never") };
                }
            }
        }
    }
}

fn grant(what: &str, scope: &str, expires: Option<u64>) -> Value {
    let kind = if is_role(what) { "role" } else { "capability" };
    json!({kind: what, "workspace": scope, "expires": time(expires)})
}

/// Whether it is the name of a role and not of a capability.
pub(crate) fn is_role(what: &str) -> bool {
    matches!(what, "admin" | "reader" | "writer")
}

fn time(ms: Option<u64>) -> Option<String> {
    ms.map(tollgate_iam::times::format)
}
