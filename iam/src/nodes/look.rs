//! What the other nodes say of themselves: looked at now and then, and all the time while somebody
//! waits for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tollgate_proto::ids::Seq;
use uuid::Uuid;

use super::peers::APART;
use crate::feed::Receipt;
use crate::journal::{Journal, NodeRow};

/// Between two looks while somebody waits.
const SOON: Duration = Duration::from_millis(10);

/// How long a node is remembered whose row is not there any more: until what it wrote is too old to
/// ask it, should its clock be as far ahead as may be.
const REMEMBERED: Duration = APART.saturating_mul(2);

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Each of them holds this too.
    held: Arc<()>,
    more: Notify,
}

impl Waiting {
    /// One more waits, until this is dropped.
    pub(super) fn one_more(&self) -> Arc<()> {
        let one = Arc::clone(&self.held);
        self.more.notify_one();
        one
    }

    fn is_any(&self) -> bool {
        Arc::strong_count(&self.held) > 1
    }
}

/// Another node, and when its row was last seen to move.
#[derive(Debug, Clone)]
struct Other {
    row: NodeRow,
    moved: Instant,
}

/// What was seen, and when that look began. None: nobody has looked.
#[derive(Debug, Clone)]
pub(super) struct Known {
    began: Option<Instant>,
    others: Vec<Other>,
}

impl Known {
    pub(super) const fn nothing() -> Self {
        Self { began: None, others: Vec::new() }
    }

    /// What was seen of nodes whose row moved within the lease, by this node's own clock.
    pub(super) fn alive(&self, lease: Duration) -> impl Iterator<Item = &NodeRow> {
        let is_alive = move |other: &&Other| other.moved.elapsed() < lease;
        self.others.iter().filter(is_alive).map(|other| &other.row)
    }

    /// How far an entry has come that was written before `since`.
    pub(super) fn receipt(&self, seq: Seq, since: Instant, lease: Duration) -> Receipt {
        let mut receipt = Receipt::default();
        for NodeRow { standing, .. } in self.alive(lease) {
            if standing.marked >= seq {
                receipt.marked += standing.gateways;
            } else {
                receipt.behind += standing.gateways.max(1);
            }
            for ended in standing.ended.iter().filter(|ended| ended.seq == seq) {
                receipt.closed += ended.closed;
                receipt.cancelled += ended.cancelled;
            }
        }
        // Who was not there before may be there by now.
        if self.began.is_none_or(|began| began < since) {
            receipt.behind = receipt.behind.max(1);
        }
        receipt
    }
}

/// What is remembered of a node.
#[derive(Debug)]
struct Seen {
    /// The highest beat, and when it was new.
    beat: u64,
    moved: Instant,
    /// When there last was a row.
    read: Instant,
}

pub(super) struct Look {
    node: Uuid,
    journal: Arc<dyn Journal>,
    waiting: Arc<Waiting>,
    seen: HashMap<Uuid, Seen>,
}

impl Look {
    pub(super) fn new(node: Uuid, journal: Arc<dyn Journal>, waiting: Arc<Waiting>) -> Self {
        Self { node, journal, waiting, seen: HashMap::new() }
    }

    /// Goes on until the stop.
    pub(super) async fn keep(
        mut self,
        period: Duration,
        knowing: watch::Sender<Known>,
        stop: CancellationToken,
    ) {
        loop {
            let began = Instant::now();
            match self.journal.nodes().await {
                Ok(rows) => {
                    let known = self.see(began, rows);
                    knowing.send_replace(known);
                }
                // Whoever waits takes it that not all have heard.
                Err(error) => tracing::debug!(%error, "the rows of the nodes were not read"),
            }
            let pause = if self.waiting.is_any() { SOON } else { period };
            // All of them only wait.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.waiting.more.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// A row has moved if its beat is higher than any before: whoever writes to the cluster could put
    /// an earlier one back, also after it was gone for a while.
    pub(super) fn see(&mut self, began: Instant, rows: Vec<NodeRow>) -> Known {
        let now = Instant::now();
        let mut others = Vec::new();
        for row in rows.into_iter().filter(|row| row.node != self.node) {
            let first = Seen { beat: row.beat, moved: now, read: now };
            let seen = self.seen.entry(row.node).or_insert(first);
            if row.beat > seen.beat {
                (seen.beat, seen.moved) = (row.beat, now);
            }
            seen.read = now;
            others.push(Other { row, moved: seen.moved });
        }
        self.seen.retain(|_, seen| now.duration_since(seen.read) < REMEMBERED);
        Known { began: Some(began), others }
    }
}
