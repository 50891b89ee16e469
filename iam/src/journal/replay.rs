//! Making a state from entries, and proof that a state and a journal belong together.

use tollgate_proto::ids::Seq;

use super::entry::{Act, Entry, Row};
use super::snapshot::Snapshot;
use super::{Base, Journal, JournalError, failed};
use crate::hash::Digest;
use crate::record::{Done, Format};
use crate::seal::Seal;
use crate::state::{self, Open, Position, Read, State, StateError, Table};

/// How many entries are read and applied at a time: full ones are 64 KiB each.
pub const BATCH: usize = 256;

/// Applies the next entry to an open transaction.
pub fn apply(open: &mut Open, row: &Row, before: &Seal) -> Result<Entry, JournalError> {
    let position = open.position().clone();
    if row.seq.0 != position.seq.0 + 1 {
        return Err(JournalError::OutOfOrder { entry: row.seq, newest: position.seq });
    }
    let entry = row.read(&position.head, before)?;
    if entry.before != position.digest {
        return Err(JournalError::Diverged(row.seq));
    }
    if position.seq > Seq(0) && entry.format < position.format {
        return Err(JournalError::LoweredFormat(row.seq));
    }
    for act in &entry.acts {
        let done = Done {
            seq: entry.seq,
            operation: act.operation.clone(),
            actor: act.actor.as_ref().map(|actor| actor.user),
            outcome: act.outcome.clone(),
        };
        state::apply(open, act.id, &done, &act.changes)?;
    }
    open.stand_at(row.seq, row.seal, entry.format)?;
    Ok(entry)
}

/// Writes the next entry, in the newest format, and applies it to the same transaction.
pub fn append(open: &mut Open, acts: Vec<Act>, seal: &Seal) -> Result<Row, JournalError> {
    let before = open.position().clone();
    let (format, seq) = (Format::NEWEST, Seq(before.seq.0 + 1));
    let entry = Entry { format, seq, before: before.digest, acts };
    let row = Row::write(&entry, &before.head, seal)?;
    apply(open, &row, seal)?;
    Ok(row)
}

/// Applies every entry that the state does not have yet; an empty state begins with the snapshot,
/// if there is one. `State` is only a cache of the journal here: the disk is waited for once in a batch.
pub async fn catch_up(
    journal: &dyn Journal,
    state: &State,
    seal: &Seal,
) -> Result<Seq, JournalError> {
    let base = base(journal, seal).await?;
    if state.view()?.position().seq == Seq(0) {
        match begin_with_snapshot(journal, state, seal).await {
            Err(error @ (JournalError::BrokenSnapshot(_) | JournalError::UnknownSnapshot(_)))
                if base.seq == Seq(0) =>
            {
                let cause = &error as &dyn std::error::Error;
                tracing::warn!(error = cause, "the snapshot is of no use; every entry is read");
                begin(journal, state, seal)?;
            }
            begun => begun?,
        }
    }
    loop {
        let at = state.view()?.position().seq;
        if at < base.seq {
            return Err(match at {
                Seq(0) => JournalError::NoSnapshot(base.seq),
                Seq(at) => JournalError::Compacted { next: Seq(at + 1), base: base.seq },
            });
        }
        let rows = journal.read(at, BATCH).await?;
        if rows.is_empty() {
            return Ok(at);
        }
        let mut open = state.open()?;
        for row in &rows {
            apply(&mut open, row, seal)?;
        }
        open.keep_durably()?;
    }
}

/// Applies the next entries that others wrote, [`BATCH`] at most; the state is only a cache of the
/// journal here. Gives what `note` makes of each.
pub async fn follow<T: Send + 'static>(
    journal: &dyn Journal,
    state: &State,
    seal: &Seal,
    note: fn(&Entry, &Open) -> Result<T, StateError>,
) -> Result<Vec<T>, JournalError> {
    let Position { seq: at, head, .. } = state.view()?.position().clone();
    // One entry back: what this state stands on must still be there.
    let mut rows = journal.read(Seq(at.0.saturating_sub(1)), BATCH + 1).await?;
    // Known since the read: nobody else is asked for it.
    let base = journal.base().await?.map_or(Seq(0), |base| base.seq);
    if at < base {
        return Err(JournalError::Compacted { next: Seq(at.0 + 1), base });
    }
    if at > base {
        match rows.first() {
            None => return Err(JournalError::Shorter(at)),
            Some(row) if row.seq != at || row.seal != head => {
                return Err(JournalError::Diverged(at));
            }
            Some(_) => drop(rows.remove(0)),
        }
    }
    rows.truncate(BATCH);
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    adopt(state, rows, seal, note).await
}

