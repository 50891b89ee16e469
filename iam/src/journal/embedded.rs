//! Journal and state in one redb file: for one process, with nothing else to install.
//!
//! An entry goes into the transaction that holds the state it makes, so the two cannot differ.
//! `Durability::Immediate` and two-phase commits: an answer is sent after the disk has it. The
//! file is locked: a second process on the same data is refused.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition,
};
use tollgate_proto::ids::{JournalId, KeyId, Seq};
use uuid::Uuid;

use super::entry::Row;
use super::{Committed, Journal, JournalError, Later, NodeRow, Snapshot};
use crate::draw;
use crate::state::{Open, State};

/// The file in `iam.data_dir`.
pub const FILE: &str = "iam.redb";
/// redb's own cache. A gigabyte, its default, is more than any deployment has data.
const CACHE: usize = 64 << 20;

const IDENTITY: TableDefinition<&str, &[u8]> = TableDefinition::new("journal-identity");
const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("journal-entries");
const SNAPSHOTS: TableDefinition<u64, &[u8]> = TableDefinition::new("journal-snapshots");
const NODES: TableDefinition<u128, &[u8]> = TableDefinition::new("nodes");
const LAST_USED: TableDefinition<u128, u64> = TableDefinition::new("last-used");
const ID: &str = "id";

/// The engine.
#[derive(Debug, Clone)]
pub struct Embedded {
    database: Arc<Database>,
    id: JournalId,
}

impl Embedded {
    /// Opens the file, or makes it, readable by its owner only.
    pub fn open(path: &Path) -> Result<(Self, State), JournalError> {
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
        discard_half_made(&file)?;
        let backend = FileBackend::new(file).map_err(opening)?;
        Self::with(builder().create_with_backend(backend).map_err(opening)?)
    }

    /// A journal that is gone with the process, for tests.
    pub fn in_memory() -> Result<(Self, State), JournalError> {
        let backend = InMemoryBackend::new();
        Self::with(builder().create_with_backend(backend).map_err(opening)?)
    }

    fn with(database: Database) -> Result<(Self, State), JournalError> {
        let id = identity(&database)?;
        let database = Arc::new(database);
        let state = State::in_database(Arc::clone(&database))?;
        Ok((Self { database, id }, state))
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

/// Empties a file whose making was cut short by a crash: redb writes its magic number last, and
/// refuses a file without one. Nothing is lost, because nothing was ever written to it.
fn discard_half_made(file: &File) -> Result<(), JournalError> {
    if !is_half_made(file).map_err(failed)? {
        return Ok(());
    }
    // Or another process is making it now; redb holds the same lock.
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(JournalError::InUse),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let discard = || {
        if is_half_made(file)? {
            file.set_len(0)?;
        }
        file.unlock()
    };
    discard().map_err(failed)
}

/// Whether there is a header without its magic number and not one byte of data behind it. A file
/// with data is never half made, whatever happened to its header.
fn is_half_made(file: &File) -> io::Result<bool> {
    let mut page = [0; 4_096];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut page, at)?;
        let empty = if at == 0 { MAGIC_LENGTH.min(read) } else { read };
        match read {
            0 => return Ok(at > 0),
            _ if page.iter().take(empty).any(|byte| *byte != 0) => return Ok(false),
            _ => at += read as u64,
        }
    }
}

/// Of redb's magic number, with which its files begin.
const MAGIC_LENGTH: usize = 9;

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Reads which journal this is; a new file becomes a new journal.
fn identity(database: &Database) -> Result<JournalId, JournalError> {
    let mut transaction = database.begin_write().map_err(failed)?;
    transaction.set_two_phase_commit(true);
    let id = {
        let mut table = transaction.open_table(IDENTITY).map_err(failed)?;
        let known = table.get(ID).map_err(failed)?.map(|id| id.value().to_vec());
        if let Some(bytes) = known {
            Uuid::from_slice(&bytes).map_err(failed)?
        } else {
            let id = draw::uuid().map_err(failed)?;
            table.insert(ID, id.as_bytes().as_slice()).map_err(failed)?;
            id
        }
    };
    for table in [ENTRIES, SNAPSHOTS] {
        transaction.open_table(table).map_err(failed)?;
    }
    transaction.open_table(NODES).map_err(failed)?;
    transaction.open_table(LAST_USED).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(JournalId(id))
}

impl Journal for Embedded {
    fn id(&self) -> JournalId {
        self.id
    }

    fn commit(&self, open: Open, row: Row) -> Later<'_, Committed> {
        self.work(move |_| {
            let mut transaction = open.into_inner();
            transaction.set_durability(Durability::Immediate).map_err(failed)?;
            {
                let mut entries = transaction.open_table(ENTRIES).map_err(failed)?;
                let newest = entries.last().map_err(failed)?.map_or(0, |(seq, _)| seq.value());
                if row.seq.0 != newest + 1 {
                    return Err(JournalError::OutOfOrder { entry: row.seq, newest: Seq(newest) });
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

    fn save_snapshot(&self, snapshot: Snapshot) -> Later<'_, ()> {
        let write = move |transaction: &redb::WriteTransaction| {
            let mut table = transaction.open_table(SNAPSHOTS).map_err(failed)?;
            table.retain(|_, _| false).map_err(failed)?;
            table.insert(snapshot.seq.0, snapshot.body.as_slice()).map_err(failed)?;
            Ok(())
        };
        self.write_aside(write, Durability::Immediate)
    }

    fn load_snapshot(&self) -> Later<'_, Option<Snapshot>> {
        self.work(|database| {
            let transaction = database.begin_read().map_err(failed)?;
            let table = transaction.open_table(SNAPSHOTS).map_err(failed)?;
            let last = table.last().map_err(failed)?;
            Ok(last
                .map(|(seq, body)| Snapshot { seq: Seq(seq.value()), body: body.value().to_vec() }))
        })
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

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> JournalError {
    JournalError::Store(Box::new(error))
}

fn opening(error: DatabaseError) -> JournalError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => JournalError::InUse,
        other => failed(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &[u8], data: &[u8], is_discarded: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut bytes = vec![0; 1 << 20];
        bytes[..header.len()].copy_from_slice(header);
        bytes[8_192..][..data.len()].copy_from_slice(data);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Embedded::open(&path).is_ok(), is_discarded);
        assert_eq!(std::fs::read(&path).unwrap() != bytes, is_discarded);
    }

    #[test]
    fn a_file_whose_making_was_cut_short_is_made_again_and_no_other() {
        check(b"", b"", true);
        check(b"\0\0\0\0\0\0\0\0\0\x01\0\0\x10", b"", true);
        check(b"\0\0\0\0\0\0\0\0\0\x01\0\0\x10", b"data", false);
        check(b"something else", b"", false);
    }
}
