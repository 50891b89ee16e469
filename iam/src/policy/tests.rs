use proptest::collection::vec;
use proptest::prelude::*;
use tollgate_proto::iam::SignedSession;
use tollgate_proto::ids::{GrantId, KeyId, KeyName, SessionId};
use uuid::Uuid;

use super::*;
use crate::record::{Role, Subject, What, samples};

const NOW: u64 = 1_000;

fn user(id: u128) -> User {
    User { home: "a".parse().unwrap(), auth_epoch: 3, ..samples::user(id, "ann") }
}

fn grant(what: What, scope: Scope, expires_ms: Option<u64>) -> Grant {
    Grant {
        id: GrantId(Uuid::nil()),
        subject: Subject::User(user(1).id),
        what,
        scope,
        expires_ms,
        granted_by: None,
        created_ms: 0,
    }
}

fn actor() -> Actor {
    let signed_by = KeyName::from_number(1);
    let credential = Credential::Session(SignedSession { id: SessionId(Uuid::nil()), signed_by });
    Actor { user: user(1).id, credential, auth_epoch: 3 }
}

fn standing(user: User, grants: Vec<Grant>) -> Standing {
    let credential = CredentialStanding::Session { ended: false };
    Standing { user: Some(user), grants, credential }
}

fn live_with(grants: Vec<Grant>) -> Live {
    live(&actor(), standing(user(1), grants), NOW).unwrap()
}

fn scopes() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::Deployment),
        "[abc]".prop_map(|id| Scope::Workspace(id.parse().unwrap())),
    ]
}

fn capabilities() -> impl Strategy<Value = Capability> {
    proptest::sample::select(Capability::ALL)
}

fn grants() -> impl Strategy<Value = Grant> {
    let roles = proptest::sample::select(vec![Role::Admin, Role::Reader, Role::Writer]);
    let what = prop_oneof![roles.prop_map(What::Role), capabilities().prop_map(What::Capability)];
    let expires = prop_oneof![Just(None), (900..1_100_u64).prop_map(Some)];
    (what, scopes(), expires).prop_map(|(what, scope, expires)| grant(what, scope, expires))
}

fn resources() -> impl Strategy<Value = Resource> {
    prop_oneof![
        Just(Resource::Deployment),
        "[abc]".prop_map(|id| Resource::Workspace { workspace: id.parse().unwrap() }),
        "[abc]".prop_map(|id| Resource::Flow {
            workspace: id.parse().unwrap(),
            flow: "f".parse().unwrap()
        }),
    ]
}

/// The model: some live grant covers the scope and has the capability.
fn covered(grants: &[Grant], capability: Capability, resource: &Resource) -> bool {
    grants.iter().any(|grant| {
        let alive = grant.expires_ms.is_none_or(|expires| NOW < expires);
        let covers = match &grant.scope {
            Scope::Deployment => true,
            Scope::Workspace(id) => resource.workspace() == Some(id),
        };
        alive && covers && roles::capabilities_of(grant.what).has(capability)
    })
}

proptest! {
    #[test]
    fn a_decision_is_what_some_grant_says(
        held in vec(grants(), 0..5), capability in capabilities(), resource in resources(),
    ) {
        let rights = Rights::of(&held, NOW);
        prop_assert_eq!(rights.allow(capability, &resource), covered(&held, capability, &resource));
    }

    #[test]
    fn another_grant_never_takes_anything_away(
        held in vec(grants(), 0..5), more in grants(),
        capability in capabilities(), resource in resources(),
    ) {
        let before = Rights::of(&held, NOW).allow(capability, &resource);
        let after = Rights::of(&[held, vec![more]].concat(), NOW).allow(capability, &resource);
        prop_assert!(!before || after);
    }

    #[test]
    fn whoever_makes_a_user_has_all_that_the_user_gets(
        held in vec(grants(), 0..5), given in vec(grants(), 0..4), home in "[abc]",
        capability in capabilities(), resource in resources(),
    ) {
        let (live, rights) = (live_with(held.clone()), Rights::of(&given, NOW));
        let home: WorkspaceId = home.parse().unwrap();
        if allow(&live, &Action::CreateUser { home: &home, rights: &rights }).is_ok() {
            let at_home = Resource::Workspace { workspace: home };
            prop_assert!(covered(&held, Capability::UsersAdmin, &at_home));
            prop_assert!(
                !covered(&given, capability, &resource) || covered(&held, capability, &resource)
            );
        }
    }

    #[test]
    fn a_key_for_somebody_else_opens_nothing_new(
        held in vec(grants(), 0..5), theirs in vec(grants(), 0..4),
        capability in capabilities(), resource in resources(),
    ) {
        let live = live_with(held.clone());
        let other = user(2);
        let of_now = |grant: &Grant| grant.expires_ms.is_none_or(|expires| NOW < expires);
        let theirs: Vec<_> = theirs.into_iter().filter(of_now).collect();
        let owner = Target { user: &other, grants: &theirs };
        if allow(&live, &Action::CreateKey { owner, live_keys: 0 }).is_ok() {
            prop_assert!(
                !covered(&theirs, capability, &resource) || covered(&held, capability, &resource)
            );
        }
    }

    #[test]
    fn covering_is_an_order(
        one in vec(grants(), 0..4), two in vec(grants(), 0..4), three in vec(grants(), 0..4),
    ) {
        let [one, two, three] = [one, two, three].map(|held| Rights::of(&held, NOW));
        prop_assert!(one.cover(&one));
        prop_assert!(!(one.cover(&two) && two.cover(&three)) || one.cover(&three));
    }
}

