//! A data file whose making was cut short.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::journal::{JournalError, failed};

/// Empties a file whose making was cut short by a crash: redb writes its magic number last, and
/// refuses a file without one. Nothing is lost, because nothing was ever written to it.
pub(super) fn discard(file: &File) -> Result<(), JournalError> {
    if !is_half_made(file).map_err(failed)? {
        return Ok(());
    }
    // Or another process is making it now; redb holds the same lock.
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(JournalError::InUse),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let discard = || {
        if is_half_made(file)? {
            file.set_len(0)?;
        }
        file.unlock()
    };
    discard().map_err(failed)
}

/// Whether there is no file, an empty one, or one whose making was cut short.
pub fn is_unmade(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(file.metadata()?.len() == 0 || is_half_made(&file)?)
}

/// Whether there is a header without its magic number and not one byte of data behind it. A file
/// with data is never half made, whatever happened to its header.
fn is_half_made(file: &File) -> io::Result<bool> {
    let mut page = [0; 4_096];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut page, at)?;
        let empty = if at == 0 { MAGIC_LENGTH.min(read) } else { read };
        match read {
            0 => return Ok(at > 0),
            _ if page.iter().take(empty).any(|byte| *byte != 0) => return Ok(false),
            _ => at += read as u64,
        }
    }
}

/// Of redb's magic number, with which its files begin.
const MAGIC_LENGTH: usize = 9;

#[cfg(test)]
mod tests {
    use super::super::{Embedded, FILE};

    fn check(header: &[u8], data: &[u8], is_discarded: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut bytes = vec![0; 1 << 20];
        bytes[..header.len()].copy_from_slice(header);
        bytes[8_192..][..data.len()].copy_from_slice(data);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Embedded::open(&path).is_ok(), is_discarded);
        assert_eq!(std::fs::read(&path).unwrap() != bytes, is_discarded);
    }

    #[test]
    fn a_file_whose_making_was_cut_short_is_made_again_and_no_other() {
        check(b"", b"", true);
        check(b"\0\0\0\0\0\0\0\0\0\x01\0\0\x10", b"", true);
        check(b"\0\0\0\0\0\0\0\0\0\x01\0\0\x10", b"data", false);
        check(b"something else", b"", false);
    }
}
