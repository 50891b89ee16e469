//! The operations of IAM's public surface, as the body of `POST /api/v1/iam` and the `request`
//! of a frame to the service `iam` have them.
//!
//! In: JSON text, once. Out: an [`Operation`]: what is authorised is what is executed.
//! An empty text, an empty list and `null` all mean that the field is not there.

#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;

use secrecy::{ExposeSecret, SecretString};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::json::{Limits, Object};
use crate::secret;

/// Why a text is no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No operation of that name.
    #[error("unknown operation")]
    UnknownOperation,
    /// A field has the wrong type or stands twice.
    #[error("{0}")]
    Invalid(String),
}

macro_rules! operations {
    ($(#[doc = $doc:literal] $variant:ident = $name:literal {
        $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)?
    })*) => {
        /// An operation of IAM with its arguments.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(tag = "operation")]
        #[expect(missing_docs, reason = "the arguments are those of docs/IAM.md")]
        pub enum Operation {$(
            #[doc = $doc]
            #[serde(rename = $name)]
            $variant { $(
                #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
                $(#[$attribute])*
                $field: Option<$type>,
            )* },
        )*}

        impl Operation {
            /// The name on the wire.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }
        }

        /// The name of every operation.
        pub const fn known_operations() -> &'static [&'static str] {
            &[$($name),*]
        }

        /// The arguments of every operation, by its name: documents are checked against them.
        pub const fn known_arguments() -> &'static [(&'static str, &'static [&'static str])] {
            &[$(($name, &[$(stringify!($field)),*])),*]
        }
    };
}

operations! {
    /// Claims a fresh deployment and discloses its first key.
    Bootstrap = "bootstrap" {}
    /// Whether a fresh deployment waits to be claimed.
    BootstrapStatus = "bootstrap-status" {}
    /// Opens a session.
    Login = "login" {
        username: String,
        #[serde(serialize_with = "secret::expose_some")] password: SecretString,
        workspace: String,
    }
    /// The caller's own record.
    Whoami = "whoami" {}
    /// The workspaces that the caller may use.
    ListMyWorkspaces = "list-my-workspaces" {}
    /// Changes the caller's own password.
    ChangePassword = "change-password" {
        user_id: String,
        #[serde(serialize_with = "secret::expose_some")] password: SecretString,
        #[serde(serialize_with = "secret::expose_some")] new_password: SecretString,
        revoke_keys: bool,
    }
    /// Ends the caller's own session before its token does.
    Logout = "logout" {}
    /// Makes a user.
    CreateUser = "create-user" { workspace: String, user: UserInput }
    /// Users of a workspace, or of all that the caller may read.
    ListUsers = "list-users" { workspace: String }
    /// One user.
    GetUser = "get-user" { user_id: String, workspace: String }
    /// Changes a user's profile, and with `users:admin` what the user may do.
    UpdateUser = "update-user" { user_id: String, workspace: String, user: UserInput }
    /// Takes a user's authority away at once.
    DisableUser = "disable-user" { user_id: String, workspace: String }
    /// Gives it back; keys and sessions stay dead.
    EnableUser = "enable-user" { user_id: String, workspace: String }
    /// Removes a user.
    DeleteUser = "delete-user" { user_id: String, workspace: String }
    /// Replaces a password with a temporary one.
    ResetPassword = "reset-password" { user_id: String, workspace: String }
    /// Makes an API key and discloses it once.
    CreateApiKey = "create-api-key" { workspace: String, key: KeyInput }
    /// A user's keys.
    ListApiKeys = "list-api-keys" { user_id: String, workspace: String }
    /// Ends a key at once.
    RevokeApiKey = "revoke-api-key" { key_id: String, workspace: String }
    /// Makes a workspace; an existing one is returned as it is.
    CreateWorkspace = "create-workspace" { workspace_record: WorkspaceInput }
    /// All workspaces.
    ListWorkspaces = "list-workspaces" {}
    /// One workspace.
    GetWorkspace = "get-workspace" { workspace_record: WorkspaceInput }
    /// Changes a workspace.
    UpdateWorkspace = "update-workspace" { workspace_record: WorkspaceInput }
    /// Ends all use of a workspace at once.
    DisableWorkspace = "disable-workspace" { workspace_record: WorkspaceInput }
    /// Makes the next signing key, which retires the present one; or revokes one by its name.
    RotateSigningKey = "rotate-signing-key" { revoke: String }
    /// A session for somebody else, with a context for the backends.
    MintToken = "mint-token" {
        workspace: String, user_context_json: String, user_id: String, username: String,
    }
    /// Gives a user a role or capability in a workspace.
    AddUserGrant = "add-user-grant" { user_id: String, grant: GrantInput }
    /// Takes it away.
    RemoveUserGrant = "remove-user-grant" { user_id: String, grant: GrantInput }
    /// A user's grants.
    ListUserGrants = "list-user-grants" { user_id: String }
    /// What a user may do, and where.
    ResolveEffectivePermissions = "resolve-effective-permissions" { user_id: String }
    /// Sockets that are open: the caller's own, those of a user, or those in a workspace.
    ListSessions = "list-sessions" { user_id: String, workspace: String }
    /// Closes all sockets of a user, who keeps its authority.
    KickUser = "kick-user" { user_id: String, workspace: String }
    /// Closes one socket.
    EndSession = "end-session" { session_id: String, user_id: String }
    /// Groups are not offered yet.
    CreateGroup = "create-group" {}
    /// Groups are not offered yet.
    GetGroup = "get-group" {}
    /// Groups are not offered yet.
    ListGroups = "list-groups" {}
    /// Groups are not offered yet.
    UpdateGroup = "update-group" {}
    /// Groups are not offered yet.
    DeleteGroup = "delete-group" {}
    /// Groups are not offered yet.
    AddGroupMember = "add-group-member" {}
    /// Groups are not offered yet.
    RemoveGroupMember = "remove-group-member" {}
    /// Groups are not offered yet.
    ListGroupMembers = "list-group-members" {}
    /// Groups are not offered yet.
    AddGroupGrant = "add-group-grant" {}
    /// Groups are not offered yet.
    RemoveGroupGrant = "remove-group-grant" {}
    /// Groups are not offered yet.
    ListGroupGrants = "list-group-grants" {}
}

