//! Who asks: an actor is looked up and checked on each state that is decided on.

use tollgate_proto::iam::{Actor, Credential};

use super::Request;
use crate::policy::{self, CredentialStanding, Live, Rights, Standing};
use crate::record::{Subject, User};
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
        Credential::Session(id) => {
            CredentialStanding::Session { ended: state::session_ended(state, id)? }
        }
    };
    let standing = Standing {
        user: state::user(state, actor.user)?,
        grants: state::grants_of(state, Subject::User(actor.user))?,
        credential,
    };
    Ok(policy::live(actor, standing, now_ms)?)
}

/// What a user may do.
pub(super) fn rights_of(state: &dyn Read, user: &User, now_ms: u64) -> Result<Rights, StateError> {
    Ok(Rights::of(&state::grants_of(state, Subject::User(user.id))?, now_ms))
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
pub(super) fn is_live(
    state: &dyn Read,
    id: &tollgate_proto::ids::WorkspaceId,
) -> Result<bool, StateError> {
    Ok(state::workspace(state, id)?.is_some_and(|workspace| workspace.enabled))
}
