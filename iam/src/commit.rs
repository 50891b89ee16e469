//! The one writer: decides, commits and applies, one group after the other.
//!
//! In: [`Proposal`]s. Each is decided on the state that those before it left, so two claims of
//! one name meet even inside a group. All of a group becomes one entry, which is durable before
//! any of its answers goes out. Never: lingering for more, or an answer ahead of the disk.
//!
//! The queue holds [`QUEUE`] proposals; beyond that callers wait, under their own deadline.

mod group;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};
use tollgate_proto::iam::{Actor, Client, Event};
use tollgate_proto::ids::{OperationId, Seq};
use tollgate_runtime::lifecycle::{Fault, Lifecycle};

use crate::feed::{self, Feed};
use crate::journal::{Committed, Journal, JournalError, replay};
use crate::metrics::Metrics;
use crate::policy::Allowed;
use crate::record::{Change, Outcome};
use crate::refused::Refused;
use crate::seal::Seal;
use crate::state::{Read, State};
use group::{Draft, Group};

/// How many proposals wait at most.
pub const QUEUE: usize = 1_024;
/// The most changes in an entry.
pub const MAX_CHANGES: usize = 256;
/// The most bytes in an entry.
pub const MAX_BYTES: usize = 64 * 1_024;

/// An operation that wants to change something.
pub struct Proposal {
    /// Its id: the same one again is answered with the first outcome.
    pub id: OperationId,
    /// Its name.
    pub operation: &'static str,
    /// Who asks.
    pub actor: Option<Actor>,
    /// From where.
    pub client: Client,
    /// When it was prepared.
    pub at_ms: u64,
    /// Decides on a state. Asked again whenever the state moved before the entry was written.
    pub decide: Decide,
}

/// A decision on a state. Everything that is drawn was drawn before.
pub type Decide = Box<dyn Fn(&dyn Read) -> Result<Decided, Refused> + Send>;

/// What was decided.
#[derive(Debug)]
pub struct Decided {
    /// That policy allowed it, on this state.
    pub allowed: Allowed,
    /// What shall change; nothing, if it is so already.
    pub changes: Vec<Change>,
    /// What the caller is told.
    pub outcome: Outcome,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The entry; or the newest one, if nothing had to change.
    pub seq: Seq,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether it was done before, by the same operation id.
    pub repeated: bool,
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Waiting>,
    committed: watch::Receiver<Seq>,
}

/// A proposal and whoever waits for it.
struct Waiting {
    proposal: Proposal,
    answer: oneshot::Sender<Result<Settled, Refused>>,
}

impl Writer {
    /// Starts the writer of a journal and its state, which tells the `feed` what became durable. It
    /// ends when nobody can propose any more, after all that was proposed is answered.
    pub fn start(
        journal: Arc<dyn Journal>,
        state: State,
        seal: Seal,
        feed: Arc<Feed>,
        metrics: Arc<Metrics>,
        lifecycle: &Lifecycle,
    ) -> Self {
        let (queue, proposals) = mpsc::channel(QUEUE);
        let (newest, committed) = watch::channel(Seq(0));
        let fault = lifecycle.fault.clone();
        let task = Task { journal, state, seal, feed, metrics, proposals, newest, fault };
        lifecycle.tasks.spawn(task.run());
        Self { queue, committed }
    }

    /// Tells the newest entry that this process has seen committed, from now on.
    pub fn committed(&self) -> watch::Receiver<Seq> {
        self.committed.clone()
    }

    /// Proposes an operation and waits until it is durable or refused.
    pub async fn commit(&self, proposal: Proposal) -> Result<Settled, Refused> {
        let (answer, settled) = oneshot::channel();
        let no_answer = || Refused::Unavailable("the writer gave no answer");
        self.queue.send(Waiting { proposal, answer }).await.map_err(|_| no_answer())?;
        settled.await.map_err(|_| no_answer())?
    }
}

