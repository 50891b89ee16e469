//! The program itself: killed in the middle of its work, and used wrongly.

use std::sync::Arc;

use serde_json::json;
use tollgate_runtime::files::write_new_secret;

use super::harness::SECRET;
use super::program::{at, kill, program, start, write_until_gone};

#[tokio::test]
async fn a_kill_loses_nothing_that_was_answered() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    write_new_secret(&folder.path().join("secret"), SECRET).unwrap();
    let (mut child, address) = start(folder.path(), &[]);
    let bootstrap = json!({"operation": "bootstrap"});
    let reply = at(address, &folder).operate(None, bootstrap).await.unwrap();
    let key = reply.bootstrap_admin_api_key.unwrap().expose().to_owned();
    kill(&mut child);

    let mut answered = Vec::new();
    for round in 0..2 {
        let (mut child, address) = start(folder.path(), &[]);
        let iam = Arc::new(at(address, &folder));
        let admin = Arc::new(iam.person(key.clone()).await);
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8 {
            writers.spawn(write_until_gone(
                Arc::clone(&iam),
                Arc::clone(&admin),
                format!("w{round}-{writer}"),
            ));
        }
        while iam.count_workspaces(&admin).await < answered.len() + 40 {}
        kill(&mut child);
        answered.extend(writers.join_all().await.into_iter().flatten());
    }

    let (mut child, address) = start(folder.path(), &[]);
    let iam = at(address, &folder);
    let admin = iam.person(key).await;
    let list = json!({"operation": "list-workspaces"});
    let there = iam.operate(Some(admin.actor()), list).await.unwrap().workspaces;
    for id in answered {
        assert!(there.iter().any(|workspace| workspace.id == id), "{id} was lost");
    }
    kill(&mut child);
}

#[test]
fn what_it_cannot_use_it_says_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let check = |more: &[&str], expect: &str| {
        let output = program(folder.path()).args(more).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*text), (Some(2), expect));
    };
    let no_mode = "tollgate-iam: iam.bootstrap_mode must be set: \"token\" (with \
                   iam.bootstrap_token_file) or \"bootstrap\"\n";
    check(&[], no_mode);
    check(&["--check-config"], no_mode);
    let no_secret = "tollgate-iam: link.secret_file must be set: the file with the secret that \
                     gateways show\n";
    check(&["--bootstrap-mode", "bootstrap"], no_secret);
    check(&["--check-config", "--bootstrap-mode", "bootstrap"], no_secret);
}
