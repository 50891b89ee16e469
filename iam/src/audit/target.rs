//! What was asked for, where nothing was changed: as the client named it, if that is an id.
//!
//! Whatever else stands there may be a key or a password in the wrong place, and is left out.

use tollgate_proto::audit::{AuditKey, Target, TargetKind};
use tollgate_proto::iam::{Actor, Credential, Operation};
use tollgate_proto::ids::{KeyId, SocketId, UserId, WorkspaceId};
use tollgate_proto::key;
use tollgate_proto::resource::Resource;

/// The target of an operation.
pub(super) fn of_operation(operation: &Operation, key: &AuditKey) -> Option<Target> {
    match operation {
        Operation::Login { username, .. } => {
            // A name that nobody has may be a password in the wrong field.
            let name = username.as_deref()?.to_ascii_lowercase();
            Some(Target::new(TargetKind::Login, key.name(&name)))
        }
        Operation::CreateUser { workspace, .. } | Operation::ListUsers { workspace } => {
            of_workspace(workspace.as_deref())
        }
        Operation::GetUser { user_id, .. }
        | Operation::UpdateUser { user_id, .. }
        | Operation::DisableUser { user_id, .. }
        | Operation::EnableUser { user_id, .. }
        | Operation::DeleteUser { user_id, .. }
        | Operation::ResetPassword { user_id, .. }
        | Operation::ChangePassword { user_id, .. }
        | Operation::ListApiKeys { user_id, .. }
        | Operation::MintToken { user_id, .. }
        | Operation::AddUserGrant { user_id, .. }
        | Operation::RemoveUserGrant { user_id, .. }
        | Operation::ListUserGrants { user_id }
        | Operation::ResolveEffectivePermissions { user_id }
        | Operation::KickUser { user_id, .. } => of_user(user_id.as_deref()),
        Operation::CreateApiKey { key, .. } => of_user(key.as_ref()?.user_id.as_deref()),
        Operation::ListSessions { user_id, workspace } => {
            of_user(user_id.as_deref()).or_else(|| of_workspace(workspace.as_deref()))
        }
        Operation::EndSession { session_id, .. } => {
            let socket: SocketId = session_id.as_deref()?.parse().ok()?;
            Some(Target::new(TargetKind::Socket, socket))
        }
        Operation::RevokeApiKey { key_id, .. } => {
            let key: KeyId = key_id.as_deref()?.parse().ok()?;
            Some(Target::new(TargetKind::ApiKey, key))
        }
        Operation::CreateWorkspace { workspace_record }
        | Operation::GetWorkspace { workspace_record }
        | Operation::UpdateWorkspace { workspace_record }
        | Operation::DisableWorkspace { workspace_record } => {
            of_workspace(workspace_record.as_ref()?.id.as_deref())
        }
        // The rest is about the caller, or about the deployment as a whole.
        _ => None,
    }
}

/// The target of a decision.
pub(super) fn of_resource(resource: &Resource) -> Target {
    let (kind, id) = match resource {
        Resource::Deployment => return Target::only(TargetKind::Deployment),
        Resource::Workspace { workspace } => (TargetKind::Workspace, workspace.as_str()),
        Resource::Flow { flow, .. } => (TargetKind::Flow, flow.as_str()),
    };
    let target = if is_harmless(id) { Target::new(kind, id) } else { Target::only(kind) };
    match resource.workspace().filter(|workspace| is_harmless(workspace.as_str())) {
        Some(workspace) => target.at(workspace),
        None => target,
    }
}

/// The session that somebody minted.
pub(super) fn of_minted(opened: &Actor) -> Option<Target> {
    match opened.credential {
        Credential::Minted { session, .. } => {
            Some(Target::new(TargetKind::Session, session.id).of(opened.user))
        }
        Credential::Key(_) | Credential::Session(_) => None,
    }
}

fn of_user(id: Option<&str>) -> Option<Target> {
    let user: UserId = id?.parse().ok()?;
    Some(Target::new(TargetKind::User, user).of(user))
}

fn of_workspace(id: Option<&str>) -> Option<Target> {
    let workspace: WorkspaceId = id?.parse().ok().filter(|_| id.is_some_and(is_harmless))?;
    Some(Target::new(TargetKind::Workspace, &workspace).at(&workspace))
}

/// Whether a text that is not an id of ours is no credential either: an API key would pass for the
/// name of a workspace, a token for that of a flow.
fn is_harmless(text: &str) -> bool {
    !text.starts_with(key::PREFIX) && !text.starts_with("eyJ")
}
