//! Workspaces.

use serde_json::{Value, json};
use tollgate_proto::capability::Capability::Llm;
use tollgate_proto::iam::Decision::{Allow, Deny, NoWorkspace};
use tollgate_proto::iam::RefusalKind;

use super::harness::{Iam, PASSWORD, about, assert_denied, assert_nobody, assert_refused, grant};

fn create(record: impl Into<Value>) -> Value {
    json!({"operation": "create-workspace", "workspace_record": record.into()})
}

#[tokio::test]
async fn a_workspace_is_made_once_and_then_answered_as_it_is() {
    let (iam, admin) = Iam::claimed().await;
    let create_it = async |record: Value| {
        iam.operate(Some(admin.actor()), create(record)).await.map(|reply| reply.workspace.unwrap())
    };
    let made =
        create_it(json!({"id": "Acme", "name": "Acme Ltd", "enabled": false})).await.unwrap();
    assert_eq!((&*made.id, &*made.name, made.enabled), ("Acme", "Acme Ltd", false));
    assert_eq!(made.created, "2027-01-15T08:00:00+00:00");
    let again = create_it(json!({"id": "Acme", "name": "Other", "enabled": true})).await.unwrap();
    assert_eq!(again, made);
    assert_refused(
        create_it(json!({"id": "acme"})).await,
        RefusalKind::Duplicate,
        "workspace id exists in other letters",
    );
}

#[tokio::test]
async fn what_cannot_be_a_workspace_says_why() {
    let (iam, admin) = Iam::claimed().await;
    let refused = async |operation: Value, message: &str| {
        let outcome = iam.operate(Some(admin.actor()), operation).await;
        assert_refused(outcome, RefusalKind::InvalidArgument, message);
    };
    refused(json!({"operation": "create-workspace"}), "workspace_record required").await;
    refused(create(json!({"name": "x"})), "workspace_record.id required").await;
    let rule = "a workspace id must be 1 to 64 of A-Z a-z 0-9 . _ - beginning with a letter or \
                digit, without '..'";
    for id in ["_system", "a/b", "a..b", "a b", "*"] {
        refused(create(json!({"id": id})), rule).await;
    }
}

#[tokio::test]
async fn only_admins_of_the_deployment_make_and_list_workspaces() {
    let (iam, admin) = Iam::claimed().await;
    let bob = iam.member(&admin, "acme", "bob", "writer").await;
    assert_denied(iam.operate(Some(bob.actor()), create(json!({"id": "mine"}))).await);
    assert_denied(iam.operate(Some(bob.actor()), create(json!({}))).await);
    assert_nobody(iam.operate(None, create(json!({"id": "mine"}))).await);
    let list = json!({"operation": "list-workspaces"});
    assert_denied(iam.operate(Some(bob.actor()), list.clone()).await);
    let all = iam.operate(Some(admin.actor()), list).await.unwrap().workspaces;
    assert_eq!(all.iter().map(|w| &*w.id).collect::<Vec<_>>(), ["acme", "default"]);
}

#[tokio::test]
async fn a_disabled_workspace_lets_nobody_in() {
    let (iam, admin) = Iam::claimed().await;
    iam.operate(Some(admin.actor()), create(json!({"id": "off", "enabled": false}))).await.unwrap();
    assert_refused(
        iam.user(&admin, "off", "ann", &["reader"]).await,
        RefusalKind::NotFound,
        "workspace not found or disabled",
    );
    assert_eq!(iam.decide(admin.actor(), Llm, "off").await, NoWorkspace);
}

#[tokio::test]
async fn an_update_of_a_workspace_keeps_what_it_does_not_name() {
    let (iam, admin) = Iam::claimed().await;
    iam.workspace(&admin, "acme").await;
    let update = async |mut record: Value| {
        record["id"] = json!("acme");
        let update = json!({"operation": "update-workspace", "workspace_record": record});
        let made = iam.by(&admin, update).await.unwrap().workspace.unwrap();
        let get = json!({"operation": "get-workspace", "workspace_record": {"id": "acme"}});
        assert_eq!(iam.by(&admin, get).await.unwrap().workspace.unwrap(), made);
        (made.name, made.enabled)
    };
    assert_eq!(update(json!({"name": "Acme", "enabled": false})).await, ("Acme".to_owned(), false));
    for nothing in [json!({}), json!({"name": "", "enabled": null})] {
        assert_eq!(update(nothing).await, ("Acme".to_owned(), false));
    }
    assert_eq!(update(json!({"name": "Acme Ltd"})).await, ("Acme Ltd".to_owned(), false));
    assert_eq!(update(json!({"enabled": true})).await, ("Acme Ltd".to_owned(), true));
    for operation in ["get-workspace", "update-workspace", "disable-workspace"] {
        let ask = |id: &str| json!({"operation": operation, "workspace_record": {"id": id}});
        let ghost = iam.by(&admin, ask("ghost")).await;
        assert_refused(ghost, RefusalKind::NotFound, "workspace not found");
        let missing = iam.by(&admin, ask("")).await;
        assert_refused(missing, RefusalKind::InvalidArgument, "workspace_record.id required");
        assert_nobody(iam.operate(None, ask("acme")).await);
    }
}

