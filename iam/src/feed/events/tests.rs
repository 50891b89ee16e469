use tollgate_proto::iam::{Actor, Credential};
use tollgate_proto::ids::{GrantId, KeyId, OperationId, Seq, SessionId, SocketId};
use tollgate_proto::jwt::KeyName;
use uuid::Uuid;

use super::*;
use crate::hash::Digest;
use crate::record::{
    Done, Format, Grant, Outcome, Password, PasswordHash, Role, Scope, SigningState, User, What,
    Workspace, samples,
};
use crate::state::State;

const ANN: UserId = UserId(Uuid::from_u128(1));

fn ann() -> User {
    samples::user(1, "ann")
}

fn grant() -> Grant {
    Grant {
        id: GrantId(Uuid::from_u128(2)),
        subject: Subject::User(ANN),
        what: What::Role(Role::Reader),
        scope: Scope::Deployment,
        expires_ms: None,
        granted_by: None,
        created_ms: 0,
    }
}

fn entry(changes: Vec<Change>) -> Entry {
    let act = Act {
        id: OperationId(Uuid::nil()),
        operation: "test".to_owned(),
        at_ms: 0,
        actor: Some(Actor {
            user: ANN,
            credential: Credential::Key(KeyId(Uuid::nil())),
            auth_epoch: 1,
        }),
        client: tollgate_proto::iam::Client::default(),
        capability: None,
        outcome: Outcome::Done,
        changes,
    };
    Entry { format: Format::NEWEST, seq: Seq(7), before: Digest::default(), acts: vec![act] }
}

/// The events of changes to a state that has Ann, without their `seq`.
fn events_of(changes: Vec<Change>) -> Vec<String> {
    let mut open = State::in_memory().unwrap().open().unwrap();
    let done =
        Done { seq: Seq(7), operation: "test".to_owned(), actor: None, outcome: Outcome::Done };
    let ann = [Change::AddUser(ann()), Change::AddGrant(grant())];
    state::apply(&mut open, OperationId(Uuid::from_u128(8)), &done, &ann).unwrap();
    state::apply(&mut open, OperationId(Uuid::from_u128(9)), &done, &changes).unwrap();
    let events = events(&entry(changes), &open).unwrap();
    assert!(events.iter().all(|event| event.seq == Seq(7)));
    events
        .iter()
        .map(|event| {
            let text = serde_json::to_string(&event.moved).unwrap();
            text.replace("00000000-0000-0000-0000-", "").replace(['"', '{', '}'], "")
        })
        .collect()
}

fn check(change: Change, expect: &[&str]) {
    let shown = format!("{change:?}");
    assert_eq!(events_of(vec![change]), expect, "{shown}");
}

#[test]
fn whatever_takes_or_moves_authority_is_an_event() {
    let workspace =
        Workspace { id: "a".parse().unwrap(), name: String::new(), enabled: true, created_ms: 0 };
    let password = Password { hash: PasswordHash("x".to_owned()), own: true, until_ms: None };
    let set_password = Change::SetPassword {
        user: ANN,
        password,
        must_change: false,
        revoke_keys: false,
        at_ms: 1,
    };
    let session = SessionId(Uuid::from_u128(5));
    check(Change::Claim { at_ms: 1 }, &[]);
    check(Change::SetProfile { user: ANN, name: String::new(), email: String::new() }, &[]);
    check(Change::AddWorkspace(workspace), &["kind:workspace,id:a"]);
    check(
        Change::SetEnabled { user: ANN, enabled: false },
        &["kind:user-auth,id:000000000001,epoch:2", "kind:user-authz,id:000000000001,epoch:3"],
    );
    check(
        Change::SetEnabled { user: ANN, enabled: true },
        &["kind:user-authz,id:000000000001,epoch:3"],
    );
    check(
        Change::SetMustChange { user: ANN, must_change: true },
        &["kind:user-authz,id:000000000001,epoch:3"],
    );
    check(
        set_password,
        &["kind:user-auth,id:000000000001,epoch:2", "kind:user-authz,id:000000000001,epoch:2"],
    );
    check(
        Change::RemoveUser { user: ANN },
        &[
            "kind:user-auth,id:000000000001,epoch:null",
            "kind:user-authz,id:000000000001,epoch:null",
        ],
    );
    check(
        Change::RemoveGrant { subject: Subject::User(ANN), grant: grant().id },
        &["kind:user-authz,id:000000000001,epoch:3"],
    );
    check(
        Change::EndSession { session, until_ms: 9, at_ms: 1 },
        &["kind:session,id:000000000005,user:000000000001"],
    );
    check(Change::Suspend { at_ms: 1 }, &["kind:deployment"]);
    check(Change::CloseSockets { user: ANN }, &["kind:sockets,user:000000000001"]);
    check(
        Change::CloseSocket { socket: SocketId(Uuid::from_u128(6)), user: ANN },
        &["kind:socket,id:000000000006,user:000000000001"],
    );
}

#[test]
fn what_has_no_record_of_its_own_here_is_an_event_too() {
    let state = State::in_memory().unwrap();
    let view = state.view().unwrap();
    let entry = entry(vec![]);
    let moved = |change: &Change| moved_by(actor_of(&entry.acts[0]), change, &view).unwrap();
    let key = KeyId(Uuid::from_u128(3));
    assert_eq!(
        moved(&Change::RevokeKey { key, at_ms: 1 }),
        [Moved::Credential { id: key, user: None }]
    );
    let name = KeyName::from_number(10);
    let rotated = Change::MoveSigningKey { key: name, to: SigningState::Revoked };
    assert_eq!(moved(&rotated), [Moved::SigningKey { id: name }]);
}

#[test]
fn of_users_who_are_new_there_is_nothing_to_tell() {
    let ben = UserId(Uuid::from_u128(6));
    let grant = Grant { id: GrantId(Uuid::from_u128(7)), subject: Subject::User(ben), ..grant() };
    let made = [Change::AddUser(User { id: ben, username: "ben".to_owned(), ..ann() })];
    let given = [Change::AddGrant(grant)];
    assert_eq!(events_of([made, given].concat()), [""; 0]);
}

#[test]
fn an_event_that_an_entry_says_twice_is_told_once() {
    let again = Grant { id: GrantId(Uuid::from_u128(4)), ..grant() };
    let changes = vec![
        Change::RemoveGrant { subject: Subject::User(ANN), grant: grant().id },
        Change::AddGrant(again),
    ];
    assert_eq!(events_of(changes), ["kind:user-authz,id:000000000001,epoch:4"]);
}
