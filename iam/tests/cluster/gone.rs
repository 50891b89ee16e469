//! A journal that is not there, or not any more: nobody makes another one in its place, and nobody
//! writes behind what is missing.

use std::fs;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tollgate_iam::StartError;
use tollgate_runtime::clock::ManualClock;
use tollgate_runtime::lifecycle::Lifecycle;

use super::copy::{assert_unusable, tool};
use super::harness::{NOW_MS, start_with};
use super::keyspace::Keyspace;
use super::nodes::{folder, node, node_in, settings_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_looks_at_a_journal_makes_none() {
    Keyspace::lend(async |keyspace| {
        let folder = folder();
        for _ in 0..2 {
            for words in [&["verify"][..], &["upgrade"], &["copy", "cql", "embedded"]] {
                let words = [&["journal"], words].concat();
                let told = tool(folder.path(), keyspace, "cql", &words).await;
                let why = format!("{} cannot be used: there is no journal in it", keyspace.name);
                assert_unusable(&told, &why);
            }
        }
        assert!(!folder.path().join("data/iam.redb").exists());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_a_journal_that_goes_on_is_refused() {
    Keyspace::lend(async |keyspace| {
        let node = node(keyspace).await;
        node.claim().await;
        let folder = folder();
        let words = ["journal", "copy", "cql", "embedded"];
        let told = tool(folder.path(), keyspace, "cql", &words).await;
        assert_unusable(&told, "is alive: stop all nodes of IAM first");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_audit_file_knows_of_entries_begins_no_journal() {
    Keyspace::lend(async |keyspace| {
        let iam = node(keyspace).await;
        iam.claim().await;
        let folder = iam.stop().await;
        keyspace.drop_it().await;
        fs::remove_file(folder.path().join("data/iam.cache.redb")).unwrap();
        let settings = settings_in(&folder, keyspace, "cql");
        let start = async || {
            let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
            let started = start_with(&settings, &clock, &life).await;
            assert!(life.stop(Duration::from_secs(5)).await);
            started.map(drop)
        };
        let refused = start().await.unwrap_err();
        assert!(matches!(refused, StartError::NoJournal { .. }), "{refused}");
        // Somebody else has begun another one, which is as empty.
        node(keyspace).await.stop().await;
        let refused = start().await.unwrap_err();
        assert!(matches!(refused, StartError::NoJournal { .. }), "{refused}");
        // One that was never claimed may begin as often as it likes.
        let unclaimed = node(keyspace).await.stop().await;
        node_in(unclaimed, keyspace).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_behind_an_entry_that_is_gone() {
    Keyspace::lend(async |keyspace| {
        let (one, two) = (node(keyspace).await, node(keyspace).await);
        let admin = one.claim().await;
        for n in 0..3 {
            two.workspace(&admin, &format!("w{n}")).await;
        }
        // Claimed, and three of it.
        keyspace.run("DELETE FROM ks.journal WHERE bucket = 0 AND seq = 4").await;
        let begun = Instant::now();
        while one.life.fault.get().is_none() || two.life.fault.get().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody noticed");
            sleep(Duration::from_millis(20)).await;
        }
        for iam in [&one, &two] {
            assert!(!iam.try_workspace(&admin, "late").await);
        }
    })
    .await;
}
