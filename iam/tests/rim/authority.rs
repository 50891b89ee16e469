//! Changing users: who they are, and what is taken away from them and given back.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_proto::capability::Capability::Llm;
use tollgate_proto::iam::Decision::{Allow, Deny};
use tollgate_proto::iam::{Check, RefusalKind, UserRecord};
use tollgate_proto::resource::Resource;
use uuid::Uuid;

use super::harness::{
    Iam, NEW_PASSWORD, PASSWORD, Person, about, assert_denied, assert_nobody, assert_refused,
};

fn update(user: &Person, fields: impl Into<Value>) -> Value {
    let mut asked = about("update-user", user);
    asked["user"] = fields.into();
    asked
}

async fn record(iam: &Iam, by: &Person, user: &Person) -> UserRecord {
    iam.by(by, about("get-user", user)).await.unwrap().user.unwrap()
}

fn whoami() -> Value {
    json!({"operation": "whoami"})
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_name() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "writer").await;
    let all = json!({"name": "Ann", "email": "a@example.com", "roles": ["reader", "writer"],
        "must_change_password": true, "enabled": false});
    let stored = iam.by(&admin, update(&ann, all)).await.unwrap().user.unwrap();
    assert_eq!((&*stored.name, &*stored.email), ("Ann", "a@example.com"));
    assert!(stored.must_change_password && !stored.enabled);
    assert_eq!(stored.roles, ["reader", "writer"]);
    let empty = json!({"name": "", "email": null, "roles": [], "username": "", "enabled": null});
    for nothing in [json!({}), empty, json!({"username": "ann"})] {
        let answered = iam.by(&admin, update(&ann, nothing)).await.unwrap().user.unwrap();
        assert_eq!(answered, stored);
    }
    iam.by(&admin, update(&ann, json!({"name": "Anne"}))).await.unwrap();
    let expect = UserRecord { name: "Anne".into(), ..stored };
    assert_eq!(record(&iam, &admin, &ann).await, expect);
}

#[tokio::test]
async fn what_cannot_be_an_update_says_why() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let before = record(&iam, &admin, &ann).await;
    let refused = async |operation: Value, message: &str| {
        let outcome = iam.by(&admin, operation).await;
        assert_refused(outcome, RefusalKind::InvalidArgument, message);
    };
    refused(json!({"operation": "update-user", "user": {}}), "user_id required").await;
    refused(json!({"operation": "update-user", "user_id": "7"}), "user_id must be a UUID").await;
    refused(about("update-user", &ann), "user required").await;
    refused(
        update(&ann, json!({"name": "X", "password": PASSWORD})),
        "user.password cannot be set here; use change-password or reset-password",
    )
    .await;
    let renamed = json!({"name": "X", "username": "bob"});
    refused(update(&ann, renamed), "user.username cannot be changed").await;
    let unknown = "unknown role; known are admin, reader and writer";
    refused(update(&ann, json!({"name": "X", "roles": ["reader", "root"]})), unknown).await;
    assert_eq!(record(&iam, &admin, &ann).await, before);
}

#[tokio::test]
async fn who_may_write_users_moves_nobodys_authority() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.member(&admin, "acme", "bob", "writer").await;
    iam.give(&admin, &bob, "users:write", "acme").await.unwrap();
    iam.by(&bob, update(&ann, json!({"name": "Ann", "email": "a@example.com"}))).await.unwrap();
    for field in [
        json!({"enabled": false}),
        json!({"enabled": true}),
        json!({"roles": ["writer"]}),
        json!({"must_change_password": true}),
    ] {
        let mut with_name = field.clone();
        with_name["name"] = json!("Mallory");
        assert_denied(iam.by(&bob, update(&ann, field)).await);
        assert_denied(iam.by(&bob, update(&ann, with_name)).await);
    }
    let ann = record(&iam, &admin, &ann).await;
    assert_eq!((&*ann.name, ann.enabled, ann.roles), ("Ann", true, vec!["reader".to_owned()]));

    let carol = iam.member(&admin, "acme", "carol", "writer").await;
    iam.give(&admin, &carol, "users:admin", "acme").await.unwrap();
    iam.by(&carol, update(&bob, json!({"must_change_password": true}))).await.unwrap_err();
    iam.by(&carol, update(&carol, json!({"must_change_password": true}))).await.unwrap();
    assert_denied(iam.by(&carol, update(&carol, json!({"name": "C"}))).await);
}

