//! The settings of IAM that people type, for the programs that contain it.

use std::path::PathBuf;

use clap::Args;

/// Flags that stand for settings.
#[derive(Debug, Clone, Args)]
#[expect(clippy::doc_markdown, reason = "the help shows it as it stands here")]
pub struct IamFlags {
    /// The folder of data and keys (setting iam.data_dir).
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// How the first admin comes to be: token or bootstrap (setting iam.bootstrap_mode).
    #[arg(long, value_name = "MODE")]
    bootstrap_mode: Option<String>,
}

impl IamFlags {
    /// Dotted path and value of each, if given.
    pub fn settings(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("iam.data_dir", self.data_dir.map(|path| path.display().to_string())),
            ("iam.bootstrap_mode", self.bootstrap_mode),
        ]
    }
}
