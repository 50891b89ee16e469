//! A snapshot: the rows of a state at one entry, in parts that are chained under the seal key.
//!
//! In: a view of the state, or the bytes of a snapshot. Out: those bytes, or the rows again. No
//! more than one part is in memory at a time. Never: rows that are kept before the last part and
//! the digest proved all of them.
//!
//! A part is its length (four bytes), its link and its payload. The first payload is the
//! [`Header`] as JSON; then come rows of one table each: the table's name, a line feed, and for
//! every row the lengths of key and row (four bytes each), key and row; the last payload is empty.
//! Numbers are big-endian.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use tollgate_proto::ids::{JournalId, Seq};

use super::{Journal, JournalError};
use crate::hash::{Digest, Hash};
use crate::seal::Seal;
use crate::state::{Position, Read as _, State, Table, View};

/// The format that this build writes, and the only one that it reads.
pub const FORMAT: u16 = 1;
/// A part is closed when it has this many bytes.
const PART: usize = 64 << 10;
/// No part is longer: an entry, and so a row, has far less.
const MAX_PART: usize = 16 << 20;

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// How to read the rest.
    pub format: u16,
    /// The journal whose entries made the state.
    pub journal: JournalId,
    /// Where the state stood.
    pub position: Position,
}

/// Makes the journal keep a snapshot of the state as it is now.
pub async fn save(
    journal: &dyn Journal,
    state: &State,
    seal: &Seal,
) -> Result<Position, JournalError> {
    let (id, state, seal) = (journal.id(), state.clone(), seal.clone());
    let write = move |to: &mut dyn Write| write(&state.view()?, id, &seal, to);
    journal.save_snapshot(Box::new(write)).await
}

/// Writes the state that a view shows.
pub fn write(
    view: &View,
    journal: JournalId,
    seal: &Seal,
    to: &mut dyn Write,
) -> Result<Position, JournalError> {
    let position = view.position().clone();
    let header = Header { format: FORMAT, journal, position: position.clone() };
    let mut parts = Parts { seal, head: first_link(journal, seal), to };
    parts.write(&serde_json::to_vec(&header).map_err(super::failed)?)?;
    let mut digest = Digest::default();
    for table in Table::ALL {
        let begin = || [table.name().as_bytes(), b"\n"].concat();
        let mut part = begin();
        view.each_row(table, |key, row| {
            digest.add(table.name(), key, row);
            for bytes in [key, row] {
                let length = u32::try_from(bytes.len()).map_err(super::failed)?;
                part.extend_from_slice(&length.to_be_bytes());
            }
            part.extend_from_slice(key);
            part.extend_from_slice(row);
            if part.len() >= PART {
                parts.write(&std::mem::replace(&mut part, begin()))?;
            }
            Ok::<_, JournalError>(())
        })?;
        if part.len() > begin().len() {
            parts.write(&part)?;
        }
    }
    // A state that is not what it says must not become the beginning of another.
    if digest != position.digest {
        return Err(JournalError::Diverged(position.seq));
    }
    parts.write(&[])?;
    Ok(position)
}

/// A snapshot that is being read.
#[derive(Debug)]
pub struct Snapshot<'a, R> {
    from: R,
    seal: &'a Seal,
    head: Hash,
    part: u64,
    header: Header,
}

impl<'a, R: Read> Snapshot<'a, R> {
    /// Reads the header.
    pub fn open(mut from: R, seal: &'a Seal) -> Result<Self, JournalError> {
        let (link, payload) = read_part(&mut from, 0)?;
        let broken = |_| JournalError::BrokenSnapshot(0);
        // Which journal it is of is known from the header only, and proved by the link.
        let Start { format, journal } = serde_json::from_slice(&payload).map_err(broken)?;
        check_link(&link, &seal.link(&first_link(journal, seal), &payload), 0)?;
        if format != FORMAT {
            return Err(JournalError::UnknownSnapshot(format));
        }
        let header = serde_json::from_slice(&payload).map_err(broken)?;
        Ok(Self { from, seal, head: link, part: 0, header })
    }

    /// What it is of.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the header of what must be a snapshot of this journal.
    pub fn open_of(journal: JournalId, from: R, seal: &'a Seal) -> Result<Self, JournalError> {
        let snapshot = Self::open(from, seal)?;
        if snapshot.header.journal != journal {
            return Err(JournalError::BrokenSnapshot(0));
        }
        Ok(snapshot)
    }

