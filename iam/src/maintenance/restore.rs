//! `restore`: a new journal that begins with the state in a backup.
//!
//! It never gives authority back that was taken since the backup. The journal is a new one, whose
//! id no token names; the signing keys of the old one are revoked. Where the later journal
//! survived, its entries are applied, and what they revoked is revoked. Where it did not, nobody
//! knows what was revoked: every user is suspended and every credential ends, but for one fresh
//! admin whose key is disclosed once.

use std::fs::{File, read_dir, remove_file, rename};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use secrecy::{ExposeSecret, SecretString};
use tollgate_proto::ids::JournalId;
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::files;

use super::recipient::Identity;
use super::{Data, MaintenanceError, backup, remark, say};
use crate::app::{self, StartError};
use crate::config::IamSettings;
use crate::draw;
use crate::journal::embedded::{self, Embedded, SNAPSHOT_FILE};
use crate::journal::entry::Act;
use crate::journal::snapshot::{self, Snapshot};
use crate::journal::{Base, Journal, JournalError, failed, replay};
use crate::operation::admin::Admin;
use crate::record::{Change, Outcome, SigningState};
use crate::seal::Seal;
use crate::state::{self, Read, State};
use crate::times::MIN_GRACE;
use crate::tokens::Tokens;

/// The data file until it is complete: a server does not take it for one.
const DRAFT: &str = "iam.redb.restoring";

/// What to restore, and from what.
pub(super) struct Sources<'a> {
    /// The backup.
    pub(super) backup: &'a Path,
    /// The file with the identity that opens it.
    pub(super) identity: &'a Path,
    /// The data folder with the journal that went on after the backup.
    pub(super) journal: Option<&'a Path>,
}

