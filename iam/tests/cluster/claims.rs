//! What there is once, whoever asks for it and wherever.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};
use tollgate_proto::iam::{RefusalKind, Reply};
use uuid::Uuid;

use super::harness::{Iam, PASSWORD, Person};
use super::keyspace::Keyspace;
use super::nodes::node;
use super::proxy::{Faults, Proxy};

/// Before whoever was told nothing asks again.
const PAUSE: Duration = Duration::from_millis(50);
/// So many names are claimed.
const NAMES: usize = 100;
/// So many at once, a third of them at each node.
const CALLERS: usize = 96;
/// How often they are claimed altogether, unless `TOLLGATE_CLAIMS` says so: each claim hashes a password.
const CLAIMS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_who_claim_a_deployment_on_three_nodes_one_has_it() {
    Keyspace::lend(async |keyspace| {
        let nodes = [node(keyspace).await, node(keyspace).await, node(keyspace).await];
        let nodes = nodes.map(Arc::new);
        let mut callers = JoinSet::new();
        for n in 0..100 {
            let node = Arc::clone(&nodes[n % 3]);
            callers
                .spawn(async move { node.operate(None, json!({"operation": "bootstrap"})).await });
        }
        let (mut keys, mut refused) = (Vec::new(), 0);
        for answer in callers.join_all().await {
            match answer {
                Ok(reply) => keys.push(reply.bootstrap_admin_api_key.unwrap().expose().to_owned()),
                Err(refusal) => {
                    assert_eq!(refusal.kind, RefusalKind::AuthFailed, "{}", refusal.message);
                    refused += 1;
                }
            }
        }
        assert_eq!((keys.len(), refused), (1, 99));
        for node in &nodes {
            let admin = node.person(keys[0].clone()).await;
            assert_eq!(node.count_workspaces(&admin).await, 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_claims_on_a_hundred_usernames_a_hundred_are_won() {
    Keyspace::lend(async |keyspace| claim_names(keyspace, || {}).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_username_is_claimed_twice_where_transactions_time_out() {
    Keyspace::lend(async |keyspace| {
        let proxy = Proxy::start(&keyspace.cluster).await;
        let through = Keyspace { cluster: proxy.address.to_string(), name: keyspace.name.clone() };
        let trouble = || proxy.inject(Faults { answers_lost: 0.15, requests_lost: 0.1 });
        claim_names(&through, trouble).await;
        assert!(proxy.injected() > 100, "{}", proxy.injected());
    })
    .await;
}

/// Claims names on three nodes; whoever is not told the outcome asks again, at another node.
async fn claim_names(keyspace: &Keyspace, begin_trouble: impl Fn()) {
    let claims = claims();
    let nodes = [node(keyspace).await, node(keyspace).await, node(keyspace).await];
    let nodes = Arc::new(nodes);
    let admin = Arc::new(nodes[0].claim().await);
    begin_trouble();
    let next = Arc::<AtomicUsize>::default();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (nodes, admin, next) = (Arc::clone(&nodes), Arc::clone(&admin), Arc::clone(&next));
        callers.spawn(async move {
            let mut won = Vec::new();
            loop {
                let claim = next.fetch_add(1, Ordering::Relaxed);
                if claim >= claims {
                    return won;
                }
                // All of those at one time want the same.
                let name = format!("user{}", claim * NAMES / claims);
                won.extend(claim_name(&nodes, caller, &admin, &name).await.map(|id| (name, id)));
            }
        });
    }
    let won: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    let owners: HashMap<_, _> = won.iter().cloned().collect();
    assert_eq!((won.len(), owners.len()), (NAMES, NAMES));
    for node in &*nodes {
        for (name, id) in &owners {
            let get = json!({"operation": "get-user", "user_id": id});
            let user = until_answered(node, &admin, get).await.user.unwrap();
            assert_eq!(&user.username, name);
        }
    }
}

/// The id of the user that it made, if the name was free.
async fn claim_name(nodes: &[Iam; 3], caller: usize, admin: &Person, name: &str) -> Option<String> {
    let operation = json!({
        "operation": "create-user",
        "workspace": "default",
        "user": {"username": name, "password": PASSWORD, "roles": ["reader"]},
    });
    let id = Uuid::now_v7();
    for attempt in 0.. {
        let node = &nodes[(caller + attempt) % 3];
        match node.operate_as(id, Some(admin.actor()), operation.clone()).await {
            Ok(reply) => return Some(reply.user.unwrap().id),
            Err(refusal) => match refusal.kind {
                RefusalKind::Duplicate => return None,
                RefusalKind::Unavailable | RefusalKind::TooManyRequests => sleep(PAUSE).await,
                _ => panic!("{:?}: {}", refusal.kind, refusal.message),
            },
        }
    }
    None
}

async fn until_answered(node: &Iam, by: &Person, operation: serde_json::Value) -> Reply {
    loop {
        match node.by(by, operation.clone()).await {
            Ok(reply) => return reply,
            Err(refusal) => {
                assert_eq!(refusal.kind, RefusalKind::Unavailable, "{}", refusal.message);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "says how much is tested; it configures nothing")]
fn claims() -> usize {
    std::env::var("TOLLGATE_CLAIMS").map_or(CLAIMS, |count| count.parse().unwrap())
}
