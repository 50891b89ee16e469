//! Tokens for somebody else.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{Check, Decision, RefusalKind};
use tollgate_proto::resource::Resource;

use super::harness::{Iam, NOW_MS, PASSWORD, Person, assert_denied, assert_nobody, assert_refused};

fn mint(more: &Value) -> Value {
    let mut operation = json!({"operation": "mint-token", "workspace": "acme"});
    for (field, value) in more.as_object().unwrap() {
        operation[field] = value.clone();
    }
    operation
}

async fn minted(iam: &Iam, by: &Person, more: &Value) -> Person {
    let reply = iam.operate(Some(by.actor()), mint(more)).await.unwrap();
    assert_eq!(reply.jwt_expires.as_deref(), Some("2027-01-15T09:00:00+00:00"));
    iam.person(reply.jwt.unwrap().expose().to_owned()).await
}

fn of(person: &Person) -> Value {
    json!({"user_id": person.id()})
}

fn change_password() -> Value {
    json!({"operation": "change-password", "password": PASSWORD,
        "new_password": "another long enough one"})
}

/// An admin, a second one with a password, and Ann.
async fn people() -> (Iam, Person, Person, Person) {
    let (iam, admin) = Iam::claimed().await;
    let minter = iam.member(&admin, "acme", "minter", "admin").await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    (iam, admin, minter, ann)
}

#[tokio::test]
async fn a_minted_token_stands_for_its_user_and_carries_a_context() {
    let (iam, admin, _, ann) = people().await;
    let context = r#"{"tier": "gold", "quote": "\"", "of": [{"a": 1}]}"#;
    let by_id = json!({"user_id": ann.id(), "user_context_json": context});
    let session = minted(&iam, &admin, &by_id).await;
    assert_eq!(session.actor().user, ann.actor().user);
    assert_eq!(session.identity.user_context.as_deref(), Some(context));
    assert_eq!(session.identity.default_workspace.as_str(), "acme");
    assert_eq!(session.identity.expires_at_ms, Some(NOW_MS + 3_600_000));
    assert_eq!(iam.decide(session.actor(), Capability::Llm, "acme").await, Decision::Allow);
    assert_eq!(iam.decide(session.actor(), Capability::Llm, "default").await, Decision::Deny);

    let by_name = minted(&iam, &admin, &json!({"username": "ANN"})).await;
    assert_eq!(by_name.actor().user, ann.actor().user);
    assert_eq!(by_name.identity.user_context, None);
    let own = minted(&iam, &admin, &json!({})).await;
    assert_eq!(own.actor().user, admin.actor().user);

    iam.clock.advance(Duration::from_secs(3_605));
    assert_nobody(iam.authenticate(&session.key).await);
}

