//! The laws of a journal, as functions over whatever engine.

pub(crate) mod failing;
mod sharing;
#[cfg(feature = "cql")]
pub(crate) mod cluster;

use std::sync::Arc;

use secrecy::SecretString;
use tollgate_proto::iam::Ended;
use tollgate_proto::ids::{JournalId, KeyId, OperationId, Seq};
use uuid::Uuid;

use super::embedded::Embedded;
use super::entry::{Act, Entry, Row};
use super::snapshot::Snapshot;
use super::{Base, Committed, Journal, JournalError, NodeRow, Standing, replay, snapshot};
use crate::hash::Digest;
use crate::record::{Change, Done, Outcome, Sealed, Workspace};
use crate::seal::Seal;
use crate::state::{self, Open, Read, State, Table};
use sharing::Shared;

/// A seal key for tests.
pub(crate) fn seal() -> Seal {
    Seal::new(&SecretString::from("5".repeat(64))).unwrap()
}

/// One node: a journal and a state that follows it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) state: State,
}

impl Node {
    fn new(journal: Arc<dyn Journal>, state: State) -> Self {
        replay::begin(&*journal, &state, &seal()).unwrap();
        Self { journal, state }
    }

    pub(crate) fn embedded() -> Self {
        let (journal, state) = Embedded::in_memory().unwrap();
        Self::new(Arc::new(journal), state)
    }

    /// Nodes that share a journal.
    pub(crate) fn sharing<const N: usize>() -> [Self; N] {
        let journal = Arc::new(Shared::default());
        std::array::from_fn(|_| {
            Self::new(Arc::clone(&journal) as Arc<dyn Journal>, State::in_memory().unwrap())
        })
    }

    fn seq(&self) -> Seq {
        self.state.view().unwrap().position().seq
    }

    /// An entry that makes a workspace, applied to an open transaction.
    pub(crate) fn prepare(&self, seq: Seq, name: &str) -> (Open, Row) {
        let mut open = self.state.open().unwrap();
        let before = open.position().clone();
        let workspace = Workspace {
            id: name.parse().unwrap(),
            name: name.to_owned(),
            enabled: true,
            created_ms: 0,
        };
        let act = Act {
            id: OperationId(Uuid::now_v7()),
            operation: "create-workspace".to_owned(),
            at_ms: 0,
            actor: None,
            client: tollgate_proto::iam::Client::default(),
            capability: None,
            outcome: Outcome::Done,
            changes: vec![Change::AddWorkspace(workspace)],
        };
        let done = Done {
            seq,
            operation: act.operation.clone(),
            actor: None,
            outcome: act.outcome.clone(),
        };
        state::apply(&mut open, act.id, &done, &act.changes).unwrap();
        let entry = Entry { format: before.format, seq, before: before.digest, acts: vec![act] };
        let row = Row::write(&entry, &before.head, &seal()).unwrap();
        open.stand_at(seq, row.seal, entry.format).unwrap();
        (open, row)
    }

    pub(crate) async fn append(&self, name: &str) -> Row {
        let (open, row) = self.prepare(Seq(self.seq().0 + 1), name);
        assert_eq!(self.journal.commit(open, row.clone()).await.unwrap(), Committed::Ours);
        row
    }
}

/// An entry is written behind the newest one with the state that it makes, or nothing is.
async fn an_entry_is_the_next_one_or_none(node: &Node) {
    let first = node.append("first").await;
    assert_eq!(node.seq(), Seq(1));
    for seq in [0, 1, 3] {
        let (open, row) = node.prepare(Seq(seq), "other");
        let outcome = node.journal.commit(open, row).await;
        match outcome {
            Ok(Committed::Ours) => panic!("entry {seq} cannot follow entry 1"),
            Ok(Committed::Conflict(winner)) => assert_eq!((seq, &winner), (1, &first)),
            Err(error) => assert!(matches!(error, JournalError::OutOfOrder { .. }), "{error}"),
        }
        assert_eq!(node.seq(), Seq(1));
        let view = node.state.view().unwrap();
        assert!(state::workspace(&view, &"other".parse().unwrap()).unwrap().is_none());
    }
}

/// Entries are read in order, without a gap, from where one asks and as many as one asks for.
async fn entries_are_read_in_order(node: &Node) {
    let mut written = Vec::new();
    for n in 0..5 {
        written.push(node.append(&format!("workspace{n}")).await);
    }
    let read = async |after, limit| node.journal.read(Seq(after), limit).await.unwrap();
    assert_eq!(read(0, 100).await, written);
    assert_eq!(read(2, 100).await, written[2..]);
    assert_eq!(read(1, 2).await, written[1..3]);
    assert_eq!(read(5, 100).await, []);
    assert_eq!(read(u64::MAX, 100).await, []);
}

