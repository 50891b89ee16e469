//! Files that hold secrets: made once, readable by their owner only.

use std::fs::{DirBuilder, OpenOptions, hard_link, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a secret file or data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read, written or made.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read it.
    #[error("{}: others may read it; run: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// There is nothing in it.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
}

/// Makes a folder that only its owner can enter; one that is there is left as it is.
pub fn make_private_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| at(path, e))
}

/// Refuses a file that others can read or write.
pub fn check_private(path: &Path) -> Result<(), FileError> {
    let metadata = path.metadata().map_err(|e| at(path, e))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(FileError::Exposed { path: path.to_owned() });
    }
    Ok(())
}

/// Reads a secret: the file's text without surrounding white space.
pub fn read_secret(path: &Path) -> Result<String, FileError> {
    let text = String::from_utf8(read_private(path)?)
        .map_err(|error| at(path, io::Error::new(io::ErrorKind::InvalidData, error)))?;
    match text.trim() {
        "" => Err(FileError::Empty { path: path.to_owned() }),
        secret => Ok(secret.to_owned()),
    }
}

/// Reads a file that nobody but its owner may read.
pub fn read_private(path: &Path) -> Result<Vec<u8>, FileError> {
    check_private(path)?;
    std::fs::read(path).map_err(|e| at(path, e))
}

/// Makes a secret file that must not be there yet, and makes sure that it stays.
///
/// It is written under another name and linked when it is complete: a crash leaves no secret or
/// all of it, and of two processes one wins.
pub fn write_new_secret(path: &Path, secret: &str) -> Result<(), FileError> {
    let draft = path.with_added_extension(format!("{}.new", std::process::id()));
    let write = || {
        // What an earlier process of this number left is no secret yet.
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(secret.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        let linked = hard_link(&draft, path);
        remove_file(&draft)?;
        linked?;
        // The name of the file is durable only with its folder.
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => {
                OpenOptions::new().read(true).open(folder)?.sync_all()
            }
            _ => Ok(()),
        }
    };
    write().map_err(|e| at(path, e))
}

/// The secret in a file, made by `make` on first use.
pub fn read_or_make_secret(
    path: &Path,
    make: impl FnOnce() -> String,
) -> Result<String, FileError> {
    match read_secret(path) {
        Err(FileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            write_new_secret(path, &make())?;
            read_secret(path)
        }
        other => other,
    }
}

fn at(path: &Path, source: io::Error) -> FileError {
    FileError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/secret");
        make_private_folder(path.parent().unwrap()).unwrap();
        assert_eq!(read_or_make_secret(&path, || "first".into()).unwrap(), "first");
        assert_eq!(read_or_make_secret(&path, || "second".into()).unwrap(), "first");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(write_new_secret(&path, "third").is_err());
        assert_eq!(read_secret(&path).unwrap(), "first");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = read_secret(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn an_empty_secret_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_new_secret(&path, "").unwrap();
        assert!(matches!(read_secret(&path), Err(FileError::Empty { .. })));
    }
}
