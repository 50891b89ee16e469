//! What operators do to the data of a server that is stopped: check it, shorten it, save it, get
//! it back. Every program that contains IAM has these commands.
//!
//! In: a command and the settings that name the data. Out: data on stdout, words on stderr, and a
//! status. Never: work on files that a server has open.

mod compact;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use secrecy::ExposeSecret;

use crate::app::{self, StartError};
use crate::config::IamSettings;
use crate::draw::{self, DrawError};
use crate::journal::JournalError;
use crate::journal::embedded::{self, Embedded};
use crate::seal::Seal;
use crate::state::State;

/// Commands on the data of a stopped server.
#[derive(Debug, Clone, Subcommand)]
pub enum Maintenance {
    /// Print a new API key, to be used as bootstrap token.
    Keygen,
    /// Check or shorten the journal of a stopped server.
    #[command(subcommand)]
    Journal(JournalCommand),
}

/// `journal …`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum JournalCommand {
    /// Check every entry, every row and the snapshot, and name what was changed; write nothing.
    Verify,
    /// Take a snapshot, drop all entries below it, and with them what was deleted before.
    Compact,
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
    /// It would hide what happened.
    #[error("the journal in {0} is not whole: see journal verify")]
    NotWhole(String),
    /// The machine.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The terminal or pipe.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Maintenance {
    /// Does it. `settings` are asked for only by those commands that need data.
    pub async fn run<E: From<MaintenanceError>>(
        self,
        settings: impl FnOnce() -> Result<Option<IamSettings>, E>,
    ) -> Result<ExitCode, E> {
        if let Self::Keygen = self {
            return Ok(print_key()?);
        }
        let Some(settings) = settings()? else { return Ok(ExitCode::SUCCESS) };
        let done = match self {
            Self::Keygen => print_key(),
            Self::Journal(JournalCommand::Verify) => verify::run(&settings).await,
            Self::Journal(JournalCommand::Compact) => compact::run(&settings).await,
        };
        Ok(done?)
    }
}

fn print_key() -> Result<ExitCode, MaintenanceError> {
    say(draw::api_key()?.expose_secret())
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

/// A data folder that has a journal, and how to open it.
struct Data {
    path: PathBuf,
    shown: String,
    seal: Seal,
}

impl Data {
    fn of(settings: &IamSettings) -> Result<Self, MaintenanceError> {
        let shown = settings.data_dir.display().to_string();
        let path = settings.data_dir.join(embedded::FILE);
        if !path.exists() {
            return Err(MaintenanceError::NoJournal(shown));
        }
        Ok(Self { path, shown, seal: app::read_seal(settings, false)? })
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
