//! Who is there, and which workspaces there are, is told to those alone who may know: to everybody
//! else what is foreign and what does not exist look alike, to the byte.

use serde_json::{Value, json};
use uuid::Uuid;

use super::harness::{Iam, Person, SECRET};

/// The whole answer, as it goes over the wire.
async fn bytes(iam: &Iam, by: &Person, operation: Value) -> String {
    let question = json!({"operate": {"actor": by.actor(), "operation": operation}});
    let call = json!({"id": Uuid::now_v7(), "question": question});
    iam.post(SECRET, &call.to_string()).await.1
}

#[tokio::test]
async fn foreign_users_and_ghosts_look_alike() {
    let (iam, admin) = Iam::claimed().await;
    let boss = iam.manager(&admin, "acme", "boss").await;
    let eve = iam.member(&admin, "umbrella", "eve", "reader").await;
    let ask = |operation: &str, user: &str, more: Value| {
        let mut asked = json!({"operation": operation, "user_id": user});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    };
    let grant = |workspace: &str| json!({"grant": {"role": "reader", "workspace": workspace}});
    let ghost = Uuid::nil().to_string();
    for (operation, more) in [
        ("get-user", json!({})),
        ("get-user", json!({"workspace": "umbrella"})),
        ("get-user", json!({"workspace": "acme"})),
        ("update-user", json!({"user": {}})),
        ("update-user", json!({"user": {"name": "x"}})),
        ("update-user", json!({"user": {"username": "x"}})),
        ("update-user", json!({"user": {"roles": ["reader"]}})),
        ("disable-user", json!({})),
        ("enable-user", json!({})),
        ("delete-user", json!({})),
        ("reset-password", json!({})),
        ("list-api-keys", json!({})),
        ("list-user-grants", json!({})),
        ("resolve-effective-permissions", json!({})),
        ("change-password", json!({"password": "x", "new_password": "y"})),
        ("add-user-grant", grant("umbrella")),
        ("add-user-grant", grant("*")),
        ("remove-user-grant", grant("umbrella")),
        ("remove-user-grant", grant("*")),
        // Allowed in the own workspace, whoever holds it: nobody else than who does is told apart.
        ("remove-user-grant", grant("acme")),
    ] {
        let foreign = bytes(&iam, &boss, ask(operation, &eve.id(), more.clone())).await;
        let nobody = bytes(&iam, &boss, ask(operation, &ghost, more.clone())).await;
        assert_eq!(foreign, nobody, "{operation} {more}");
        assert!(foreign.contains("refused"), "{operation} {more}: {foreign}");
    }
    let key =
        |user: &str| json!({"operation": "create-api-key", "key": {"user_id": user, "name": "x"}});
    assert_eq!(bytes(&iam, &boss, key(&eve.id())).await, bytes(&iam, &boss, key(&ghost)).await);
    let revoke = |key: &str| json!({"operation": "revoke-api-key", "key_id": key});
    let foreign = bytes(&iam, &boss, revoke(&eve.key_id())).await;
    assert_eq!(foreign, bytes(&iam, &boss, revoke(&ghost)).await);
}

#[tokio::test]
async fn foreign_workspaces_and_ghosts_look_alike() {
    let (iam, admin) = Iam::claimed().await;
    let boss = iam.manager(&admin, "acme", "boss").await;
    iam.workspace(&admin, "umbrella").await;
    iam.workspace(&admin, "shut").await;
    let disable = json!({"operation": "disable-workspace", "workspace_record": {"id": "shut"}});
    iam.by(&admin, disable).await.unwrap();
    let user = json!({"username": "x", "password": "a long enough one"});
    let asks: &[&dyn Fn(&str) -> Value] = &[
        &|id| json!({"operation": "get-workspace", "workspace_record": {"id": id}}),
        &|id| json!({"operation": "create-workspace", "workspace_record": {"id": id}}),
        &|id| json!({"operation": "update-workspace", "workspace_record": {"id": id, "enabled": true}}),
        &|id| json!({"operation": "disable-workspace", "workspace_record": {"id": id}}),
        &|id| json!({"operation": "create-user", "workspace": id, "user": user}),
        &|id| json!({"operation": "list-users", "workspace": id}),
        &|id| {
            let grant = json!({"role": "reader", "workspace": id});
            json!({"operation": "add-user-grant", "user_id": boss.id(), "grant": grant})
        },
    ];
    for ask in asks {
        let ghost = bytes(&iam, &boss, ask("ghost")).await;
        assert!(ghost.contains("access-denied"), "{ghost}");
        for foreign in ["umbrella", "shut"] {
            assert_eq!(bytes(&iam, &boss, ask(foreign)).await, ghost, "{}", ask(foreign));
        }
    }
}