impl Operation {
    /// Reads an operation from the text of a JSON object.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let object = Object::parse(text, Limits::FRIEND);
        let object = object.map_err(|error| RequestError::Invalid(error.to_string()))?;
        Self::read(&object)
    }

    /// Reads an operation from an object. The keys of each operation are checked by its struct.
    pub fn read(object: &Object<'_>) -> Result<Self, RequestError> {
        let name = object.text("operation").unwrap_or_default();
        if !known_operations().contains(&&*name) {
            return Err(RequestError::UnknownOperation);
        }
        serde_json::from_str(object.as_str())
            .map_err(|error| RequestError::Invalid(without_position(&error)))
    }
}

/// The parser's message without its position, which tells a caller nothing.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_owned()
}

/// The `user` of an operation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the wire, see docs/IAM.md")]
pub struct UserInput {
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(
        deserialize_with = "filled",
        serialize_with = "secret::expose_some",
        skip_serializing_if = "Option::is_none"
    )]
    pub password: Option<SecretString>,
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub must_change_password: Option<bool>,
}

/// The `key` of an operation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the wire, see docs/IAM.md")]
pub struct KeyInput {
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// The `workspace_record` of an operation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the wire, see docs/IAM.md")]
pub struct WorkspaceInput {
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// The `grant` of an operation: a role or a capability, in a workspace or `*`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the wire, see docs/IAM.md")]
pub struct GrantInput {
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    #[serde(deserialize_with = "filled", skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Reads a value that counts as absent when it is `null` or empty.
fn filled<'de, D: Deserializer<'de>, T: Fill<'de>>(from: D) -> Result<Option<T>, D::Error> {
    struct Read<T>(T);
    impl<'de, T: Fill<'de>> Deserialize<'de> for Read<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            T::read(from).map(Self)
        }
    }
    let read = Option::<Read<T>>::deserialize(from)?;
    Ok(read.map(|Read(value)| value).filter(|value| !value.is_unfilled()))
}

/// Reads an object. A derived struct would also take a list, as its fields in their order.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
    name: &'static str,
) -> Result<T, D::Error> {
    struct Members<T>(&'static str, PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} to be an object", self.0)
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }
    from.deserialize_map(Members(name, PhantomData))
}

/// The value of a field, which can be present and yet say nothing.
trait Fill<'de>: Deserialize<'de> {
    fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::deserialize(from)
    }

    fn is_unfilled(&self) -> bool {
        false
    }
}

impl Fill<'_> for String {
    fn is_unfilled(&self) -> bool {
        self.is_empty()
    }
}
impl Fill<'_> for SecretString {
    fn is_unfilled(&self) -> bool {
        self.expose_secret().is_empty()
    }
}
impl<'de, T: Deserialize<'de>> Fill<'de> for Vec<T> {
    fn is_unfilled(&self) -> bool {
        self.is_empty()
    }
}
impl Fill<'_> for bool {}

macro_rules! objects {
    ($($input:ty = $name:literal)*) => {$(
        impl<'de> Fill<'de> for $input {
            fn read<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                object(from, $name)
            }
        }
    )*};
}

objects! {
    UserInput = "user"
    KeyInput = "key"
    WorkspaceInput = "workspace_record"
    GrantInput = "grant"
}
