//! The nodes of IAM that share a journal: each says how far its gateways are, and whoever changed
//! something is told when those of all nodes know it. What gateways alone know, nodes ask each other.
//!
//! In: where the gateways of this node stand, and the rows of the others. Out: a row of its own,
//! [`Receipt`]s, and what the others' gateways found of a [`Survey`].
//! Never: a node that others do not wait for and whose gateways trust it all the same. So a node
//! says where it stands before it serves anybody, and what it tells is as old as what it last said.

mod beat;
mod look;
mod peers;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tollgate_proto::iam::About;
use tollgate_proto::ids::Seq;
use tollgate_runtime::lifecycle::Lifecycle;
use uuid::Uuid;

use crate::feed::{Feed, Receipt, Survey};
use crate::journal::{Journal, JournalError};
use beat::Beat;
use look::{Known, Look, Waiting};
pub use peers::{PeerAsk, Peers, SURVEY_PATH};

/// How often a node says that it lives, and looks who else does: so many times in a lease.
const BEATS: u32 = 10;
/// How long gateways that have marked an entry may take to tell what they ended because of it: they
/// do so with the next poll, which is held for a quarter of a second.
const SETTLING: Duration = Duration::from_millis(300);

/// The nodes. None: nobody else writes to this journal.
#[derive(Debug)]
pub struct Nodes(Option<Shared>);

#[derive(Debug)]
struct Shared {
    lease: Duration,
    /// When this node last began to say something that was kept.
    said: watch::Receiver<Instant>,
    known: watch::Receiver<Known>,
    waiting: Arc<Waiting>,
    peers: Arc<Peers>,
}

impl Nodes {
    /// Those of a journal that is this process's alone.
    pub const ALONE: Self = Self(None);

    /// Joins the nodes of a journal. From here on they wait for this one: before it serves anybody,
    /// it has to read what they wrote.
    pub async fn join(
        journal: &Arc<dyn Journal>,
        feed: &Arc<Feed>,
        peers: Peers,
        lifecycle: &Lifecycle,
    ) -> Result<Self, JournalError> {
        if !journal.is_shared() {
            return Ok(Self::ALONE);
        }
        let (peers, lease) = (Arc::new(peers), feed.lease());
        let stop = || lifecycle.stop.clone();
        let mut beat = Beat::new(Arc::clone(&peers), Arc::clone(journal), Arc::clone(feed));
        let (saying, said) = watch::channel(beat.first().await?);
        lifecycle.tasks.spawn(beat.keep(lease / BEATS, saying, stop()));
        let waiting = Arc::<Waiting>::default();
        let look = Look::new(peers.node, Arc::clone(journal), Arc::clone(&waiting));
        let (knowing, known) = watch::channel(Known::nothing());
        lifecycle.tasks.spawn(look.keep(lease / BEATS, knowing, stop()));
        Ok(Self(Some(Shared { lease, said, known, waiting, peers })))
    }

    /// How old the word of this node is: the others wait for it no longer than for the lease.
    pub fn age(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |shared| shared.said.borrow().elapsed())
    }

    /// How many others were heard of within the lease.
    pub fn others(&self) -> usize {
        self.0.as_ref().map_or(0, |shared| shared.known.borrow().alive(shared.lease).count())
    }

    /// Which one this is.
    pub fn this(&self) -> Option<Uuid> {
        self.0.as_ref().map(|shared| shared.peers.node)
    }

    /// Asks the others what their gateways hold.
    pub async fn survey(&self, about: &About) -> Survey {
        let Some(shared) = &self.0 else { return Survey::default() };
        let others: Vec<_> = shared.known.borrow().alive(shared.lease).cloned().collect();
        shared.peers.survey(&others, about).await
    }

    /// Waits until the gateways of all other nodes have marked an entry that is in the journal, at
    /// most this long.
    pub async fn receipt(&self, seq: Seq, at_most: Duration) -> Receipt {
        let begun = Instant::now();
        let Some(shared) = &self.0 else { return Receipt::default() };
        let _waiting = shared.waiting.one_more();
        let mut known = shared.known.clone();
        // A node that was not there when the entry was written reads it before it serves anybody.
        let receipt = |known: &Known| known.receipt(seq, begun, shared.lease);
        let is_marked = |known: &Known| receipt(known).behind == 0;
        // Either way it is looked at what came of it.
        let _ = timeout(at_most, known.wait_for(is_marked)).await;
        let receipt = receipt(&known.borrow());
        Receipt { took: begun.elapsed(), ..receipt }
    }

    /// The same to the end: those that have not marked it then trust nothing of before any more.
    pub async fn last_receipt(&self, seq: Seq) -> Receipt {
        let Some(shared) = &self.0 else { return Receipt::default() };
        let first = self.receipt(seq, shared.lease).await;
        if first.marked == 0 {
            return first;
        }
        sleep(SETTLING).await;
        Receipt { took: first.took, ..self.receipt(seq, SETTLING).await }
    }
}
