//! What is on the disk or in a cluster at the start: journal, state and keys.
//!
//! In: the settings. Out: all of it, opened and checked against each other. Never: data that are
//! begun anew where there were some.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use secrecy::{ExposeSecret, SecretString};
use tollgate_proto::audit::head_path;
#[cfg(feature = "cql")]
use tollgate_proto::audit::{Head, Next};
#[cfg(feature = "cql")]
use tollgate_proto::ids::Seq;
use tollgate_runtime::files::{self, FileError};

use super::StartError;
#[cfg(not(feature = "cql"))]
use crate::config::InvalidSettings;
use crate::config::{IamSettings, JournalKind};
use crate::feed::Feed;
use crate::journal::embedded::{self, Embedded};
use crate::journal::{Journal, JournalError, replay};
use crate::seal::{self, Seal};
use crate::state::State;
use crate::tokens::key_file;

/// The seal key's file in the data folder, unless a setting names another.
pub(crate) const SEAL_KEY: &str = "seal.key";

/// What there is at the start.
pub(super) struct Stored {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) state: State,
    pub(super) feed: Arc<Feed>,
    pub(super) seal: Seal,
    pub(super) signing_key: Option<SigningKey>,
}

/// Opens the journal that the settings name, and the state that it made.
pub(super) async fn open(settings: &IamSettings, lease: Duration) -> Result<Stored, StartError> {
    let signing_key = settings.signing_key_file.as_deref().map(key_file::read).transpose()?;
    let (journal, state, seal) = match settings.journal {
        JournalKind::Embedded => open_embedded(settings).await?,
        JournalKind::Cql => open_cql(settings).await?,
    };
    let feed = Feed::begin(&state, lease).map_err(|error| unusable(settings, error.into()))?;
    Ok(Stored { journal, state, feed, seal, signing_key })
}

/// The journal that the settings name cannot be used.
pub(super) fn unusable(settings: &IamSettings, source: JournalError) -> StartError {
    let folder = settings.data_dir.display().to_string();
    match (source, settings.journal) {
        (JournalError::InUse, _) => StartError::InUse(folder),
        (source, JournalKind::Embedded) => StartError::Journal { folder, source },
        (source, JournalKind::Cql) => {
            StartError::Cluster { keyspace: settings.cql.keyspace.to_string(), source }
        }
    }
}

type Opened = (Arc<dyn Journal>, State, Seal);

#[cfg(feature = "cql")]
async fn open_cql(settings: &IamSettings) -> Result<Opened, StartError> {
    use crate::journal::cql::{Access, Cql, Wish, cache};
    use crate::state::Read;

    let folder = &settings.data_dir;
    files::make_private_folder(folder)
        .map_err(|source| StartError::File { setting: "iam.data_dir", source })?;
    let seal = read_seal(settings, false)?;
    let access = Access::read(&settings.cql)?;
    let witness = written_audit(settings);
    let wish = if witness.is_some() { Wish::There } else { Wish::Any };
    let unusable = |source| match (source, &witness) {
        (JournalError::NotThere, Some(witness)) => StartError::NoJournal {
            missing: format!("the journal in keyspace {}", settings.cql.keyspace),
            witness: witness.display().to_string(),
        },
        (source, _) => unusable(settings, source),
    };
    let journal = Box::pin(Cql::open(&settings.cql, &access, folder, wish)).await;
    let journal = journal.map_err(unusable)?;
    let state = cache::open(folder, &journal, &seal).await.map_err(unusable)?;
    let position = state.view().map(|view| view.position().seq);
    if witness.is_some() && position.map_err(|error| unusable(error.into()))? == Seq(0) {
        return Err(unusable(JournalError::NotThere));
    }
    Ok((Arc::new(journal), state, seal))
}

/// The audit file's head, if it tells of entries: whoever comes first owns a fresh journal.
#[cfg(feature = "cql")]
fn written_audit(settings: &IamSettings) -> Option<PathBuf> {
    let path = head_path(&settings.audit_file()?);
    let head = std::fs::read(&path).ok()?;
    // What cannot be read is refused when the file is opened.
    let head: Head = serde_json::from_slice(&head).ok()?;
    (head.next > Next::FIRST).then_some(path)
}

#[cfg(not(feature = "cql"))]
#[expect(clippy::unused_async, reason = "the one with the engine waits for the cluster")]
async fn open_cql(_: &IamSettings) -> Result<Opened, StartError> {
    Err(InvalidSettings::NoCql.into())
}

async fn open_embedded(settings: &IamSettings) -> Result<Opened, StartError> {
    let folder = &settings.data_dir;
    let file = |source| StartError::File { setting: "iam.data_dir", source };
    files::make_private_folder(folder).map_err(file)?;
    let path = folder.join(embedded::FILE);
    let is_new = !path.exists();
    if !is_new {
        files::check_private(&path).map_err(file)?;
    }
    let unread = |source| file(FileError::Io { path: path.clone(), source });
    if embedded::is_unmade(&path).map_err(unread)? {
        check_nothing_left(settings, &path)?;
    }
    let seal = read_seal(settings, is_new)?;
    let unusable = |source| unusable(settings, source);
    let under = seal.clone();
    let open = move || {
        let (journal, state) = Embedded::open(&path)?;
        replay::begin(&journal, &state, &under)?;
        Ok((journal, state))
    };
    let opened = tokio::task::spawn_blocking(open).await.map_err(|_| JournalError::Changed);
    let (journal, state) = opened.and_then(|opened| opened).map_err(unusable)?;
    replay::check(&journal, &state, &seal).await.map_err(unusable)?;
    Ok((Arc::new(journal), state, seal))
}

/// Whoever comes first owns fresh data: it begins only where no deployment has been. A snapshot and
/// audit lines are made after the journal is on the disk, so a first start that is cut short
/// leaves neither.
fn check_nothing_left(settings: &IamSettings, path: &Path) -> Result<(), StartError> {
    let snapshot = path.with_file_name(embedded::SNAPSHOT_FILE);
    let audit = settings.audit_file().into_iter().flat_map(|file| [head_path(&file), file]);
    // An empty file may have been put there for its owner and mode.
    let is_left = |file: &PathBuf| match file.metadata() {
        Ok(metadata) => metadata.len() > 0,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    match std::iter::once(snapshot).chain(audit).find(is_left) {
        None => Ok(()),
        Some(witness) => Err(StartError::NoJournal {
            missing: path.display().to_string(),
            witness: witness.display().to_string(),
        }),
    }
}

/// The seal key; one is made for new data, and never for data that is there.
pub(crate) fn read_seal(settings: &IamSettings, is_new: bool) -> Result<Seal, StartError> {
    Seal::new(&read_seal_key(settings, is_new)?)
        .map_err(|source| StartError::Key { setting: "iam.seal_key_file", source })
}

/// The seal key as it stands in its file.
pub(crate) fn read_seal_key(
    settings: &IamSettings,
    is_new: bool,
) -> Result<SecretString, StartError> {
    let setting = "iam.seal_key_file";
    let own = settings.data_dir.join(SEAL_KEY);
    let path: &Path = settings.seal_key_file.as_deref().unwrap_or(&own);
    if settings.seal_key_file.is_none() && !path.exists() {
        if !is_new {
            return Err(StartError::NoSealKey(path.display().to_string()));
        }
        let key = seal::draw_key()?;
        files::write_new_secret(path, key.expose_secret())
            .map_err(|source| StartError::File { setting, source })?;
    }
    let key = files::read_secret(path).map_err(|source| StartError::File { setting, source })?;
    Ok(SecretString::from(key))
}
