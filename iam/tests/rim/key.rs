//! API keys.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_proto::iam::{RefusalKind, Reply};
use tollgate_proto::key::{Shape, shape};
use uuid::Uuid;

use super::harness::{Iam, assert_denied, assert_nobody, assert_refused};

fn create(owner: &str, name: &str, expires: &str) -> Value {
    let key = json!({"user_id": owner, "name": name, "expires": expires});
    json!({"operation": "create-api-key", "key": key})
}

fn revoke(key_id: &str) -> Value {
    json!({"operation": "revoke-api-key", "key_id": key_id})
}

fn plaintext(reply: Reply) -> String {
    reply.api_key_plaintext.unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_key_is_disclosed_once_and_ends_when_it_says() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let id = Uuid::now_v7();
    let operation = create(&ann.id(), "ci", "2027-01-15T10:00:00+01:00");
    let reply = iam.operate_as(id, Some(admin.actor()), operation.clone()).await.unwrap();
    let record = reply.api_key.clone().unwrap();
    let key = plaintext(reply);
    assert_eq!(shape(&key), Shape::Current);
    assert_eq!((&*record.name, &*record.prefix), ("ci", &key[..7]));
    assert_eq!((&*record.user_id, &*record.last_used), (&*ann.id(), ""));
    assert_eq!(record.expires, "2027-01-15T09:00:00+00:00");
    assert_refused(
        iam.operate_as(id, Some(admin.actor()), operation).await,
        RefusalKind::Duplicate,
        "it was done before; a secret is disclosed once",
    );
    let identity = iam.authenticate(&key).await.unwrap();
    assert_eq!(identity.expires_at_ms, Some(super::harness::NOW_MS + 3_600_000));
    iam.clock.advance(Duration::from_hours(1));
    assert_nobody(iam.authenticate(&key).await);
}

#[tokio::test]
async fn what_cannot_be_a_key_says_why() {
    let (iam, admin) = Iam::claimed().await;
    let refused = async |operation: Value, kind, message: &str| {
        assert_refused(iam.operate(Some(admin.actor()), operation).await, kind, message);
    };
    let invalid = RefusalKind::InvalidArgument;
    refused(json!({"operation": "create-api-key"}), invalid, "key required").await;
    refused(create("", "x", ""), invalid, "key.user_id required").await;
    refused(create(&admin.id(), "", ""), invalid, "key.name required").await;
    refused(create("7", "x", ""), invalid, "key.user_id must be a UUID").await;
    let form = "key.expires must be a time with offset, like 2030-01-31T12:00:00+00:00";
    refused(create(&admin.id(), "x", "tomorrow"), invalid, form).await;
    let range = "key.expires must be in the future, and at most ten years away";
    refused(create(&admin.id(), "x", "2027-01-15T08:00:00Z"), invalid, range).await;
    refused(create(&admin.id(), "x", "2037-01-20T08:00:00Z"), invalid, range).await;
    let nobody = Uuid::nil().to_string();
    refused(create(&nobody, "x", ""), RefusalKind::NotFound, "user not found").await;
    let mut elsewhere = create(&admin.id(), "x", "");
    elsewhere["workspace"] = json!("acme");
    let other = "user is in a different workspace";
    refused(elsewhere, RefusalKind::OperationNotPermitted, other).await;
}

#[tokio::test]
async fn users_make_keys_for_themselves_and_for_nobody_else() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.member(&admin, "acme", "bob", "writer").await;
    let own = plaintext(iam.key(&ann, &ann.id()).await.unwrap());
    assert!(iam.authenticate(&own).await.is_ok());
    for other in [bob.id(), admin.id(), Uuid::nil().to_string()] {
        assert_denied(iam.key(&ann, &other).await);
    }
    for _ in 0..18 {
        iam.key(&ann, &ann.id()).await.unwrap();
    }
    assert_refused(
        iam.key(&ann, &ann.id()).await,
        RefusalKind::OperationNotPermitted,
        "the user has enough keys",
    );
    assert!(iam.key(&admin, &ann.id()).await.is_ok(), "an admin may");
}

#[tokio::test]
async fn a_disabled_user_gets_no_key() {
    let (iam, admin) = Iam::claimed().await;
    let user = json!({"username": "bob", "password": "a long enough one", "enabled": false});
    let operation = json!({"operation": "create-user", "workspace": "default", "user": user});
    let bob = iam.operate(Some(admin.actor()), operation).await.unwrap().user.unwrap();
    let refused = iam.key(&admin, &bob.id).await;
    assert_refused(refused, RefusalKind::OperationNotPermitted, "user is disabled");
}

#[tokio::test]
async fn keys_are_listed_to_their_owner_and_to_admins() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let list = |id: &str| json!({"operation": "list-api-keys", "user_id": id});
    for by in [&ann, &admin] {
        let reply = iam.operate(Some(by.actor()), list(&ann.id())).await.unwrap();
        assert_eq!(reply.api_keys.len(), 1);
        assert_eq!(reply.api_keys[0].id, ann.key_id());
        assert_eq!(reply.api_keys[0].prefix, ann.key[..7]);
    }
    assert_denied(iam.operate(Some(ann.actor()), list(&admin.id())).await);
    let missing = iam.operate(Some(ann.actor()), list("")).await;
    assert_refused(missing, RefusalKind::InvalidArgument, "user_id required");
}

#[tokio::test]
async fn a_revoked_key_is_dead_at_once() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.member(&admin, "acme", "bob", "writer").await;
    assert_denied(iam.operate(Some(bob.actor()), revoke(&ann.key_id())).await);
    assert_denied(iam.operate(Some(bob.actor()), revoke(&Uuid::nil().to_string())).await);
    iam.operate(Some(ann.actor()), revoke(&ann.key_id())).await.unwrap();
    assert_nobody(iam.authenticate(&ann.key).await);
    assert_refused(
        iam.operate(Some(admin.actor()), revoke(&ann.key_id())).await,
        RefusalKind::NotFound,
        "api key not found",
    );
    assert_refused(
        iam.operate(Some(admin.actor()), revoke("")).await,
        RefusalKind::InvalidArgument,
        "key_id required",
    );
}

#[tokio::test]
async fn the_last_way_in_for_an_admin_stays() {
    let (iam, admin) = Iam::claimed().await;
    let last = iam.operate(Some(admin.actor()), revoke(&admin.key_id())).await;
    assert_refused(
        last,
        RefusalKind::OperationNotPermitted,
        "it would take away the last admin who can get in",
    );
    // One that ends by itself is no way in for good.
    let expiring = create(&admin.id(), "short", "2027-02-01T00:00:00Z");
    iam.operate(Some(admin.actor()), expiring).await.unwrap();
    assert!(iam.operate(Some(admin.actor()), revoke(&admin.key_id())).await.is_err());
    iam.key(&admin, &admin.id()).await.unwrap();
    iam.operate(Some(admin.actor()), revoke(&admin.key_id())).await.unwrap();
    assert_nobody(iam.authenticate(&admin.key).await);
}
