//! The command line that all servers share, how they start and end, and how they take over a
//! configuration that has changed.
//!
//! A server that cannot start says one sentence and ends with status 2.

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::{self, ConfigError, Flags};
use crate::{descriptors, memory};

/// The status of a process that could not start or was used wrongly.
pub const EXIT_UNUSABLE: u8 = 2;

/// Flags that every server takes.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerArgs {
    /// Read settings from this file instead of ./tollgate.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the configuration, say "ok" and exit.
    #[arg(long, global = true)]
    pub check_config: bool,
    /// Print the configuration that is in force, as TOML, and exit.
    #[arg(long, global = true)]
    pub print_config: bool,
    /// The log level: error, warn, info, debug or trace (setting log.level).
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
}

impl ServerArgs {
    /// The configuration of the process; `None` if it was only asked for and has been shown.
    ///
    /// `settings` are the process's own flags: dotted path and value, if given. `check` says what
    /// the types cannot.
    pub fn load<T, E>(
        &self,
        defaults: &[&str],
        settings: Vec<(&'static str, Option<String>)>,
        check: impl FnOnce(&T) -> Result<(), E>,
    ) -> Result<Option<T>, E>
    where
        T: DeserializeOwned + Serialize,
        E: From<ConfigError>,
    {
        let given = settings.into_iter().chain([("log.level", self.log.clone())]);
        let settings = given.filter_map(|(path, value)| Some((path, value?))).collect();
        let flags = Flags { file: self.config.clone(), settings };
        let loaded: T = config::load(defaults, &flags, std::env::vars_os())?;
        let text = if self.print_config {
            toml::to_string(&loaded).unwrap_or_else(|error| format!("# {error}\n"))
        } else if self.check_config {
            check(&loaded)?;
            "ok\n".to_owned()
        } else {
            check(&loaded)?;
            return Ok(Some(loaded));
        };
        // A reader that has gone away has seen enough.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(None)
    }
}

/// Runs a server's main future on a runtime of its own. An error is said in one sentence.
pub fn run<F>(name: &str, main: F) -> ExitCode
where
    F: Future<Output = Result<ExitCode, Box<dyn std::error::Error>>>,
{
    let runtime = || {
        memory::keep_private()?;
        descriptors::raise()?;
        tokio::runtime::Builder::new_multi_thread().enable_all().build()
    };
    let outcome = match runtime() {
        Ok(runtime) => runtime.block_on(main),
        Err(error) => Err(error.into()),
    };
    outcome.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "{name}: {error}");
        ExitCode::from(EXIT_UNUSABLE)
    })
}

/// Reads the configuration again. `take_over` puts in force what a running process can change and
/// says what is in force then; the other settings that were changed are named in the log. What cannot
/// be used changes nothing.
pub fn reload<T: Serialize, E: std::fmt::Display>(
    load: impl FnOnce() -> Result<Option<T>, E>,
    take_over: impl FnOnce(&T) -> Result<T, E>,
) {
    let taken = load().and_then(|read| match read {
        Some(read) => Ok(config::differences(&take_over(&read)?, &read)),
        None => Ok(Vec::new()),
    });
    match taken {
        Ok(left) => {
            for setting in left {
                tracing::warn!(setting, "changed, and a restart is needed for it");
            }
            tracing::info!("the configuration was read again");
        }
        Err(error) => {
            tracing::error!(%error, "the configuration cannot be used; the one in force stays");
        }
    }
}

/// Asks the probe on `address` whether the server is ready.
pub async fn healthcheck(address: SocketAddr) -> ExitCode {
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let request =
            format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(4_096).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with(b"HTTP/1.1 200 "))
    };
    match tokio::time::timeout(Duration::from_secs(3), ask).await {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false) | Err(_)) | Err(_) => ExitCode::FAILURE,
    }
}
