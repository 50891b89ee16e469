//! Who asks: an actor is looked up and checked on each state that is decided on.

use tollgate_proto::iam::{Actor, Credential, SignedSession};
use tollgate_proto::ids::WorkspaceId;

use super::Request;
use crate::policy::{self, CredentialStanding, Live, Rights, Standing};
use crate::record::{Grant, Scope, SigningState, Subject, User};
use crate::refused::Refused;
use crate::state::{self, Read, StateError};

/// The actor of a request, if it is who it was.
pub(super) fn live(state: &dyn Read, request: &Request) -> Result<Live, Refused> {
    let actor = request.actor.as_ref().ok_or(Refused::Unauthenticated("no actor"))?;
    live_actor(state, actor, request.now_ms)
}

/// An actor, if it is who it was.
pub(super) fn live_actor(state: &dyn Read, actor: &Actor, now_ms: u64) -> Result<Live, Refused> {
    let credential = match actor.credential {
        Credential::Key(id) => CredentialStanding::Key(state::key(state, id)?),
        Credential::Session(session) => {
            CredentialStanding::Session { ended: has_ended(state, session)? }
        }
        Credential::Minted { session, by, .. } => CredentialStanding::Minted {
            ended: has_ended(state, session)?,
            minter: state::user(state, by)?,
        },
    };
    let standing = Standing {
        user: state::user(state, actor.user)?,
        grants: in_force(state, state::grants_of(state, Subject::User(actor.user))?, now_ms)?,
        credential,
    };
    Ok(policy::live(actor, standing, now_ms)?)
}

/// Whether a session was ended, or the key behind its token revoked.
fn has_ended(state: &dyn Read, session: SignedSession) -> Result<bool, StateError> {
    let key = state::signing_key(state, session.signed_by)?;
    let is_sound = key.is_some_and(|key| key.state != SigningState::Revoked);
    Ok(!is_sound || state::session_ended(state, session.id)?)
}

/// The grants that can be used now: those in a workspace that is disabled allow nothing.
pub(super) fn in_force(
    state: &dyn Read,
    mut grants: Vec<Grant>,
    now_ms: u64,
) -> Result<Vec<Grant>, StateError> {
    grants.retain(|grant| grant.expires_ms.is_none_or(|expires| now_ms < expires));
    let mut used = Vec::new();
    for grant in grants {
        let in_force = match &grant.scope {
            Scope::Deployment => true,
            Scope::Workspace(id) => is_live(state, id)?,
        };
        if in_force {
            used.push(grant);
        }
    }
    Ok(used)
}

/// What a user holds, whether it can be used now or not: nobody reaches it who has less.
pub(super) fn unexpired(
    state: &dyn Read,
    user: &User,
    now_ms: u64,
) -> Result<Vec<Grant>, StateError> {
    let mut grants = state::grants_of(state, Subject::User(user.id))?;
    grants.retain(|grant| grant.expires_ms.is_none_or(|expires| now_ms < expires));
    Ok(grants)
}

/// What all of that would allow.
pub(super) fn rights_of(state: &dyn Read, user: &User, now_ms: u64) -> Result<Rights, StateError> {
    Ok(Rights::of(&unexpired(state, user, now_ms)?, now_ms))
}

/// Whether a user has anywhere to go: a live home, a right on the deployment, or a right in
/// another workspace that is live.
pub(super) fn has_a_place(
    state: &dyn Read,
    user: &User,
    rights: &Rights,
) -> Result<bool, StateError> {
    if rights.reach_deployment() || is_live(state, &user.home)? {
        return Ok(true);
    }
    for workspace in rights.workspaces() {
        if is_live(state, workspace)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a workspace can be used.
pub(super) fn is_live(state: &dyn Read, id: &WorkspaceId) -> Result<bool, StateError> {
    Ok(state::workspace(state, id)?.is_some_and(|workspace| workspace.enabled))
}