/// A state that is made from the entries is the state that made them.
async fn a_replayed_state_is_the_same(node: &Node) {
    for n in 0..5 {
        node.append(&format!("workspace{n}")).await;
    }
    replay::check(&*node.journal, &node.state, &seal()).await.unwrap();
    let again = State::in_memory().unwrap();
    assert_eq!(replay::catch_up(&*node.journal, &again, &seal()).await.unwrap(), Seq(5));
    assert_eq!(again.view().unwrap().position(), node.state.view().unwrap().position());
    replay::check(&*node.journal, &again, &seal()).await.unwrap();
}

/// A state that begins with a snapshot is the state that began with the first entry.
async fn a_snapshot_and_the_entries_behind_it_are_the_state(node: &Node) {
    let journal = &*node.journal;
    assert!(journal.load_snapshot().await.unwrap().is_none());
    for n in 0..3 {
        node.append(&format!("workspace{n}")).await;
        let position = snapshot::save(journal, &node.state, &seal()).await.unwrap();
        assert_eq!(&position, node.state.view().unwrap().position());
    }
    node.append("later").await;
    let bytes = journal.load_snapshot().await.unwrap().unwrap();
    let again = State::in_memory().unwrap();
    let position = Snapshot::open_of(journal.id(), bytes, &seal()).unwrap().load(&again).unwrap();
    assert_eq!(position.seq, Seq(3));
    assert_eq!(replay::catch_up(journal, &again, &seal()).await.unwrap(), Seq(4));
    assert_eq!(again.view().unwrap().position(), node.state.view().unwrap().position());
    assert_eq!(digest_of_rows(&again), digest_of_rows(&node.state));
}

/// A snapshot that was not written to its end is not kept, and the one before it is.
async fn a_snapshot_is_kept_whole_or_not_at_all(node: &Node) {
    let journal = &*node.journal;
    node.append("first").await;
    snapshot::save(journal, &node.state, &seal()).await.unwrap();
    let cut = |to: &mut dyn std::io::Write| {
        to.write_all(b"half").unwrap();
        Err(JournalError::BrokenSnapshot(1))
    };
    assert!(journal.save_snapshot(Box::new(cut)).await.is_err());
    let bytes = journal.load_snapshot().await.unwrap().unwrap();
    assert_eq!(Snapshot::open(bytes, &seal()).unwrap().check().unwrap().seq, Seq(1));
}

/// A journal whose entries below a snapshot are gone goes on as before, and proves where it
/// begins.
async fn a_compacted_journal_goes_on(node: &Node) {
    let journal = &*node.journal;
    for n in 0..3 {
        node.append(&format!("workspace{n}")).await;
    }
    assert_eq!(journal.base().await.unwrap(), None);
    let at = snapshot::save(journal, &node.state, &seal()).await.unwrap();
    let base = Base::new(journal.id(), at.seq, at.head, &seal());
    journal.truncate(base).await.unwrap();
    assert_eq!(journal.base().await.unwrap(), Some(base));
    let check = async |last: &[Row]| {
        assert_eq!(journal.read(Seq(0), 10).await.unwrap(), last);
        replay::check(journal, &node.state, &seal()).await.unwrap();
        let again = State::in_memory().unwrap();
        replay::catch_up(journal, &again, &seal()).await.unwrap();
        assert_eq!(again.view().unwrap().position(), node.state.view().unwrap().position());
    };
    check(&[]).await;
    let fourth = node.append("later").await;
    assert_eq!(fourth.seq, Seq(4));
    check(std::slice::from_ref(&fourth)).await;
    let fifth = node.append("latest").await;
    check(&[fourth, fifth]).await;

    let foreign = Base::new(JournalId(Uuid::nil()), at.seq, at.head, &seal());
    journal.truncate(foreign).await.unwrap();
    let refused = replay::check(journal, &node.state, &seal()).await.unwrap_err();
    assert!(matches!(refused, JournalError::BrokenBase), "{refused}");
}

/// A state is never made from entries of which the first are gone.
async fn a_compacted_journal_without_a_snapshot_makes_no_state(node: &Node) {
    let journal = &*node.journal;
    node.append("first").await;
    let at = node.state.view().unwrap().position().clone();
    journal.truncate(Base::new(journal.id(), at.seq, at.head, &seal())).await.unwrap();
    for name in ["second", "third"] {
        let empty = State::in_memory().unwrap();
        let refused = replay::catch_up(journal, &empty, &seal()).await.unwrap_err();
        assert!(matches!(refused, JournalError::NoSnapshot(Seq(1))), "{refused}");
        node.append(name).await;
    }
}

