//! The audit file on the disk: opened and repaired, appended to, made durable, followed when it is
//! moved away.
//!
//! All of it blocks. Never: a line in place of another, or a chain that goes on silently over a
//! break.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tollgate_proto::audit::{AuditKey, Head, Line, Next, head_path};
use tollgate_proto::ids::JournalId;
use tollgate_proto::seal_key::Mac;

use super::scan::Scan;

/// The file of the newest lines.
#[derive(Debug)]
pub(super) struct Trail {
    path: PathBuf,
    key: AuditKey,
    file: File,
    last: Option<Mac>,
}

/// A file that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) trail: Trail,
    /// What of the journal is to be written next.
    pub(super) next: Next,
    /// What has to be said about it.
    pub(super) findings: Vec<Finding>,
}

/// Something that was found wrong, or mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) found: Found,
    pub(super) reason: String,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Broken,
    Repaired,
}

impl Finding {
    pub(super) fn broken(reason: impl Into<String>) -> Self {
        Self { found: Found::Broken, reason: reason.into() }
    }
}

impl Trail {
    /// Opens the file, or makes it; reads it to its end, and removes a line that a crash cut.
    ///
    /// `fresh` is the head of a file without a line.
    pub(super) fn open(path: &Path, key: &AuditKey, fresh: &Head) -> io::Result<Opened> {
        let file = open_file(path)?;
        let head = match fs::read(head_path(path)) {
            Ok(text) => key.open_head(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let scan = Scan::read(BufReader::new(&file), key, fresh.journal, head.as_ref())?;
        let mut findings = Vec::new();
        if scan.is_cut {
            file.set_len(scan.length)?;
            let reason =
                "the last line was cut off; what a crash left of it was removed".to_owned();
            findings.push(Finding { found: Found::Repaired, reason });
        }
        if let Some(broken) = &scan.broken {
            findings.push(Finding::broken(broken.to_string()));
        }
        if scan.length > 0 && !scan.meets_head {
            findings.push(Finding::broken(match head {
                Some(_) => "lines were removed at the end of the file",
                None => "the head of the file is gone, or was changed",
            }));
        }
        let next = place(&scan, head.as_ref(), fresh.journal);
        let last = scan.last.or(head.as_ref().and_then(|head| head.last));
        let trail = Self { path: path.to_owned(), key: key.clone(), file, last };
        if head.is_none() && scan.length == 0 {
            // Ahead of the first line: from here on a file without a head is a file that lost it.
            trail.write_head(fresh)?;
        }
        Ok(Opened { trail, next, findings })
    }

    /// Appends lines: all, or none.
    pub(super) fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let (mut text, mut last) = (Vec::new(), self.last);
        for line in lines {
            let (sealed, mac) = self.key.seal(line, last)?;
            text.extend(sealed);
            last = Some(mac);
        }
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&text) {
            // Half a line, of a full disk, would be in the way of the next one.
            self.file.set_len(before)?;
            return Err(error);
        }
        self.last = last;
        Ok(())
    }

    /// Makes durable what was appended, and then notes where it ends.
    pub(super) fn sync(&self, head: &Head) -> io::Result<()> {
        self.file.sync_data()?;
        self.write_head(&Head { last: self.last, ..head.clone() })
    }

    /// Whether another file, or none, has the name by now.
    pub(super) fn is_moved(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) != (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Goes on in the file that has the name now; its first line follows on the last one here.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = open_file(&self.path)?;
        Ok(())
    }

    /// Replaces the head, all of it or nothing.
    fn write_head(&self, head: &Head) -> io::Result<()> {
        let path = head_path(&self.path);
        let draft = path.with_added_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&draft)?;
        file.write_all(&self.key.seal_head(head)?)?;
        file.sync_data()?;
        fs::rename(&draft, &path)?;
        if head.last.is_none() {
            // The names of both files are durable only with their folder.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }
}

/// What is to be written next: what the lines say, unless the head knows of later ones, in a file
/// that was moved away.
fn place(scan: &Scan, head: Option<&Head>, journal: JournalId) -> Next {
    let noted = head.filter(|head| head.journal == journal).map(|head| head.next);
    let is_whole = scan.length == 0 || scan.meets_head;
    match (scan.next, noted) {
        (Some(found), Some(noted)) if is_whole => found.max(noted),
        (Some(found), _) => found,
        (None, Some(noted)) => noted,
        (None, None) => Next::FIRST,
    }
}

/// The file, for this process alone.
fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process writes to it"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
