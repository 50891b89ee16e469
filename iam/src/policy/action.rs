//! The actions of IAM's operations, each with its rule.
//!
//! Two rules stand behind the capabilities. Nobody gives what it does not have: the rights of a
//! new grant, role or user are the actor's own at every scope that they cover, for as long as they
//! are given. Nobody reaches whoever has more, or has it for longer: what the target holds, the
//! actor holds too, at every scope and until it ends.

use tollgate_proto::capability::Capability;
use tollgate_proto::ids::{UserId, WorkspaceId};
use tollgate_proto::resource::Resource;

use super::scope::Rights;
use super::{Allowed, Denied, Live, OWN_KEYS};
use crate::record::{Grant, Scope, User};

/// What can be done by an actor, with its target.
#[derive(Debug)]
pub enum Action<'a> {
    /// Read its own record.
    ReadSelf,
    /// See what it may do, and where.
    ReadOwnRights,
    /// Change its own password.
    ChangePassword {
        /// Whose was asked for.
        user: UserId,
    },
    /// Make a user.
    CreateUser {
        /// At home there.
        home: &'a WorkspaceId,
        /// With these rights.
        rights: &'a Rights,
    },
    /// See users of a workspace.
    ReadUsers {
        /// Their home.
        home: &'a WorkspaceId,
    },
    /// See users of whatever workspaces it may.
    ReadUsersAnywhere,
    /// End its own session.
    EndOwnSession,
    /// See the sockets of a user, or its own.
    ReadSessions {
        /// Whose.
        of: &'a User,
    },
    /// See sockets in a workspace, of whatever users it may.
    ReadSessionsIn {
        /// Where.
        workspace: &'a WorkspaceId,
    },
    /// Close sockets of a user, who keeps its authority, or its own.
    CloseSockets {
        /// Whose.
        target: Target<'a>,
    },
    /// Change what is shown of a user.
    UpdateProfile {
        /// The user's home.
        home: &'a WorkspaceId,
    },
    /// Take a user's authority away, give it back, or reset its password.
    ManageUser {
        /// Whom.
        target: Target<'a>,
    },
    /// Give a user other roles.
    SetRoles {
        /// Whom.
        target: Target<'a>,
        /// What the user has from then on.
        rights: &'a Rights,
    },
    /// See what a user may do, in one scope.
    ReadGrants {
        /// Where.
        scope: &'a Scope,
    },
    /// Give a grant.
    GiveGrant {
        /// Where it holds.
        scope: &'a Scope,
        /// What it allows.
        rights: &'a Rights,
        /// When it ends by itself.
        until_ms: Option<u64>,
    },
    /// Look for a grant that is to be taken away.
    TakeGrant {
        /// Where it would hold.
        scope: &'a Scope,
        /// What it would allow.
        rights: &'a Rights,
    },
    /// Take a grant away, or give it another end.
    EndGrant {
        /// As it is held.
        grant: &'a Grant,
    },
    /// Make an API key.
    CreateKey {
        /// For whom.
        owner: Target<'a>,
        /// How many live ones there are.
        live_keys: usize,
    },
    /// See somebody's keys, or end one.
    ManageKeys {
        /// Whose.
        owner: Target<'a>,
    },
    /// Make a workspace.
    CreateWorkspace,
    /// See a workspace.
    ReadWorkspace {
        /// Which.
        workspace: &'a WorkspaceId,
    },
    /// See whatever workspaces it may.
    ReadWorkspacesAnywhere,
    /// Rename a workspace, disable or enable it.
    UpdateWorkspace {
        /// Which.
        workspace: &'a WorkspaceId,
    },
    /// Open a session for somebody.
    MintToken {
        /// For whom.
        subject: Target<'a>,
        /// Where.
        workspace: &'a WorkspaceId,
    },
    /// Publish the next signing key, or revoke one.
    RotateSigningKey,
    /// Be told that something is not there, instead of being denied.
    SeeMissing {
        /// What it would have needed.
        capability: Capability,
    },
}

/// The user that an action is about.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its record.
    pub user: &'a User,
    /// What it holds and has not ended, whether it can be used now or not.
    pub grants: &'a [Grant],
}

