//! Users.

use serde_json::{Value, json};
use tollgate_proto::iam::{Refusal, RefusalKind, Reply};
use uuid::Uuid;

use super::harness::{Iam, PASSWORD, Person, assert_denied, assert_nobody, assert_refused};

fn create(workspace: &str, user: impl Into<Value>) -> Value {
    json!({"operation": "create-user", "workspace": workspace, "user": user.into()})
}

fn ann() -> Value {
    json!({"username": "ann", "password": PASSWORD, "roles": ["reader"]})
}

async fn list(iam: &Iam, by: &Person, workspace: Option<&str>) -> Result<Vec<String>, Refusal> {
    let operation = json!({"operation": "list-users", "workspace": workspace});
    let reply = iam.operate(Some(by.actor()), operation).await?;
    let mut names: Vec<_> = reply.users.into_iter().map(|user| user.username).collect();
    names.sort();
    Ok(names)
}

#[tokio::test]
async fn a_user_is_made_with_what_was_asked_for() {
    let (iam, admin) = Iam::claimed().await;
    iam.workspace(&admin, "acme").await;
    let user = json!({"username": "Ann", "password": PASSWORD, "roles": ["writer", "reader"],
        "name": "Ann O'Neil", "email": "ann@example.com", "must_change_password": true});
    let user = iam.operate(Some(admin.actor()), create("acme", user)).await.unwrap().user.unwrap();
    assert_eq!((&*user.username, &*user.name), ("Ann", "Ann O'Neil"));
    assert_eq!(user.email, "ann@example.com");
    assert_eq!(user.roles, ["reader", "writer"]);
    assert!(user.enabled && user.must_change_password);
    assert_eq!(user.created, "2027-01-15T08:00:00+00:00");
}

#[tokio::test]
async fn what_cannot_be_a_user_says_why() {
    let (iam, admin) = Iam::claimed().await;
    let refused = async |operation: Value, kind, message: &str| {
        assert_refused(iam.operate(Some(admin.actor()), operation).await, kind, message);
    };
    let with = |field: &str, value: Value| {
        let mut user = ann();
        user[field] = value;
        create("default", user)
    };
    let invalid = RefusalKind::InvalidArgument;
    refused(create("", ann()), invalid, "workspace required").await;
    refused(json!({"operation": "create-user", "workspace": "default"}), invalid, "user required")
        .await;
    refused(with("username", json!("")), invalid, "user.username required").await;
    refused(with("password", json!("")), invalid, "user.password required").await;
    refused(
        with("username", json!("ann\u{202e}")),
        invalid,
        "username must be 1 to 64 letters and digits of ASCII or . _ @ + -",
    )
    .await;
    refused(
        with("roles", json!(["root"])),
        invalid,
        "unknown role; known are admin, reader and writer",
    )
    .await;
    refused(
        with("name", json!("a\nb")),
        invalid,
        "a name must not have control or format characters",
    )
    .await;
    for length in [255, 300] {
        let email = with("email", json!("x".repeat(length)));
        refused(email, invalid, "user.email must have at most 254 bytes").await;
    }
    let weak = RefusalKind::WeakPassword;
    refused(with("password", json!("short")), weak, "the password must have at least 15 bytes")
        .await;
    let not_found = RefusalKind::NotFound;
    refused(create("nowhere", ann()), not_found, "workspace not found or disabled").await;
    iam.operate(Some(admin.actor()), create("default", ann())).await.unwrap();
    let mut again = ann();
    again["username"] = json!("ANN");
    refused(create("default", again), RefusalKind::Duplicate, "username already exists").await;
}

#[tokio::test]
async fn only_admins_make_users_and_nobody_else_is_told_anything() {
    let (iam, admin) = Iam::claimed().await;
    let writer = iam.member(&admin, "acme", "bob", "writer").await;
    for workspace in ["acme", "default", "nowhere"] {
        assert_denied(iam.operate(Some(writer.actor()), create(workspace, ann())).await);
    }
    let mut taken = ann();
    taken["username"] = json!("bob");
    assert_denied(iam.operate(Some(writer.actor()), create("acme", taken)).await);
    assert_nobody(iam.operate(None, create("acme", json!({}))).await);
}

#[tokio::test]
async fn a_username_that_many_claim_at_once_has_one_owner() {
    let (iam, admin) = Iam::claimed().await;
    let claims = (0..12).map(|n| {
        let mut user = ann();
        user["username"] = json!(if n % 2 == 0 { "ann" } else { "Ann" });
        iam.operate(Some(admin.actor()), create("default", user))
    });
    let outcomes: Vec<Result<Reply, Refusal>> = futures_util::future::join_all(claims).await;
    let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for refusal in refused {
        assert_refused(refusal, RefusalKind::Duplicate, "username already exists");
    }
    assert_eq!(list(&iam, &admin, None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_operation_that_comes_twice_is_done_once() {
    let (iam, admin) = Iam::claimed().await;
    let bob = iam.member(&admin, "acme", "bob", "reader").await;
    let id = Uuid::now_v7();
    let first = iam.operate_as(id, Some(admin.actor()), create("default", ann())).await.unwrap();
    let again = iam.operate_as(id, Some(admin.actor()), create("default", ann())).await.unwrap();
    assert_eq!(again.user.unwrap().id, first.user.unwrap().id);
    let used = "the operation id was used before";
    let whoami = json!({"operation": "whoami"});
    let other = iam.operate_as(id, Some(admin.actor()), whoami).await;
    assert_refused(other, RefusalKind::Duplicate, used);
    let somebody_else = iam.operate_as(id, Some(bob.actor()), create("default", ann())).await;
    assert_refused(somebody_else, RefusalKind::Duplicate, used);
}

#[tokio::test]
async fn users_are_listed_where_they_may_be_read() {
    let (iam, admin) = Iam::claimed().await;
    let bob = iam.member(&admin, "acme", "bob", "writer").await;
    iam.user(&admin, "default", "carol", &[]).await.unwrap();
    assert_eq!(list(&iam, &admin, None).await.unwrap(), ["admin", "bob", "carol"]);
    assert_eq!(list(&iam, &admin, Some("acme")).await.unwrap(), ["bob"]);
    assert_eq!(list(&iam, &admin, Some("nowhere")).await.unwrap(), Vec::<String>::new());
    assert_denied(list(&iam, &bob, None).await);
    assert_denied(list(&iam, &bob, Some("acme")).await);
}
