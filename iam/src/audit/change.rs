//! The line of an operation that changed something, from its entry in the journal and nothing
//! else: made again after a crash, it is the same line.

use std::sync::Arc;

use tollgate_proto::audit::{Event, Line, Peer, Target, TargetKind, Text, Who};
use tollgate_proto::ids::{Seq, UserId};

use crate::journal::entry::Act;
use crate::record::{Change, Scope, SigningState, Subject};
use crate::times;

/// The line of one operation of entry `seq`. Its first change says what was done and to what; the
/// rest came with it.
pub(super) fn line(act: &Act, seq: Seq, node: &Arc<str>) -> Option<Line> {
    let (first, rest) = act.changes.split_first()?;
    let (event, target) = describe(first);
    let mut also = Vec::new();
    for (other, _) in rest.iter().map(describe) {
        if other != event && !also.contains(&other) {
            also.push(other);
        }
    }
    let time = times::format_ns(act.at_ms.saturating_mul(1_000_000));
    Some(Line {
        seq: Some(seq),
        also,
        request_id: Some(act.id),
        actor: act.actor.as_ref().map(Who::from),
        client: Some(Peer::from(&act.client)),
        target: Some(target),
        operation: Some(Text::new(&act.operation)),
        capability: act.capability,
        ..Line::new(event, time, Arc::clone(node))
    })
}

/// What a change is called, and what it is done to.
pub fn describe(change: &Change) -> (Event, Target) {
    let user = |id: &UserId| Target::new(TargetKind::User, id).of(*id);
    match change {
        Change::Claim { at_ms: _ } => (Event::BootstrapOk, Target::only(TargetKind::Deployment)),
        Change::AddWorkspace(workspace) => (
            Event::WorkspaceCreate,
            Target::new(TargetKind::Workspace, &workspace.id).at(&workspace.id),
        ),
        Change::SetWorkspace { workspace, name: _, enabled } => (
            if *enabled { Event::WorkspaceUpdate } else { Event::WorkspaceDisable },
            Target::new(TargetKind::Workspace, workspace).at(workspace),
        ),
        Change::AddUser(new) => (Event::UserCreate, user(&new.id).at(&new.home)),
        Change::SetProfile { user: id, .. } | Change::SetMustChange { user: id, .. } => {
            (Event::UserUpdate, user(id))
        }
        Change::SetEnabled { user: id, enabled: true } => (Event::UserEnable, user(id)),
        Change::SetEnabled { user: id, enabled: false } => (Event::UserDisable, user(id)),
        Change::RemoveUser { user: id } => (Event::UserDelete, user(id)),
        Change::Suspend { at_ms: _ } => (Event::Restore, Target::only(TargetKind::Deployment)),
        Change::AddGrant(grant) => {
            let Subject::User(holder) = grant.subject;
            let target = Target::new(TargetKind::Grant, grant.id).of(holder);
            match &grant.scope {
                Scope::Deployment => (Event::GrantAdd, target),
                Scope::Workspace(workspace) => (Event::GrantAdd, target.at(workspace)),
            }
        }
        Change::RemoveGrant { subject: Subject::User(holder), grant } => {
            (Event::GrantRemove, Target::new(TargetKind::Grant, grant).of(*holder))
        }
        Change::SetPassword { user: id, password, .. } => {
            (if password.own { Event::PasswordChange } else { Event::PasswordReset }, user(id))
        }
        Change::Rehash { user: id, hash: _ } => (Event::PasswordRehash, user(id)),
        Change::EndSession { session, .. } => {
            (Event::SessionEnd, Target::new(TargetKind::Session, session))
        }
        Change::AddKey(key) => {
            (Event::KeyCreate, Target::new(TargetKind::ApiKey, key.id).of(key.user))
        }
        Change::RevokeKey { key, at_ms: _ } => {
            (Event::KeyRevoke, Target::new(TargetKind::ApiKey, key))
        }
        Change::AddSigningKey(key) => {
            (Event::SigningKeyCreate, Target::new(TargetKind::SigningKey, key.name))
        }
        Change::RaiseFormat { to: _ } => (Event::JournalUpgrade, Target::only(TargetKind::Journal)),
        Change::CloseSockets { user: id } => (Event::SocketClose, user(id)),
        Change::CloseSocket { socket, user } => {
            (Event::SocketClose, Target::new(TargetKind::Socket, socket).of(*user))
        }
        Change::MoveSigningKey { key, to } => (
            match to {
                SigningState::Next | SigningState::Active | SigningState::Retired(_) => {
                    Event::SigningKeyRotate
                }
                SigningState::Revoked => Event::SigningKeyRevoke,
            },
            Target::new(TargetKind::SigningKey, key),
        ),
    }
}
