//! The feed: what gateways hear when authority ends or moves, and how far each has come.
//!
//! In: the entries that the writer has made durable, and polls of gateways. Out: the [`News`] of a
//! poll, and [`Receipt`]s for those who changed something. Nothing of it is kept on disk: after
//! a restart, gateways ask about everybody whom they know.
//! Never: an event before its entry is durable, or an answer to a change before its events
//! can be heard.

mod events;
mod recent;
mod listeners;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tollgate_proto::iam::{Event, Mark, News, Poll};
use tollgate_proto::ids::{JournalId, Seq};

use crate::state::{Read, State, StateError};
pub use events::events;
use listeners::Listeners;
pub use listeners::Receipt;
use recent::Recent;

/// How long a poll waits for something to tell.
const HOLD: Duration = Duration::from_millis(250);

/// The feed of one node.
#[derive(Debug)]
pub struct Feed {
    recent: Recent,
    listeners: Listeners,
}

impl Feed {
    /// A feed that tells what follows on this state. A gateway that polls less often than the
    /// `lease` is not waited for: it has stopped to trust what it knows.
    pub fn begin(state: &State, lease: Duration) -> Result<Arc<Self>, StateError> {
        let recent = Recent::new(state.view()?.position().seq);
        Ok(Arc::new(Self { recent, listeners: Listeners::new(lease) }))
    }

    /// Tells the events of an entry that has become durable.
    pub fn publish(&self, seq: Seq, events: Vec<Event>) {
        self.recent.push(seq, events);
    }

    /// For how long a gateway trusts what it heard.
    pub const fn lease(&self) -> Duration {
        self.listeners.lease
    }

    /// Answers a poll: at once, if there is something that the gateway does not know.
    /// `stop` ends the wait, and `age` tells how old the state is then.
    pub async fn news(
        &self,
        journal: JournalId,
        poll: Poll,
        age: impl Fn() -> Duration,
        stop: impl Future,
    ) -> News {
        let known = poll.after.filter(|after| after.journal == journal).map(|after| after.seq);
        self.listeners.heard(poll.gateway, known, &poll.ended);
        if let Some(after) = known {
            // Both arms only wait. In the end there may be nothing to tell but that nothing
            // happened.
            tokio::select! {
                biased;
                _ = stop => {}
                _ = timeout(HOLD, self.recent.beyond(after)) => {}
            }
        }
        // First the age: what is told may be younger.
        let age_ms = u64::try_from(age().as_millis()).unwrap_or(u64::MAX);
        let (head, told) = self.recent.since(known);
        News {
            head: Mark { journal, seq: head },
            age_ms,
            resync: told.is_none(),
            events: told.unwrap_or_default(),
        }
    }

    /// How many gateways are alive.
    pub fn gateways(&self) -> usize {
        self.listeners.alive()
    }

    /// Whether anything follows from this entry.
    pub fn tells(&self, seq: Seq) -> bool {
        self.recent.tells(seq)
    }

    /// Waits until every gateway that is alive has marked the entry, at most this long.
    pub async fn receipt(&self, seq: Seq, at_most: Duration) -> Receipt {
        self.listeners.receipt(seq, at_most).await
    }
}
