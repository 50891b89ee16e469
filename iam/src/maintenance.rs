//! What operators do to the data of a server that is stopped: check it, shorten it, save it, get
//! it back. Every program that contains IAM has these commands.
//!
//! In: a command and the settings that name the data. Out: data on stdout, words on stderr, and a
//! status. Never: work on files that a server has open.

mod verify;
mod compact;
#[cfg(feature = "cql")]
mod copy;
mod upgrade;
mod backup;
mod restore;
mod envelope;
mod recipient;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
#[cfg(feature = "cql")]
use std::time::Duration;

use clap::Subcommand;
use secrecy::ExposeSecret;
use tollgate_proto::ids::Seq;
use tollgate_runtime::clock::SystemClock;
use tollgate_runtime::files::FileError;
use uuid::Uuid;

use crate::app::{self, StartError, with_causes};
use crate::config::{IamSettings, InvalidSettings, JournalKind};
use crate::draw::{self, DrawError};
use crate::journal::JournalError;
#[cfg(feature = "cql")]
use crate::journal::cql::{Access, Cql, Wish};
use crate::journal::embedded::{self, Embedded};
#[cfg(feature = "cql")]
use crate::journal::{Journal, NodeRow};
use crate::seal::Seal;
use crate::state::State;
use recipient::Recipient;

/// A node that lives says so more often than this: ten times in a lease.
#[cfg(feature = "cql")]
const ALIVE: Duration = Duration::from_secs(5);

/// Commands on the data of a stopped server.
#[derive(Debug, Clone, Subcommand)]
pub enum Maintenance {
    /// Print a new API key, to be used as bootstrap token.
    Keygen {
        /// Print an identity that opens backups instead, and above it the recipient to name.
        #[arg(long)]
        backup: bool,
    },
    /// Check, shorten, copy or upgrade the journal.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Write the state of a stopped server to a new file that only one identity opens.
    Backup {
        /// The file.
        out: PathBuf,
        /// Whom it is for, as `keygen --backup` printed it.
        #[arg(long)]
        recipient: Recipient,
    },
    /// Make new data from a backup, in a folder that is empty; nothing that was revoked comes back.
    Restore {
        /// The backup.
        from: PathBuf,
        /// The file with the identity that opens it.
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
        /// The old data folder, if its journal survived; without it everybody is suspended.
        #[arg(long, value_name = "FOLDER")]
        journal: Option<PathBuf>,
    },
}

/// `journal …`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum JournalCommand {
    /// Check every entry, every row and the snapshot, and name what was changed; write nothing.
    Verify,
    /// Take a snapshot, drop all entries below it, and with them what was deleted before.
    Compact,
    /// Copy the journal of stopped servers from one engine to the other, entry by entry; what is
    /// there then is the same journal, and the one that it came from must not go on.
    #[cfg(feature = "cql")]
    Copy {
        /// Where it is.
        from: JournalKind,
        /// Where it shall be: a data folder or a keyspace without a journal.
        to: JournalKind,
    },
    /// Write entries in the newest format from now on, when no older program is to read them any
    /// more; on a data folder the server is stopped, in a cluster the nodes go on.
    Upgrade,
}

/// Why a command did nothing, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is nothing to work on.
    #[error("there is no journal in {0}; set --data-dir")]
    NoJournal(String),
    /// It would not know of the others that work on it.
    #[error(
        "iam.journal = \"cql\": this works on a data folder only; stop all nodes, copy the journal \
         to one (journal copy cql embedded), and set iam.journal = \"embedded\" for this command"
    )]
    OnCluster,
    /// The settings.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// Nothing would be copied.
    #[error("name two different engines")]
    SameEngine,
    /// It would go on to write to what is copied.
    #[error("node {0} is alive: stop all nodes of IAM first")]
    AliveNode(Uuid),
    /// Entries of the newest format would stop it.
    #[error(
        "node {node} of version {version} is alive and cannot read what would be written: upgrade it first"
    )]
    OldNode {
        /// Which.
        node: Uuid,
        /// Its build.
        version: String,
    },
    /// What is there is something else.
    #[error("{0} has a journal already")]
    HasJournal(String),
    /// Source and copy differ.
    #[error(
        "the copy is not what was copied: entry {copy} instead of {source_at}, or another state"
    )]
    OtherCopy {
        /// Where the copy ends.
        copy: Seq,
        /// Where the source ends.
        source_at: Seq,
    },
    /// It would hide what happened.
    #[error("the journal in {0} is not whole: see journal verify")]
    NotWhole(String),
    /// A backup, or the place for one.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that must be private, or a folder.
    #[error(transparent)]
    Private(#[from] FileError),
    /// Restored data would mix with it.
    #[error("{0} is not empty: name a new folder with --data-dir")]
    NotEmpty(String),
    /// The file does not hold what opens a backup.
    #[error("{0}: there is no identity in it: keygen --backup prints one")]
    NotAnIdentity(String),
    /// What is in the backup cannot be used.
    #[error("{path}: {}", with_causes(source))]
    Backup {
        /// Which.
        path: String,
        /// Why.
        source: JournalError,
    },
    /// The journal was sealed under a key that is not in the backup.
    #[error(
        "the backup does not hold its seal key; set iam.seal_key_file to the one that sealed it"
    )]
    NoSealKey,
    /// Nobody could be made admin of it.
    #[error("the backup is of data that nobody has claimed: there is nothing to restore")]
    Unclaimed,
    /// `--journal` names something else.
    #[error("the journal in {0} is not the one that was backed up")]
    OtherJournal(String),
    /// The machine.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The terminal or pipe.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl MaintenanceError {
    fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }
}

