//! The laws of a journal, as functions over whatever engine, and an engine that several nodes
//! share as they would share a database: each has a state of its own.

use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tollgate_proto::ids::{JournalId, KeyId, OperationId, Seq};
use uuid::Uuid;

use super::embedded::Embedded;
use super::entry::{Act, Entry, FORMAT, Row};
use super::{Committed, Journal, JournalError, Later, NodeRow, Snapshot, replay};
use crate::hash::Digest;
use crate::record::{Change, Done, Outcome, Workspace};
use crate::seal::Seal;
use crate::state::{self, Open, Read, State, Table};

/// A seal key for tests.
pub(crate) fn seal() -> Seal {
    Seal::new(&SecretString::from("5".repeat(64))).unwrap()
}

/// One node: a journal and a state that follows it.
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
    fn prepare(&self, seq: Seq, name: &str) -> (Open, Row) {
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
        let entry = Entry { format: FORMAT, seq, before: before.digest, acts: vec![act] };
        let row = Row::write(&entry, &before.head, &seal()).unwrap();
        open.stand_at(seq, row.seal).unwrap();
        (open, row)
    }

    async fn append(&self, name: &str) -> Row {
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

/// What has no order is kept beside it.
async fn rows_aside_are_kept(node: &Node) {
    let journal = &node.journal;
    assert_eq!(journal.load_snapshot().await.unwrap(), None);
    for seq in [1, 2] {
        let snapshot = Snapshot { seq: Seq(seq), body: vec![7; 3] };
        journal.save_snapshot(snapshot.clone()).await.unwrap();
        assert_eq!(journal.load_snapshot().await.unwrap(), Some(snapshot));
    }
    let row = |beat| NodeRow { node: Uuid::nil(), format: FORMAT, marked: Seq(0), beat };
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
    };
}
laws! {
    an_entry_is_the_next_one_or_none,
    entries_are_read_in_order,
    a_replayed_state_is_the_same,
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
        let journal =
            Shared { id: node.journal.id(), kept: Mutex::new(Kept { rows, ..Kept::default() }) };
        let error = replay::check(&journal, &node.state, &seal()).await.unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(rows[..2].to_vec(), "does not match entry 3").await;
    check(Vec::new(), "does not match entry 3").await;
    let mut changed = rows.clone();
    changed[2].body[30] ^= 1;
    check(changed, "entry 3 was changed").await;

    let mut swapped = rows;
    swapped.swap(0, 1);
    let journal = Shared {
        id: node.journal.id(),
        kept: Mutex::new(Kept { rows: swapped, ..Kept::default() }),
    };
    let fresh = State::in_memory().unwrap();
    assert!(replay::catch_up(&journal, &fresh, &seal()).await.is_err());
}

/// An engine in memory that behaves as a database would: whoever comes second to a place is told
/// who was first. States are caches of it.
#[derive(Debug)]
pub(crate) struct Shared {
    id: JournalId,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    rows: Vec<Row>,
    snapshot: Option<Snapshot>,
    nodes: Vec<NodeRow>,
    used: Vec<(KeyId, u64)>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { id: JournalId(Uuid::from_u128(1)), kept: Mutex::default() }
    }
}

impl Shared {
    fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Kept) -> T) -> Later<'_, T> {
        let done = work(&mut self.kept.lock().unwrap());
        Box::pin(async move { Ok(done) })
    }
}

impl Journal for Shared {
    fn id(&self) -> JournalId {
        self.id
    }

    fn commit(&self, open: Open, row: Row) -> Later<'_, Committed> {
        Box::pin(async move {
            // Others may come between the decision and the write.
            tokio::task::yield_now().await;
            let mut kept = self.kept.lock().unwrap();
            let newest = Seq(kept.rows.len() as u64);
            let place = usize::try_from(row.seq.0).unwrap().checked_sub(1);
            if let Some(winner) = place.and_then(|place| kept.rows.get(place)) {
                return Ok(Committed::Conflict(winner.clone()));
            }
            if row.seq.0 != newest.0 + 1 {
                return Err(JournalError::OutOfOrder { entry: row.seq, newest });
            }
            kept.rows.push(row);
            open.keep()?;
            Ok(Committed::Ours)
        })
    }

    fn read(&self, after: Seq, limit: usize) -> Later<'_, Vec<Row>> {
        self.with(|kept| {
            kept.rows.iter().filter(|row| row.seq > after).take(limit).cloned().collect()
        })
    }

    fn save_snapshot(&self, snapshot: Snapshot) -> Later<'_, ()> {
        self.with(|kept| kept.snapshot = Some(snapshot))
    }

    fn load_snapshot(&self) -> Later<'_, Option<Snapshot>> {
        self.with(|kept| kept.snapshot.clone())
    }

    fn put_node(&self, node: NodeRow) -> Later<'_, ()> {
        self.with(|kept| {
            kept.nodes.retain(|other| other.node != node.node);
            kept.nodes.push(node);
        })
    }

    fn nodes(&self) -> Later<'_, Vec<NodeRow>> {
        self.with(|kept| kept.nodes.clone())
    }

    fn put_last_used(&self, used: Vec<(KeyId, u64)>) -> Later<'_, ()> {
        self.with(|kept| kept.used.extend(used))
    }

    fn last_used(&self, keys: Vec<KeyId>) -> Later<'_, Vec<Option<u64>>> {
        self.with(|kept| {
            let used = |key: KeyId| {
                kept.used.iter().filter(|(id, _)| *id == key).map(|(_, at_ms)| *at_ms).max()
            };
            keys.into_iter().map(used).collect()
        })
    }
}
