//! The feed: what gateways hear when authority ends or moves, and how far each has come.
//!
//! In: the entries that the writer has made durable, and polls of gateways. Out: the [`News`] of a
//! poll, [`Receipt`]s for those who changed something, and a [`Survey`] of what gateways hold. Nothing of it is kept on disk: after
//! a restart, gateways ask about everybody whom they know.
//! Never: an event before its entry is durable, or an answer to a change before its events
//! can be heard.

mod events;
mod recent;
mod receipt;
mod surveys;
mod listeners;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tollgate_proto::iam::{About, Event, Mark, News, Poll};
use tollgate_proto::ids::{AskId, JournalId, Seq};

use crate::journal::Standing;
use crate::metrics::Authority;
use crate::state::{Read, State, StateError};
pub use events::{events, would_move};
use listeners::Listeners;
pub use receipt::Receipt;
use receipt::Receipts;
use recent::Recent;
use surveys::Surveys;
pub use surveys::{PATIENCE as SURVEY_PATIENCE, Survey};

/// How long a poll waits for something to tell.
const HOLD: Duration = Duration::from_millis(250);
/// The same while somebody waits for what the next poll will tell.
const SHORT_HOLD: Duration = Duration::from_millis(25);

/// The feed of one node.
#[derive(Debug)]
pub struct Feed {
    recent: Recent,
    listeners: Listeners,
    receipts: Receipts,
    surveys: Surveys,
}

impl Feed {
    /// A feed that tells what follows on this state. A gateway that polls less often than the
    /// `lease` is not waited for: it has stopped to trust what it knows.
    pub fn begin(state: &State, lease: Duration) -> Result<Arc<Self>, StateError> {
        let recent = Recent::new(state.view()?.position().seq);
        let listeners = Listeners::new(lease);
        let (receipts, surveys) = (Receipts::default(), Surveys::default());
        Ok(Arc::new(Self { recent, listeners, receipts, surveys }))
    }

    /// Tells the events of an entry that has become durable.
    pub fn publish(&self, seq: Seq, events: Vec<Event>) {
        if !events.is_empty() {
            self.listeners.committed(seq);
        }
        self.recent.push(seq, events);
    }

    /// What it measures.
    pub fn metrics(&self) -> Arc<Authority> {
        self.listeners.metrics()
    }

    /// How long a gateway trusts what it heard.
    pub fn lease(&self) -> Duration {
        self.listeners.lease()
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
        self.surveys.answered(poll.gateway, poll.found);
        if let Some(after) = known {
            let hold = if self.receipts.is_awaited() { SHORT_HOLD } else { HOLD };
            // All arms only wait. In the end there may be nothing to tell but that nothing
            // happened.
            tokio::select! {
                biased;
                _ = stop => {}
                () = self.surveys.news_for(poll.gateway) => {}
                _ = timeout(hold, self.recent.beyond(after)) => {}
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
            asks: self.surveys.asks_for(poll.gateway),
        }
    }

    /// Asks every gateway that is alive about the sockets that it holds. None: too much is being
    /// asked.
    pub async fn survey(&self, id: AskId, about: About) -> Option<Survey> {
        self.surveys.ask(id, about, self.listeners.alive()).await
    }

    /// How many gateways are alive.
    pub fn gateways(&self) -> usize {
        self.listeners.alive().len()
    }

    /// Where the gateways stand.
    pub fn standing(&self) -> Standing {
        // First the newest: a gateway that comes after this look begins there.
        let newest = self.recent.newest();
        self.listeners.standing(newest)
    }

    /// Tells that a gateway was heard.
    pub fn heard(&self) -> watch::Receiver<()> {
        self.listeners.moved()
    }

    /// Tells the newest entry that was published.
    pub fn published(&self) -> watch::Receiver<Seq> {
        self.recent.published()
    }

    /// Whether anything follows from an entry behind `after`, up to `last`.
    pub fn tells_between(&self, after: Seq, last: Seq) -> bool {
        self.recent.tells_between(after, last)
    }

    /// Whether anything follows from this entry.
    pub fn tells(&self, seq: Seq) -> bool {
        self.recent.tells(seq)
    }

    /// Waits until every gateway that is alive has marked the entry, at most this long.
    pub async fn receipt(&self, seq: Seq, at_most: Duration) -> Receipt {
        receipt::first(&self.listeners, seq, at_most).await
    }

    /// The same to the end: those that have not marked it then trust nothing of before any more.
    pub async fn last_receipt(&self, seq: Seq) -> Receipt {
        self.receipts.last(&self.listeners, seq).await
    }
}
