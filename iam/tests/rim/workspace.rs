//! Workspaces.

use serde_json::{Value, json};
use tollgate_proto::capability::Capability::Llm;
use tollgate_proto::iam::Decision::NoWorkspace;
use tollgate_proto::iam::RefusalKind;

use super::harness::{Iam, assert_denied, assert_nobody, assert_refused};

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
