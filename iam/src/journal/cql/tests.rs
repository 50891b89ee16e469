//! What this engine has beyond the laws, on a real cluster.

mod proxy;

use std::fs;

use futures_util::future::join_all;
use tollgate_proto::ids::Seq;

use super::cache;
use crate::journal::laws::cluster::Cluster;
use crate::journal::laws::{Node, digest_of_rows, seal};
use crate::journal::{Base, Committed, Journal, JournalError, replay, snapshot};
use crate::state::{Read, State};
use proxy::{Faults, Proxy};

fn seq(state: &State) -> Seq {
    state.view().unwrap().position().seq
}

async fn follow(node: &Node) -> Result<Vec<Seq>, JournalError> {
    replay::follow(&*node.journal, &node.state, &seal(), |entry, _| Ok(entry.seq)).await
}

async fn compact(node: &Node) {
    let at = snapshot::save(&*node.journal, &node.state, &seal()).await.unwrap();
    let base = Base::new(node.journal.id(), at.seq, at.head, &seal());
    node.journal.truncate(base).await.unwrap();
}

#[tokio::test]
async fn nodes_that_open_a_journal_at_once_open_the_same() {
    Cluster::lend(async |cluster| {
        let opened = join_all((0..4).map(|_| cluster.journal_at_once())).await;
        let ids: Vec<_> = opened.into_iter().map(|journal| journal.unwrap().id()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    })
    .await;
}

#[tokio::test]
async fn whoever_comes_second_is_told_who_was_first() {
    Cluster::lend(async |cluster| {
        let (one, two) = (cluster.node().await, cluster.node().await);
        let first = one.append("first").await;
        let (open, row) = two.prepare(Seq(1), "second");
        let committed = two.journal.commit(open, row).await.unwrap();
        assert_eq!(committed, Committed::Conflict(first));
        assert_eq!(seq(&two.state), Seq(0));
        assert_eq!(follow(&two).await.unwrap(), [Seq(1)]);
        assert_eq!(follow(&two).await.unwrap(), []);
        two.append("second").await;
        follow(&one).await.unwrap();
        assert_eq!(digest_of_rows(&one.state), digest_of_rows(&two.state));
    })
    .await;
}

#[tokio::test]
async fn a_journal_goes_on_over_the_end_of_a_partition() {
    Cluster::lend(async |cluster| {
        let node = cluster.node().await;
        for n in 0..1_030 {
            node.append(&format!("workspace{n}")).await;
        }
        let rows = node.journal.read(Seq(1_020), 100).await.unwrap();
        let seqs: Vec<_> = rows.iter().map(|row| row.seq.0).collect();
        assert_eq!(seqs, (1_021..=1_030).collect::<Vec<_>>());
        let other = cluster.node().await;
        replay::catch_up(&*other.journal, &other.state, &seal()).await.unwrap();
        assert_eq!(digest_of_rows(&other.state), digest_of_rows(&node.state));
        compact(&node).await;
        assert_eq!(node.journal.read(Seq(0), 10).await.unwrap(), []);
        assert_eq!(cluster.node().await.journal.read(Seq(0), 10).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_node_that_slept_while_the_journal_was_compacted_writes_nothing() {
    Cluster::lend(async |cluster| {
        let (awake, asleep) = (cluster.node().await, cluster.node().await);
        awake.append("first").await;
        awake.append("second").await;
        let sleeping = |n| asleep.prepare(Seq(n), "late");
        compact(&awake).await;
        let (open, row) = sleeping(1);
        let refused = asleep.journal.commit(open, row).await.unwrap_err();
        assert!(matches!(refused, JournalError::Compacted { base: Seq(2), .. }), "{refused}");
        let refused = follow(&asleep).await.unwrap_err();
        let expect = "the journal was compacted since: entry 1 and those up to 2 are gone";
        assert_eq!(refused.to_string(), expect);
    })
    .await;
}

#[tokio::test]
async fn nodes_that_count_other_copies_are_refused() {
    Cluster::lend(async |mut cluster| {
        drop(cluster.node().await);
        // The only one that a test's cluster has.
        cluster.settings.datacenter = "datacenter1".to_owned();
        let refused = cluster.journal().await.unwrap_err().to_string();
        let expect = "the nodes of this journal have iam.cql.datacenter = \"\", and this one has \
                      \"datacenter1\"";
        assert_eq!(refused, expect);
    })
    .await;
}

#[tokio::test]
async fn a_state_is_gone_on_with_and_made_again_at_any_doubt() {
    Cluster::lend(async |cluster| {
        let folder = tempfile::tempdir().unwrap();
        let node = cluster.node_in(folder.path()).await.unwrap();
        for n in 0..3 {
            node.append(&format!("workspace{n}")).await;
        }
        node.state.open().unwrap().keep_durably().unwrap();
        let digest = digest_of_rows(&node.state);
        drop(node);
        let other = cluster.node().await;
        replay::catch_up(&*other.journal, &other.state, &seal()).await.unwrap();

        let again = async |expect: Seq| {
            let node = cluster.node_in(folder.path()).await.unwrap();
            assert_eq!(seq(&node.state), expect);
            assert_eq!(digest_of_rows(&node.state), node.state.view().unwrap().position().digest);
            node
        };
        assert_eq!(digest_of_rows(&again(Seq(3)).await.state), digest);
        let path = folder.path().join(cache::FILE);
        for length in [0, 100, fs::metadata(&path).unwrap().len() / 2] {
            fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
            assert_eq!(digest_of_rows(&again(Seq(3)).await.state), digest);
        }
        // Older than the journal reaches back.
        other.append("later").await;
        compact(&other).await;
        assert_eq!(digest_of_rows(&again(Seq(4)).await.state), digest_of_rows(&other.state));
    })
    .await;
}

#[tokio::test]
async fn a_state_of_more_or_of_another_journal_stops_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path();
    Cluster::lend(async |cluster| {
        let node = cluster.node_in(kept).await.unwrap();
        node.append("first").await;
        // Applied, and never in the journal: as if the cluster had lost it.
        let (open, _) = node.prepare(Seq(2), "lost");
        open.keep_durably().unwrap();
        drop(node);
        let refused = cluster.node_in(kept).await.unwrap_err();
        assert!(matches!(refused, JournalError::Shorter(Seq(2))), "{refused}");
    })
    .await;
    Cluster::lend(async |cluster| {
        let refused = cluster.node_in(kept).await.unwrap_err();
        assert!(matches!(refused, JournalError::OtherJournal(_)), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn answers_that_are_lost_lose_no_entry_and_double_none() {
    Cluster::lend(async |mut cluster| {
        let witness = cluster.node().await;
        let proxy = Proxy::start(&cluster.settings.contact_points[0]).await;
        cluster.settings.contact_points = vec![proxy.address.to_string()];
        let (one, two) = (cluster.node().await, cluster.node().await);
        proxy.inject(Faults { answers_lost: 0.3, requests_lost: 0.2 });
        let mut acknowledged = Vec::new();
        for n in 0..60 {
            let node = if n % 3 == 0 { &two } else { &one };
            loop {
                // Its read may be lost as well; it goes on from what it has then.
                let _ = follow(node).await;
                let next = Seq(seq(&node.state).0 + 1);
                let (open, row) = node.prepare(next, &format!("workspace{n}"));
                match node.journal.commit(open, row.clone()).await {
                    Ok(Committed::Ours) => break acknowledged.push(row),
                    Ok(Committed::Conflict(_)) | Err(JournalError::Away(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        proxy.inject(Faults::default());
        assert!(proxy.injected() > 20, "{}", proxy.injected());
        replay::catch_up(&*witness.journal, &witness.state, &seal()).await.unwrap();
        assert_eq!(witness.journal.read(Seq(0), 100).await.unwrap(), acknowledged);
        for node in [&one, &two] {
            follow(node).await.unwrap();
            assert_eq!(digest_of_rows(&node.state), digest_of_rows(&witness.state));
        }
    })
    .await;
}
