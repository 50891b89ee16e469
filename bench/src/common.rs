//! What measurements can be told alike.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::measure::at_least_one;

/// The arguments that all of them share.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The tollgate binary, if it is not the one beside this one.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of those that send calls for some time.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Calls {
    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = at_least_one)]
    pub(crate) rounds: usize,
    /// How long each measurement takes.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// How long the frame of a call is.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) bytes: usize,
}

impl Common {
    /// The binary that was named.
    pub(crate) fn server(&self) -> Option<&Path> {
        self.server.as_deref()
    }
}

impl Calls {
    /// How long each measurement takes.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}
