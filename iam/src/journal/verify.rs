//! Proof that a journal, the state that it made and the snapshot belong together, entry by entry
//! and row by row; what does not is named.
//!
//! In: a journal and its state, as they lie there. Out: a [`Report`]. Never: a write, or an end at
//! the first problem: the more is named, the better is known what happened.

use tollgate_proto::ids::Seq;

use super::entry::Row;
use super::snapshot::Snapshot;
use super::{Journal, JournalError, failed, replay};
use crate::hash::{Digest, Hash};
use crate::record::Format;
use crate::seal::Seal;
use crate::state::{Position, Read, State, StateError, Table};

/// How many entries are read and applied at a time: full ones are 64 KiB each.
const BATCH: usize = 256;
/// More problems than this are not looked for.
const MAX_PROBLEMS: usize = 100;

/// Something that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// An entry, the base or the snapshot; the error names it.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is no such entry, and there are later ones.
    #[error("entry {0} is missing")]
    Missing(Seq),
    /// The entries end before the state does, or behind it.
    #[error("the journal ends with entry {journal}, and the state with entry {state}")]
    End {
        /// The newest entry.
        journal: Seq,
        /// What the state has applied.
        state: Seq,
    },
    /// A row is another one, or should not be there.
    #[error("the row {key} of {table} is not what the journal made")]
    Row {
        /// Its table.
        table: &'static str,
        /// Its key.
        key: String,
    },
    /// A row is not there.
    #[error("the row {key} of {table} is missing")]
    NoRow {
        /// Its table.
        table: &'static str,
        /// Its key.
        key: String,
    },
    /// The rows cannot be compared one by one, and one of them was changed.
    #[error("the rows of the state do not add up to what its position says: one was changed")]
    Rows,
    /// What the state says of where it stands.
    #[error("the position of the state is not what entry {0} made it")]
    Position(Seq),
    /// The snapshot is sealed, and of another state.
    #[error("the snapshot is not the state that entry {0} made")]
    Snapshot(Seq),
}

impl Problem {
    /// Whether it concerns the snapshot alone: another one would mend it.
    pub const fn is_of_snapshot(&self) -> bool {
        matches!(
            self,
            Self::Snapshot(_)
                | Self::Journal(
                    JournalError::NoSnapshot(_)
                        | JournalError::BrokenSnapshot(_)
                        | JournalError::UnknownSnapshot(_)
                )
        )
    }
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        Self::Journal(error.into())
    }
}

/// What was looked at, and what is wrong with it.
#[derive(Debug)]
pub struct Report {
    /// The entry that the journal begins behind.
    pub base: Seq,
    /// The newest entry.
    pub newest: Seq,
    /// What the next entry is written in, if the state says where it stands.
    pub format: Option<Format>,
    /// How many rows the state has.
    pub rows: u64,
    /// Where the snapshot was taken, if there is one that can be read.
    pub snapshot: Option<Seq>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Looks at everything. Where others write too, the state is made anew up to here, and what they
/// write meanwhile is not looked at.
pub async fn verify(journal: &dyn Journal, state: &State, seal: &Seal) -> Report {
    let mut walk = Walk::begin(journal, seal).await;
    if journal.is_shared() {
        // What stops it is found again, and named.
        walk.until = replay::catch_up(journal, state, seal).await.ok();
    }
    // Where a broken position ends the journal must not end the walk.
    let position = on_thread(state, |state| Ok(state.view()?.position().clone())).await;
    let end = position.as_ref().map_or(Seq(0), |position| position.seq);
    let format = position.as_ref().ok().map(|position| position.format);
    walk.entries(end).await;
    let rows = match position {
        Ok(position) => walk.compare(state, &position).await,
        Err(problem) => {
            walk.note(problem);
            0
        }
    };
    let snapshot = walk.snapshot.map(|position| position.seq);
    Report { base: walk.base, newest: walk.at, format, rows, snapshot, problems: walk.problems }
}

struct Walk<'a> {
    journal: &'a dyn Journal,
    seal: &'a Seal,
    base: Seq,
    /// The newest entry that was looked at, and its seal as it stands there.
    at: Seq,
    head: Hash,
    /// The last one to look at, if others go on to write.
    until: Option<Seq>,
    /// What the entries add up to, as long as each can be applied.
    made: Option<State>,
    snapshot: Option<Position>,
    problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    async fn begin(journal: &'a dyn Journal, seal: &'a Seal) -> Self {
        let mut problems = Vec::new();
        let base = match replay::base(journal, seal).await {
            Ok(base) => Some(base),
            Err(error) => {
                problems.push(error.into());
                // Its place may be right though its seal is not.
                journal.base().await.ok().flatten()
            }
        };
        let snapshot = match read_snapshot(journal, seal).await {
            Ok(position) => position,
            Err(error) => {
                problems.push(error.into());
                None
            }
        };
        let (at, head) = base.map_or_else(Default::default, |base| (base.seq, base.head));
        let mut walk =
            Self { journal, seal, base: at, at, head, until: None, made: None, snapshot, problems };
        walk.begin_state().await;
        walk
    }

    /// A state to apply the entries to: empty if all of them are there, else the snapshot's.
    async fn begin_state(&mut self) {
        let made = async {
            let made = State::in_memory()?;
            if self.base == Seq(0) {
                replay::begin(self.journal, &made, self.seal)?;
            } else if let Some(snapshot) = &self.snapshot
                && snapshot.seq >= self.base
            {
                replay::begin_with_snapshot(self.journal, &made, self.seal).await?;
            } else {
                return Err(JournalError::NoSnapshot(self.base));
            }
            Ok(made)
        };
        match made.await {
            Ok(made) => self.made = Some(made),
            Err(error) => self.note(error),
        }
        self.check_snapshot();
    }

