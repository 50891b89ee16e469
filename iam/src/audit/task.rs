//! The one task that owns the file.
//!
//! It wakes for an entry, for a line, and once a second while something is not durable yet. A line
//! of an entry that could not be written is tried again; others are counted as dropped.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tollgate_proto::audit::{Event, Head, Line, Next, Target, TargetKind, Text, Verdict};
use tollgate_proto::ids::Seq;
use tollgate_runtime::clock::SharedClock;

use super::file::{Finding, Found, Opened, Trail};
use super::{AuditError, Handle, Source, change, scan};
use crate::hash::Hash;
use crate::journal::JournalError;
use crate::metrics::{self, Metrics};
use crate::times;

/// How many lines are written at a time.
const BATCH: usize = 256;
/// How many entries are read at a time.
const ENTRIES: usize = 64;
/// How long a line may be in the file before it is durable.
const SYNC: Duration = Duration::from_secs(1);

pub(super) struct Task {
    path: PathBuf,
    trail: Arc<Mutex<Trail>>,
    source: Source,
    lines: mpsc::Receiver<Line>,
    /// Those that were received, and are not written yet.
    batch: Vec<Line>,
    dropped: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    node: Arc<str>,
    /// What of the journal is to be written next.
    next: Next,
    /// The seal of the entry before that, once it was looked up.
    before: Option<Hash>,
    /// What was found when the file was opened.
    findings: Vec<Finding>,
    /// When the file is made durable, if it is not.
    due: Option<Instant>,
}

/// Why the task works.
#[derive(PartialEq, Eq)]
enum Wake {
    Entry,
    Lines,
    Due,
    End,
}

impl Task {
    pub(super) async fn open(
        path: &Path,
        source: Source,
        handle: &Handle,
        lines: mpsc::Receiver<Line>,
    ) -> Result<Self, AuditError> {
        let fresh = Head {
            time: times::format_ns(handle.clock.now_ns()),
            journal: source.journal.id(),
            next: Next::FIRST,
            last: None,
        };
        let (owned, key) = (path.to_owned(), handle.key.clone());
        let opened = blocking(move || Trail::open(&owned, &key, &fresh)).await;
        let Opened { trail, next, findings } =
            opened.map_err(|source| AuditError::File { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            trail: Arc::new(Mutex::new(trail)),
            source,
            lines,
            batch: Vec::new(),
            dropped: Arc::clone(&handle.dropped),
            metrics: Arc::clone(&handle.metrics),
            clock: Arc::clone(&handle.clock),
            node: Arc::clone(&handle.node),
            next,
            before: None,
            findings,
            due: None,
        })
    }

    /// Says that the file was opened and what was found, and writes what it lacks of the journal,
    /// whose newest entry is `newest`. Refuses a journal that lacks what the file has.
    pub(super) async fn begin(&mut self, newest: Seq) -> Result<(), AuditError> {
        if scan::is_beyond(self.next, newest) {
            let entry = Seq(self.next.seq.0.saturating_sub(u64::from(self.next.act == 0)));
            return Err(AuditError::OlderJournal { path: self.path.clone(), entry, newest });
        }
        let mut lines = vec![self.opened()];
        for Finding { found, reason } in std::mem::take(&mut self.findings) {
            let (event, outcome) = match found {
                Found::Broken => {
                    tracing::error!(reason, "the audit file is broken");
                    (Event::AuditBroken, Verdict::Failed)
                }
                Found::Repaired => {
                    tracing::warn!(reason, "the audit file was repaired");
                    (Event::AuditRepaired, Verdict::Ok)
                }
            };
            lines.push(Line { reason: Some(Text::new(&reason)), outcome, ..self.own(event) });
        }
        self.append(lines).await?;
        self.write_entries().await?;
        self.sync().await.map_err(|source| AuditError::File { path: self.path.clone(), source })
    }

