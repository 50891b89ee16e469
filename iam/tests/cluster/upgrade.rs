//! `journal upgrade` under nodes that work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::SecretString;
use tokio::time::{Duration, sleep};
use tollgate_iam::journal::{Journal, NodeRow, Standing};
use tollgate_iam::seal::Seal;
use tollgate_iam::state::State;
use tollgate_proto::iam::RefusalKind;
use uuid::Uuid;

use super::copy::{assert_unusable, said, tool};
use super::harness::{about, assert_refused};
use super::keyspace::Keyspace;
use super::nodes::{SEAL_KEY, folder, journal, node};
use super::older::{self, NOT_YET};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_format_is_raised_when_every_node_reads_it_and_nobody_notices() {
    Keyspace::lend(async |keyspace| {
        let home = folder();
        let cluster = Arc::new(journal(keyspace, &home).await);
        let seal = Seal::new(&SecretString::from(SEAL_KEY)).unwrap();
        older::begin(&*cluster, &State::in_memory().unwrap(), &seal).await;
        let (one, two) = (node(keyspace).await, node(keyspace).await);
        let admin = one.claim().await;
        let ann = one.member(&admin, "acme", "ann", "reader").await;
        let kick = about("kick-user", &ann);
        assert_refused(two.by(&admin, kick.clone()).await, RefusalKind::NotSupported, NOT_YET);

        let (is_older_alive, is_over) = (AtomicBool::new(true), AtomicBool::new(false));
        let older = async {
            for beat in 1.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                if is_older_alive.load(Ordering::Relaxed) {
                    cluster.put_node(older_node(beat)).await.unwrap();
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let write = async |node, name| {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert!(
                    super::harness::Iam::try_workspace(node, &admin, &format!("{name}{count}"))
                        .await
                );
                count += 1;
            }
            count
        };
        let upgrade = async || tool(home.path(), keyspace, "cql", &["journal", "upgrade"]).await;
        let upgrades = async {
            let expect = "of version 0.0.9 is alive and cannot read what would be written";
            assert_unusable(&upgrade().await, expect);
            assert_refused(one.by(&admin, kick.clone()).await, RefusalKind::NotSupported, NOT_YET);
            is_older_alive.store(false, Ordering::Relaxed);
            let done = upgrade().await;
            assert!(done.status.success(), "{}", said(&done));
            assert!(said(&done).contains("on, entries are written in format 2"), "{}", said(&done));
            for node in [&one, &two] {
                // A refusal is as fresh as a success.
                node.by(&admin, kick.clone()).await.unwrap();
            }
            // What is written meanwhile is not taken for a fault.
            let verified = tool(home.path(), keyspace, "cql", &["journal", "verify"]).await;
            let whole = said(&verified).contains("all of it is as it was written");
            assert!(whole, "{}", said(&verified));
            is_over.store(true, Ordering::Relaxed);
        };
        let ((), by_one, by_two, ()) =
            tokio::join!(older, write(&one, "one"), write(&two, "two"), upgrades);
        assert!(by_one > 10 && by_two > 10, "{by_one} and {by_two} changes meanwhile");
    })
    .await;
}

/// What a node says that knows the oldest format only.
fn older_node(beat: u64) -> NodeRow {
    let (version, standing) = ("0.0.9".to_owned(), Standing::default());
    NodeRow { node: Uuid::from_u128(1), version, format: 1, beat, peer_url: None, standing }
}