struct Task {
    journal: Arc<dyn Journal>,
    state: State,
    seal: Seal,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    proposals: mpsc::Receiver<Waiting>,
    newest: watch::Sender<Seq>,
    fault: Fault,
}

impl Task {
    async fn run(mut self) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                match self.proposals.recv().await {
                    Some(first) => waiting.push_back(first),
                    None => return,
                }
            }
            // Whatever is there by now shares the entry; nobody waits for others to come.
            while waiting.len() < MAX_CHANGES {
                let Ok(next) = self.proposals.try_recv() else { break };
                waiting.push_back(next);
            }
            // A panic of one round ends its operations only: their answers are dropped.
            let round = AssertUnwindSafe(self.round(std::mem::take(&mut waiting)));
            waiting = round.catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!("the writer panicked; a group of operations was not done");
                VecDeque::new()
            });
        }
    }

    /// Decides and commits one group. Gives back those that did not fit in.
    async fn round(&self, waiting: VecDeque<Waiting>) -> VecDeque<Waiting> {
        let (state, seal) = (self.state.clone(), self.seal.clone());
        // Reads and writes of the file stay away from the async workers.
        let decided = tokio::task::spawn_blocking(move || Group::decide(&state, &seal, waiting));
        let mut group = match decided.await {
            Ok(Ok(group)) => group,
            Ok(Err(failed)) => {
                let (error, waiting) = *failed;
                tracing::error!(error = &error as &dyn std::error::Error, "no state to decide on");
                self.note(&error);
                refuse_all(waiting);
                return VecDeque::new();
            }
            Err(_) => {
                tracing::error!("deciding panicked; a group of operations was not done");
                return VecDeque::new();
            }
        };
        let Some(Draft { open, row, changes, events }) = group.entry.take() else {
            return group.answer();
        };
        let seq = row.seq;
        match self.journal.commit(open, row).await {
            Ok(Committed::Ours) => {
                self.metrics.commits.inc();
                self.metrics.changes.add(changes as u64);
                self.tell(seq, events);
                group.answer()
            }
            Ok(Committed::Conflict(winner)) => {
                tracing::debug!(%seq, "another node was first");
                let applied = self.adopt(winner).await.map(|events| self.tell(seq, events));
                group.again(applied)
            }
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(error = cause, %seq, "an entry was not written");
                self.note(&error);
                group.fail()
            }
        }
    }

    /// Tells everybody else before any answer goes out: whoever was answered may wait for them.
    fn tell(&self, seq: Seq, events: Vec<Event>) {
        self.feed.publish(seq, events);
        self.newest.send_replace(seq);
    }

    /// After a failure that does not heal, this process is not ready any more.
    fn note(&self, error: &JournalError) {
        if error.is_of_store() && self.fault.set("iam's journal") {
            let cause = error as &dyn std::error::Error;
            tracing::error!(
                error = cause,
                "no change is written any more, and nothing that was acknowledged is lost: end the \
                 cause and restart this process"
            );
        }
    }

    /// Applies the entry that another process put where ours was to be.
    async fn adopt(&self, winner: crate::journal::entry::Row) -> Result<Vec<Event>, JournalError> {
        let (state, seal) = (self.state.clone(), self.seal.clone());
        let adopt = move || {
            let mut open = state.open()?;
            let entry = replay::apply(&mut open, &winner, &seal)?;
            let events = feed::events(&entry, &open)?;
            open.keep()?;
            Ok(events)
        };
        let adopted = tokio::task::spawn_blocking(adopt).await;
        adopted.map_err(|error| JournalError::Store(Box::new(error)))?
    }
}

fn refuse_all(waiting: VecDeque<Waiting>) {
    for one in waiting {
        // Whoever no longer waits has nothing to be told.
        let _ = one.answer.send(Err(Refused::Unavailable("the state cannot be written")));
    }
}

#[cfg(test)]
mod tests;