    /// Works until nobody can write any more.
    pub(super) async fn run(mut self) {
        loop {
            let wake = self.wait().await;
            self.write_lines().await;
            let newest = *self.source.committed.borrow_and_update();
            if newest >= self.next.seq
                && let Err(error) = self.write_entries().await
            {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(error = cause, "audit lines of changes are late");
                self.due.get_or_insert(Instant::now() + SYNC);
            }
            let behind = (newest.0 + 1).saturating_sub(self.next.seq.0);
            self.metrics.audit_entries_behind.set(metrics::seq(behind));
            if matches!(wake, Wake::Due | Wake::End) {
                self.due = None;
                if let Err(error) = self.sync().await {
                    tracing::error!(%error, "the audit file is not durable");
                    self.due = Some(Instant::now() + SYNC);
                }
            }
            if wake == Wake::End {
                return;
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let due = self.due;
        let timer = async move {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        // All of them only wait. Entries first: nobody else counts them if they are late. Then the
        // timer, which a stream of lines must not hold off.
        tokio::select! {
            biased;
            Ok(()) = self.source.committed.changed() => Wake::Entry,
            () = timer => Wake::Due,
            received = self.lines.recv_many(&mut self.batch, BATCH) => {
                if received > 0 {
                    return Wake::Lines;
                }
                // Nobody asks any more; the writer may still be at work.
                while self.source.committed.changed().await.is_ok() {}
                Wake::End
            }
        }
    }

    /// Writes the lines that wait. What cannot be written is lost, and counted.
    async fn write_lines(&mut self) {
        let mut lines = std::mem::take(&mut self.batch);
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "audit lines were dropped");
            let reason = Some(Text::new(&format!("{dropped} lines were lost")));
            lines.push(Line { reason, outcome: Verdict::Failed, ..self.own(Event::AuditDropped) });
        }
        let lost = lines.len() as u64 - u64::from(dropped > 0) + dropped;
        if let Err(error) = self.append(lines).await {
            self.dropped.fetch_add(lost, Ordering::Relaxed);
            // Those of before are counted already.
            self.metrics.audit_lines_dropped.add(lost - dropped);
            let cause = &error as &dyn std::error::Error;
            tracing::error!(error = cause, "audit lines cannot be written");
        }
    }

    /// Writes the lines of all entries that have none.
    async fn write_entries(&mut self) -> Result<(), AuditError> {
        loop {
            let after = Seq(self.next.seq.0.saturating_sub(1));
            let rows = self.source.journal.read(after, ENTRIES).await?;
            let Some(first) = rows.first() else { return Ok(()) };
            let (mut next, mut lines) = (self.next, Vec::new());
            let known = self.before.filter(|_| first.seq == next.seq);
            if first.seq != next.seq {
                let reason =
                    format!("entries {} to {} are not in the journal", next.seq, first.seq.0 - 1);
                let reason = Some(Text::new(&reason));
                lines.push(Line { reason, ..self.own(Event::AuditGap) });
                next = Next { seq: first.seq, act: 0 };
            }
            let mut before = match known {
                Some(before) => before,
                None => self.seal_before(first.seq).await?,
            };
            for row in &rows {
                let entry = row.read(&before, &self.source.seal)?;
                let acts = entry.acts.iter().skip(next.act);
                lines.extend(acts.filter_map(|act| change::line(act, row.seq, &self.node)));
                next = Next { seq: Seq(row.seq.0 + 1), act: 0 };
                before = row.seal;
            }
            self.append(lines).await?;
            (self.next, self.before) = (next, Some(before));
        }
    }

    /// What an entry follows on.
    async fn seal_before(&self, seq: Seq) -> Result<Hash, AuditError> {
        let Source { journal, seal, .. } = &self.source;
        let before = seq.0.saturating_sub(1);
        if let Some(base) = journal.base().await?.filter(|base| base.seq.0 == before) {
            base.check(journal.id(), seal)?;
            return Ok(base.head);
        }
        if before == 0 {
            return Ok(seal.first_link(journal.id()));
        }
        let rows = journal.read(Seq(before - 1), 1).await?;
        let row = rows.first().filter(|row| row.seq.0 == before);
        Ok(row.ok_or(JournalError::Diverged(seq))?.seal)
    }

    async fn append(&mut self, lines: Vec<Line>) -> Result<(), AuditError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.due.get_or_insert(Instant::now() + SYNC);
        let trail = Arc::clone(&self.trail);
        let append = move || trail.lock().unwrap_or_else(PoisonError::into_inner).append(&lines);
        let path = || self.path.clone();
        blocking(append).await.map_err(|source| AuditError::File { path: path(), source })
    }

    /// Makes durable what was written; goes on in another file, if this one was moved away.
    async fn sync(&mut self) -> std::io::Result<()> {
        let head = Head {
            time: times::format_ns(self.clock.now_ns()),
            journal: self.source.journal.id(),
            next: self.next,
            last: None,
        };
        let (trail, opened) = (Arc::clone(&self.trail), self.opened());
        blocking(move || {
            let mut trail = trail.lock().unwrap_or_else(PoisonError::into_inner);
            trail.sync(&head)?;
            if !trail.is_moved()? {
                return Ok(());
            }
            trail.reopen()?;
            trail.append(&[opened])?;
            trail.sync(&head)
        })
        .await
    }

    /// The line that a file begins with, and every start of IAM.
    fn opened(&self) -> Line {
        let journal = Target::new(TargetKind::Journal, self.source.journal.id());
        Line { target: Some(journal), ..self.own(Event::AuditOpened) }
    }

    /// A line about the file itself.
    fn own(&self, event: Event) -> Line {
        Line::new(event, times::format_ns(self.clock.now_ns()), Arc::clone(&self.node))
    }
}

/// Runs work on the disk away from the async workers.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
