//! What there is once, whoever asks for it and wherever.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;
use tollgate_proto::iam::RefusalKind;

use super::keyspace::Keyspace;
use super::nodes::node;

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