fn set_enabled(id: &str, enabled: bool) -> Value {
    let record = json!({"id": id, "enabled": enabled});
    json!({"operation": "update-workspace", "workspace_record": record})
}

#[tokio::test]
async fn members_of_a_disabled_workspace_have_nothing_there_until_it_is_enabled() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "writer").await;
    let boss = iam.manager(&admin, "acme", "boss").await;
    iam.workspace(&admin, "umbrella").await;
    iam.give(&admin, &boss, "writer", "umbrella").await.unwrap();
    let disable = json!({"operation": "disable-workspace", "workspace_record": {"id": "acme"}});
    iam.by(&admin, disable).await.unwrap();

    // Whoever has no other place is let in no more.
    assert_nobody(iam.authenticate(&ann.key).await);
    assert_nobody(iam.login("ann", PASSWORD).await);
    assert_eq!(iam.decide(ann.actor(), Llm, "acme").await, Deny);
    assert_denied(iam.key(&ann, &ann.id()).await);
    // Who has, keeps that and no more.
    assert!(iam.authenticate(&boss.key).await.is_ok());
    assert_eq!(iam.decide(boss.actor(), Llm, "umbrella").await, Allow);
    assert_eq!(iam.decide(boss.actor(), Llm, "acme").await, Deny);
    let own = json!({"operation": "list-my-workspaces"});
    let own = iam.by(&boss, own).await.unwrap().workspaces;
    assert_eq!(own.iter().map(|workspace| &*workspace.id).collect::<Vec<_>>(), ["umbrella"]);
    for operation in [
        json!({"operation": "list-users"}),
        json!({"operation": "list-workspaces"}),
        json!({"operation": "get-workspace", "workspace_record": {"id": "acme"}}),
        set_enabled("acme", true),
        about("get-user", &ann),
        about("disable-user", &ann),
        about("list-api-keys", &ann),
        about("list-user-grants", &ann),
        grant("add-user-grant", &ann, "reader", "acme"),
    ] {
        assert_denied(iam.by(&boss, operation).await);
    }
    // An admin still manages those at home there.
    iam.by(&admin, about("get-user", &ann)).await.unwrap();
    let there = iam.give(&admin, &ann, "reader", "acme").await;
    assert_refused(there, RefusalKind::NotFound, "workspace not found or disabled");

    iam.by(&admin, set_enabled("acme", true)).await.unwrap();
    assert!(iam.authenticate(&ann.key).await.is_ok(), "no user was disabled");
    assert_eq!(iam.decide(ann.actor(), Llm, "acme").await, Allow);
    iam.by(&boss, json!({"operation": "list-users"})).await.unwrap();
}

#[tokio::test]
async fn a_workspace_is_managed_by_who_may_there_and_opened_again_by_admins() {
    let (iam, admin) = Iam::claimed().await;
    let boss = iam.manager(&admin, "acme", "boss").await;
    let rename = json!({"id": "acme", "name": "Ours"});
    let rename = json!({"operation": "update-workspace", "workspace_record": rename});
    iam.by(&boss, rename).await.unwrap();
    iam.by(&boss, set_enabled("acme", false)).await.unwrap();
    assert_denied(iam.by(&boss, set_enabled("acme", true)).await);
    // The home of the last admin strands nobody.
    iam.by(&admin, set_enabled("default", false)).await.unwrap();
    assert!(iam.authenticate(&admin.key).await.is_ok());
    for id in ["default", "acme"] {
        iam.by(&admin, set_enabled(id, true)).await.unwrap();
    }
    assert!(iam.authenticate(&boss.key).await.is_ok());
}
