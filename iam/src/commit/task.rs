//! The writer's task: what it does next, and what it knows of the journal.
//!
//! In: proposals and those who wait for news. Out: their answers. Where others write too, it reads
//! their entries: now and then, when somebody waits for it, and after it came second.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tollgate_proto::iam::Event;
use tollgate_proto::ids::Seq;
use tollgate_runtime::lifecycle::Fault;

use super::group::{Draft, Group, refuse_all};
use super::pace::Pace;
use super::{MAX_CHANGES, Reading, Waiting};
use crate::feed::{self, Feed};
use crate::journal::entry::Entry;
use crate::journal::{Committed, Journal, JournalError, replay};
use crate::metrics::Metrics;
use crate::seal::Seal;
use crate::state::{Open, State, StateError};

/// Where others write too, the journal is read at least so often.
const LOOK: Duration = Duration::from_secs(1);
/// A state that is a cache is on the disk after so many entries,
const FLUSH_ENTRIES: u64 = 1_000;
/// or after so long.
const FLUSH_AFTER: Duration = Duration::from_secs(10);

/// The other ends of a [`super::Writer`].
pub(super) struct Ends {
    pub(super) proposals: mpsc::Receiver<Waiting>,
    pub(super) reading: mpsc::Receiver<Reading>,
    pub(super) feed: Arc<Feed>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) newest: watch::Sender<Seq>,
    pub(super) known: watch::Sender<Instant>,
}

pub(super) struct Task {
    journal: Arc<dyn Journal>,
    state: State,
    seal: Seal,
    ends: Ends,
    /// When the journal was last read. None: nobody else writes to it, and the state is no cache.
    looked: Option<Instant>,
    /// Those who wait for news.
    readers: Vec<Reading>,
    pace: Pace,
    is_away: bool,
    /// Something is wrong that does not heal: nothing is written behind it.
    is_broken: bool,
    /// What of the state is on the disk, and since when.
    flushed: (Seq, Instant),
}

enum Next {
    Proposal(Waiting),
    Read,
    End,
}

impl Task {
    pub(super) fn new(journal: Arc<dyn Journal>, state: State, seal: Seal, ends: Ends) -> Self {
        let looked = journal.is_shared().then(Instant::now);
        Self {
            journal,
            state,
            seal,
            ends,
            looked,
            readers: Vec::new(),
            pace: Pace::new(),
            is_away: false,
            is_broken: false,
            flushed: (Seq(0), Instant::now()),
        }
    }

