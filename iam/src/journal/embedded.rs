//! Journal and state in one redb file, and a snapshot in a file beside it: for one process, with
//! nothing else to install.
//!
//! An entry goes into the transaction that holds the state it makes, so the two cannot differ.
//! `Durability::Immediate` and two-phase commits: an answer is sent after the disk has it. The
//! file is locked: a second process on the same data is refused.

mod half_made;
mod snapshots;
mod untouched;

use std::fs::{File, OpenOptions, remove_file, rename};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Builder, Database, DatabaseError, Durability, Key, ReadableDatabase, ReadableTable,
    TableDefinition, Value,
};
use tollgate_proto::ids::{JournalId, KeyId, Seq};
use uuid::Uuid;

use super::entry::Row;
use super::{
    Base, Committed, Journal, JournalError, Later, NodeRow, SnapshotBytes, WriteSnapshot, failed,
};
use crate::draw;
use crate::state::{Open, Position, State};
use snapshots::Snapshots;
use untouched::Untouched;

pub use half_made::is_unmade;
pub use snapshots::SNAPSHOT_FILE;

/// The file in `iam.data_dir`.
pub const FILE: &str = "iam.redb";
/// redb's own cache. A gigabyte, its default, is more than any deployment has data.
const CACHE: usize = 64 << 20;

const IDENTITY: TableDefinition<&str, &[u8]> = TableDefinition::new("journal-identity");
const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("journal-entries");
const NODES: TableDefinition<u128, &[u8]> = TableDefinition::new("nodes");
const LAST_USED: TableDefinition<u128, u64> = TableDefinition::new("last-used");
const ID: &str = "id";
const BASE: &str = "base";

/// The engine.
#[derive(Debug, Clone)]
pub struct Embedded {
    database: Arc<Database>,
    snapshots: Snapshots,
    id: JournalId,
}

impl Embedded {
    /// Opens the file, or makes it, readable by its owner only.
    pub fn open(path: &Path) -> Result<(Self, State), JournalError> {
        Self::open_or_make(path, None)
    }

    /// Makes a file for a journal that was elsewhere.
    pub fn open_as(path: &Path, id: JournalId) -> Result<(Self, State), JournalError> {
        Self::open_or_make(path, Some(id))
    }

    fn open_or_make(path: &Path, id: Option<JournalId>) -> Result<(Self, State), JournalError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // The data file is never somewhere else.
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .map_err(failed)?;
        half_made::discard(&file)?;
        let backend = FileBackend::new(file).map_err(opening)?;
        let database = builder().create_with_backend(backend).map_err(opening)?;
        let opened = Self::with(database, Snapshots::beside(path), id)?;
        // Ahead of whatever is made beside it.
        snapshots::sync_folder_of(path).map_err(failed)?;
        Ok(opened)
    }

    /// Opens a file that must be there, to look at it: not one byte of it is written.
    pub fn look_at(path: &Path) -> Result<(Self, State), JournalError> {
        Self::with(open_untouched(path)?, Snapshots::beside(path), None)
    }

    /// A journal that is gone with the process, for tests.
    pub fn in_memory() -> Result<(Self, State), JournalError> {
        let backend = InMemoryBackend::new();
        let database = builder().create_with_backend(backend).map_err(opening)?;
        Self::with(database, Snapshots::Memory(Arc::new(Mutex::new(None))), None)
    }

    fn with(
        database: Database,
        snapshots: Snapshots,
        fresh: Option<JournalId>,
    ) -> Result<(Self, State), JournalError> {
        let id = identity(&database, fresh)?;
        let database = Arc::new(database);
        let state = State::in_database(Arc::clone(&database))?;
        Ok((Self { database, snapshots, id }, state))
    }

    /// Writes all that is kept into a new file and puts it in the place of the old one: what was
    /// dropped from the tables is then nowhere in it. Nobody else may have the file open.
    pub fn rewrite(self, path: &Path) -> Result<(), JournalError> {
        let draft = path.with_added_extension("new");
        match remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let (copy, _) = Self::open(&draft)?;
        let from = self.database.begin_read().map_err(failed)?;
        let mut to = copy.database.begin_write().map_err(failed)?;
        to.set_two_phase_commit(true);
        copy_table(IDENTITY, &from, &to)?;
        copy_table(ENTRIES, &from, &to)?;
        copy_table(NODES, &from, &to)?;
        copy_table(LAST_USED, &from, &to)?;
        State::tables().try_for_each(|table| copy_table(table, &from, &to))?;
        to.commit().map_err(failed)?;
        drop(copy);
        rename(&draft, path).and_then(|()| snapshots::sync_folder_of(path)).map_err(failed)
    }

    /// Runs work on the file away from the async workers.
    fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, JournalError> + Send + 'static,
    ) -> Later<'_, T> {
        let database = Arc::clone(&self.database);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || work(&database)).await.map_err(failed)?
        })
    }

    /// Writes a row that has no place in the order and may be lost in a crash.
    fn write_aside<T: Send + 'static>(
        &self,
        write: impl FnOnce(&redb::WriteTransaction) -> Result<T, JournalError> + Send + 'static,
        durability: Durability,
    ) -> Later<'_, T> {
        self.work(move |database| {
            let mut transaction = database.begin_write().map_err(failed)?;
            transaction.set_durability(durability).map_err(failed)?;
            transaction.set_two_phase_commit(true);
            let written = write(&transaction)?;
            transaction.commit().map_err(failed)?;
            Ok(written)
        })
    }
}

