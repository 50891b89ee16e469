//! What one node did is known on the others: at once to whoever would be refused for it, and to
//! everybody soon.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tollgate_proto::iam::{FEED_PATH, Mark, Moved, News, Poll, RefusalKind};
use tollgate_proto::ids::GatewayId;
use uuid::Uuid;

use super::harness::{Iam, PASSWORD, SECRET, assert_refused, post_to};
use super::keyspace::Keyspace;
use super::nodes::node;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_for_what_another_node_knows_better() {
    Keyspace::lend(async |keyspace| {
        let (one, two) = (node(keyspace).await, node(keyspace).await);
        let admin = one.claim().await;
        for n in 0..20 {
            let (home, name) = (format!("w{n}"), format!("user{n}"));
            one.workspace(&admin, &home).await;
            two.user(&admin, &home, &name, &["reader"]).await.unwrap();
            one.login(&name, PASSWORD).await.unwrap();
            assert_refused(
                one.user(&admin, &home, &name, &["reader"]).await,
                RefusalKind::Duplicate,
                "username already exists",
            );
            // What is so already is known as well: it is not made a second time.
            let list = json!({"operation": "list-workspaces"});
            two.workspace(&admin, &home).await;
            let there = two.by(&admin, list).await.unwrap().workspaces;
            assert_eq!(there.iter().filter(|workspace| workspace.id == home).count(), 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_of_another_node_hear_of_a_change_within_a_quarter_of_a_second() {
    Keyspace::lend(async |keyspace| {
        let (one, two) = (node(keyspace).await, node(keyspace).await);
        let admin = one.claim().await;
        let mut head = poll(&two, None).await.head;
        let mut took = Vec::new();
        for n in 0..20 {
            let id = format!("w{n}");
            one.workspace(&admin, &id).await;
            let expected = Moved::Workspace { id: id.parse().unwrap(), disabled: false };
            let begun = Instant::now();
            loop {
                let news = poll(&two, Some(head)).await;
                head = news.head;
                if news.events.iter().any(|event| event.moved == expected) {
                    break;
                }
            }
            took.push(begun.elapsed());
        }
        took.sort();
        let most = took[took.len() * 3 / 4];
        assert!(most <= Duration::from_millis(250), "{took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_changes_something_is_answered_when_gateways_of_another_node_know() {
    Keyspace::lend(async |keyspace| {
        let (one, two) = (node(keyspace).await, node(keyspace).await);
        let admin = one.claim().await;
        let (telling, told) = watch::channel(Vec::new());
        let listen = async {
            let mut head = poll(&two, None).await.head;
            loop {
                let news = poll(&two, Some(head)).await;
                head = news.head;
                let moved = news.events.into_iter().map(|event| event.moved);
                telling.send_modify(|moves| moves.extend(moved));
            }
        };
        let change = async {
            let (mut in_time, mut took) = (0, Vec::new());
            for n in 0..20 {
                let (id, begun) = (format!("w{n}"), Instant::now());
                one.workspace(&admin, &id).await;
                took.push(begun.elapsed());
                let expected = Moved::Workspace { id: id.parse().unwrap(), disabled: false };
                in_time += usize::from(told.borrow().contains(&expected));
            }
            (in_time, took)
        };
        // The first never ends. A slow machine may take longer than anybody waits.
        tokio::select! {
            () = listen => {}
            (in_time, took) = change => assert!(in_time >= 15, "{in_time} of 20 in {took:?}"),
        }
    })
    .await;
}

pub(crate) async fn poll(node: &Iam, after: Option<Mark>) -> News {
    let gateway = GatewayId(Uuid::from_u128(1));
    let poll =
        serde_json::to_string(&Poll { gateway, after, ended: vec![], found: vec![] }).unwrap();
    let (head, body) = node.http(&post_to(FEED_PATH, SECRET, &poll)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    serde_json::from_str(&body).unwrap()
}
