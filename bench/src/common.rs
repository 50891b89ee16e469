//! What every measurement can be told.

use std::path::{Path, PathBuf};

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

impl Common {
    /// The binary that was named.
    pub(crate) fn server(&self) -> Option<&Path> {
        self.server.as_deref()
    }
}
