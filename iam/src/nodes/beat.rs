//! What this node says of itself: again and again, and at once when its gateways have marked
//! something that others may wait for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Peers;
use crate::feed::Feed;
use crate::journal::{Journal, JournalError, NodeRow, Standing, failed};
use crate::record::Format;

/// Between two rows that could not be written.
const AGAIN: Duration = Duration::from_millis(100);

pub(super) struct Beat {
    peers: Arc<Peers>,
    journal: Arc<dyn Journal>,
    feed: Arc<Feed>,
    /// The newest beat: microseconds since 1970, by which a cluster tells newer from older.
    newest: u64,
    said: Standing,
}

impl Beat {
    pub(super) fn new(peers: Arc<Peers>, journal: Arc<dyn Journal>, feed: Arc<Feed>) -> Self {
        Self { peers, journal, feed, newest: 0, said: Standing::default() }
    }

    /// Says for the first time that this node is there. Waits for a cluster that is away. Gives
    /// when it began to say so.
    pub(super) async fn first(&mut self) -> Result<Instant, JournalError> {
        loop {
            let began = Instant::now();
            match self.say().await {
                Ok(()) => return Ok(began),
                Err(error) if error.is_away() => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::warn!(error = cause, "waiting for the cluster");
                    sleep(AGAIN).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on until the stop.
    pub(super) async fn keep(
        mut self,
        period: Duration,
        said: watch::Sender<Instant>,
        stop: CancellationToken,
    ) {
        let (mut heard, mut published) = (self.feed.heard(), self.feed.published());
        let mut next = Instant::now() + period;
        loop {
            // All of them only wait.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(next) => {}
                _ = heard.changed() => if !self.has_news() { continue },
                _ = published.changed() => if !self.has_news() { continue },
            }
            let began = Instant::now();
            next = match self.say().await {
                Ok(()) => {
                    said.send_replace(began);
                    began + period
                }
                // The writer says so, and who is asked meanwhile is as old as the last word.
                Err(error) => {
                    tracing::debug!(%error, "the row of this node was not written");
                    Instant::now() + AGAIN
                }
            };
        }
    }

    /// Whether others may wait to hear where the gateways stand now.
    fn has_news(&self) -> bool {
        let now = self.feed.standing();
        let (before, behind) = (self.said.marked, now.marked);
        now.ended != self.said.ended || self.feed.tells_between(before, behind)
    }

    async fn say(&mut self) -> Result<(), JournalError> {
        let standing = self.feed.standing();
        self.newest = self.peers.now_us().max(self.newest + 1);
        let row = NodeRow {
            node: self.peers.node,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            format: Format::NEWEST.into(),
            beat: self.newest,
            peer_url: self.peers.sealed_url(self.newest).map_err(failed)?,
            standing: standing.clone(),
        };
        self.journal.put_node(row).await?;
        self.said = standing;
        Ok(())
    }
}
