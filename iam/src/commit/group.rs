//! One group: what becomes one entry.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::time::Instant;
use tollgate_proto::iam::Event;
use tollgate_proto::ids::Seq;

use super::{Decided, MAX_BYTES, Settled, Waiting};
use crate::feed;
use crate::hash::Hash;
use crate::journal::JournalError;
use crate::journal::entry::{Act, Entry, Row};
use crate::record::Done;
use crate::refused::Refused;
use crate::seal::Seal;
use crate::state::{self, Open, Read, State};

/// Nodes that do not know the change may still read along.
const NOT_YET: &str = "not before `tollgate-iam journal upgrade`, when all nodes have this version";

/// Operations that were decided together.
pub(super) struct Group {
    /// What is to be committed, if anything changed.
    pub(super) entry: Option<Draft>,
    decided: Vec<(Waiting, Result<Settled, Refused>)>,
    rest: VecDeque<Waiting>,
}

/// An entry that was not committed yet.
pub(super) struct Draft {
    /// The state that it makes.
    pub(super) open: Open,
    /// The entry.
    pub(super) row: Row,
    /// How much it changes.
    pub(super) changes: usize,
    /// What gateways are told of it.
    pub(super) events: Vec<Event>,
}

/// The state could not be opened or written; these were not decided.
pub(super) type Failed = (JournalError, VecDeque<Waiting>);

impl Group {
    /// Decides and applies as many as fit into one entry, with `most` changes in it.
    pub(super) fn decide(
        state: &State,
        seal: &Seal,
        waiting: VecDeque<Waiting>,
        most: usize,
    ) -> Result<Self, Box<Failed>> {
        let open = match state.open() {
            Ok(open) => open,
            Err(error) => return Err(Box::new((error.into(), waiting))),
        };
        let before = open.position().clone();
        let entry = Entry {
            format: before.format,
            seq: Seq(before.seq.0 + 1),
            before: before.digest,
            acts: Vec::new(),
        };
        let mut filling =
            Filling { open, entry, most, changes: 0, bytes: 0, decided: Vec::new(), rest: waiting };
        match filling.fill().and_then(|()| filling.seal(&before.head, seal)) {
            Ok(sealed) => {
                let Filling { open, changes, decided, rest, .. } = filling;
                let entry = sealed.map(|(row, events)| Draft { open, row, changes, events });
                Ok(Self { entry, decided, rest })
            }
            Err(error) => {
                let decided = filling.decided.into_iter().map(|(waiting, _)| waiting);
                Err(Box::new((error, decided.chain(filling.rest).collect())))
            }
        }
    }

    /// Tells everybody what came of it.
    pub(super) fn answer(self) -> VecDeque<Waiting> {
        for (waiting, settled) in self.decided {
            // Whoever no longer waits has nothing to be told.
            let _ = waiting.answer.send(settled);
        }
        self.rest
    }

    /// Puts everybody back: what was decided on has moved.
    pub(super) fn again(self) -> VecDeque<Waiting> {
        self.decided.into_iter().map(|(waiting, _)| waiting).chain(self.rest).collect()
    }

    /// When the last of those who were decided on came.
    pub(super) fn since(&self) -> Option<Instant> {
        self.decided.iter().map(|(waiting, _)| waiting.since).max()
    }

    /// Tells those of this group that it was not done.
    pub(super) fn fail(self) -> VecDeque<Waiting> {
        refuse_all(self.decided.into_iter().map(|(waiting, _)| waiting).collect());
        self.rest
    }
}

/// Tells everybody that it was not done.
pub(super) fn refuse_all(waiting: VecDeque<Waiting>) {
    for one in waiting {
        // Whoever no longer waits has nothing to be told.
        let _ = one.answer.send(Err(Refused::Unavailable("the state cannot be written")));
    }
}

/// A group while it is filled.
struct Filling {
    open: Open,
    entry: Entry,
    most: usize,
    changes: usize,
    bytes: usize,
    decided: Vec<(Waiting, Result<Settled, Refused>)>,
    rest: VecDeque<Waiting>,
}

impl Filling {
    fn fill(&mut self) -> Result<(), JournalError> {
        while let Some(waiting) = self.rest.pop_front() {
            let act = match self.decide_one(&waiting) {
                Ok(Step::Settled(settled)) => {
                    self.decided.push((waiting, Ok(settled)));
                    continue;
                }
                Ok(Step::Act(act)) => act,
                Err(refused) => {
                    self.decided.push((waiting, Err(refused)));
                    continue;
                }
            };
            let bytes = serde_json::to_vec(&act).map_or(MAX_BYTES, |text| text.len());
            let fits =
                self.changes + act.changes.len() <= self.most && self.bytes + bytes <= MAX_BYTES;
            // An operation that is too large by itself still has an entry of its own.
            if !fits && !self.entry.acts.is_empty() {
                self.rest.push_front(waiting);
                return Ok(());
            }
            let seq = self.entry.seq;
            let settled = Settled { seq, outcome: act.outcome.clone(), repeated: false };
            // Pushed first: should it not apply, its caller is told with the others.
            self.decided.push((waiting, Ok(settled)));
            self.apply(act, bytes)?;
        }
        Ok(())
    }

    fn decide_one(&self, waiting: &Waiting) -> Result<Step, Refused> {
        let proposal = &waiting.proposal;
        let actor = proposal.actor.as_ref().map(|actor| actor.user);
        if let Some(done) = state::done(&self.open, proposal.id)? {
            if !done.is_of(proposal.operation, actor) {
                return Err(Refused::Duplicate("the operation id was used before"));
            }
            let Done { seq, outcome, .. } = done;
            return Ok(Step::Settled(Settled { seq, outcome, repeated: true }));
        }
        // A panic of one decision is that operation's alone.
        let decided = catch_unwind(AssertUnwindSafe(|| (proposal.decide)(&self.open)))
            .map_err(|_| Refused::internal("a decision panicked"))?;
        let Decided { allowed, changes, outcome } = decided?;
        if changes.is_empty() {
            let seq = self.open.position().seq;
            return Ok(Step::Settled(Settled { seq, outcome, repeated: false }));
        }
        if changes.iter().any(|change| change.since() > self.entry.format) {
            return Err(Refused::NotSupported(NOT_YET));
        }
        Ok(Step::Act(Act {
            id: proposal.id,
            operation: proposal.operation.to_owned(),
            at_ms: proposal.at_ms,
            actor: proposal.actor.clone(),
            client: proposal.client.clone(),
            capability: allowed.capability(),
            outcome,
            changes,
        }))
    }

    fn apply(&mut self, act: Act, bytes: usize) -> Result<(), JournalError> {
        let done = Done {
            seq: self.entry.seq,
            operation: act.operation.clone(),
            actor: act.actor.as_ref().map(|actor| actor.user),
            outcome: act.outcome.clone(),
        };
        state::apply(&mut self.open, act.id, &done, &act.changes)?;
        self.changes += act.changes.len();
        self.bytes += bytes;
        self.entry.acts.push(act);
        Ok(())
    }

    fn seal(
        &mut self,
        before: &Hash,
        seal: &Seal,
    ) -> Result<Option<(Row, Vec<Event>)>, JournalError> {
        if self.entry.acts.is_empty() {
            return Ok(None);
        }
        let row = Row::write(&self.entry, before, seal)?;
        self.open.stand_at(row.seq, row.seal, self.entry.format)?;
        Ok(Some((row, feed::events(&self.entry, &self.open)?)))
    }
}

/// What one decision comes to.
enum Step {
    /// Nothing to write.
    Settled(Settled),
    /// Something to write.
    Act(Act),
}