    pub(super) async fn run(mut self, fault: Fault) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                match self.next().await {
                    Next::Proposal(first) => waiting.push_back(first),
                    Next::Read => {}
                    Next::End => break,
                }
            }
            // Whatever is there by now shares the entry; nobody waits for others to come.
            while waiting.len() < MAX_CHANGES {
                let Ok(next) = self.ends.proposals.try_recv() else { break };
                waiting.push_back(next);
            }
            if !waiting.is_empty() {
                // A panic of one round ends its operations only: their answers are dropped.
                let round = self.round(std::mem::take(&mut waiting), &fault);
                waiting = AssertUnwindSafe(round).catch_unwind().await.unwrap_or_else(|_| {
                    tracing::error!("the writer panicked; a group of operations was not done");
                    VecDeque::new()
                });
            }
            if self.looked.is_some() {
                self.tell_news(&fault).await;
                self.flush_if_due().await;
            }
        }
        if self.looked.is_some() {
            self.flush().await;
        }
    }

    /// Waits for something to do.
    async fn next(&mut self) -> Next {
        let due = self.due();
        // All of them only wait. Proposals first: each round is followed by news for the readers.
        tokio::select! {
            biased;
            proposal = self.ends.proposals.recv() => proposal.map_or(Next::End, Next::Proposal),
            Some(reading) = self.ends.reading.recv() => {
                self.readers.push(reading);
                Next::Read
            }
            () = reach(due) => Next::Read,
        }
    }

    /// Decides and commits one group. Gives back those that have to be decided on (again).
    async fn round(&mut self, waiting: VecDeque<Waiting>, fault: &Fault) -> VecDeque<Waiting> {
        if self.is_broken {
            refuse_all(waiting);
            return VecDeque::new();
        }
        let round = Instant::now();
        let (state, seal, most) = (self.state.clone(), self.seal.clone(), self.pace.most());
        // Reads and writes of the file stay away from the async workers.
        let decide = move || Group::decide(&state, &seal, waiting, most);
        let decided = tokio::task::spawn_blocking(decide);
        let mut group = match decided.await {
            Ok(Ok(group)) => group,
            Ok(Err(failed)) => {
                let (error, waiting) = *failed;
                tracing::error!(error = &error as &dyn std::error::Error, "no state to decide on");
                if error.is_of_store() {
                    fail(&error, fault);
                }
                refuse_all(waiting);
                return VecDeque::new();
            }
            Err(_) => {
                tracing::error!("deciding panicked; a group of operations was not done");
                return VecDeque::new();
            }
        };
        let Some(Draft { open, row, changes, events }) = group.entry.take() else {
            return self.settle(group, fault).await;
        };
        let (seq, began) = (row.seq, Instant::now());
        match self.journal.commit(open, row).await {
            Ok(Committed::Ours) => {
                self.is_away = false;
                self.ends.metrics.commits.inc();
                self.ends.metrics.changes.add(changes as u64);
                // That it was the next one proves that the one before was the newest.
                self.know(began);
                self.tell(seq, events);
                let rest = group.answer();
                let back = self.pace.won(round.elapsed());
                if !back.is_zero() {
                    tokio::time::sleep(back).await;
                }
                rest
            }
            Ok(Committed::Conflict(winner)) => {
                tracing::debug!(%seq, "another node was first");
                let pause = self.pace.lost(began.elapsed());
                match replay::adopt(&self.state, vec![winner], &self.seal, news_of).await {
                    Ok(news) => self.tell_all(news),
                    Err(error) => {
                        self.note(&error, fault);
                        return group.fail();
                    }
                }
                tokio::time::sleep(pause).await;
                // The winner may not be the only one; what goes wrong now does so again.
                let _ = self.read(fault).await;
                group.again()
            }
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(error = cause, %seq, "an entry was not written");
                self.note(&error, fault);
                group.fail()
            }
        }
    }

    /// Answers a group that changes nothing, once it is known that nothing was newer.
    async fn settle(&mut self, group: Group, fault: &Fault) -> VecDeque<Waiting> {
        if self.looked.is_none() || group.since().is_none_or(|since| since <= self.as_of()) {
            return group.answer();
        }
        match self.read(fault).await {
            Ok(false) => group.answer(),
            Ok(true) => group.again(),
            Err(()) => group.fail(),
        }
    }

    /// Tells those who wait for news that there are, and reads the journal for them if need be.
    async fn tell_news(&mut self, fault: &Fault) {
        while let Ok(reading) = self.ends.reading.try_recv() {
            self.readers.push(reading);
        }
        let is_late = |since: Instant, as_of: Instant| since > as_of;
        let as_of = self.as_of();
        let is_due = self.due().is_some_and(|due| due <= Instant::now());
        if is_due || self.readers.iter().any(|reading| is_late(reading.since, as_of)) {
            let _ = self.read(fault).await;
        }
        let as_of = self.as_of();
        for reading in self.readers.drain(..) {
            // Whoever is not told takes it for a failure; whoever has gone need not be told.
            if !is_late(reading.since, as_of) {
                let _ = reading.answer.send(());
            }
        }
    }

    /// When what others may have written is to be read, unless that is known before.
    fn due(&self) -> Option<Instant> {
        let due = |looked: Instant| looked.max(self.as_of()) + self.pace.tail();
        // Though our own entries prove that there was nothing else: they do not prove that all is there.
        self.looked.map(|looked| due(looked).min(looked + LOOK))
    }

    /// Applies what others wrote. True if there was something. What failed is told to the log.
    async fn read(&mut self, fault: &Fault) -> Result<bool, ()> {
        let read = self.try_read(fault).await;
        self.looked = self.looked.map(|_| Instant::now());
        read
    }

    async fn try_read(&mut self, fault: &Fault) -> Result<bool, ()> {
        let (began, mut applied) = (Instant::now(), 0);
        loop {
            match replay::follow(&*self.journal, &self.state, &self.seal, news_of).await {
                Ok(news) => {
                    let count = news.len();
                    applied += count;
                    if count > 0 {
                        self.pace.met_rival();
                    }
                    self.tell_all(news);
                    if count < replay::BATCH {
                        break;
                    }
                }
                Err(error) => {
                    self.note(&error, fault);
                    return Err(());
                }
            }
        }
        if std::mem::take(&mut self.is_away) {
            tracing::info!(applied, "the cluster answers again");
        }
        self.know(began);
        Ok(applied > 0)
    }

    fn tell_all(&self, news: Vec<(Seq, Vec<Event>)>) {
        for (seq, events) in news {
            self.tell(seq, events);
        }
    }

    /// Tells everybody else before any answer goes out: whoever was answered may wait for them.
    fn tell(&self, seq: Seq, events: Vec<Event>) {
        self.ends.feed.publish(seq, events);
        self.ends.newest.send_replace(seq);
    }

    fn as_of(&self) -> Instant {
        *self.ends.known.borrow()
    }

    fn know(&self, as_of: Instant) {
        self.ends.known.send_replace(as_of);
    }

    /// A cluster that is away comes back. After a failure that does not heal, this process is not
    /// ready any more; where others write too, it answers nobody once its lease is over.
    fn note(&mut self, error: &JournalError, fault: &Fault) {
        if !error.is_away() {
            self.is_broken = true;
            fail(error, fault);
        } else if !std::mem::replace(&mut self.is_away, true) {
            let cause = error as &dyn std::error::Error;
            tracing::warn!(error = cause, "nothing is answered until the cluster is back");
        }
    }

    async fn flush_if_due(&mut self) {
        let (flushed, since) = self.flushed;
        let newest = *self.ends.newest.borrow();
        let is_due = since.elapsed() >= FLUSH_AFTER && newest > flushed;
        if is_due || newest.0.saturating_sub(flushed.0) >= FLUSH_ENTRIES {
            self.flush().await;
            self.flushed = (newest, Instant::now());
        }
    }

    /// Puts the cache on the disk, so that the next start need not read all of it again.
    async fn flush(&self) {
        let state = self.state.clone();
        let flush = move || state.open()?.keep_durably();
        let flushed = tokio::task::spawn_blocking(flush).await.map(|done| done.map_err(Box::new));
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!(?flushed, "the state was not put on the disk");
        }
    }
}

/// What gateways are told of an entry that another node wrote.
fn news_of(entry: &Entry, open: &Open) -> Result<(Seq, Vec<Event>), StateError> {
    Ok((entry.seq, feed::events(entry, open)?))
}

async fn reach(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn fail(error: &JournalError, fault: &Fault) {
    if fault.set("iam's journal") {
        let cause = error as &dyn std::error::Error;
        tracing::error!(
            error = cause,
            "no change is written any more, and nothing that was acknowledged is lost: end the \
             cause and restart this process"
        );
    }
}
