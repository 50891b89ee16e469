//! A node that is killed in the middle of its work.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;
use tollgate_runtime::files::write_new_secret;

use super::harness::SECRET;
use super::keyspace::{Keyspace, schema_turn};
use super::nodes::{self, SEAL_KEY};
use super::program;

fn environment(keyspace: &Keyspace, folder: &Path) -> Vec<(&'static str, String)> {
    let names = [
        "TOLLGATE_IAM__CQL__CONTACT_POINTS",
        "TOLLGATE_IAM__CQL__KEYSPACE",
        "TOLLGATE_IAM__CQL__REPLICATION",
    ];
    let mut all: Vec<_> =
        names.into_iter().zip(keyspace.settings().map(|(_, value)| value)).collect();
    all.push(("TOLLGATE_IAM__JOURNAL", "cql".to_owned()));
    all.push(("TOLLGATE_IAM__SEAL_KEY_FILE", folder.join("seal").display().to_string()));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_killed_loses_nothing_that_it_answered() {
    Keyspace::lend(async |keyspace| {
        let witness = nodes::node(keyspace).await;
        let admin = witness.claim().await;
        let folder = Arc::new(tempfile::tempdir().unwrap());
        write_new_secret(&folder.path().join("secret"), SECRET).unwrap();
        write_new_secret(&folder.path().join("seal"), SEAL_KEY).unwrap();
        let environment = environment(keyspace, folder.path());
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut answered = Vec::new();
        for round in 0..2 {
            let (mut child, address) = {
                let _turn = schema_turn().await;
                program::start(folder.path(), &environment)
            };
            let node = Arc::new(program::at(address, &folder));
            let writer = Arc::new(node.person(admin.key.clone()).await);
            let mut writers = JoinSet::new();
            for n in 0..8 {
                let (node, writer) = (Arc::clone(&node), Arc::clone(&writer));
                writers.spawn(async move {
                    program::write_until_gone(node, writer, format!("w{round}-{n}")).await
                });
            }
            while witness.count_workspaces(&admin).await < answered.len() + 40 {}
            program::kill(&mut child);
            answered.extend(writers.join_all().await.into_iter().flatten());
        }
        let list = json!({"operation": "list-workspaces"});
        // What it would be refused for, it knows.
        witness.workspace(&admin, "last").await;
        let there = witness.by(&admin, list).await.unwrap().workspaces;
        for id in answered {
            assert!(there.iter().any(|workspace| workspace.id == id), "{id} was lost");
        }
    })
    .await;
}
