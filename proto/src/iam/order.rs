//! An order: an operation of the public surface, and how it is to be done.
//!
//! In: the JSON object that a client sent. Out: an [`Order`]. Clients of old say nothing of the
//! manner, and get what they always got.
//! Never: a manner that is passed over. Who asks for a rehearsal must not see it done.

use serde::{Deserialize, Serialize};

use super::{Operation, RequestError};
use crate::json::{Json, Limits, Object};

/// How an operation that changes something is done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// It is answered when every gateway has heard of it, or a moment later.
    #[default]
    Usual,
    /// It is answered when every gateway has heard of it or trusts nothing any more, with a
    /// receipt.
    Wait,
    /// It is decided and not done, and answered with what would change.
    DryRun,
}

/// The members of a request that say so.
const WAIT: &str = "wait";
const DRY_RUN: &str = "dry_run";

impl Manner {
    /// The members of a request that name a manner, for documents.
    pub const MEMBERS: [&str; 2] = [WAIT, DRY_RUN];

    /// Whether nothing was said.
    pub fn is_usual(&self) -> bool {
        *self == Self::Usual
    }

    fn read(object: &Object<'_>) -> Result<Self, RequestError> {
        match (is_said(object, WAIT)?, is_said(object, DRY_RUN)?) {
            (false, false) => Ok(Self::Usual),
            (true, false) => Ok(Self::Wait),
            (false, true) => Ok(Self::DryRun),
            (true, true) => {
                Err(RequestError::Invalid(format!("{WAIT} and {DRY_RUN} exclude each other")))
            }
        }
    }
}

fn is_said(object: &Object<'_>, member: &str) -> Result<bool, RequestError> {
    match object.get(member).map(Json::get) {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(RequestError::Invalid(format!("{member} must be true or false"))),
    }
}

/// What somebody wants of IAM.
#[derive(Debug)]
pub struct Order {
    /// What.
    pub operation: Operation,
    /// How.
    pub manner: Manner,
}

impl From<Operation> for Order {
    fn from(operation: Operation) -> Self {
        Self { operation, manner: Manner::Usual }
    }
}

impl Order {
    /// Reads an order from the text of a JSON object.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let object = Object::parse(text, Limits::FRIEND);
        let object = object.map_err(|error| RequestError::Invalid(error.to_string()))?;
        Self::read(&object)
    }

    /// Reads an order from an object.
    pub fn read(object: &Object<'_>) -> Result<Self, RequestError> {
        let operation = Operation::read(object)?;
        if !operation.has_manners() {
            // A wait for what moves nothing is over. A rehearsal that is none would hand out a
            // token, or claim the deployment.
            if is_said(object, DRY_RUN)? {
                let name = operation.name();
                return Err(RequestError::Invalid(format!("{name} knows no {DRY_RUN}")));
            }
            return Ok(operation.into());
        }
        Ok(Self { operation, manner: Manner::read(object)? })
    }
}

impl Operation {
    /// Whether it changes what IAM knows. What only discloses something, as a login does its
    /// session, is lost with its answer.
    pub const fn changes(&self) -> bool {
        match self {
            Self::Bootstrap {}
            | Self::ChangePassword { .. }
            | Self::Logout {}
            | Self::CreateUser { .. }
            | Self::UpdateUser { .. }
            | Self::DisableUser { .. }
            | Self::EnableUser { .. }
            | Self::DeleteUser { .. }
            | Self::ResetPassword { .. }
            | Self::CreateApiKey { .. }
            | Self::RevokeApiKey { .. }
            | Self::CreateWorkspace { .. }
            | Self::UpdateWorkspace { .. }
            | Self::DisableWorkspace { .. }
            | Self::RotateSigningKey { .. }
            | Self::AddUserGrant { .. }
            | Self::RemoveUserGrant { .. }
            | Self::KickUser { .. }
            | Self::EndSession { .. }
            | Self::CreateGroup {}
            | Self::UpdateGroup {}
            | Self::DeleteGroup {}
            | Self::AddGroupMember {}
            | Self::RemoveGroupMember {}
            | Self::AddGroupGrant {}
            | Self::RemoveGroupGrant {} => true,
            Self::BootstrapStatus {}
            | Self::Login { .. }
            | Self::Whoami {}
            | Self::ListMyWorkspaces {}
            | Self::ListUsers { .. }
            | Self::GetUser { .. }
            | Self::ListApiKeys { .. }
            | Self::ListWorkspaces {}
            | Self::GetWorkspace { .. }
            | Self::MintToken { .. }
            | Self::ListUserGrants { .. }
            | Self::ResolveEffectivePermissions { .. }
            | Self::ListSessions { .. }
            | Self::GetGroup {}
            | Self::ListGroups {}
            | Self::ListGroupMembers {}
            | Self::ListGroupGrants {} => false,
        }
    }

    /// Whether gateways are asked about the sockets that they hold.
    pub const fn asks_gateways(&self) -> bool {
        matches!(self, Self::ListSessions { .. } | Self::EndSession { .. })
    }

    /// Whether it can be waited for, and rehearsed: it changes what IAM knows, and somebody does it
    /// who is known.
    pub const fn has_manners(&self) -> bool {
        self.changes() && !matches!(self, Self::Bootstrap {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manner_is_read_with_what_it_is_for() {
        let check = |members: &str, expect: Result<Manner, &str>| {
            let text = format!(r#"{{"operation":"disable-user"{members}}}"#);
            let read = Order::parse(&text).map(|order| order.manner);
            assert_eq!(read.map_err(|error| error.to_string()), expect.map_err(str::to_owned));
        };
        for nothing in ["", r#","wait":false"#, r#","wait":null,"dry_run":false"#] {
            check(nothing, Ok(Manner::Usual));
        }
        check(r#","wait":true"#, Ok(Manner::Wait));
        check(r#","dry_run":true,"wait":false"#, Ok(Manner::DryRun));
        check(r#","dry_run":true,"wait":true"#, Err("wait and dry_run exclude each other"));
        check(r#","wait":1"#, Err("wait must be true or false"));
        check(r#","dry_run":"true""#, Err("dry_run must be true or false"));
    }

    #[test]
    fn what_changes_nothing_is_not_rehearsed() {
        let read = |name: &str, member: &str| {
            let text = format!(r#"{{"operation":"{name}",{member}}}"#);
            Order::parse(&text).map(|order| order.manner).map_err(|error| error.to_string())
        };
        for name in ["list-users", "login", "bootstrap", "mint-token"] {
            let refused = read(name, r#""dry_run":true"#);
            assert_eq!(refused, Err(format!("{name} knows no dry_run")));
            let unclear = read(name, r#""dry_run":1"#);
            assert_eq!(unclear, Err("dry_run must be true or false".to_owned()));
            for harmless in [r#""dry_run":false"#, r#""wait":true"#] {
                assert_eq!(read(name, harmless), Ok(Manner::Usual));
            }
        }
        for name in ["logout", "revoke-api-key"] {
            assert_eq!(read(name, r#""dry_run":true"#), Ok(Manner::DryRun));
        }
    }
}
