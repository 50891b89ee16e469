//! Records as clients read them.

use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{
    ApiKeyRecord, EffectivePermissions, GrantRecord, ScopePermissions, UserRecord, WorkspaceRecord,
};
use tollgate_proto::ids::UserId;

use crate::policy;
use crate::policy::roles::{self, Capabilities};
use crate::record::{ApiKey, Grant, Scope, Subject, User, What, Workspace};
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

/// The roles of the wire, by name.
fn home_roles(user: &User, grants: &[Grant], now_ms: u64) -> Vec<String> {
    let in_force = |grant: &&Grant| grant.expires_ms.is_none_or(|expires| now_ms < expires);
    let shown = grants.iter().filter(in_force);
    let mut roles: Vec<_> = shown.filter_map(|grant| policy::shown_role(grant, user)).collect();
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

/// The whole deployment, where a workspace is named.
pub(super) const EVERYWHERE: &str = "*";

/// A grant.
pub(super) fn grant(grant: &Grant) -> GrantRecord {
    let (role, capability) = match grant.what {
        What::Role(role) => (Some(roles::role_name(role).to_owned()), None),
        What::Capability(capability) => (None, Some(capability.to_string())),
    };
    GrantRecord {
        id: grant.id.to_string(),
        role,
        capability,
        workspace: scope(&grant.scope),
        expires: grant.expires_ms.map(times::format).unwrap_or_default(),
        granted_by: grant.granted_by.map(|user| user.to_string()).unwrap_or_default(),
        created: times::format(grant.created_ms),
        capabilities: Vec::new(),
    }
}

/// What grants add up to. All of them are in force.
pub(super) fn permissions(user: UserId, grants: &[Grant]) -> EffectivePermissions {
    let mut scopes: Vec<_> = grants.iter().map(|grant| &grant.scope).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let permissions = scopes.into_iter().map(|at| {
        let here: Vec<_> = grants.iter().filter(|grant| grant.scope == *at).collect();
        let allows = |grant: &Grant| names(roles::capabilities_of(grant.what));
        let mut capabilities: Vec<_> = here.iter().flat_map(|grant| allows(grant)).collect();
        capabilities.sort_unstable();
        capabilities.dedup();
        let grants = here
            .iter()
            .map(|grant| GrantRecord { capabilities: allows(grant), ..self::grant(grant) })
            .collect();
        ScopePermissions { workspace: scope(at), capabilities, grants }
    });
    EffectivePermissions { user_id: user.to_string(), permissions: permissions.collect() }
}

/// The names of capabilities, sorted.
fn names(capabilities: Capabilities) -> Vec<String> {
    let held = Capability::ALL.iter().filter(|capability| capabilities.has(**capability));
    let mut names: Vec<_> = held.map(ToString::to_string).collect();
    names.sort_unstable();
    names
}

fn scope(scope: &Scope) -> String {
    match scope {
        Scope::Deployment => EVERYWHERE.to_owned(),
        Scope::Workspace(id) => id.to_string(),
    }
}