#[tokio::test]
async fn roles_are_given_by_those_who_have_them() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let boss = iam.manager(&admin, "acme", "boss").await;
    let roles = async |by: &Person, of: &Person, roles: &[&str]| {
        let asked = update(of, json!({"roles": roles}));
        iam.by(by, asked).await.map(|reply| reply.user.unwrap().roles)
    };
    for more in [&["admin"][..], &["reader", "writer"]] {
        assert_denied(roles(&boss, &ann, more).await);
        assert_denied(roles(&boss, &boss, more).await);
    }
    assert_eq!(roles(&admin, &ann, &["writer"]).await.unwrap(), ["writer"]);
    assert_eq!(iam.decide(ann.actor(), Llm, "acme").await, Allow);
    // What has more than the manager is out of its reach, also to be made less.
    assert_denied(roles(&boss, &ann, &["reader"]).await);
    assert_eq!(roles(&admin, &ann, &["admin"]).await.unwrap(), ["admin"]);
    assert_eq!(iam.decide(ann.actor(), Llm, "default").await, Allow);
    assert_eq!(roles(&admin, &ann, &["reader"]).await.unwrap(), ["reader"]);
    assert_eq!(iam.decide(ann.actor(), Llm, "default").await, Deny);
}

#[tokio::test]
async fn a_disabled_user_is_nobody_at_once_and_its_credentials_stay_dead() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let session = iam.session("ann", PASSWORD).await;
    for switch_off in [about("disable-user", &ann), update(&ann, json!({"enabled": false}))] {
        let fresh = iam.session("ann", PASSWORD).await;
        iam.by(&admin, switch_off).await.unwrap();
        for credential in [&ann, &session, &fresh] {
            assert_nobody(iam.authenticate(&credential.key).await);
            assert_nobody(iam.by(credential, whoami()).await);
            let check = Check { capability: Llm, resource: Resource::Deployment };
            assert_nobody(iam.judge(credential.actor(), check).await);
        }
        assert_nobody(iam.login("ann", PASSWORD).await);
        assert!(!record(&iam, &admin, &ann).await.enabled);

        iam.by(&admin, about("enable-user", &ann)).await.unwrap();
        for credential in [&ann, &session, &fresh] {
            assert_nobody(iam.authenticate(&credential.key).await);
            assert_nobody(iam.by(credential, whoami()).await);
        }
    }
    let keys = iam.by(&admin, about("list-api-keys", &ann)).await.unwrap().api_keys;
    assert_eq!(keys, []);
    assert!(iam.login("ann", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_deleted_user_leaves_a_free_name_and_nothing_else() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let session = iam.session("ann", PASSWORD).await;
    iam.by(&admin, about("delete-user", &ann)).await.unwrap();
    for credential in [&ann, &session] {
        assert_nobody(iam.authenticate(&credential.key).await);
        assert_nobody(iam.by(credential, whoami()).await);
    }
    assert_nobody(iam.login("ann", PASSWORD).await);
    for operation in ["get-user", "delete-user", "list-api-keys", "list-user-grants"] {
        let gone = iam.by(&admin, about(operation, &ann)).await;
        assert_refused(gone, RefusalKind::NotFound, "user not found");
    }
    let again = iam.user(&admin, "acme", "Ann", &[]).await.unwrap().user.unwrap();
    assert_ne!(again.id, ann.id());
    assert_eq!(again.roles, Vec::<String>::new(), "what the first one held is gone");
    assert_nobody(iam.authenticate(&ann.key).await);
    let list = json!({"operation": "list-api-keys", "user_id": again.id});
    assert_eq!(iam.by(&admin, list).await.unwrap().api_keys, []);
}

async fn reset(iam: &Iam, by: &Person, user: &Person) -> String {
    let reply = iam.by(by, about("reset-password", user)).await.unwrap();
    reply.temporary_password.unwrap().expose().to_owned()
}

fn change(current: &str) -> Value {
    json!({"operation": "change-password", "password": current, "new_password": NEW_PASSWORD})
}

#[tokio::test]
async fn a_reset_password_opens_a_session_that_may_only_change_it() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "admin").await;
    let before = iam.session("ann", PASSWORD).await;
    let temporary = reset(&iam, &admin, &ann).await;
    assert!(temporary.len() >= 20, "120 bits take 20 characters of 64");
    assert_nobody(iam.authenticate(&before.key).await);
    assert_nobody(iam.login("ann", PASSWORD).await);
    let key = iam.person(ann.key.clone()).await;
    let list = json!({"operation": "list-users"});
    iam.by(&key, list.clone()).await.unwrap();

    let bound = iam.session("ann", &temporary).await;
    assert!(iam.by(&bound, whoami()).await.unwrap().user.unwrap().must_change_password);
    assert_denied(iam.by(&bound, list.clone()).await);
    assert_eq!(iam.decide(bound.actor(), Llm, "acme").await, Deny);
    iam.by(&bound, change(&temporary)).await.unwrap();
    assert_nobody(iam.authenticate(&bound.key).await);
    assert_nobody(iam.login("ann", &temporary).await);
    let free = iam.session("ann", NEW_PASSWORD).await;
    iam.by(&free, list).await.unwrap();
    assert!(iam.authenticate(&ann.key).await.is_ok(), "keys are not concerned");
}