#[test]
fn roles_have_what_the_wire_says() {
    let count = |role| {
        let has = roles::capabilities(role);
        Capability::ALL.iter().filter(|c| has.has(**c)).count()
    };
    assert_eq!(
        (count(Role::Reader), count(Role::Writer), count(Role::Admin)),
        (28, 37, Capability::ALL.len())
    );
    assert!(roles::capabilities(Role::Reader).has(Capability::Thru));
    assert!(!roles::capabilities(Role::Writer).has(Capability::ConfigWrite));
    for role in [Role::Admin, Role::Reader, Role::Writer] {
        assert_eq!(roles::role(roles::role_name(role)), Some(role));
    }
    assert!(Capability::ALL.len() <= 64, "a set of capabilities is one word");
}

#[test]
fn an_actor_must_be_live() {
    let refused = |actor: &Actor, standing| live(actor, standing, NOW).unwrap_err();
    let other_epoch = Actor { auth_epoch: 2, ..actor() };
    assert_eq!(refused(&other_epoch, standing(user(1), vec![])), Denied::NotLive);
    let disabled = User { enabled: false, ..user(1) };
    assert_eq!(refused(&actor(), standing(disabled, vec![])), Denied::NotLive);
    assert_eq!(refused(&actor(), standing(user(2), vec![])), Denied::NotLive);
    let ended = CredentialStanding::Session { ended: true };
    let with = |credential| Standing { credential, ..standing(user(1), vec![]) };
    assert_eq!(refused(&actor(), with(ended)), Denied::NotLive);
    assert_eq!(refused(&actor(), with(CredentialStanding::Key(None))), Denied::NotLive);
}

#[test]
fn a_key_must_be_live_and_its_owners() {
    let id = KeyId(Uuid::from_u128(9));
    let actor = Actor { credential: Credential::Key(id), ..actor() };
    let key = ApiKey {
        id,
        user: user(1).id,
        auth_epoch: 3,
        name: String::new(),
        prefix: String::new(),
        hash: crate::hash::Hash::default(),
        expires_ms: Some(NOW + 1),
        revoked_ms: None,
        created_ms: 0,
        created_by: None,
        bootstrap: false,
    };
    let check = |key: ApiKey| {
        let credential = CredentialStanding::Key(Some(key));
        live(&actor, Standing { credential, ..standing(user(1), vec![]) }, NOW).is_ok()
    };
    assert!(check(key.clone()));
    assert!(!check(ApiKey { expires_ms: Some(NOW), ..key.clone() }));
    assert!(!check(ApiKey { revoked_ms: Some(1), ..key.clone() }));
    assert!(!check(ApiKey { auth_epoch: 2, ..key.clone() }));
    assert!(!check(ApiKey { user: user(2).id, ..key.clone() }));
    assert!(!check(ApiKey { id: KeyId(Uuid::nil()), ..key }));
}

#[test]
fn a_session_with_a_temporary_password_may_change_it_and_no_more() {
    let admin = vec![grant(What::Role(Role::Admin), Scope::Deployment, None)];
    let bound = User { must_change_password: true, ..user(1) };
    let live = live(&actor(), standing(bound, admin), NOW).unwrap();
    assert!(allow(&live, &Action::ReadSelf).is_ok());
    assert!(allow(&live, &Action::ChangePassword { user: user(1).id }).is_ok());
    let refused = |action: Action<'_>| allow(&live, &action).unwrap_err();
    assert_eq!(refused(Action::ReadOwnRights), Denied::TemporaryPassword);
    assert_eq!(refused(Action::CreateWorkspace), Denied::TemporaryPassword);
    let decision = decide(&live, Capability::Llm, &Resource::Deployment, None);
    assert_eq!(decision, Decision::Deny);
}

#[test]
fn only_admins_of_the_deployment_learn_that_a_workspace_is_not_there() {
    let at = |id: &str| Resource::Workspace { workspace: id.parse().unwrap() };
    let workspace = |enabled| Workspace {
        id: "a".parse().unwrap(),
        name: String::new(),
        enabled,
        created_ms: 0,
    };
    let reader = What::Role(Role::Reader);
    let member = live_with(vec![grant(reader, Scope::Workspace("a".parse().unwrap()), None)]);
    let everywhere = live_with(vec![grant(reader, Scope::Deployment, None)]);
    let check = |live, resource: &Resource, workspace: Option<&Workspace>, expect| {
        assert_eq!(decide(live, Capability::Llm, resource, workspace), expect);
    };
    check(&member, &at("a"), Some(&workspace(true)), Decision::Allow);
    check(&member, &at("a"), Some(&workspace(false)), Decision::Deny);
    check(&member, &at("a"), None, Decision::Deny);
    check(&member, &at("b"), None, Decision::Deny);
    check(&member, &Resource::Deployment, None, Decision::Deny);
    check(&everywhere, &at("b"), None, Decision::NoWorkspace);
    check(&everywhere, &at("a"), Some(&workspace(false)), Decision::NoWorkspace);
    check(&everywhere, &Resource::Deployment, None, Decision::Allow);
}