    fn note(&mut self, problem: impl Into<Problem>) {
        self.problems.push(problem.into());
    }

    /// Walks to the last entry; not beyond `end` where entries cannot be read.
    async fn entries(&mut self, end: Seq) {
        let mut limit = BATCH;
        while self.problems.len() < MAX_PROBLEMS {
            match self.journal.read(self.at, limit).await {
                Ok(mut rows) => {
                    rows.retain(|row| self.until.is_none_or(|until| row.seq <= until));
                    if rows.is_empty() {
                        return;
                    }
                    self.apply(&rows);
                    limit = BATCH;
                }
                // One by one, to the one that it is.
                Err(_) if limit > 1 => limit = 1,
                Err(error) => {
                    self.note(error);
                    self.made = None;
                    self.at = Seq(self.at.0 + 1);
                    if self.at >= end {
                        return;
                    }
                }
            }
        }
    }

    fn apply(&mut self, rows: &[Row]) {
        let mut open = self.made.as_ref().and_then(|made| made.open().ok());
        for row in rows {
            if row.seq.0 != self.at.0 + 1 {
                self.note(Problem::Missing(Seq(self.at.0 + 1)));
                open = None;
            }
            // A snapshot of later than the base is there already.
            let is_next = |open: &crate::state::Open| row.seq > open.position().seq;
            let applied = match open.as_mut().filter(|open| is_next(open)) {
                Some(open) => replay::apply(open, row, self.seal).map(drop),
                None => row.read(&self.head, self.seal).map(drop),
            };
            if let Err(error) = applied {
                self.note(error);
                open = None;
            }
            (self.at, self.head) = (row.seq, row.seal);
            let stands = open.as_ref().map(|open| open.position().clone());
            self.compare_snapshot(stands.as_ref());
        }
        let kept = open.and_then(|open| open.keep_durably().ok());
        if kept.is_none() {
            self.made = None;
        }
    }

    fn check_snapshot(&mut self) {
        let made = self.made.as_ref().and_then(|made| made.view().ok());
        self.compare_snapshot(made.as_ref().map(Read::position));
    }

    /// Compares the snapshot with the state, when that is where it was taken.
    fn compare_snapshot(&mut self, made: Option<&Position>) {
        let Some(snapshot) = &self.snapshot else { return };
        if snapshot.seq != self.at {
            return;
        }
        let same = snapshot.head == self.head && made.is_none_or(|made| made == snapshot);
        if !same {
            self.note(Problem::Snapshot(self.at));
        }
    }

    /// Compares the state with what the entries made. Gives the number of its rows.
    async fn compare(&mut self, state: &State, position: &Position) -> u64 {
        if let Some(snapshot) = &self.snapshot
            && snapshot.seq > self.at
        {
            self.note(Problem::Snapshot(snapshot.seq));
        }
        if position.seq != self.at {
            self.note(Problem::End { journal: self.at, state: position.seq });
        } else if position.head != self.head {
            self.note(Problem::Position(self.at));
        }
        let made = self.made.take();
        if let Some(made) = &made
            && position.seq == self.at
            && position.head == self.head
            && !made.view().is_ok_and(|made| made.position() == position)
        {
            self.note(Problem::Position(self.at));
        }
        let expected = position.digest;
        let compared = on_thread(state, move |state| compare_rows(state, made.as_ref(), expected));
        match compared.await {
            Ok((rows, problems)) => {
                self.problems.extend(problems);
                rows
            }
            Err(problem) => {
                self.note(problem);
                0
            }
        }
    }
}

async fn read_snapshot(
    journal: &dyn Journal,
    seal: &Seal,
) -> Result<Option<Position>, JournalError> {
    let Some(bytes) = journal.load_snapshot().await? else { return Ok(None) };
    Snapshot::open_of(journal.id(), bytes, seal)?.check().map(Some)
}

/// Away from this thread: redb may panic on a file that something else wrote to.
async fn on_thread<T: Send + 'static>(
    state: &State,
    work: impl FnOnce(&State) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let state = state.clone();
    let done = tokio::task::spawn_blocking(move || work(&state)).await;
    done.map_err(|error| Problem::Journal(failed(error)))?
}

/// Every row of one state against the other; without another, all of them against the digest.
fn compare_rows(
    state: &State,
    made: Option<&State>,
    expected: Digest,
) -> Result<(u64, Vec<Problem>), Problem> {
    let (view, made) = (state.view()?, made.map(State::view).transpose()?);
    let (mut rows, mut digest, mut problems) = (0, Digest::default(), Vec::new());
    for table in Table::ALL {
        let name = table.name();
        view.each_row(table, |key, row| {
            rows += 1;
            digest.add(name, key, row);
            if let Some(made) = &made
                && problems.len() < MAX_PROBLEMS
                && made.row(table, key)?.as_deref() != Some(row)
            {
                problems.push(Problem::Row { table: name, key: shown(key) });
            }
            Ok::<_, StateError>(())
        })?;
        let Some(made) = &made else { continue };
        made.each_row(table, |key, _| {
            if problems.len() < MAX_PROBLEMS && view.row(table, key)?.is_none() {
                problems.push(Problem::NoRow { table: name, key: shown(key) });
            }
            Ok::<_, StateError>(())
        })?;
    }
    if made.is_none() && digest != expected {
        problems.push(Problem::Rows);
    }
    Ok((rows, problems))
}

/// A key as text, or its bytes in hexadecimal.
fn shown(key: &[u8]) -> String {
    use std::fmt::Write;
    match std::str::from_utf8(key) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) => {
            text.to_owned()
        }
        Ok(_) | Err(_) => key.iter().fold(String::from("0x"), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}
