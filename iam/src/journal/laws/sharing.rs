//! An engine in memory that several nodes share, each with a state of its own, as they would share
//! a database: whoever comes second to a place is told who was first.

use std::io::Cursor;
use std::sync::Mutex;

use tollgate_proto::ids::{JournalId, KeyId, Seq};
use uuid::Uuid;

use crate::journal::entry::Row;
use crate::journal::{
    Base, Committed, Journal, JournalError, Later, NodeRow, SnapshotBytes, WriteSnapshot,
};
use crate::state::{Open, Position};

/// The engine. States are caches of it.
#[derive(Debug)]
pub(crate) struct Shared {
    id: JournalId,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    base: Option<Base>,
    rows: Vec<Row>,
    snapshot: Option<Vec<u8>>,
    nodes: Vec<NodeRow>,
    used: Vec<(KeyId, u64)>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { id: JournalId(Uuid::from_u128(1)), kept: Mutex::default() }
    }
}

impl Shared {
    /// One that has these rows.
    pub(super) fn of(id: JournalId, rows: Vec<Row>) -> Self {
        Self { id, kept: Mutex::new(Kept { rows, ..Kept::default() }) }
    }

    fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Kept) -> T) -> Later<'_, T> {
        let done = work(&mut self.kept.lock().unwrap());
        Box::pin(async move { Ok(done) })
    }
}

impl Journal for Shared {
    fn id(&self) -> JournalId {
        self.id
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn commit(&self, open: Open, row: Row) -> Later<'_, Committed> {
        Box::pin(async move {
            // Others may come between the decision and the write.
            tokio::task::yield_now().await;
            let mut kept = self.kept.lock().unwrap();
            let base = kept.base.map_or(Seq(0), |base| base.seq);
            let newest = kept.rows.last().map_or(base, |row| row.seq);
            if let Some(winner) = kept.rows.iter().find(|other| other.seq == row.seq) {
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

    fn save_snapshot(&self, write: WriteSnapshot) -> Later<'_, Position> {
        let mut bytes = Vec::new();
        let written = write(&mut bytes);
        Box::pin(async move {
            let position = written?;
            self.kept.lock().unwrap().snapshot = Some(bytes);
            Ok(position)
        })
    }

    fn load_snapshot(&self) -> Later<'_, Option<SnapshotBytes>> {
        self.with(|kept| {
            kept.snapshot.clone().map(|bytes| Box::new(Cursor::new(bytes)) as SnapshotBytes)
        })
    }

    fn base(&self) -> Later<'_, Option<Base>> {
        self.with(|kept| kept.base)
    }

    fn truncate(&self, base: Base) -> Later<'_, ()> {
        self.with(|kept| {
            kept.rows.retain(|row| row.seq > base.seq);
            kept.base = Some(base);
        })
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