#[tokio::test]
async fn the_longest_context_fits_into_a_token_and_none_that_is_longer() {
    let (iam, admin, _, ann) = people().await;
    let filled = |length: usize| format!(r#"{{"{}":1}}"#, "x".repeat(length - 6));
    let with = |context: &str| json!({"user_id": ann.id(), "user_context_json": context});
    let session = minted(&iam, &admin, &with(&filled(4_096))).await;
    assert_eq!(session.identity.user_context, Some(filled(4_096)));
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for context in [&filled(4_097), &deep, "[]", "7", "{", r#"{"a":1,"a":2}"#, "{} x"] {
        assert_refused(
            iam.operate(Some(admin.actor()), mint(&with(context))).await,
            RefusalKind::InvalidArgument,
            "user_context_json must be the text of a JSON object, at most 4096 bytes",
        );
    }
}

#[tokio::test]
async fn a_minted_session_looks_at_itself_and_manages_nothing() {
    let (iam, admin, minter, _) = people().await;
    // For an admin, so that nothing but its being minted can stand in the way.
    let session = minted(&iam, &admin, &of(&minter)).await;
    let operate = async |operation: Value| iam.operate(Some(session.actor()), operation).await;
    assert!(operate(json!({"operation": "whoami"})).await.is_ok());
    assert!(operate(json!({"operation": "list-my-workspaces"})).await.is_ok());
    assert_denied(operate(change_password()).await);
    assert_denied(operate(mint(&json!({}))).await);
    let key = json!({"user_id": session.id(), "name": "mine"});
    assert_denied(operate(json!({"operation": "create-api-key", "key": key})).await);
    for operation in ["list-users", "list-workspaces", "rotate-signing-key"] {
        assert_denied(operate(json!({"operation": operation})).await);
    }
    assert!(operate(json!({"operation": "logout"})).await.is_ok());
    assert_nobody(iam.authenticate(&session.key).await);
}

#[tokio::test]
async fn a_minted_session_dies_with_its_user_and_with_its_minter() {
    let (iam, admin, minter, ann) = people().await;
    let first = minted(&iam, &minter, &of(&ann)).await;
    let dead = async |session: &Person| {
        assert_nobody(iam.authenticate(&session.key).await);
        assert_nobody(iam.operate(Some(session.actor()), json!({"operation": "whoami"})).await);
        let check = Check { capability: Capability::Llm, resource: Resource::Deployment };
        assert_nobody(iam.judge(session.actor(), check).await);
    };
    iam.operate(Some(minter.actor()), change_password()).await.unwrap();
    dead(&first).await;

    let minter = iam.person(minter.key).await;
    let second = minted(&iam, &minter, &of(&ann)).await;
    let disable = |person: &Person| json!({"operation": "disable-user", "user_id": person.id()});
    iam.operate(Some(admin.actor()), disable(&minter)).await.unwrap();
    dead(&second).await;

    let third = minted(&iam, &admin, &of(&ann)).await;
    iam.operate(Some(admin.actor()), disable(&ann)).await.unwrap();
    dead(&third).await;
}

#[tokio::test]
async fn what_cannot_be_minted_says_why_to_those_who_may() {
    let (iam, admin, _, ann) = people().await;
    let off = json!({"operation": "create-workspace",
        "workspace_record": {"id": "off", "enabled": false}});
    iam.operate(Some(admin.actor()), off).await.unwrap();
    let refused = async |more: Value, kind, message: &str| {
        assert_refused(iam.operate(Some(admin.actor()), mint(&more)).await, kind, message);
    };
    let invalid = RefusalKind::InvalidArgument;
    let both = json!({"user_id": ann.id(), "username": "ann"});
    refused(both, invalid, "user_id or username, not both").await;
    refused(json!({"workspace": null}), invalid, "workspace required").await;
    refused(json!({"user_id": "ann"}), invalid, "user_id must be a UUID").await;
    let missing = RefusalKind::NotFound;
    refused(json!({"user_id": uuid::Uuid::nil()}), missing, "user not found").await;
    refused(json!({"username": "nobody"}), missing, "user not found").await;
    refused(json!({"username": "no name"}), missing, "user not found").await;
    for workspace in ["nowhere", "off", "../acme"] {
        let at = json!({"workspace": workspace, "username": "ann"});
        refused(at, missing, "workspace not found or disabled").await;
    }
    let not_permitted = RefusalKind::OperationNotPermitted;
    let elsewhere = json!({"workspace": "default", "username": "ann"});
    refused(elsewhere, not_permitted, "user has no grant in the workspace").await;
    let disable = json!({"operation": "disable-user", "user_id": ann.id()});
    iam.operate(Some(admin.actor()), disable).await.unwrap();
    refused(of(&ann), not_permitted, "user is disabled").await;
}

#[tokio::test]
async fn whoever_mints_has_the_capability_there_and_all_that_the_user_has() {
    let (iam, admin, root_of_acme, ann) = people().await;
    let bob = iam.member(&admin, "acme", "bob", "writer").await;
    let may = async |more: Value| iam.operate(Some(bob.actor()), mint(&more)).await;
    for whom in [of(&ann), of(&bob), json!({"username": "nobody"}), json!({})] {
        assert_denied(may(whom).await);
    }
    let grant = json!({"operation": "add-user-grant", "user_id": bob.id(),
        "grant": {"capability": "mint-token", "workspace": "acme"}});
    iam.operate(Some(admin.actor()), grant).await.unwrap();
    assert!(may(of(&ann)).await.is_ok());
    assert_denied(may(of(&root_of_acme)).await);
    assert_denied(may(json!({"username": "nobody"})).await);
    assert_denied(may(json!({"username": "ann", "workspace": "default"})).await);
    // At home elsewhere, with a grant here.
    let carol = iam.member(&admin, "default", "carol", "reader").await;
    let grant = json!({"operation": "add-user-grant", "user_id": carol.id(),
        "grant": {"role": "reader", "workspace": "acme"}});
    iam.operate(Some(admin.actor()), grant).await.unwrap();
    assert_denied(may(of(&carol)).await);
}