/// Restores into the data folder, which must be empty or not there.
pub(super) async fn run(
    settings: &IamSettings,
    sources: &Sources<'_>,
    clock: &SharedClock,
) -> Result<ExitCode, MaintenanceError> {
    let folder = &settings.data_dir;
    let opened = Opened::open(settings, sources)?;
    files::make_private_folder(folder)?;
    let in_folder = |source| MaintenanceError::file(folder, source);
    if read_dir(folder).map_err(in_folder)?.next().is_some() {
        return Err(MaintenanceError::NotEmpty(folder.display().to_string()));
    }
    let restored = opened.restore(settings, sources.journal, clock.now_ms()).await;
    let restored = restored.and_then(|restored| {
        let sync = || File::open(folder)?.sync_all();
        rename(folder.join(DRAFT), folder.join(embedded::FILE))
            .and_then(|()| sync())
            .map_err(in_folder)?;
        Ok(restored)
    });
    if restored.is_err() {
        // It was empty: what is there now is of no use.
        for name in [DRAFT, SNAPSHOT_FILE, app::SEAL_KEY] {
            let _ = remove_file(folder.join(name));
        }
    }
    match restored? {
        None => remark(
            "Restored, with the later entries: keys and passwords are what they were at the end of \
             that journal; all sessions have ended.",
        ),
        Some(key) => {
            remark(
                "Restored. Every user is suspended, and every API key and session has ended: \
                 nobody knows what was revoked after the backup. The key below is that of a new \
                 admin and is not shown again. Release users with `tg enable-user`, after you have \
                 looked at each; their passwords work then, and their keys have to be made anew.",
            );
            say(key.expose_secret())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A backup that could be opened, and the key that sealed its journal.
struct Opened {
    path: PathBuf,
    snapshot: Box<dyn io::Read + Send>,
    seal: Seal,
}

impl Opened {
    fn open(settings: &IamSettings, sources: &Sources<'_>) -> Result<Self, MaintenanceError> {
        let identity = Identity::read_file(sources.identity)?;
        let path = sources.backup.to_owned();
        let (key, snapshot) = backup::open(&path, &identity)
            .map_err(|source| MaintenanceError::file(&path, source))?;
        let seal = match key {
            Some(key) => {
                Seal::new(&key).map_err(|source| StartError::Key { setting: "backup", source })?
            }
            None if settings.seal_key_file.is_some() => app::read_seal(settings, false)?,
            None => return Err(MaintenanceError::NoSealKey),
        };
        Ok(Self { path, snapshot: Box::new(snapshot), seal })
    }

    /// Makes the draft. Gives the fresh admin's key, if everybody else is suspended.
    async fn restore(
        self,
        settings: &IamSettings,
        later: Option<&Path>,
        now_ms: u64,
    ) -> Result<Option<SecretString>, MaintenanceError> {
        let folder = &settings.data_dir;
        let shown = folder.display().to_string();
        let unusable = |source| StartError::Journal { folder: shown.clone(), source };
        let seal = app::read_seal(settings, true)?;
        let (journal, state) = Embedded::open(&folder.join(DRAFT)).map_err(unusable)?;
        let broken =
            |source| MaintenanceError::Backup { path: self.path.display().to_string(), source };
        let snapshot = Snapshot::open(self.snapshot, &self.seal).map_err(broken)?;
        let old = snapshot.header().journal;
        snapshot.load(&state).map_err(broken)?;
        if let Some(later) = later {
            follow(&state, old, later, &self.seal).await?;
        }
        let claimed = state.view().and_then(|view| state::deployment(&view));
        if claimed.map_err(|error| unusable(error.into()))?.claimed_ms.is_none() {
            return Err(MaintenanceError::Unclaimed);
        }
        let begun = begin(&journal, &state, &seal, later.is_some(), now_ms).await;
        Ok(begun.map_err(unusable)?)
    }
}

/// Applies the entries that were made after the backup.
async fn follow(
    state: &State,
    journal: JournalId,
    folder: &Path,
    seal: &Seal,
) -> Result<(), MaintenanceError> {
    let data = Data::in_folder(folder, seal.clone())?;
    let unusable = |error| data.unusable(error);
    let (later, later_state) = data.look_at().await?;
    if later.id() != journal {
        return Err(MaintenanceError::OtherJournal(data.shown));
    }
    replay::check(&later, &later_state, seal).await.map_err(unusable)?;
    let at = replay::catch_up(&later, state, seal).await.map_err(unusable)?;
    let stands = |state: &State| Ok(state.view()?.position().clone());
    // Both ways to the same state, or a part of the journal is gone.
    if stands(state).map_err(unusable)? != stands(&later_state).map_err(unusable)? {
        return Err(unusable(JournalError::Diverged(at)));
    }
    Ok(())
}

/// Begins the new journal behind the last entry of the old one.
async fn begin(
    journal: &Embedded,
    state: &State,
    seal: &Seal,
    is_complete: bool,
    now_ms: u64,
) -> Result<Option<SecretString>, JournalError> {
    let mut open = state.open()?;
    let (seq, head) = (open.position().seq, seal.first_link(journal.id()));
    open.stand_at(seq, head, open.position().format)?;
    open.keep()?;
    journal.truncate(Base::new(journal.id(), seq, head, seal)).await?;

    let mut open = state.open()?;
    let mut changes = exchange_signing_keys(&open, journal, seal, now_ms)?;
    let mut key = None;
    if !is_complete {
        let plaintext = draw::api_key().map_err(failed)?;
        let admin = Admin::new(free_name(&open)?, "restore", &plaintext, now_ms).map_err(failed)?;
        // Whoever comes after the suspension is not suspended.
        changes.push(Change::Suspend { at_ms: now_ms });
        changes.extend(admin.changes());
        key = Some(plaintext);
    }
    let outcome = if key.is_some() { Outcome::Secret } else { Outcome::Done };
    let act = Act::of_operator("restore", now_ms, outcome, changes)?;
    let row = replay::append(&mut open, vec![act], seal)?;
    journal.commit(open, row).await?;
    snapshot::save(journal, state, seal).await?;
    Ok(key)
}

/// A name that nobody has.
fn free_name(from: &dyn Read) -> Result<String, JournalError> {
    let mut name = "restored-admin".to_owned();
    for number in 2.. {
        if state::user_by_name(from, &name)?.is_none() {
            break;
        }
        name = format!("restored-admin-{number}");
    }
    Ok(name)
}

/// No token of the old journal is of this one; its keys verify nothing here all the same.
fn exchange_signing_keys(
    from: &dyn Read,
    journal: &Embedded,
    seal: &Seal,
    now_ms: u64,
) -> Result<Vec<Change>, JournalError> {
    let old = state::signing_keys(from)?.into_iter();
    let old = old.filter(|key| key.state != SigningState::Revoked);
    let revoked =
        old.map(|key| Change::MoveSigningKey { key: key.name, to: SigningState::Revoked });
    // It verifies nothing here: how long a retired key would is of no concern.
    let tokens = Tokens::new(seal.clone(), journal.id(), MIN_GRACE);
    let fresh = tokens.make_key(None, SigningState::Active, now_ms).map_err(failed)?;
    Ok(revoked.chain([Change::AddSigningKey(fresh)]).collect())
}