/// Checks every page of a file, without writing to it.
pub fn check_pages(path: &Path) -> Result<(), JournalError> {
    let check = || open_untouched(path)?.check_integrity().map_err(opening);
    // redb says that it may panic on a file that something else wrote to.
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(JournalError::Damaged("its pages do not add up".to_owned())),
        Ok(Err(JournalError::Store(source))) => Err(JournalError::Damaged(source.to_string())),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(JournalError::Damaged("it cannot even be opened".to_owned())),
    }
}

fn open_untouched(path: &Path) -> Result<Database, JournalError> {
    let file = File::open(path).map_err(failed)?;
    let backend = FileBackend::new(file).map_err(opening)?;
    let backend = Untouched::new(backend).map_err(failed)?;
    builder().create_with_backend(backend).map_err(opening)
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    table: TableDefinition<K, V>,
    from: &redb::ReadTransaction,
    to: &redb::WriteTransaction,
) -> Result<(), JournalError> {
    let from = from.open_table(table).map_err(failed)?;
    let mut to = to.open_table(table).map_err(failed)?;
    for row in from.iter().map_err(failed)? {
        let (key, value) = row.map_err(failed)?;
        to.insert(key.value(), value.value()).map_err(failed)?;
    }
    Ok(())
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Reads which journal this is; a new file becomes a new journal, or the `fresh` one.
fn identity(database: &Database, fresh: Option<JournalId>) -> Result<JournalId, JournalError> {
    let mut transaction = database.begin_write().map_err(failed)?;
    transaction.set_two_phase_commit(true);
    let id = {
        let mut table = transaction.open_table(IDENTITY).map_err(failed)?;
        let known = table.get(ID).map_err(failed)?.map(|id| id.value().to_vec());
        if let Some(bytes) = known {
            Uuid::from_slice(&bytes).map_err(failed)?
        } else {
            let id = fresh.map_or_else(draw::uuid, |fresh| Ok(fresh.0)).map_err(failed)?;
            table.insert(ID, id.as_bytes().as_slice()).map_err(failed)?;
            id
        }
    };
    transaction.open_table(ENTRIES).map_err(failed)?;
    transaction.open_table(NODES).map_err(failed)?;
    transaction.open_table(LAST_USED).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(JournalId(id))
}

impl Journal for Embedded {
    fn id(&self) -> JournalId {
        self.id
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn commit(&self, open: Open, row: Row) -> Later<'_, Committed> {
        self.work(move |_| {
            let mut transaction = open.into_inner();
            transaction.set_durability(Durability::Immediate).map_err(failed)?;
            {
                let mut entries = transaction.open_table(ENTRIES).map_err(failed)?;
                let newest = match entries.last().map_err(failed)? {
                    Some((seq, _)) => Seq(seq.value()),
                    None => read_base(&transaction.open_table(IDENTITY).map_err(failed)?)?
                        .map_or(Seq(0), |base| base.seq),
                };
                if row.seq.0 != newest.0 + 1 {
                    return Err(JournalError::OutOfOrder { entry: row.seq, newest });
                }
                entries.insert(row.seq.0, row.to_bytes().as_slice()).map_err(failed)?;
            }
            transaction.commit().map_err(failed)?;
            Ok(Committed::Ours)
        })
    }

    fn read(&self, after: Seq, limit: usize) -> Later<'_, Vec<Row>> {
        self.work(move |database| {
            let transaction = database.begin_read().map_err(failed)?;
            let entries = transaction.open_table(ENTRIES).map_err(failed)?;
            let behind = entries.range(after.0.saturating_add(1)..).map_err(failed)?;
            behind
                .take(limit)
                .map(|entry| {
                    let (seq, bytes) = entry.map_err(failed)?;
                    Row::from_bytes(Seq(seq.value()), bytes.value())
                })
                .collect()
        })
    }

    fn save_snapshot(&self, write: WriteSnapshot) -> Later<'_, Position> {
        let snapshots = self.snapshots.clone();
        self.work(move |_| snapshots.save(write))
    }

    fn load_snapshot(&self) -> Later<'_, Option<SnapshotBytes>> {
        let snapshots = self.snapshots.clone();
        self.work(move |_| snapshots.load())
    }

    fn base(&self) -> Later<'_, Option<Base>> {
        self.work(|database| {
            let transaction = database.begin_read().map_err(failed)?;
            read_base(&transaction.open_table(IDENTITY).map_err(failed)?)
        })
    }

    fn truncate(&self, base: Base) -> Later<'_, ()> {
        let write = move |transaction: &redb::WriteTransaction| {
            let mut entries = transaction.open_table(ENTRIES).map_err(failed)?;
            entries.retain_in(..=base.seq.0, |_, _| false).map_err(failed)?;
            let mut identity = transaction.open_table(IDENTITY).map_err(failed)?;
            identity.insert(BASE, base.to_bytes().as_slice()).map_err(failed)?;
            Ok(())
        };
        self.write_aside(write, Durability::Immediate)
    }

    fn put_node(&self, node: NodeRow) -> Later<'_, ()> {
        let write = move |transaction: &redb::WriteTransaction| {
            let row = serde_json::to_vec(&node).map_err(failed)?;
            let mut table = transaction.open_table(NODES).map_err(failed)?;
            table.insert(node.node.as_u128(), row.as_slice()).map_err(failed)?;
            Ok(())
        };
        self.write_aside(write, Durability::None)
    }

    fn nodes(&self) -> Later<'_, Vec<NodeRow>> {
        self.work(|database| {
            let transaction = database.begin_read().map_err(failed)?;
            let table = transaction.open_table(NODES).map_err(failed)?;
            let rows = table.iter().map_err(failed)?;
            rows.map(|row| {
                let (_, row) = row.map_err(failed)?;
                serde_json::from_slice(row.value()).map_err(failed)
            })
            .collect()
        })
    }

    fn put_last_used(&self, used: Vec<(KeyId, u64)>) -> Later<'_, ()> {
        let write = move |transaction: &redb::WriteTransaction| {
            let mut table = transaction.open_table(LAST_USED).map_err(failed)?;
            for (key, at_ms) in used {
                table.insert(key.0.as_u128(), at_ms).map_err(failed)?;
            }
            Ok(())
        };
        self.write_aside(write, Durability::None)
    }

    fn last_used(&self, keys: Vec<KeyId>) -> Later<'_, Vec<Option<u64>>> {
        self.work(move |database| {
            let transaction = database.begin_read().map_err(failed)?;
            let table = transaction.open_table(LAST_USED).map_err(failed)?;
            let used = |key: KeyId| -> Result<Option<u64>, JournalError> {
                Ok(table.get(key.0.as_u128()).map_err(failed)?.map(|at| at.value()))
            };
            keys.into_iter().map(used).collect()
        })
    }
}

fn read_base(
    identity: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Option<Base>, JournalError> {
    let base = identity.get(BASE).map_err(failed)?;
    base.map(|bytes| Base::from_bytes(bytes.value())).transpose()
}

fn opening(error: DatabaseError) -> JournalError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => JournalError::InUse,
        other => failed(other),
    }
}
