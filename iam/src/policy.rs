//! Who may do what: pure functions of the caller, the action and its target.
//!
//! In: records, as the state has them. Out: [`Allowed`], which `commit` asks for and nothing else
//! can make; or the reason, which stays inside. There are no negative grants, no order and no
//! inheritance: an action is allowed if some grant that covers its scope has its capability.
//! Never: a look-up, a clock, or anything that the caller wrote beyond the scope it addressed.

mod action;
pub mod roles;
pub mod scope;
#[cfg(test)]
mod tests;

use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{Actor, Credential, Decision};
use tollgate_proto::ids::WorkspaceId;
use tollgate_proto::resource::Resource;

use crate::record::{ApiKey, Deployment, Grant, Role, Scope, User, What, Workspace};
pub use action::{Action, Target, allow};
pub use scope::Rights;

/// How many live keys a user may have who makes them without `keys:admin`.
pub const OWN_KEYS: usize = 20;

/// Why policy says no. For logs; callers are told that they were denied, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The actor is not who it was: gone, disabled, or its credential has ended.
    #[error("the actor is no longer live")]
    NotLive,
    /// No grant that covers the target has the capability.
    #[error("no grant covers it")]
    NoGrant,
    /// It would give away more than the actor has.
    #[error("it would give more than the actor has")]
    Escalation,
    /// The target has more rights than the actor.
    #[error("the target outranks the actor")]
    Outranked,
    /// The session has a temporary password, which must be changed first.
    #[error("the password must be changed first")]
    TemporaryPassword,
    /// A minted session looks at itself and uses services; it manages nothing.
    #[error("a minted session manages nothing")]
    Minted,
    /// Only for oneself.
    #[error("it concerns somebody else")]
    NotSelf,
    /// A user has all the keys that it may make by itself.
    #[error("the user has enough keys")]
    EnoughKeys,
    /// The deployment was claimed before.
    #[error("the deployment is claimed")]
    Claimed,
}

/// Proof that policy allowed one action on the state that it was asked on.
#[derive(Debug)]
pub struct Allowed {
    capability: Option<Capability>,
}

impl Allowed {
    /// The capability that allowed it; none, if it concerns the actor alone or is public.
    pub fn capability(&self) -> Option<Capability> {
        self.capability
    }

    const fn by(capability: Capability) -> Self {
        Self { capability: Some(capability) }
    }

    const SELF: Self = Self { capability: None };
}

/// What the state says about an actor.
#[derive(Debug)]
pub struct Standing {
    /// The user, if it is there.
    pub user: Option<User>,
    /// Its grants.
    pub grants: Vec<Grant>,
    /// The credential.
    pub credential: CredentialStanding,
}

/// What the state says about a credential.
#[derive(Debug)]
pub enum CredentialStanding {
    /// The record of an API key, if it is there.
    Key(Option<ApiKey>),
    /// Whether a session has ended.
    Session {
        /// Ended.
        ended: bool,
    },
    /// The same of a session that was minted.
    Minted {
        /// Ended.
        ended: bool,
        /// Who minted it, if it is there.
        minter: Option<User>,
    },
}

/// An actor who is who it was when it was authenticated.
#[derive(Debug)]
pub struct Live {
    user: User,
    /// Those that can be used now.
    grants: Vec<Grant>,
    rights: Rights,
    /// Whether it may do no more than change its password.
    bound: bool,
    /// Whether somebody else opened its session.
    minted: bool,
}

impl Live {
    /// The user's record.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// What it may do, and where.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// What it may do up to a moment; without one, for good.
    fn lasting(&self, until_ms: Option<u64>) -> Rights {
        let last_ms = until_ms.map_or(u64::MAX, |until| until.saturating_sub(1));
        Rights::of(&self.grants, last_ms)
    }
}

/// Checks an actor against the state: the user is enabled, and the credential is its own and live;
/// a session only under the epoch that was authenticated.
pub fn live(actor: &Actor, standing: Standing, now_ms: u64) -> Result<Live, Denied> {
    let user = standing.user.filter(|user| user.is_live() && user.id == actor.user);
    let user = user.ok_or(Denied::NotLive)?;
    let of_now = actor.auth_epoch == user.auth_epoch;
    let credential = match (actor.credential, standing.credential) {
        (Credential::Key(id), CredentialStanding::Key(Some(key))) => {
            // The key itself may have moved on with its owner's password since.
            let is_known = actor.auth_epoch <= user.auth_epoch;
            key.id == id && key.user == user.id && is_key_live(&key, &user, now_ms) && is_known
        }
        (Credential::Session(_), CredentialStanding::Session { ended }) => !ended && of_now,
        (Credential::Minted { by, epoch, .. }, CredentialStanding::Minted { ended, minter }) => {
            let is_minter = |user: &User| user.id == by && user.auth_epoch == epoch;
            !ended && of_now && minter.is_some_and(|user| user.is_live() && is_minter(&user))
        }
        (Credential::Key(_) | Credential::Session(_) | Credential::Minted { .. }, _) => false,
    };
    if !credential {
        return Err(Denied::NotLive);
    }
    let bound = user.must_change_password && matches!(actor.credential, Credential::Session(_));
    let minted = matches!(actor.credential, Credential::Minted { .. });
    let rights = Rights::of(&standing.grants, now_ms);
    Ok(Live { grants: standing.grants, rights, user, bound, minted })
}

/// Whether a key still opens anything.
pub fn is_key_live(key: &ApiKey, owner: &User, now_ms: u64) -> bool {
    key.revoked_ms.is_none()
        && key.expires_ms.is_none_or(|expires| now_ms < expires)
        && key.auth_epoch == owner.auth_epoch
}

/// The first admin of a deployment, and what it needs: once.
pub fn allow_claim(deployment: &Deployment) -> Result<Allowed, Denied> {
    match deployment.claimed_ms {
        None => Ok(Allowed::SELF),
        Some(_) => Err(Denied::Claimed),
    }
}

/// What IAM does by itself to keep going: it gives nobody anything and takes nothing away.
pub fn allow_upkeep() -> Allowed {
    Allowed::SELF
}

/// Decides on a capability on a resource, as the gateway asks before it forwards a call.
///
/// Whether a workspace exists is said only to those who are allowed on the whole deployment:
/// others may have been members of one that was disabled.
pub fn decide(
    live: &Live,
    capability: Capability,
    resource: &Resource,
    workspace: Option<&Workspace>,
) -> Decision {
    if live.bound || !live.rights.allow(capability, resource) {
        return Decision::Deny;
    }
    match (resource.workspace(), workspace) {
        (None, _) => Decision::Allow,
        (Some(_), Some(workspace)) if workspace.enabled => Decision::Allow,
        (Some(_), _) if live.rights.allow(capability, &Resource::Deployment) => {
            Decision::NoWorkspace
        }
        (Some(_), _) => Decision::Deny,
    }
}

/// The scopes that roles of the wire mean: `admin` is everywhere, the others are at home.
pub fn home_scope(role: Role, home: &WorkspaceId) -> Scope {
    match role {
        Role::Admin => Scope::Deployment,
        Role::Reader | Role::Writer => Scope::Workspace(home.clone()),
    }
}

/// The role that the wire shows for a grant: one that holds where [`home_scope`] says. Other
/// grants never appear there.
pub fn shown_role(grant: &Grant, user: &User) -> Option<Role> {
    match grant.what {
        What::Role(role) if grant.scope == home_scope(role, &user.home) => Some(role),
        What::Role(_) | What::Capability(_) => None,
    }
}
