//! The entries: written where nothing is, read without a gap, blanked when they are compacted.
//!
//! An entry that was compacted leaves its place behind, without its text: a node that slept for
//! long cannot put another one there.

use std::sync::atomic::Ordering;

use scylla::value::CqlValue;
use tollgate_proto::ids::{OperationId, Seq};
use uuid::Uuid;

use super::lightweight::{Found, Outcome};
use super::{Cql, damaged, few_at_a_time};
use crate::hash::Hash;
use crate::journal::JournalError;
use crate::journal::entry::Row;

/// Entries in a partition: 64 MiB at most.
const BUCKET: u64 = 1_024;
/// The most entries that are read at once: 16 MiB at most.
const PAGE: usize = 256;

/// What came of a write.
pub(super) enum Written {
    Ours,
    /// Another entry was there before.
    Before(Row),
}

/// A row as it lies there.
type Lying = (i64, Uuid, Option<Vec<u8>>, Option<Vec<u8>>);

/// What one look at the entries came to.
enum Look {
    Rows(Vec<Row>),
    /// There is a place without its text: the journal was compacted since.
    Blank,
}

#[derive(Clone, Copy)]
enum How {
    Majority,
    Settled,
}

impl Cql {
    /// Writes an entry behind the newest one.
    pub(super) async fn write(&self, row: &Row) -> Result<Written, JournalError> {
        self.check_predecessor(row.seq).await?;
        let (bucket, seq) = place(row.seq)?;
        let values = (bucket, seq, row.op.0, row.seal.0.as_slice(), row.body.as_slice());
        let written = match self.ask(&self.statements.insert_entry, values).await? {
            Outcome::Done => Written::Ours,
            Outcome::Refused(found) => match read_found(row.seq, &found)? {
                // Written the first time, though nobody said so.
                Some(winner) if winner == *row => Written::Ours,
                Some(winner) => Written::Before(winner),
                None => {
                    self.learn_base().await?;
                    let base = self.known_base().map_or(row.seq, |base| base.seq);
                    return Err(JournalError::Compacted { next: row.seq, base });
                }
            },
        };
        self.saw(row.seq);
        Ok(written)
    }

    /// Nothing is ever written behind a gap.
    async fn check_predecessor(&self, seq: Seq) -> Result<(), JournalError> {
        let seen = || Seq(self.seen.load(Ordering::Relaxed));
        let out_of_order = || JournalError::OutOfOrder { entry: seq, newest: seen() };
        let before = Seq(seq.0.checked_sub(1).ok_or_else(out_of_order)?);
        let base = self.known_base().map_or(Seq(0), |base| base.seq);
        if before <= seen().max(base) {
            return Ok(());
        }
        let after = Seq(before.0.saturating_sub(1));
        let there = self.page(after, 1, How::Settled).await?;
        match there.first().map(seq_of).transpose()? {
            Some(found) if found == before => {
                self.saw(before);
                Ok(())
            }
            Some(_) | None => Err(out_of_order()),
        }
    }

    /// Whether there was ever an entry.
    pub(super) async fn has_begun(&self) -> Result<bool, JournalError> {
        Ok(!self.page(Seq(0), 1, How::Settled).await?.is_empty())
    }

