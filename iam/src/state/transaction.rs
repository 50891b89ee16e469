//! The two ways into the tables: a snapshot to read, and the one transaction that writes.

use redb::{Durability, ReadTransaction, ReadableTable, WriteTransaction};
use serde::Serialize;
use tollgate_proto::ids::Seq;

use super::rows::{self, KeyedRow, POSITION, Read, Table, store};
use super::{Position, StateError};
use crate::hash::Hash;
use crate::record::Format;

/// The only row of tables that have one.
pub(super) const ONLY: &[u8] = b"";

/// A snapshot. It belongs to one request and goes with it: one that is held makes the file grow
/// with every commit.
#[derive(Debug)]
pub struct View {
    transaction: ReadTransaction,
    position: Position,
}

impl View {
    pub(super) fn new(transaction: ReadTransaction) -> Result<Self, StateError> {
        let table = transaction.open_table(POSITION).map_err(store)?;
        let position = read_position(&table)?;
        Ok(Self { transaction, position })
    }
}

impl View {
    /// Shows every row of a table, in the order of the keys.
    pub fn each_row<E: From<StateError>>(
        &self,
        table: Table,
        mut show: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = self.transaction.open_table(table.definition()).map_err(store)?;
        for row in rows.iter().map_err(store)? {
            let (key, value) = row.map_err(store)?;
            show(key.value(), value.value())?;
        }
        Ok(())
    }
}

impl Read for View {
    fn position(&self) -> &Position {
        &self.position
    }

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let table = self.transaction.open_table(table.definition()).map_err(store)?;
        read_row(&table, key)
    }

    fn rows(&self, table: Table, prefix: &[u8]) -> Result<Vec<KeyedRow>, StateError> {
        let table = self.transaction.open_table(table.definition()).map_err(store)?;
        read_rows(&table, prefix)
    }
}

/// The write transaction: operations are decided on it and applied to it, and it becomes durable
/// with the journal entry that holds them, or not at all.
pub struct Open {
    transaction: WriteTransaction,
    position: Position,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Open {
    pub(super) fn new(mut transaction: WriteTransaction) -> Result<Self, StateError> {
        // Checksums of one phase are not proof against someone who shapes writes and crashes.
        transaction.set_two_phase_commit(true);
        let position = {
            let table = transaction.open_table(POSITION).map_err(store)?;
            read_position(&table)?
        };
        Ok(Self { transaction, position })
    }

    pub(super) fn make_tables(&self) -> Result<(), StateError> {
        for table in Table::ALL {
            self.transaction.open_table(table.definition()).map_err(store)?;
        }
        Ok(())
    }

    pub(super) fn put<T: Serialize>(
        &mut self,
        table: Table,
        key: &[u8],
        record: &T,
    ) -> Result<(), StateError> {
        let row = rows::encode(table, record)?;
        let mut rows = self.transaction.open_table(table.definition()).map_err(store)?;
        if let Some(old) = rows.insert(key, row.as_slice()).map_err(store)? {
            self.position.digest.subtract(table.name(), key, old.value());
        }
        self.position.digest.add(table.name(), key, &row);
        Ok(())
    }

    pub(super) fn remove(&mut self, table: Table, key: &[u8]) -> Result<(), StateError> {
        let mut rows = self.transaction.open_table(table.definition()).map_err(store)?;
        if let Some(old) = rows.remove(key).map_err(store)? {
            self.position.digest.subtract(table.name(), key, old.value());
        }
        Ok(())
    }

    /// The row with the smallest key.
    pub(super) fn first(&self, table: Table) -> Result<Option<KeyedRow>, StateError> {
        let table = self.transaction.open_table(table.definition()).map_err(store)?;
        let first = table.first().map_err(store)?;
        Ok(first.map(|(key, row)| (key.value().to_vec(), row.value().to_vec())))
    }

    /// Puts rows as they were in another state.
    pub fn put_rows<'a>(
        &mut self,
        table: Table,
        rows: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), StateError> {
        let mut kept = self.transaction.open_table(table.definition()).map_err(store)?;
        for (key, row) in rows {
            if kept.insert(key, row).map_err(store)?.is_some() {
                return Err(StateError::Unfit("a row that is there"));
            }
            self.position.digest.add(table.name(), key, row);
        }
        Ok(())
    }

    /// Stands where the state stood whose rows were put here.
    pub fn stand_like(&mut self, other: &Position) -> Result<(), StateError> {
        if self.position.digest != other.digest {
            return Err(StateError::Unfit("rows that add up to something else"));
        }
        self.position.operations = other.operations;
        self.stand_at(other.seq, other.head, other.format)
    }

    pub(super) fn count_operation(&mut self) -> u64 {
        let number = self.position.operations;
        self.position.operations += 1;
        number
    }

    /// Says which entry the state now has.
    pub fn stand_at(&mut self, seq: Seq, head: Hash, format: Format) -> Result<(), StateError> {
        self.position.seq = seq;
        self.position.head = head;
        self.position.format = format;
        let row = serde_json::to_vec(&self.position)
            .map_err(|source| StateError::Broken { table: "position", source })?;
        let mut table = self.transaction.open_table(POSITION).map_err(store)?;
        table.insert(ONLY, row.as_slice()).map_err(store)?;
        Ok(())
    }

    /// Keeps what was applied without waiting for the disk: for a state that is only a cache of
    /// a journal elsewhere.
    pub fn keep(mut self) -> Result<(), StateError> {
        self.transaction
            .set_durability(Durability::None)
            .map_err(|error| StateError::Store(Box::new(error.into())))?;
        self.transaction.commit().map_err(store)
    }

    /// Keeps what was applied on the disk: what it freed can be used again only then.
    pub fn keep_durably(self) -> Result<(), StateError> {
        self.transaction.commit().map_err(store)
    }

    /// The transaction itself, for a journal that lives in the same file.
    pub fn into_inner(self) -> WriteTransaction {
        self.transaction
    }
}

impl Read for Open {
    fn position(&self) -> &Position {
        &self.position
    }

    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let table = self.transaction.open_table(table.definition()).map_err(store)?;
        read_row(&table, key)
    }

    fn rows(&self, table: Table, prefix: &[u8]) -> Result<Vec<KeyedRow>, StateError> {
        let table = self.transaction.open_table(table.definition()).map_err(store)?;
        read_rows(&table, prefix)
    }
}

fn read_position(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
) -> Result<Position, StateError> {
    match read_row(table, ONLY)? {
        None => Ok(Position::default()),
        Some(row) => serde_json::from_slice(&row)
            .map_err(|source| StateError::Broken { table: "position", source }),
    }
}

fn read_row(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, StateError> {
    Ok(table.get(key).map_err(store)?.map(|row| row.value().to_vec()))
}

fn read_rows(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &[u8],
) -> Result<Vec<KeyedRow>, StateError> {
    let mut found = Vec::new();
    for row in table.range(prefix..).map_err(store)? {
        let (key, value) = row.map_err(store)?;
        if !key.value().starts_with(prefix) {
            break;
        }
        found.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(found)
}
