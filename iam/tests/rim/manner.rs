//! The manner of a change: waited for to its end, or rehearsed and not done.

use serde_json::{Value, json};
use tollgate_proto::iam::{Ended, Outcome, Receipt, RefusalKind, Rehearsed, Reply};
use tollgate_proto::ids::Seq;
use uuid::Uuid;

use crate::feed::Gateway;
use crate::harness::{Iam, PASSWORD, Person, about, assert_denied, assert_refused, grant};

/// An operation, asked for in a manner.
async fn asked(iam: &Iam, by: &Person, operation: Value, manner: &str) -> Outcome {
    let question = json!({"actor": by.actor(), "operation": operation, "manner": manner});
    iam.ask(json!({"operate": question})).await.outcome
}

async fn rehearse(iam: &Iam, by: &Person, operation: Value) -> Reply {
    match asked(iam, by, operation, "dry-run").await {
        Outcome::Reply(reply) => reply,
        other => panic!("{other:?}"),
    }
}

async fn newest(iam: &Iam, admin: &Person) -> Seq {
    let whoami = json!({"operate": {"actor": admin.actor(), "operation": {"operation": "whoami"}}});
    iam.ask(whoami).await.mark.seq
}

#[tokio::test]
async fn whoever_waits_is_told_what_gateways_ended() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "default", "ann", "reader").await;
    let wait = async |operation| match asked(&iam, &admin, operation, "wait").await {
        Outcome::Reply(reply) => reply.receipt.unwrap(),
        other => panic!("{other:?}"),
    };
    let alone = wait(about("disable-user", &ann)).await;
    assert_eq!(Receipt { took_ms: 0, ..alone }, Receipt::default(), "there is no gateway");

    let gateway = Gateway::new(&iam);
    let head = gateway.poll(None).await.head;
    let listen = async {
        let news = gateway.hear(head).await;
        gateway.poll(Some(news.head)).await;
        let ended = Ended { seq: news.head.seq, closed: 2, cancelled: 3 };
        gateway.tell(Some(news.head), vec![ended]).await;
        // With nothing more to tell.
        gateway.poll(Some(news.head)).await;
    };
    let (receipt, ()) = tokio::join!(wait(about("delete-user", &ann)), listen);
    let Receipt { gateways_marked, gateways_silent, sockets_closed, calls_cancelled, took_ms: _ } =
        receipt;
    assert_eq!((gateways_marked, gateways_silent), (1, 0));
    assert_eq!((sockets_closed, calls_cancelled), (2, 3));
}

#[tokio::test]
async fn a_rehearsal_says_what_would_change_and_changes_nothing() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let before = newest(&iam, &admin).await;
    let check = async |operation: Value, expect: &[(&str, String)]| {
        let reply = rehearse(&iam, &admin, operation).await;
        let changes = &reply.dry_run.as_ref().unwrap().changes;
        let told = |change: &Rehearsed| (change.event.clone(), change.id.clone());
        let expect: Vec<_> =
            expect.iter().map(|(event, id)| ((*event).to_owned(), id.clone())).collect();
        assert_eq!(changes.iter().map(told).collect::<Vec<_>>(), expect);
        // No id or secret that was drawn, and no record.
        assert_eq!(reply, Reply { dry_run: reply.dry_run.clone(), ..Reply::default() });
    };
    check(about("disable-user", &ann), &[("user.disable", ann.id())]).await;
    check(about("enable-user", &ann), &[]).await;
    check(about("delete-user", &ann), &[("user.delete", ann.id())]).await;
    check(about("reset-password", &ann), &[("password.reset", ann.id())]).await;
    let revoke = json!({"operation": "revoke-api-key", "key_id": ann.key_id()});
    check(revoke, &[("key.revoke", ann.key_id())]).await;
    let disable = json!({"operation": "disable-workspace", "workspace_record": {"id": "acme"}});
    check(disable, &[("workspace.disable", "acme".to_owned())]).await;
    for operation in [
        json!({"operation": "rotate-signing-key"}),
        json!({"operation": "create-api-key", "key": {"user_id": ann.id(), "name": "another"}}),
        json!({"operation": "create-user", "workspace": "acme",
            "user": {"username": "bob", "password": PASSWORD}}),
        grant("remove-user-grant", &ann, "reader", "acme"),
    ] {
        let reply = rehearse(&iam, &admin, operation).await;
        assert!(!reply.dry_run.as_ref().unwrap().changes.is_empty());
        assert_eq!(reply, Reply { dry_run: reply.dry_run.clone(), ..Reply::default() });
    }
    assert_eq!(newest(&iam, &admin).await, before);
    iam.authenticate(&ann.key).await.unwrap();
}

#[tokio::test]
async fn a_rehearsal_is_refused_as_the_operation_would_be() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let refused = async |by: &Person, operation| match asked(&iam, by, operation, "dry-run").await {
        Outcome::Refused(refusal) => Err::<(), _>(refusal),
        other => panic!("{other:?}"),
    };
    let last = "it would take away the last admin who can get in";
    let outcome = refused(&admin, about("delete-user", &admin)).await;
    assert_refused(outcome, RefusalKind::OperationNotPermitted, last);
    assert_denied(refused(&ann, about("disable-user", &admin)).await);
    let ghost = json!({"operation": "disable-user", "user_id": Uuid::nil()});
    assert_refused(refused(&admin, ghost).await, RefusalKind::NotFound, "user not found");
}