    /// Reads entries, of those that are still there.
    pub(super) async fn read_rows(
        &self,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Row>, JournalError> {
        let mut base = self.known_base().map_or(Seq(0), |base| base.seq);
        loop {
            match self.look(after.max(base), limit).await? {
                Look::Rows(rows) => {
                    if let Some(last) = rows.last() {
                        self.saw(last.seq);
                    }
                    return Ok(rows);
                }
                Look::Blank => {
                    self.learn_base().await?;
                    let newer = self.known_base().map_or(Seq(0), |base| base.seq);
                    if newer <= base {
                        return Err(damaged(format!("an entry behind entry {base} is blank")));
                    }
                    base = newer;
                }
            }
        }
    }

    async fn look(&self, after: Seq, limit: usize) -> Result<Look, JournalError> {
        // Known before anything is read: another task may see more meanwhile.
        let seen = Seq(self.seen.load(Ordering::Relaxed));
        let (mut rows, mut at) = (Vec::new(), after);
        while rows.len() < limit {
            let wanted = (limit - rows.len()).min(PAGE);
            let mut page = self.page(at, wanted, How::Majority).await?;
            if lack(&page, at, seen)?.is_some() {
                page = self.page(at, wanted, How::Settled).await?;
            }
            if let Some(lack) = lack(&page, at, seen)? {
                return Err(lack);
            }
            let count = page.len();
            for lying in page {
                let Some(row) = read_lying(lying)? else { return Ok(Look::Blank) };
                at = row.seq;
                rows.push(row);
            }
            let is_at_end = at.0 % BUCKET == BUCKET - 1 && count > 0;
            if count < wanted && !is_at_end && at >= seen {
                break;
            }
        }
        Ok(Look::Rows(rows))
    }

    /// What lies behind an entry, in the partition of the next one.
    async fn page(&self, after: Seq, limit: usize, how: How) -> Result<Vec<Lying>, JournalError> {
        let Some(next) = after.0.checked_add(1) else { return Ok(Vec::new()) };
        let Ok((bucket, next)) = place(Seq(next)) else { return Ok(Vec::new()) };
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let statement = match how {
            How::Majority => &self.statements.entries,
            How::Settled => &self.statements.entries_settled,
        };
        self.all(statement, (bucket, next - 1, limit)).await
    }

    /// Takes the text from every entry up to this one.
    pub(super) async fn blank_up_to(&self, last: Seq) -> Result<(), JournalError> {
        let mut at = Seq(0);
        while at < last {
            let page = self.page(at, PAGE, How::Majority).await?;
            let seqs: Vec<_> = page.iter().map(seq_of).collect::<Result<_, _>>()?;
            let mut blanked = Vec::new();
            for ((_, _, _, body), seq) in page.iter().zip(&seqs) {
                if body.is_some() && *seq <= last {
                    blanked.push(self.ask(&self.statements.blank_entry, place(*seq)?));
                }
            }
            few_at_a_time(blanked).await?;
            // An empty partition lies below where this journal ever began.
            let end = Seq((at.0 + 1) / BUCKET * BUCKET + BUCKET - 1);
            at = if page.len() < PAGE { end } else { seqs.last().copied().unwrap_or(end) };
        }
        Ok(())
    }
}

/// Where an entry lies.
fn place(seq: Seq) -> Result<(i64, i64), JournalError> {
    let number = |n: u64| i64::try_from(n).map_err(damaged);
    Ok((number(seq.0 / BUCKET)?, number(seq.0)?))
}

fn seq_of((seq, ..): &Lying) -> Result<Seq, JournalError> {
    u64::try_from(*seq).map(Seq).map_err(damaged)
}

/// What is wrong with a page where an entry is not there, though a later one is, or was `seen`.
fn lack(page: &[Lying], after: Seq, seen: Seq) -> Result<Option<JournalError>, JournalError> {
    if page.is_empty() && after < seen {
        return Ok(Some(JournalError::Shorter(seen)));
    }
    let mut next = after;
    for lying in page {
        next = Seq(next.0 + 1);
        if seq_of(lying)? != next {
            return Ok(Some(damaged(format!("entry {next} is missing"))));
        }
    }
    Ok(None)
}

/// None: it was compacted.
fn read_lying(lying: Lying) -> Result<Option<Row>, JournalError> {
    let seq = seq_of(&lying)?;
    let (_, op, seal, body) = lying;
    let (Some(seal), Some(body)) = (seal, body) else { return Ok(None) };
    let seal = seal.as_slice().try_into().map_err(|_| JournalError::BrokenSeal(seq))?;
    Ok(Some(Row { seq, op: OperationId(op), seal: Hash(seal), body }))
}

fn read_found(seq: Seq, found: &Found) -> Result<Option<Row>, JournalError> {
    let op = found.get("op").and_then(CqlValue::as_uuid).ok_or(JournalError::BrokenSeal(seq))?;
    let blob = |column| found.blob(column).map(<[u8]>::to_vec);
    let (number, blobs) = (i64::try_from(seq.0).map_err(damaged)?, (blob("seal"), blob("body")));
    read_lying((number, op, blobs.0, blobs.1))
}
