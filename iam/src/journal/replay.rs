//! Making a state from entries, and proof that a state and a journal belong together.

use tollgate_proto::ids::Seq;

use super::entry::{Entry, Row};
use super::{Journal, JournalError};
use crate::record::Done;
use crate::seal::Seal;
use crate::state::{self, Open, Read, State};

/// How many entries are read at a time.
const BATCH: usize = 1_000;

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
    for act in &entry.acts {
        let done = Done {
            seq: entry.seq,
            operation: act.operation.clone(),
            actor: act.actor.as_ref().map(|actor| actor.user),
            outcome: act.outcome.clone(),
        };
        state::apply(open, act.id, &done, &act.changes)?;
    }
    open.stand_at(row.seq, row.seal)?;
    Ok(entry)
}

/// Applies every entry that the state does not have yet. `State` is only a cache of the journal
/// here: nothing waits for the disk.
pub async fn catch_up(
    journal: &dyn Journal,
    state: &State,
    seal: &Seal,
) -> Result<Seq, JournalError> {
    begin(journal, state, seal)?;
    loop {
        let at = state.view()?.position().seq;
        let rows = journal.read(at, BATCH).await?;
        if rows.is_empty() {
            return Ok(at);
        }
        let mut open = state.open()?;
        for row in &rows {
            apply(&mut open, row, seal)?;
        }
        open.keep()?;
    }
}

/// Chains an empty state to its journal: the first entry follows on the journal's id.
pub fn begin(journal: &dyn Journal, state: &State, seal: &Seal) -> Result<(), JournalError> {
    if state.view()?.position().seq == Seq(0) {
        let mut open = state.open()?;
        open.stand_at(Seq(0), seal.first_link(journal.id()))?;
        open.keep()?;
    }
    Ok(())
}

/// Checks that the state is what the newest entry made: the journal is not shorter than the
/// state, not longer, and sealed under this key.
pub async fn check(journal: &dyn Journal, state: &State, seal: &Seal) -> Result<(), JournalError> {
    let position = state.view()?.position().clone();
    if position.seq == Seq(0) {
        let first = journal.read(Seq(0), 1).await?;
        return match first.first() {
            Some(row) => Err(JournalError::Diverged(row.seq)),
            None if position.head != seal.first_link(journal.id()) => {
                Err(JournalError::BrokenSeal(Seq(0)))
            }
            None => Ok(()),
        };
    }
    // Two entries back, so that the seal of the newest can be checked against the one before.
    let after = Seq(position.seq.0.saturating_sub(2));
    let rows = journal.read(after, 3).await?;
    let newest = rows.last().ok_or(JournalError::Diverged(position.seq))?;
    if newest.seq != position.seq || newest.seal != position.head {
        return Err(JournalError::Diverged(position.seq));
    }
    let before = match rows.as_slice() {
        [before, _] => before.seal,
        _ => seal.first_link(journal.id()),
    };
    newest.read(&before, seal).map(drop)
}