impl Maintenance {
    /// Does it. `settings` are asked for only by those commands that need data.
    pub async fn run<E: From<MaintenanceError>>(
        self,
        settings: impl FnOnce() -> Result<Option<IamSettings>, E>,
    ) -> Result<ExitCode, E> {
        if let Self::Keygen { backup } = self {
            return Ok(print_key(backup)?);
        }
        let Some(settings) = settings()? else { return Ok(ExitCode::SUCCESS) };
        let done = match self {
            Self::Keygen { backup } => print_key(backup),
            Self::Journal(JournalCommand::Verify) => verify::run(&settings).await,
            Self::Journal(JournalCommand::Compact) => compact::run(&settings).await,
            #[cfg(feature = "cql")]
            Self::Journal(JournalCommand::Copy { from, to }) => {
                Box::pin(copy::run(&settings, from, to)).await
            }
            Self::Journal(JournalCommand::Upgrade) => upgrade::run(&settings).await,
            Self::Backup { out, recipient } => backup::run(&settings, &out, recipient).await,
            Self::Restore { from, identity, journal } => {
                let sources = restore::Sources {
                    backup: &from,
                    identity: &identity,
                    journal: journal.as_deref(),
                };
                restore::run(&settings, &sources, &SystemClock::shared()).await
            }
        };
        Ok(done?)
    }
}

fn print_key(backup: bool) -> Result<ExitCode, MaintenanceError> {
    let key = if backup { recipient::draw_pair()? } else { draw::api_key()? };
    say(key.expose_secret())
}

/// A line of data. A reader that has gone away has seen enough.
fn say(line: &str) -> Result<ExitCode, MaintenanceError> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

/// A line for people.
fn remark(line: &str) {
    // Whoever does not listen is told nothing.
    let _ = writeln!(io::stderr(), "{line}");
}

/// The journal in the cluster. Whoever typed a command is told that the cluster is away, and does not
/// wait for it.
#[cfg(feature = "cql")]
async fn open_cluster(settings: &IamSettings, wish: Wish) -> Result<Cql, MaintenanceError> {
    let access = Access::read(&settings.cql).map_err(StartError::from)?;
    let opened = Cql::open_now(&settings.cql, &access, &settings.data_dir, wish).await;
    opened.map_err(|error| on_cluster(settings, error))
}

/// A node that lives, if there is one of these rows.
#[cfg(feature = "cql")]
async fn living(
    journal: &dyn Journal,
    settings: &IamSettings,
    of: impl Fn(&NodeRow) -> bool,
) -> Result<Option<NodeRow>, MaintenanceError> {
    let rows = async || {
        let mut rows = journal.nodes().await.map_err(|error| on_cluster(settings, error))?;
        rows.retain(&of);
        Ok::<_, MaintenanceError>(rows)
    };
    let before = rows().await?;
    if before.is_empty() {
        return Ok(None);
    }
    remark("There are nodes, or were a while ago: looking whether one lives.");
    tokio::time::sleep(ALIVE).await;
    // What has not moved is what a node left behind.
    Ok(rows().await?.into_iter().find(|row| !before.contains(row)))
}

#[cfg(feature = "cql")]
fn on_cluster(settings: &IamSettings, source: JournalError) -> MaintenanceError {
    StartError::Cluster { keyspace: settings.cql.keyspace.to_string(), source }.into()
}

/// A data folder that has a journal, and how to open it.
struct Data {
    path: PathBuf,
    shown: String,
    seal: Seal,
}

impl Data {
    fn of(settings: &IamSettings) -> Result<Self, MaintenanceError> {
        match settings.journal {
            JournalKind::Embedded => Self::embedded(settings),
            JournalKind::Cql => Err(MaintenanceError::OnCluster),
        }
    }

    /// The data folder, whatever keeps the journal otherwise.
    fn embedded(settings: &IamSettings) -> Result<Self, MaintenanceError> {
        let path = Self::path(&settings.data_dir)?;
        let shown = settings.data_dir.display().to_string();
        Ok(Self { path, shown, seal: app::read_seal(settings, false)? })
    }

    /// A folder that the settings do not name.
    fn in_folder(folder: &Path, seal: Seal) -> Result<Self, MaintenanceError> {
        Ok(Self { path: Self::path(folder)?, shown: folder.display().to_string(), seal })
    }

    fn path(folder: &Path) -> Result<PathBuf, MaintenanceError> {
        let path = folder.join(embedded::FILE);
        let missing = || MaintenanceError::NoJournal(folder.display().to_string());
        path.exists().then_some(path).ok_or_else(missing)
    }

    /// Opens the files for work on them; nobody else may have them.
    async fn open(&self) -> Result<(Embedded, State), MaintenanceError> {
        let path = self.path.clone();
        self.opened(move || Embedded::open(&path)).await
    }

    /// Opens the files and writes nothing to them.
    async fn look_at(&self) -> Result<(Embedded, State), MaintenanceError> {
        let path = self.path.clone();
        self.opened(move || Embedded::look_at(&path)).await
    }

    async fn opened(
        &self,
        open: impl FnOnce() -> Result<(Embedded, State), JournalError> + Send + 'static,
    ) -> Result<(Embedded, State), MaintenanceError> {
        let opened = tokio::task::spawn_blocking(open).await;
        let opened = opened.map_err(|error| JournalError::Store(Box::new(error)));
        opened.and_then(|opened| opened).map_err(|error| self.unusable(error))
    }

    fn unusable(&self, error: JournalError) -> MaintenanceError {
        let folder = self.shown.clone();
        MaintenanceError::Start(match error {
            JournalError::InUse => StartError::InUse(folder),
            source => StartError::Journal { folder, source },
        })
    }
}
