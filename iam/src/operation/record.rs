//! Records as clients read them.

use tollgate_proto::iam::{ApiKeyRecord, UserRecord, WorkspaceRecord};

use crate::policy::{self, roles};
use crate::record::{ApiKey, Grant, Role, Subject, User, What, Workspace};
use crate::state::{self, Read, StateError};
use crate::times;

/// A user, with the roles held at home.
pub(super) fn user(state: &dyn Read, user: &User, now_ms: u64) -> Result<UserRecord, StateError> {
    let grants = state::grants_of(state, Subject::User(user.id))?;
    Ok(UserRecord {
        id: user.id.to_string(),
        default_workspace: user.home.to_string(),
        workspace: user.home.to_string(),
        username: user.username.clone(),
        name: user.name.clone(),
        email: user.email.clone(),
        roles: home_roles(user, &grants, now_ms),
        enabled: user.is_live(),
        must_change_password: user.must_change_password,
        created: times::format(user.created_ms),
    })
}

/// The roles of the wire: those at home, and `admin`. Other grants never appear there.
fn home_roles(user: &User, grants: &[Grant], now_ms: u64) -> Vec<String> {
    let at_home = |grant: &Grant| -> Option<Role> {
        let What::Role(role) = grant.what else { return None };
        let in_force = grant.expires_ms.is_none_or(|expires| now_ms < expires);
        (in_force && grant.scope == policy::home_scope(role, &user.home)).then_some(role)
    };
    let mut roles: Vec<_> = grants.iter().filter_map(at_home).collect();
    roles.sort_unstable();
    roles.dedup();
    roles.into_iter().map(|role| roles::role_name(role).to_owned()).collect()
}

/// A workspace.
pub(super) fn workspace(workspace: &Workspace) -> WorkspaceRecord {
    WorkspaceRecord {
        id: workspace.id.to_string(),
        name: workspace.name.clone(),
        enabled: workspace.enabled,
        created: times::format(workspace.created_ms),
    }
}

/// An API key.
pub(super) fn key(key: &ApiKey, last_used_ms: Option<u64>) -> ApiKeyRecord {
    ApiKeyRecord {
        id: key.id.to_string(),
        user_id: key.user.to_string(),
        name: key.name.clone(),
        prefix: key.prefix.clone(),
        expires: key.expires_ms.map(times::format).unwrap_or_default(),
        created: times::format(key.created_ms),
        last_used: last_used_ms.map(times::format).unwrap_or_default(),
    }
}
