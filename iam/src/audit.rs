//! The audit file: who did what to what, and who was refused and why, as chained JSON lines.
//!
//! In: the journal's entries, and what was answered to everything else. Out: lines whose form is
//! `tollgate_proto::audit`. What was changed gets its line from its entry, in the order of the
//! journal, and after a crash it gets it then: no acknowledged change lacks its line, and none has
//! two. The rest goes through a queue of [`QUEUE`] lines; when that is full, lines are dropped,
//! counted, and the count gets a line. Never: a secret, or a caller that waits for the file.

mod change;
mod asked;
mod target;
mod scan;
mod file;
mod task;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, watch};
use tollgate_proto::audit::{AuditKey, Line, head_path};
use tollgate_proto::ids::Seq;
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::lifecycle::Lifecycle;

use crate::journal::{Journal, JournalError};
use crate::metrics::Metrics;
use crate::seal::Seal;
use crate::state::{Read, State};
use task::Task;

pub use asked::{Answered, Asked};
pub use change::describe;

/// How many lines wait for the file at most.
pub const QUEUE: usize = 4_096;

/// Why the audit file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file.
    #[error("{} cannot be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The journal lacks entries that have lines: somebody put an older copy of it back.
    #[error(
        "{file} has entry {entry}, and the journal ends with entry {newest}: it is an older copy, \
         in which what was revoked since is alive; put the newer one back or restore a backup, \
         or, if this is meant, move {file} and {head} away",
        file = path.display(),
        head = head_path(path).display()
    )]
    OlderJournal {
        /// Which file.
        path: PathBuf,
        /// The newest entry that has a line in it.
        entry: Seq,
        /// The newest entry that there is.
        newest: Seq,
    },
    /// The journal has the lines that are missing, and cannot be read.
    #[error("the lines that are missing cannot be made")]
    Journal(#[from] JournalError),
}

/// Where the lines of changes come from.
#[derive(Debug)]
pub struct Source {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// Its state, which knows the newest entry.
    pub state: State,
    /// What its entries are sealed under.
    pub seal: Seal,
    /// Tells that there is a newer entry.
    pub committed: watch::Receiver<Seq>,
}

/// The way to the audit file, if there is one.
#[derive(Debug, Clone)]
pub struct Audit(Option<Handle>);

#[derive(Debug, Clone)]
struct Handle {
    queue: mpsc::Sender<Line>,
    /// Those that have no line yet which says so.
    dropped: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    node: Arc<str>,
    key: AuditKey,
}

impl Audit {
    /// No file.
    pub const OFF: Self = Self(None);

    /// Opens the file, writes what it lacks of the journal, and keeps it from then on.
    ///
    /// The task ends after the journal's writer and every clone of this have gone.
    pub async fn start(
        path: &Path,
        source: Source,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        lifecycle: &Lifecycle,
    ) -> Result<Self, AuditError> {
        let (queue, lines) = mpsc::channel(QUEUE);
        let handle = Handle {
            queue,
            dropped: Arc::default(),
            metrics,
            clock,
            node: node(),
            key: source.seal.audit_key().clone(),
        };
        let newest = source.state.view().map_err(JournalError::from)?.position().seq;
        let mut task = Task::open(path, source, &handle, lines).await?;
        task.begin(newest).await?;
        lifecycle.tasks.spawn(task.run());
        Ok(Self(Some(handle)))
    }
}

impl Handle {
    /// Hands a line over, or counts it as dropped. Never waits.
    fn write(&self, line: Line) {
        if self.queue.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.metrics.audit_lines_dropped.inc();
        }
    }
}

/// What the host calls itself.
fn node() -> Arc<str> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests;
