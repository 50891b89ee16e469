//! An operation that is sent again under its id, because the first answer was lost: it is
//! answered as the first time, and nothing is done again.

use serde_json::{Value, json};
use tollgate_proto::iam::RefusalKind;
use uuid::Uuid;

use super::harness::{Iam, PASSWORD, Person, about, assert_nobody, assert_refused, grant};

/// Does an operation, undoes it by another, and sends the first again.
async fn check(iam: &Iam, admin: &Person, operation: Value, undo: Value, look: Value) {
    let id = Uuid::now_v7();
    let first = iam.operate_as(id, Some(admin.actor()), operation.clone()).await.unwrap();
    let at_once = iam.operate_as(id, Some(admin.actor()), operation.clone()).await.unwrap();
    assert_eq!(at_once, first, "{operation}");
    iam.by(admin, undo).await.unwrap();
    let undone = iam.by(admin, look.clone()).await;
    iam.operate_as(id, Some(admin.actor()), operation.clone()).await.unwrap();
    assert_eq!(iam.by(admin, look).await, undone, "{operation} was done again");
}

#[tokio::test]
async fn a_change_that_comes_twice_is_done_once() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let user = |fields: Value| {
        let mut asked = about("update-user", &ann);
        asked["user"] = fields;
        asked
    };
    let get = || about("get-user", &ann);
    check(&iam, &admin, user(json!({"name": "A"})), user(json!({"name": "B"})), get()).await;
    let (on, off) = (about("enable-user", &ann), about("disable-user", &ann));
    check(&iam, &admin, off.clone(), on.clone(), get()).await;
    iam.by(&admin, off.clone()).await.unwrap();
    check(&iam, &admin, on, off, get()).await;

    let move_grant = |operation: &str| grant(operation, &ann, "config:write", "acme");
    let (add, remove) = (move_grant("add-user-grant"), move_grant("remove-user-grant"));
    let list = || about("list-user-grants", &ann);
    check(&iam, &admin, add.clone(), remove.clone(), list()).await;
    iam.by(&admin, add.clone()).await.unwrap();
    check(&iam, &admin, remove, add, list()).await;

    let workspace = |operation: &str, record: Value| json!({"operation": operation, "workspace_record": record});
    let name = |name: &str| workspace("update-workspace", json!({"id": "acme", "name": name}));
    let get = || workspace("get-workspace", json!({"id": "acme"}));
    check(&iam, &admin, name("A"), name("B"), get()).await;
    let on = workspace("update-workspace", json!({"id": "acme", "enabled": true}));
    check(&iam, &admin, workspace("disable-workspace", json!({"id": "acme"})), on, get()).await;

    let user = json!({"username": "ann", "password": PASSWORD});
    let again = json!({"operation": "create-user", "workspace": "acme", "user": user});
    let all = json!({"operation": "list-users"});
    check(&iam, &admin, about("delete-user", &ann), again, all).await;
}

#[tokio::test]
async fn a_temporary_password_is_disclosed_once() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let (id, reset) = (Uuid::now_v7(), about("reset-password", &ann));
    let first = iam.operate_as(id, Some(admin.actor()), reset.clone()).await.unwrap();
    let again = iam.operate_as(id, Some(admin.actor()), reset).await;
    let once = "it was done before; a secret is disclosed once";
    assert_refused(again, RefusalKind::Duplicate, once);
    let temporary = first.temporary_password.unwrap();
    assert!(iam.login("ann", temporary.expose()).await.is_ok(), "it was not replaced");
}

#[tokio::test]
async fn whoever_ended_itself_is_nobody_when_it_asks_again() {
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let session = iam.session("ann", PASSWORD).await;
    let (id, logout) = (Uuid::now_v7(), json!({"operation": "logout"}));
    iam.operate_as(id, Some(session.actor()), logout.clone()).await.unwrap();
    assert_nobody(iam.operate_as(id, Some(session.actor()), logout).await);
}