/// Decides on an action.
pub fn allow(live: &Live, action: &Action<'_>) -> Result<Allowed, Denied> {
    let for_bound =
        matches!(action, Action::ReadSelf | Action::EndOwnSession | Action::ChangePassword { .. });
    if live.bound && !for_bound {
        return Err(Denied::TemporaryPassword);
    }
    let for_minted =
        matches!(action, Action::ReadSelf | Action::ReadOwnRights | Action::EndOwnSession);
    if live.minted && !for_minted {
        return Err(Denied::Minted);
    }
    match action {
        Action::ReadSelf | Action::ReadOwnRights | Action::EndOwnSession => Ok(Allowed::SELF),
        Action::ChangePassword { user } if *user == live.user.id => Ok(Allowed::SELF),
        Action::ChangePassword { .. } => Err(Denied::NotSelf),
        Action::CreateUser { home, rights } => {
            let allowed = need(live, Capability::UsersAdmin, home)?;
            check_no_escalation(&live.lasting(None), rights)?;
            Ok(allowed)
        }
        Action::ReadUsers { home } => need(live, Capability::UsersRead, home),
        Action::ReadUsersAnywhere => need_anywhere(live, Capability::UsersRead),
        Action::UpdateProfile { home } => need(live, Capability::UsersWrite, home),
        Action::ManageUser { target } => manage_user(live, *target),
        Action::ReadSessions { of } => read_sessions(live, of),
        Action::ReadSessionsIn { workspace } => need(live, Capability::UsersAdmin, workspace),
        Action::CloseSockets { target } => close_sockets(live, *target),
        Action::SetRoles { target, rights } => {
            let allowed = manage_user(live, *target)?;
            check_no_escalation(&live.lasting(None), rights)?;
            Ok(allowed)
        }
        Action::ReadGrants { scope } => need_in(live, Capability::IamAdmin, scope),
        Action::GiveGrant { scope, rights, until_ms } => {
            let allowed = need_in(live, Capability::IamAdmin, scope)?;
            check_no_escalation(&live.lasting(*until_ms), rights)?;
            Ok(allowed)
        }
        Action::TakeGrant { scope, rights } => {
            let allowed = need_in(live, Capability::IamAdmin, scope)?;
            check_no_escalation(&live.rights, rights)?;
            Ok(allowed)
        }
        Action::EndGrant { grant } => {
            let allowed = need_in(live, Capability::IamAdmin, &grant.scope)?;
            let rights = Rights::of_one(grant.what, &grant.scope);
            check_no_escalation(&live.lasting(grant.expires_ms), &rights)?;
            Ok(allowed)
        }
        Action::CreateKey { owner, live_keys } => match manage_keys(live, *owner)? {
            allowed if allowed.capability == Some(Capability::KeysAdmin) => Ok(allowed),
            allowed if *live_keys < OWN_KEYS => Ok(allowed),
            _ => Err(Denied::EnoughKeys),
        },
        Action::ManageKeys { owner } => manage_keys(live, *owner),
        Action::CreateWorkspace => need_deployment(live, Capability::WorkspacesAdmin),
        Action::ReadWorkspace { workspace } | Action::UpdateWorkspace { workspace } => {
            need(live, Capability::WorkspacesAdmin, workspace)
        }
        Action::ReadWorkspacesAnywhere => need_anywhere(live, Capability::WorkspacesAdmin),
        Action::MintToken { subject, workspace } => {
            need(live, Capability::MintToken, &subject.user.home)?;
            let allowed = need(live, Capability::MintToken, workspace)?;
            check_not_outranked(live, *subject)?;
            Ok(allowed)
        }
        Action::RotateSigningKey => need_deployment(live, Capability::IamAdmin),
        Action::SeeMissing { capability } => need_deployment(live, *capability),
    }
}

/// Keys of an account are as good as the account: whoever has more rights than the actor is out
/// of its reach.
fn manage_keys(live: &Live, owner: Target<'_>) -> Result<Allowed, Denied> {
    let by_grant = need(live, Capability::KeysAdmin, &owner.user.home)
        .and_then(|allowed| check_not_outranked(live, owner).map(|()| allowed));
    match by_grant {
        Err(_) if owner.user.id == live.user.id && live.rights.anywhere(Capability::KeysSelf) => {
            Ok(Allowed::by(Capability::KeysSelf))
        }
        other => other,
    }
}

/// Whoever has more rights than the actor is out of its reach.
fn manage_user(live: &Live, target: Target<'_>) -> Result<Allowed, Denied> {
    let allowed = need(live, Capability::UsersAdmin, &target.user.home)?;
    check_not_outranked(live, target)?;
    Ok(allowed)
}

fn read_sessions(live: &Live, of: &User) -> Result<Allowed, Denied> {
    if of.id == live.user.id {
        return Ok(Allowed::SELF);
    }
    need(live, Capability::UsersAdmin, &of.home)
}

fn close_sockets(live: &Live, target: Target<'_>) -> Result<Allowed, Denied> {
    if target.user.id == live.user.id {
        return Ok(Allowed::SELF);
    }
    manage_user(live, target)
}

fn need_in(live: &Live, capability: Capability, scope: &Scope) -> Result<Allowed, Denied> {
    match scope {
        Scope::Deployment => need_deployment(live, capability),
        Scope::Workspace(workspace) => need(live, capability, workspace),
    }
}

fn need(live: &Live, capability: Capability, at: &WorkspaceId) -> Result<Allowed, Denied> {
    let resource = Resource::Workspace { workspace: at.clone() };
    if live.rights.allow(capability, &resource) {
        return Ok(Allowed::by(capability));
    }
    Err(Denied::NoGrant)
}

fn need_deployment(live: &Live, capability: Capability) -> Result<Allowed, Denied> {
    if live.rights.allow(capability, &Resource::Deployment) {
        return Ok(Allowed::by(capability));
    }
    Err(Denied::NoGrant)
}

fn need_anywhere(live: &Live, capability: Capability) -> Result<Allowed, Denied> {
    if live.rights.anywhere(capability) {
        return Ok(Allowed::by(capability));
    }
    Err(Denied::NoGrant)
}

/// Nobody gives what it does not have, nor for longer: the new rights are the actor's own at every
/// scope that they cover.
fn check_no_escalation(own: &Rights, new: &Rights) -> Result<(), Denied> {
    if own.cover(new) { Ok(()) } else { Err(Denied::Escalation) }
}

/// Nobody reaches whoever has more, or has it for longer: each of the target's grants is covered by
/// what the actor holds until that grant ends.
fn check_not_outranked(live: &Live, target: Target<'_>) -> Result<(), Denied> {
    let is_covered = |grant: &Grant| {
        live.lasting(grant.expires_ms).cover(&Rights::of_one(grant.what, &grant.scope))
    };
    if target.grants.iter().all(is_covered) { Ok(()) } else { Err(Denied::Outranked) }
}
