//! What gateways must know of an entry: the events that follow from its changes.
//!
//! In: an entry, and the state that it made. Out: [`Event`]s, none for a change that takes or moves
//! no authority. Never: an event that a change does not say.

#[cfg(test)]
mod tests;

use tollgate_proto::iam::{Event, Moved};
use tollgate_proto::ids::UserId;

use crate::journal::entry::{Act, Entry};
use crate::record::{Change, Subject};
use crate::state::{self, Read, StateError};

/// The events of an entry, with the epochs of now: one that is newer than the entry voids more,
/// and never too little.
pub fn events(entry: &Entry, state: &dyn Read) -> Result<Vec<Event>, StateError> {
    let changes = || entry.acts.iter().flat_map(|act| act.changes.iter().map(move |it| (act, it)));
    let mut events: Vec<Event> = Vec::new();
    for (act, change) in changes() {
        for moved in moved_by(actor_of(act), change, state)? {
            let event = Event { seq: entry.seq, moved };
            if !events.contains(&event) {
                events.push(event);
            }
        }
    }
    // Nobody knows anything yet of users whom this very entry makes.
    for (_, change) in changes() {
        if let Change::AddUser(user) = change {
            events.retain(|event| user_of(&event.moved) != Some(user.id));
        }
    }
    Ok(events)
}

/// What would move with changes that are not made, as far as the state of now tells.
pub fn would_move(
    actor: Option<UserId>,
    changes: &[Change],
    state: &dyn Read,
) -> Result<Vec<Moved>, StateError> {
    let moved = changes.iter().map(|change| moved_by(actor, change, state));
    Ok(moved.collect::<Result<Vec<_>, _>>()?.concat())
}

fn actor_of(act: &Act) -> Option<UserId> {
    act.actor.as_ref().map(|actor| actor.user)
}

fn user_of(moved: &Moved) -> Option<UserId> {
    match moved {
        Moved::UserAuth { id, .. } | Moved::UserAuthz { id, .. } => Some(*id),
        Moved::Credential { .. }
        | Moved::Session { .. }
        | Moved::Workspace { .. }
        | Moved::SigningKey { .. }
        | Moved::Deployment {}
        | Moved::Sockets { .. }
        | Moved::Socket { .. } => None,
    }
}

fn moved_by(
    actor: Option<UserId>,
    change: &Change,
    state: &dyn Read,
) -> Result<Vec<Moved>, StateError> {
    let auth = |id: UserId| -> Result<Moved, StateError> {
        let epoch = state::user(state, id)?.map(|user| user.auth_epoch);
        Ok(Moved::UserAuth { id, epoch })
    };
    let authz = |id: UserId| -> Result<Moved, StateError> {
        let epoch = state::user(state, id)?.map(|user| user.authz_epoch);
        Ok(Moved::UserAuthz { id, epoch })
    };
    Ok(match change {
        // New, so that nothing was known of them; or no authority at all.
        Change::Claim { .. }
        | Change::AddUser(_)
        | Change::AddKey(_)
        | Change::SetProfile { .. }
        | Change::Rehash { .. }
        | Change::RaiseFormat { .. } => vec![],
        // "There is none" may have been known.
        Change::AddWorkspace(workspace) => {
            vec![Moved::Workspace { id: workspace.id.clone(), disabled: false }]
        }
        Change::SetWorkspace { workspace, enabled, .. } => {
            vec![Moved::Workspace { id: workspace.clone(), disabled: !enabled }]
        }
        Change::SetPassword { user, .. }
        | Change::SetEnabled { user, enabled: false }
        | Change::RemoveUser { user } => vec![auth(*user)?, authz(*user)?],
        Change::SetEnabled { user, enabled: true } | Change::SetMustChange { user, .. } => {
            vec![authz(*user)?]
        }
        Change::Suspend { .. } => vec![Moved::Deployment {}],
        Change::AddGrant(grant) => {
            let Subject::User(user) = grant.subject;
            vec![authz(user)?]
        }
        Change::RemoveGrant { subject: Subject::User(user), .. } => vec![authz(*user)?],
        Change::EndSession { session, .. } => {
            // Who ends one ends its own.
            vec![Moved::Session { id: *session, user: actor }]
        }
        Change::RevokeKey { key: id, .. } => {
            let user = state::key(state, *id)?.map(|key| key.user);
            vec![Moved::Credential { id: *id, user }]
        }
        Change::AddSigningKey(key) => vec![Moved::SigningKey { id: key.name }],
        Change::MoveSigningKey { key, .. } => vec![Moved::SigningKey { id: *key }],
        Change::CloseSockets { user } => vec![Moved::Sockets { user: *user }],
        Change::CloseSocket { socket, user } => {
            vec![Moved::Socket { id: *socket, user: *user }]
        }
    })
}