/// Applies entries that others wrote.
pub async fn adopt<T: Send + 'static>(
    state: &State,
    rows: Vec<Row>,
    seal: &Seal,
    note: fn(&Entry, &Open) -> Result<T, StateError>,
) -> Result<Vec<T>, JournalError> {
    let (state, seal) = (state.clone(), seal.clone());
    let adopt = move || {
        let mut open = state.open()?;
        let mut noted = Vec::new();
        for row in &rows {
            let entry = apply(&mut open, row, &seal)?;
            noted.push(note(&entry, &open)?);
        }
        open.keep()?;
        Ok(noted)
    };
    tokio::task::spawn_blocking(adopt).await.map_err(failed)?
}

pub(super) async fn begin_with_snapshot(
    journal: &dyn Journal,
    state: &State,
    seal: &Seal,
) -> Result<(), JournalError> {
    let Some(bytes) = journal.load_snapshot().await? else {
        return begin(journal, state, seal);
    };
    let (id, state, seal) = (journal.id(), state.clone(), seal.clone());
    let load = move || Snapshot::open_of(id, bytes, &seal)?.load(&state);
    tokio::task::spawn_blocking(load).await.map_err(failed)?.map(drop)
}

/// Chains an empty state to its journal: the first entry follows on the journal's id.
pub fn begin(journal: &dyn Journal, state: &State, seal: &Seal) -> Result<(), JournalError> {
    if state.view()?.position().seq == Seq(0) {
        let mut open = state.open()?;
        open.stand_at(Seq(0), seal.first_link(journal.id()), Format::NEWEST)?;
        open.keep()?;
    }
    Ok(())
}

/// What the journal's first entry follows on.
pub async fn base(journal: &dyn Journal, seal: &Seal) -> Result<Base, JournalError> {
    let id = journal.id();
    match journal.base().await? {
        Some(base) => base.check(id, seal).map(|()| base),
        None => Ok(Base::new(id, Seq(0), seal.first_link(id), seal)),
    }
}

/// Checks that the state is what the newest entry made: its rows add up to what its position says,
/// and the journal is not shorter than the state, not longer, and sealed under this key.
pub async fn check(journal: &dyn Journal, state: &State, seal: &Seal) -> Result<(), JournalError> {
    let position = counted(state).await?;
    let base = base(journal, seal).await?;
    // One entry back, so that the seal of the newest can be checked against it.
    let after = Seq(position.seq.0.saturating_sub(2)).max(base.seq);
    let rows = journal.read(after, 3).await?;
    let (newest, before) = match rows.as_slice() {
        [] if position.seq == base.seq && position.head == base.head => return Ok(()),
        [] if position.seq == Seq(0) => return Err(JournalError::BrokenSeal(Seq(0))),
        [only] if after == base.seq => (only, base.head),
        [.., before, newest] => (newest, before.seal),
        [] | [_] => return Err(JournalError::Diverged(position.seq)),
    };
    if newest.seq != position.seq || newest.seal != position.head {
        return Err(JournalError::Diverged(position.seq.max(newest.seq)));
    }
    newest.read(&before, seal).map(drop)
}

/// Where the state stands, if its rows add up to that: every row is read, and none is kept.
pub(super) async fn counted(state: &State) -> Result<Position, JournalError> {
    let state = state.clone();
    let count = move || {
        let view = state.view()?;
        let mut digest = Digest::default();
        for table in Table::ALL {
            view.each_row(table, |key, row| {
                digest.add(table.name(), key, row);
                Ok::<_, StateError>(())
            })?;
        }
        let position = view.position().clone();
        if digest == position.digest { Ok(position) } else { Err(JournalError::Changed) }
    };
    tokio::task::spawn_blocking(count).await.map_err(|_| JournalError::Changed)?
}