#[tokio::test]
async fn a_temporary_password_is_freed_by_its_owner_alone() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let temporary = reset(&iam, &admin, &ann).await;
    assert_refused(
        iam.by(&admin, update(&ann, json!({"must_change_password": false}))).await,
        RefusalKind::OperationNotPermitted,
        "a temporary password must be changed by its owner",
    );
    let bound = iam.session("ann", &temporary).await;
    assert_denied(iam.by(&bound, json!({"operation": "list-my-workspaces"})).await);
    iam.by(&bound, change(&temporary)).await.unwrap();
    // One of her own choice may be asked to be changed, and that may be taken back.
    for must_change in [true, false] {
        let asked = update(&ann, json!({"must_change_password": must_change}));
        let user = iam.by(&admin, asked).await.unwrap().user.unwrap();
        assert_eq!(user.must_change_password, must_change);
    }
}

#[tokio::test]
async fn a_temporary_password_lives_for_a_day() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let temporary = reset(&iam, &admin, &ann).await;
    iam.clock.advance(Duration::from_hours(24) - Duration::from_millis(1));
    let bound = iam.session("ann", &temporary).await;
    iam.clock.advance(Duration::from_millis(1));
    assert_nobody(iam.login("ann", &temporary).await);
    assert_nobody(iam.by(&bound, change(&temporary)).await);
    let next = reset(&iam, &admin, &ann).await;
    assert_ne!(next, temporary);
    assert!(iam.login("ann", &next).await.is_ok());
}

#[tokio::test]
async fn a_wrong_word_for_the_home_is_told_to_the_allowed_alone() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.member(&admin, "acme", "bob", "writer").await;
    let key = json!({"user_id": ann.id(), "name": "x"});
    let id = ann.key_id();
    let users = "user is in a different workspace";
    let operations = [
        (about("get-user", &ann), users),
        (update(&ann, json!({"name": "X"})), users),
        (update(&ann, json!({"enabled": false})), users),
        (about("disable-user", &ann), users),
        (about("enable-user", &ann), users),
        (about("delete-user", &ann), users),
        (about("reset-password", &ann), users),
        (json!({"operation": "create-api-key", "key": key}), users),
        (about("list-api-keys", &ann), users),
        (
            json!({"operation": "revoke-api-key", "key_id": id}),
            "key belongs to a different workspace",
        ),
    ];
    for (operation, message) in operations {
        let with = |workspace: &str| {
            let mut operation = operation.clone();
            operation["workspace"] = json!(workspace);
            operation
        };
        for wrong in ["default", "nowhere", "../acme"] {
            let outcome = iam.by(&admin, with(wrong)).await;
            assert_refused(outcome, RefusalKind::OperationNotPermitted, message);
            assert_denied(iam.by(&bob, with(wrong)).await);
        }
        assert_denied(iam.by(&bob, with("acme")).await);
    }
    assert_eq!(record(&iam, &admin, &ann).await.name, "ann");
    assert!(iam.authenticate(&ann.key).await.is_ok(), "nothing was done");
    let nobody = json!({"operation": "get-user", "user_id": Uuid::nil(), "workspace": "acme"});
    assert_refused(iam.by(&admin, nobody).await, RefusalKind::NotFound, "user not found");
}
