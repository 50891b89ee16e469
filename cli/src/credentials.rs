//! The tokens that `tg login --save` keeps, by the URL of their gateway.
//!
//! In and out: `credentials.json` in this user's configuration directory. The file has mode 0600
//! from its first byte on and is replaced whole: a reader sees the old one or the new one. Never:
//! a token for another URL than it was issued at.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tollgate_proto::secret::Disclosed;

use crate::environment::Environment;

const FILE_NAME: &str = "credentials.json";

/// The file is there and something else.
#[derive(Debug)]
struct Broken(PathBuf, serde_json::Error);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, error) = self;
        let path = path.display();
        write!(f, "{path} is no file of credentials ({error}); ")?;
        f.write_str("tg login --save replaces it, tg logout removes it")
    }
}

impl std::error::Error for Broken {}

/// Where credentials are kept.
pub(crate) struct Credentials {
    dir: PathBuf,
}

type Kept = BTreeMap<String, Entry>;

#[derive(Serialize, Deserialize)]
struct Entry {
    token: Disclosed,
}

impl Credentials {
    /// Those of this user.
    pub(crate) fn at(environment: &Environment) -> anyhow::Result<Self> {
        let config_dir = environment.config_dir.as_ref();
        let config_dir = config_dir.context("neither XDG_CONFIG_HOME nor HOME is set")?;
        Ok(Self { dir: config_dir.join("tollgate") })
    }

    /// The file itself, for people.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    /// The token kept for a gateway.
    pub(crate) fn token_for(&self, url: &str) -> anyhow::Result<Option<SecretString>> {
        let kept = self.load()?;
        Ok(kept.get(&key_of(url)).map(|entry| SecretString::from(entry.token.expose())))
    }

    /// Keeps a token in place of any other for that gateway.
    pub(crate) fn keep(&self, url: &str, token: &SecretString) -> anyhow::Result<()> {
        self.change(|kept| {
            let token = Disclosed::from(token.expose_secret().to_owned());
            kept.insert(key_of(url), Entry { token });
        })
    }

    /// Forgets the token for a gateway; whether there was one.
    pub(crate) fn forget(&self, url: &str) -> anyhow::Result<bool> {
        if !self.load()?.contains_key(&key_of(url)) {
            return Ok(false);
        }
        self.change(|kept| drop(kept.remove(&key_of(url))))?;
        Ok(true)
    }

    /// Removes the file if it holds something else; whether it did.
    pub(crate) fn remove_broken(&self) -> anyhow::Result<bool> {
        let is_broken = || self.load().is_err_and(|error| error.is::<Broken>());
        if !is_broken() {
            return Ok(false);
        }
        let _lock = self.lock().with_context(|| format!("cannot use {}", self.dir.display()))?;
        // Another login may have mended it.
        if is_broken() {
            let path = self.path();
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(true)
    }

    fn load(&self) -> anyhow::Result<Kept> {
        let path = self.path();
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_err(|error| Broken(path, error))?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Kept::new()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) -> anyhow::Result<()> {
        let _lock = self.lock().with_context(|| format!("cannot use {}", self.dir.display()))?;
        let mut kept = self.load()?;
        change(&mut kept);
        let text = serde_json::to_vec_pretty(&kept)?;
        let path = self.path();
        replace(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Makes the directory if it is not there, and keeps other logins out until it is dropped:
    /// two at once would each lose the other's token.
    fn lock(&self) -> std::io::Result<File> {
        if let Some(parent) = self.dir.parent() {
            fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let dir = File::open(&self.dir)?;
        dir.lock()?;
        Ok(dir)
    }
}

/// Writes beside the file and renames. The lock makes the name beside it ours alone; what a
/// killed process left there is removed first, so that the mode is that of a new file.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("json.new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// One gateway has one key, however its URL was typed.
fn key_of(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let host_at = url.find("://").map_or(0, |at| at + 3);
    let path_at = url[host_at..].find('/').map_or(url.len(), |at| host_at + at);
    let (address, path) = url.split_at(path_at);
    format!("{}{path}", address.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn credentials() -> (tempfile::TempDir, Credentials) {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("config/tollgate");
        (temp, Credentials { dir })
    }

    fn token_at(credentials: &Credentials, url: &str) -> Option<String> {
        credentials.token_for(url).unwrap().map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn tokens_are_kept_by_gateway() {
        let (_temp, credentials) = credentials();
        assert_eq!(token_at(&credentials, "http://a"), None);
        credentials.keep("http://a/", &"one".into()).unwrap();
        credentials.keep("http://b/Path", &"two".into()).unwrap();
        credentials.keep("HTTP://A", &"three".into()).unwrap();
        assert_eq!(token_at(&credentials, "http://a").as_deref(), Some("three"));
        assert_eq!(token_at(&credentials, "http://b/Path/").as_deref(), Some("two"));
        assert_eq!(token_at(&credentials, "http://b/path"), None, "paths tell case apart");
        assert!(credentials.forget("http://a").unwrap());
        assert!(!credentials.forget("http://a").unwrap());
        assert_eq!(token_at(&credentials, "http://b/Path").as_deref(), Some("two"));
    }

    #[test]
    fn only_the_user_can_read_them_and_they_are_replaced_whole() {
        let (_temp, credentials) = credentials();
        credentials.keep("http://a", &"one".into()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&credentials.dir), 0o700);
        assert_eq!(mode(&credentials.path()), 0o600);

        // A reader that holds the old file goes on to see it whole; a file with another mode, or
        // one that a killed process left half written, is not written into.
        let old = fs::read(credentials.path()).unwrap();
        let held = File::open(credentials.path()).unwrap();
        fs::set_permissions(credentials.path(), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(credentials.path().with_extension("json.new"), "half").unwrap();
        credentials.keep("http://a", &"two".into()).unwrap();
        assert_eq!(std::io::read_to_string(held).unwrap().into_bytes(), old);
        assert_eq!(mode(&credentials.path()), 0o600);
        assert_eq!(token_at(&credentials, "http://a").as_deref(), Some("two"));
        assert_eq!(fs::read_dir(&credentials.dir).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_something_else_is_told_of_and_goes_when_asked_to() {
        let (_temp, credentials) = credentials();
        assert!(!credentials.remove_broken().unwrap(), "nothing is there");
        fs::create_dir_all(&credentials.dir).unwrap();
        fs::write(credentials.path(), "precious").unwrap();
        let error = credentials.token_for("http://a").unwrap_err().to_string();
        assert!(error.starts_with(&*credentials.path().to_string_lossy()), "{error}");
        assert!(credentials.keep("http://a", &"one".into()).is_err());
        assert_eq!(fs::read(credentials.path()).unwrap(), b"precious");

        assert!(credentials.remove_broken().unwrap());
        credentials.keep("http://a", &"one".into()).unwrap();
        assert!(!credentials.remove_broken().unwrap(), "it is a good one");
        assert_eq!(token_at(&credentials, "http://a").as_deref(), Some("one"));
    }
}