    /// Puts the rows into an empty state, which then stands where the snapshot was taken.
    pub fn load(mut self, state: &State) -> Result<Position, JournalError> {
        let mut open = state.open()?;
        if open.position().seq != Seq(0) {
            return Err(JournalError::Diverged(open.position().seq));
        }
        while let Some((table, rows)) = self.next()? {
            open.put_rows(table, rows.iter())?;
        }
        let position = self.header.position;
        if open.position().digest != position.digest {
            return Err(JournalError::BrokenSnapshot(0));
        }
        open.stand_like(&position)?;
        open.keep()?;
        Ok(position)
    }

    /// Reads all of it and checks it, without keeping anything.
    pub fn check(mut self) -> Result<Position, JournalError> {
        let mut digest = Digest::default();
        while let Some((table, rows)) = self.next()? {
            for (key, row) in rows.iter() {
                digest.add(table.name(), key, row);
            }
        }
        if digest != self.header.position.digest {
            return Err(JournalError::BrokenSnapshot(0));
        }
        Ok(self.header.position)
    }

    /// The rows of the next part; `None` at the end.
    fn next(&mut self) -> Result<Option<(Table, Rows)>, JournalError> {
        self.part += 1;
        let part = self.part;
        let (link, payload) = read_part(&mut self.from, part)?;
        check_link(&link, &self.seal.link(&self.head, &payload), part)?;
        self.head = link;
        if payload.is_empty() {
            return Ok(None);
        }
        Rows::parse(payload).map(Some).ok_or(JournalError::BrokenSnapshot(part))
    }
}

#[derive(Deserialize)]
struct Start {
    format: u16,
    journal: JournalId,
}

/// The rows of one part.
struct Rows {
    payload: Vec<u8>,
    rows: Vec<[usize; 3]>,
}

impl Rows {
    /// Finds the rows in a payload.
    fn parse(payload: Vec<u8>) -> Option<(Table, Self)> {
        let named = payload.iter().position(|byte| *byte == b'\n')?;
        let name = payload.get(..named)?;
        let table = Table::ALL.into_iter().find(|table| table.name().as_bytes() == name)?;
        let mut at = named + 1;
        let mut rows = Vec::new();
        while at < payload.len() {
            let length = |at: usize| {
                let bytes = payload.get(at..at.checked_add(4)?)?.try_into().ok()?;
                usize::try_from(u32::from_be_bytes(bytes)).ok()
            };
            let key = at + 8;
            let row = key.checked_add(length(at)?)?;
            let end = row.checked_add(length(at + 4)?)?;
            payload.get(..end)?;
            rows.push([key, row, end]);
            at = end;
        }
        Some((table, Self { payload, rows }))
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows.iter().filter_map(|[key, row, end]| {
            Some((self.payload.get(*key..*row)?, self.payload.get(*row..*end)?))
        })
    }
}

struct Parts<'a> {
    seal: &'a Seal,
    head: Hash,
    to: &'a mut dyn Write,
}

impl Parts<'_> {
    fn write(&mut self, payload: &[u8]) -> Result<(), JournalError> {
        self.head = self.seal.link(&self.head, payload);
        let length = u32::try_from(payload.len()).map_err(super::failed)?;
        let mut write = || {
            self.to.write_all(&length.to_be_bytes())?;
            self.to.write_all(&self.head.0)?;
            self.to.write_all(payload)
        };
        write().map_err(super::failed)
    }
}

fn read_part(from: &mut impl Read, part: u64) -> Result<(Hash, Vec<u8>), JournalError> {
    let mut read = || {
        let (mut length, mut link) = ([0; 4], [0; 32]);
        from.read_exact(&mut length)?;
        from.read_exact(&mut link)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_PART {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Ok((Hash(link), payload))
    };
    read().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => JournalError::BrokenSnapshot(part),
        _ => super::failed(error),
    })
}

fn check_link(link: &Hash, expected: &Hash, part: u64) -> Result<(), JournalError> {
    use subtle::ConstantTimeEq;
    if !bool::from(link.0.ct_eq(&expected.0)) {
        return Err(JournalError::BrokenSnapshot(part));
    }
    Ok(())
}

/// An entry is JSON, so none has these bytes.
fn first_link(journal: JournalId, seal: &Seal) -> Hash {
    seal.link(&seal.first_link(journal), b"tollgate snapshot")
}
