//! The head: what IAM remembers of the end of an audit file, so that lines which are removed there
//! are missed, and a file that was moved away is continued.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ids::{JournalId, Seq};
use crate::seal_key::Mac;

/// The end of an audit file at one moment. The file may have grown since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// When, RFC 3339.
    pub time: String,
    /// The journal.
    pub journal: JournalId,
    /// What is to be written next.
    pub next: Next,
    /// The last line; none before the first.
    pub last: Option<Mac>,
}

impl Head {
    /// Whether a file that verifies may end, or have ended, where this says.
    ///
    /// `begins` is the line before its first one, `has` tells whether a line is in it.
    pub fn is_met(&self, begins: Option<Mac>, has: impl FnOnce(Mac) -> bool) -> bool {
        self.last.is_none_or(|last| begins == Some(last) || has(last))
    }
}

/// What of a journal is to be written next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Next {
    /// The entry.
    pub seq: Seq,
    /// How many of its operations have their line already.
    pub act: usize,
}

impl Next {
    /// Nothing was written yet.
    pub const FIRST: Self = Self { seq: Seq(1), act: 0 };
}

/// Where the head of an audit file stands.
pub fn head_path(audit_file: &Path) -> PathBuf {
    audit_file.with_added_extension("head")
}
