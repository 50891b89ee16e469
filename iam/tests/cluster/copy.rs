//! From one machine to many, and back: `journal copy` and `journal verify`.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use tollgate_runtime::clock::ManualClock;
use tollgate_runtime::lifecycle::Lifecycle;

use super::harness::{Iam, NOW_MS, PASSWORD, start_with};
use super::keyspace::{Keyspace, schema_turn};
use super::nodes::{folder, node_in, settings_in};

pub(crate) async fn tool(
    folder: &Path,
    keyspace: &Keyspace,
    journal: &str,
    words: &[&str],
) -> Output {
    let [points, name, copies] = keyspace.settings().map(|(_, value)| value);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-iam"));
    command
        .env("TOLLGATE_IAM__JOURNAL", journal)
        .env("TOLLGATE_IAM__SEAL_KEY_FILE", folder.join("seal"))
        .env("TOLLGATE_IAM__DATA_DIR", folder.join("data"))
        .env("TOLLGATE_IAM__CQL__CONTACT_POINTS", points)
        .env("TOLLGATE_IAM__CQL__KEYSPACE", name)
        .env("TOLLGATE_IAM__CQL__REPLICATION", copies)
        .current_dir(folder)
        .args(words);
    let _turn = schema_turn().await;
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

/// Checks that a command could not be done, and why.
#[track_caller]
pub(crate) fn assert_unusable(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(2), "{}", said(output));
    assert!(said(output).contains(why), "{}", said(output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_goes_to_a_cluster_and_back_with_every_credential() {
    Keyspace::lend(async |keyspace| {
        let home = folder();
        let embedded = settings_in(&home, keyspace, "embedded");
        let run = async |words: &[&str]| tool(home.path(), keyspace, "embedded", words).await;
        let start = async || {
            let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
            let running = start_with(&embedded, &clock, &life).await.unwrap();
            Iam { address: running.address, clock, life, folder: Arc::clone(&home) }
        };
        let iam = start().await;
        let admin = iam.claim().await;
        let ann = iam.member(&admin, "acme", "ann", "reader").await;
        let jwt = iam.login("ann", PASSWORD).await.unwrap().jwt.unwrap().expose().to_owned();
        iam.stop().await;

        let copied = run(&["journal", "copy", "embedded", "cql"]).await;
        assert!(copied.status.success(), "{}", said(&copied));
        let entries = said(&copied);
        assert!(entries.starts_with("entries up to "), "{entries}");
        let again = run(&["journal", "copy", "embedded", "cql"]).await;
        assert!(said(&again).contains("it is there already"), "{}", said(&again));
        let verified = tool(home.path(), keyspace, "cql", &["journal", "verify"]).await;
        assert!(said(&verified).contains("all of it is as it was written"), "{}", said(&verified));
        let backup = tool(home.path(), keyspace, "cql", &["journal", "compact"]).await;
        assert_eq!(backup.status.code(), Some(2));

        let node = node_in(folder(), keyspace).await;
        assert!(node.authenticate(&ann.key).await.is_ok());
        assert!(node.authenticate(&jwt).await.is_ok());
        node.member(&admin, "acme2", "bob", "reader").await;
        node.stop().await;

        let other = folder();
        let back =
            tool(other.path(), keyspace, "cql", &["journal", "copy", "cql", "embedded"]).await;
        assert!(back.status.success(), "{}", said(&back));
        assert_ne!(said(&back), entries);
        let verified = tool(other.path(), keyspace, "embedded", &["journal", "verify"]).await;
        assert!(said(&verified).contains("all of it is as it was written"), "{}", said(&verified));
        let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
        let settings = settings_in(&other, keyspace, "embedded");
        let address = start_with(&settings, &clock, &life).await.unwrap().address;
        let iam = Iam { address, clock, life, folder: other };
        assert!(iam.authenticate(&ann.key).await.is_ok());
        assert!(iam.login("bob", PASSWORD).await.is_ok());
    })
    .await;
}
