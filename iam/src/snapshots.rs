//! Snapshots that take themselves: every [`EVERY`] entries, off every road.
//!
//! None is taken at a stop: state and journal are durable together, and a start needs neither
//! snapshot nor replay.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::journal::snapshot::{self, Snapshot};
use crate::journal::{Journal, JournalError};
use crate::metrics::{self, Metrics};
use crate::seal::Seal;
use crate::state::{Read, State};

/// How many entries there are between two snapshots.
pub const EVERY: u64 = 10_000;
/// How often the entries are counted.
const PERIOD: Duration = Duration::from_secs(10);

/// Takes snapshots until the stop.
pub async fn keep(
    journal: Arc<dyn Journal>,
    state: State,
    seal: Seal,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    keep_every(EVERY, journal, state, seal, metrics, stop).await;
}

async fn keep_every(
    every: u64,
    journal: Arc<dyn Journal>,
    state: State,
    seal: Seal,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let look = async || {
        let seq = newest(&*journal, &seal).await.unwrap_or_else(|error| {
            let cause = &error as &dyn std::error::Error;
            tracing::error!(error = cause, "the snapshot is of no use; another will be taken");
            0
        });
        metrics.snapshot_seq.set(metrics::seq(seq));
        seq
    };
    let mut known = look().await;
    while tokio::time::timeout(PERIOD, stop.cancelled()).await.is_err() {
        let seq = state.view().map_or(0, |view| view.position().seq.0);
        let is_due = |newest: u64| seq >= newest.saturating_add(every);
        if !is_due(known) {
            continue;
        }
        // Another node may have taken one.
        known = look().await;
        if !is_due(known) {
            continue;
        }
        match snapshot::save(&*journal, &state, &seal).await {
            Ok(position) => {
                known = position.seq.0;
                metrics.snapshot_seq.set(metrics::seq(known));
                tracing::info!(seq = %position.seq, "a snapshot was taken");
            }
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(error = cause, "no snapshot was taken");
            }
        }
    }
}

/// Where the newest snapshot was taken.
async fn newest(journal: &dyn Journal, seal: &Seal) -> Result<u64, JournalError> {
    let Some(bytes) = journal.load_snapshot().await? else { return Ok(0) };
    Ok(Snapshot::open_of(journal.id(), bytes, seal)?.header().position.seq.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::laws::{Node, seal};

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_taken_whenever_there_are_enough_entries() {
        let node = Node::embedded();
        let (stop, metrics) = (CancellationToken::new(), Arc::<Metrics>::default());
        let run = || {
            let (journal, state) = (Arc::clone(&node.journal), node.state.clone());
            keep_every(3, journal, state, seal(), Arc::clone(&metrics), stop.clone())
        };
        let mut kept = tokio::task::JoinSet::new();
        kept.spawn(run());
        let mut taken = Vec::new();
        for n in 0..7 {
            node.append(&format!("workspace{n}")).await;
            tokio::time::sleep(2 * PERIOD).await;
            taken.push(newest(&*node.journal, &seal()).await.unwrap());
        }
        assert_eq!(taken, [0, 0, 3, 3, 3, 6, 6]);
        assert_eq!(metrics.snapshot_seq.get(), 6);
        stop.cancel();
        kept.join_all().await;
    }
}
