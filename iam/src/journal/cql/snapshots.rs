//! Snapshots: parts under an id of their own, and one row that says which is the newest.
//!
//! A snapshot passes through a file that has no name, so that no more than a part of it is in
//! memory, and so that whoever reads it waits for no network. What a node left half written is
//! dropped by whoever saves the next one.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tollgate_proto::ids::Seq;
use uuid::Uuid;

use super::{Cql, damaged, few_at_a_time};
use crate::journal::{JournalError, SnapshotBytes, WriteSnapshot, failed};
use crate::state::Position;

const NEWEST: &str = "snapshot";
/// Bytes of a part.
const PART: usize = 64 << 10;
/// Parts in a partition: 16 MiB.
const SLAB: u32 = 256;
/// How many parts are sent or asked for before the file is looked at again.
const BATCH: u32 = 64;
/// A snapshot that began so long before another one was saved is nobody's any more.
const ABANDONED_MS: u64 = 3_600_000;

/// Which snapshot is the newest.
struct Pointer {
    snapshot: Uuid,
    parts: u32,
    /// Where it was taken, as its writer says; the snapshot itself proves it.
    seq: Seq,
}

impl Cql {
    pub(super) async fn replace_snapshot(
        &self,
        write: WriteSnapshot,
    ) -> Result<Position, JournalError> {
        let folder = self.folder.clone();
        let spool = move || {
            let mut to = BufWriter::new(nameless(&folder).map_err(failed)?);
            let position = write(&mut to)?;
            let mut file = to.into_inner().map_err(|error| failed(error.into_error()))?;
            file.rewind().map_err(failed)?;
            Ok::<_, JournalError>((file, position))
        };
        let (file, position) = tokio::task::spawn_blocking(spool).await.map_err(failed)??;
        let snapshot = Uuid::now_v7();
        let parts = self.send(snapshot, file).await?;
        let fresh = Pointer { snapshot, parts, seq: position.seq };
        self.point_at(&fresh).await?;
        self.drop_abandoned(snapshot).await?;
        Ok(position)
    }

    /// Sends a file in parts. Gives how many there are.
    async fn send(&self, snapshot: Uuid, mut file: File) -> Result<u32, JournalError> {
        let mut sent = 0;
        loop {
            let read = move || read_parts(&mut file).map(|parts| (file, parts));
            let read = tokio::task::spawn_blocking(read).await.map_err(failed)?;
            let (rest, parts) = read.map_err(failed)?;
            if parts.is_empty() {
                return Ok(sent);
            }
            file = rest;
            let put = |(part, bytes): (u32, Vec<u8>)| async move {
                let (slab, part) = place(part)?;
                let values = (snapshot, slab, part, bytes);
                self.run(&self.statements.put_part, values).await.map(drop)
            };
            let count = u32::try_from(parts.len()).map_err(failed)?;
            few_at_a_time((sent..).zip(parts).map(put).collect()).await?;
            sent += count;
        }
    }

    /// The newest one wins, whoever is saved last.
    async fn point_at(&self, fresh: &Pointer) -> Result<(), JournalError> {
        loop {
            let old = self.meta(NEWEST).await?;
            let known = old.as_deref().map(Pointer::from_bytes).transpose()?;
            if known.is_some_and(|known| known.seq > fresh.seq) {
                return Ok(());
            }
            if self.replace(NEWEST, old, fresh.to_bytes()).await? {
                return Ok(());
            }
        }
    }

    async fn newest(&self) -> Result<Option<Pointer>, JournalError> {
        self.meta(NEWEST).await?.as_deref().map(Pointer::from_bytes).transpose()
    }

    async fn drop_abandoned(&self, saved: Uuid) -> Result<(), JournalError> {
        let newest = self.newest().await?.map(|newest| newest.snapshot);
        let slabs: Vec<(Uuid, i32)> = self.all(&self.statements.slabs, ()).await?;
        let is_old = |other: Uuid| match (made_ms(saved), made_ms(other)) {
            (Some(saved), Some(other)) => saved.saturating_sub(other) > ABANDONED_MS,
            _ => true,
        };
        // Somebody may still read the one before: it goes when it is old.
        let old = slabs.into_iter().filter(|(other, _)| Some(*other) != newest && is_old(*other));
        let dropped = old
            .map(|slab| async move { self.run(&self.statements.drop_slab, slab).await.map(drop) });
        few_at_a_time(dropped.collect()).await.map(drop)
    }

    pub(super) async fn fetch_snapshot(&self) -> Result<Option<SnapshotBytes>, JournalError> {
        let Some(Pointer { snapshot, parts, .. }) = self.newest().await? else { return Ok(None) };
        let mut file = nameless(&self.folder).map_err(failed)?;
        for first in (0..parts).step_by(BATCH as usize) {
            let get = |part: u32| async move {
                let (slab, number) = place(part)?;
                let values = (snapshot, slab, number);
                let rows: Vec<(Vec<u8>,)> = self.all(&self.statements.part, values).await?;
                let bytes = rows.into_iter().next().map(|(bytes,)| bytes);
                bytes.ok_or(JournalError::BrokenSnapshot(u64::from(part)))
            };
            let end = first.saturating_add(BATCH).min(parts);
            let fetched = few_at_a_time((first..end).map(get).collect()).await?;
            let write = move || {
                fetched.iter().try_for_each(|bytes| file.write_all(bytes))?;
                Ok::<_, io::Error>(file)
            };
            file = tokio::task::spawn_blocking(write).await.map_err(failed)?.map_err(failed)?;
        }
        file.rewind().map_err(failed)?;
        Ok(Some(Box::new(BufReader::new(file))))
    }
}

impl Pointer {
    fn to_bytes(&self) -> Vec<u8> {
        let (parts, seq) = (self.parts.to_be_bytes(), self.seq.0.to_be_bytes());
        [self.snapshot.as_bytes().as_slice(), &parts, &seq].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, JournalError> {
        let parts = || {
            let (snapshot, rest) = bytes.split_first_chunk::<16>()?;
            let (parts, seq) = rest.split_first_chunk::<4>()?;
            Some(Self {
                snapshot: Uuid::from_bytes(*snapshot),
                parts: u32::from_be_bytes(*parts),
                seq: Seq(u64::from_be_bytes(seq.try_into().ok()?)),
            })
        };
        parts().ok_or_else(|| damaged("what says which snapshot is the newest"))
    }
}

/// Where a part lies.
fn place(part: u32) -> Result<(i32, i32), JournalError> {
    let number = |n: u32| i32::try_from(n).map_err(damaged);
    Ok((number(part / SLAB)?, number(part % SLAB)?))
}

fn made_ms(snapshot: Uuid) -> Option<u64> {
    let (seconds, nanos) = snapshot.get_timestamp()?.to_unix();
    Some(seconds.saturating_mul(1_000).saturating_add(u64::from(nanos / 1_000_000)))
}

/// A file that is gone with its handle.
fn nameless(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!("snapshot.{}", Uuid::new_v4()));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    remove_file(&path)?;
    Ok(file)
}

/// The next parts of a file; none at its end.
fn read_parts(file: &mut File) -> io::Result<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    for _ in 0..BATCH {
        let mut bytes = Vec::with_capacity(PART);
        Read::by_ref(file).take(PART as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            break;
        }
        parts.push(bytes);
    }
    Ok(parts)
}
