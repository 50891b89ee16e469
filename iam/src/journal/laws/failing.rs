//! Journals that fail.

use std::sync::Arc;

use tollgate_proto::ids::{JournalId, KeyId, Seq};

use crate::journal::entry::Row;
use crate::journal::{
    Base, Committed, Journal, JournalError, Later, NodeRow, SnapshotBytes, WriteSnapshot,
};
use crate::state::{Open, Position};

/// What journals that fail have of the one inside.
macro_rules! the_rest_is_inside {
    () => {
        fn id(&self) -> JournalId {
            self.0.id()
        }
        fn is_shared(&self) -> bool {
            self.0.is_shared()
        }
        fn save_snapshot(&self, write: WriteSnapshot) -> Later<'_, Position> {
            self.0.save_snapshot(write)
        }
        fn load_snapshot(&self) -> Later<'_, Option<SnapshotBytes>> {
            self.0.load_snapshot()
        }
        fn base(&self) -> Later<'_, Option<Base>> {
            self.0.base()
        }
        fn truncate(&self, base: Base) -> Later<'_, ()> {
            self.0.truncate(base)
        }
        fn nodes(&self) -> Later<'_, Vec<NodeRow>> {
            self.0.nodes()
        }
        fn put_last_used(&self, used: Vec<(KeyId, u64)>) -> Later<'_, ()> {
            self.0.put_last_used(used)
        }
        fn last_used(&self, keys: Vec<KeyId>) -> Later<'_, Vec<Option<u64>>> {
            self.0.last_used(keys)
        }
    };
}

/// A journal whose disk is full.
#[derive(Debug)]
pub(crate) struct Failing(pub(crate) Arc<dyn Journal>);

/// A journal whose cluster is away.
#[derive(Debug)]
pub(crate) struct Cut(pub(crate) Arc<dyn Journal>);

/// A journal to which a node can say nothing about itself.
#[derive(Debug)]
pub(crate) struct Mute(pub(crate) Arc<dyn Journal>);

impl Journal for Failing {
    fn commit(&self, _: Open, _: Row) -> Later<'_, Committed> {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Box::pin(async { Err(JournalError::Store(Box::new(full))) })
    }
    fn read(&self, after: Seq, limit: usize) -> Later<'_, Vec<Row>> {
        self.0.read(after, limit)
    }
    fn put_node(&self, node: NodeRow) -> Later<'_, ()> {
        self.0.put_node(node)
    }
    the_rest_is_inside!();
}

impl Journal for Cut {
    fn commit(&self, _: Open, _: Row) -> Later<'_, Committed> {
        Box::pin(async { Err(away()) })
    }
    fn read(&self, _: Seq, _: usize) -> Later<'_, Vec<Row>> {
        Box::pin(async { Err(away()) })
    }
    fn put_node(&self, _: NodeRow) -> Later<'_, ()> {
        Box::pin(async { Err(away()) })
    }
    the_rest_is_inside!();
}

impl Journal for Mute {
    fn commit(&self, open: Open, row: Row) -> Later<'_, Committed> {
        self.0.commit(open, row)
    }
    fn read(&self, after: Seq, limit: usize) -> Later<'_, Vec<Row>> {
        self.0.read(after, limit)
    }
    fn put_node(&self, _: NodeRow) -> Later<'_, ()> {
        Box::pin(async { Err(away()) })
    }
    the_rest_is_inside!();
}

fn away() -> JournalError {
    JournalError::Away(Box::new(std::io::Error::from(std::io::ErrorKind::TimedOut)))
}
