//! Where the embedded engine keeps its snapshot: a file beside the data, so that writing it holds
//! up no commit, and so that it is there when the data is not.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, BufReader, BufWriter, Cursor, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::{JournalError, SnapshotBytes, WriteSnapshot, failed};
use crate::state::Position;

/// The file in `iam.data_dir`.
pub const SNAPSHOT_FILE: &str = "iam.snapshot";

/// The newest snapshot.
#[derive(Debug, Clone)]
pub(super) enum Snapshots {
    /// In this file.
    File(PathBuf),
    /// Gone with the process.
    Memory(Arc<Mutex<Option<Vec<u8>>>>),
}

impl Snapshots {
    /// Beside a data file.
    pub(super) fn beside(data: &Path) -> Self {
        Self::File(data.with_file_name(SNAPSHOT_FILE))
    }

    pub(super) fn save(&self, write: WriteSnapshot) -> Result<Position, JournalError> {
        match self {
            Self::File(path) => replace_file(path, write),
            Self::Memory(kept) => {
                let mut bytes = Vec::new();
                let position = write(&mut bytes)?;
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
                Ok(position)
            }
        }
    }

    pub(super) fn load(&self) -> Result<Option<SnapshotBytes>, JournalError> {
        match self {
            Self::File(path) => match File::open(path) {
                Ok(file) => Ok(Some(Box::new(BufReader::new(file)))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(failed(error)),
            },
            Self::Memory(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
                Ok(kept.map(|bytes| Box::new(Cursor::new(bytes)) as SnapshotBytes))
            }
        }
    }
}

/// Written under another name: a crash leaves the old snapshot or the new one.
fn replace_file(path: &Path, write: WriteSnapshot) -> Result<Position, JournalError> {
    let draft = path.with_added_extension("new");
    let open = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        options.open(&draft)
    };
    let mut to = BufWriter::new(open().map_err(failed)?);
    let position = write(&mut to)?;
    let mut keep = || {
        to.flush()?;
        to.get_ref().sync_all()?;
        rename(&draft, path)?;
        sync_folder_of(path)
    };
    keep().map_err(failed)?;
    Ok(position)
}

/// The name of a file is durable only with its folder.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
