//! The one writer: decides, commits and applies, one group after the other.
//!
//! In: [`Proposal`]s. Each is decided on the state that those before it left, so two claims of
//! one name meet even inside a group. All of a group becomes one entry, which is durable before
//! any of its answers goes out. Where others write to the same journal, what they wrote is applied
//! here too, and nothing is refused before it is known that there was nothing newer. Never:
//! lingering for more, or an answer ahead of the disk.
//!
//! The queue holds [`QUEUE`] proposals; beyond that callers wait, under their own deadline.

mod freshness;
mod group;
mod pace;
mod task;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tollgate_proto::iam::{Actor, Client};
use tollgate_proto::ids::{OperationId, Seq};
use tollgate_runtime::lifecycle::Lifecycle;

use crate::feed::Feed;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::policy::Allowed;
use crate::record::{Change, Outcome};
use crate::refused::Refused;
use crate::seal::Seal;
use crate::state::{Read, State};
pub use freshness::Freshness;
use task::Task;

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
    reads: mpsc::Sender<Reading>,
    committed: watch::Receiver<Seq>,
    freshness: Freshness,
}

/// A proposal and whoever waits for it.
struct Waiting {
    proposal: Proposal,
    answer: oneshot::Sender<Result<Settled, Refused>>,
    since: Instant,
}

/// Somebody who waits for the state to be as of a time.
struct Reading {
    since: Instant,
    answer: oneshot::Sender<()>,
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
        let (reads, reading) = mpsc::channel(QUEUE);
        let (newest, committed) = watch::channel(Seq(0));
        // Whoever opened the state has just caught up.
        let (known, as_of) = watch::channel(Instant::now());
        let freshness = Freshness::new(journal.is_shared().then_some(as_of), feed.lease());
        let fault = lifecycle.fault.clone();
        let ends = task::Ends { proposals, reading, feed, metrics, newest, known };
        let task = Task::new(journal, state, seal, ends);
        lifecycle.tasks.spawn(task.run(fault));
        Self { queue, reads, committed, freshness }
    }

    /// Tells the newest entry that this process has seen committed, from now on.
    pub fn committed(&self) -> watch::Receiver<Seq> {
        self.committed.clone()
    }

    /// Proposes an operation and waits until it is durable or refused.
    pub async fn commit(&self, proposal: Proposal) -> Result<Settled, Refused> {
        let (answer, settled) = oneshot::channel();
        let no_answer = || Refused::Unavailable("the writer gave no answer");
        let waiting = Waiting { proposal, answer, since: Instant::now() };
        self.queue.send(waiting).await.map_err(|_| no_answer())?;
        settled.await.map_err(|_| no_answer())?
    }

    /// Waits until the state has every entry that was acknowledged before `since`, on whatever
    /// node.
    pub async fn freshen(&self, since: Instant) -> Result<(), Refused> {
        if self.freshness.reaches(since) {
            return Ok(());
        }
        let (answer, done) = oneshot::channel();
        let behind = || Refused::Unavailable("the journal could not be read");
        self.reads.send(Reading { since, answer }).await.map_err(|_| behind())?;
        done.await.map_err(|_| behind())
    }

    /// How old the state may be.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }
}

#[cfg(test)]
mod tests;