/// A snapshot is there: what lacks is the way to it from an older state.
async fn a_state_of_before_the_compaction_is_told_that_the_entries_are_gone(node: &Node) {
    let journal = &*node.journal;
    node.append("first").await;
    let older = State::in_memory().unwrap();
    replay::catch_up(journal, &older, &seal()).await.unwrap();
    node.append("second").await;
    node.append("third").await;
    let at = snapshot::save(journal, &node.state, &seal()).await.unwrap();
    journal.truncate(Base::new(journal.id(), at.seq, at.head, &seal())).await.unwrap();
    let refused = replay::catch_up(journal, &older, &seal()).await.unwrap_err().to_string();
    let expect = "the journal was compacted since: entry 2 and those up to 3 are gone";
    assert_eq!(refused, expect);
}

/// Where every entry is there, a snapshot that is of no use does no harm.
async fn a_broken_snapshot_is_passed_over(node: &Node) {
    let journal = &*node.journal;
    node.append("first").await;
    let position = node.state.view().unwrap().position().clone();
    let junk = move |to: &mut dyn std::io::Write| {
        to.write_all(&[0; 100]).unwrap();
        Ok(position)
    };
    journal.save_snapshot(Box::new(junk)).await.unwrap();
    let again = State::in_memory().unwrap();
    assert_eq!(replay::catch_up(journal, &again, &seal()).await.unwrap(), Seq(1));
    assert_eq!(again.view().unwrap().position(), node.state.view().unwrap().position());
}

/// What has no order is kept beside it.
async fn rows_aside_are_kept(node: &Node) {
    let journal = &node.journal;
    let ended = vec![Ended { seq: Seq(3), closed: 1, cancelled: 2 }];
    let row = |beat| {
        let standing = Standing { marked: Seq(4), gateways: 2, ended: ended.clone() };
        let (version, peer_url) = ("1.2.3".to_owned(), Some(Sealed("somewhere".to_owned())));
        NodeRow { node: Uuid::nil(), version, format: 2, beat, peer_url, standing }
    };
    for beat in [1, 2] {
        journal.put_node(row(beat)).await.unwrap();
        assert_eq!(journal.nodes().await.unwrap(), [row(beat)]);
    }
    let [one, two] = [1, 2].map(|n| KeyId(Uuid::from_u128(n)));
    journal.put_last_used(vec![(one, 1)]).await.unwrap();
    journal.put_last_used(vec![(one, 2)]).await.unwrap();
    assert_eq!(journal.last_used(vec![two, one]).await.unwrap(), [None, Some(2)]);
}

/// A test for each law over each engine.
macro_rules! laws {
    ($($law:ident),* $(,)?) => {
        mod embedded {$(
            #[tokio::test]
            async fn $law() {
                super::$law(&super::Node::embedded()).await;
            }
        )*}
        mod shared {$(
            #[tokio::test]
            async fn $law() {
                let [node] = super::Node::sharing();
                super::$law(&node).await;
            }
        )*}
        #[cfg(feature = "cql")]
        mod cql {$(
            #[tokio::test]
            async fn $law() {
                super::cluster::Cluster::lend(async |cluster| {
                    super::$law(&cluster.node().await).await;
                })
                .await;
            }
        )*}
    };
}
laws! {
    an_entry_is_the_next_one_or_none,
    entries_are_read_in_order,
    a_replayed_state_is_the_same,
    a_snapshot_and_the_entries_behind_it_are_the_state,
    a_snapshot_is_kept_whole_or_not_at_all,
    a_compacted_journal_goes_on,
    a_compacted_journal_without_a_snapshot_makes_no_state,
    a_state_of_before_the_compaction_is_told_that_the_entries_are_gone,
    a_broken_snapshot_is_passed_over,
    rows_aside_are_kept,
}

/// What the rows of a state add up to, counted anew.
pub(crate) fn digest_of_rows(state: &State) -> Digest {
    let view = state.view().unwrap();
    let mut digest = Digest::default();
    for table in Table::ALL {
        for (key, row) in view.rows(table, b"").unwrap() {
            digest.add(table.name(), &key, &row);
        }
    }
    digest
}

#[tokio::test]
async fn a_journal_that_was_cut_or_changed_stops_the_node() {
    let node = Node::embedded();
    for n in 0..3 {
        node.append(&format!("workspace{n}")).await;
    }
    let rows = node.journal.read(Seq(0), 10).await.unwrap();
    let check = async |rows: Vec<Row>, expect: &str| {
        let journal = Shared::of(node.journal.id(), rows);
        let error = replay::check(&journal, &node.state, &seal()).await.unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(rows[..2].to_vec(), "does not match entry 3").await;
    check(rows[..1].to_vec(), "does not match entry 3").await;
    check(Vec::new(), "does not match entry 3").await;
    let mut changed = rows.clone();
    changed[2].body[30] ^= 1;
    check(changed, "entry 3 was changed").await;

    let mut swapped = rows;
    swapped.swap(0, 1);
    let journal = Shared::of(node.journal.id(), swapped);
    let fresh = State::in_memory().unwrap();
    assert!(replay::catch_up(&journal, &fresh, &seal()).await.is_err());
}
