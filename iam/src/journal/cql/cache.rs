//! The state of a node whose journal is elsewhere: a file that can be made again, and is, at any
//! doubt. What tells of a journal that lost entries is no doubt about the file: it stops the node.

use std::fs::{OpenOptions, remove_file};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableTable, TableDefinition};
use tollgate_proto::ids::{JournalId, Seq};

use crate::journal::{Journal, JournalError, failed, replay};
use crate::seal::Seal;
use crate::state::State;

/// The file in `iam.data_dir`.
pub const FILE: &str = "iam.cache.redb";
/// redb's own cache.
const CACHE: usize = 64 << 20;
const IDENTITY: TableDefinition<&str, u128> = TableDefinition::new("cache-identity");
const JOURNAL: &str = "journal";

/// Opens the state of a journal, and brings it up to date.
pub async fn open(
    folder: &Path,
    journal: &dyn Journal,
    seal: &Seal,
) -> Result<State, JournalError> {
    let (path, id) = (folder.join(FILE), journal.id());
    let mut state = match blocking(&path, move |path| load(path, id)).await {
        Err(error @ (JournalError::InUse | JournalError::OtherJournal(_))) => return Err(error),
        Err(error) => renew(&path, id, &error).await?,
        Ok(state) => match doubt(&state, journal, seal).await? {
            None => state,
            Some(doubt) => {
                drop(state);
                renew(&path, id, &doubt).await?
            }
        },
    };
    if let Err(error) = replay::catch_up(journal, &state, seal).await {
        let JournalError::Compacted { .. } = error else { return Err(error) };
        // It was compacted between the two looks.
        drop(state);
        state = renew(&path, id, &error).await?;
        replay::catch_up(journal, &state, seal).await?;
    }
    Ok(state)
}

/// Why a state is not to be gone on with, if there is a reason.
async fn doubt(
    state: &State,
    journal: &dyn Journal,
    seal: &Seal,
) -> Result<Option<JournalError>, JournalError> {
    let position = match replay::counted(state).await {
        Ok(position) if position.seq == Seq(0) => return Ok(None),
        Ok(position) => position,
        Err(error) => return Ok(Some(error)),
    };
    let at = position.seq;
    let base = replay::base(journal, seal).await?;
    if at < base.seq {
        return Ok(Some(JournalError::Compacted { next: Seq(at.0 + 1), base: base.seq }));
    }
    let head = if at == base.seq {
        base.head
    } else {
        let rows = journal.read(Seq(at.0 - 1), 1).await?;
        rows.first().ok_or(JournalError::Shorter(at))?.seal
    };
    Ok((head != position.head).then_some(JournalError::Diverged(at)))
}

/// Begins with nothing.
async fn renew(path: &Path, id: JournalId, why: &JournalError) -> Result<State, JournalError> {
    let cause = why as &dyn std::error::Error;
    tracing::warn!(cause, path = %path.display(), "the state is made again from the journal");
    blocking(path, move |path| {
        remove_file(path).map_err(failed)?;
        load(path, id)
    })
    .await
}

fn load(path: &Path, id: JournalId) -> Result<State, JournalError> {
    // redb says that it may panic on a file that something else wrote to.
    let loaded = catch_unwind(AssertUnwindSafe(|| open_file(path, id)));
    loaded.unwrap_or_else(|_| Err(JournalError::Damaged("it cannot even be opened".to_owned())))
}

fn open_file(path: &Path, id: JournalId) -> Result<State, JournalError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.custom_flags(libc::O_NOFOLLOW).open(path).map_err(failed)?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    let backend = FileBackend::new(file).map_err(opening)?;
    let database = builder.create_with_backend(backend).map_err(opening)?;
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut identity = transaction.open_table(IDENTITY).map_err(failed)?;
        let known = identity.get(JOURNAL).map_err(failed)?.map(|id| id.value());
        match known {
            Some(known) if known != id.0.as_u128() => {
                return Err(JournalError::OtherJournal(JournalId(uuid::Uuid::from_u128(known))));
            }
            Some(_) => {}
            None => drop(identity.insert(JOURNAL, id.0.as_u128()).map_err(failed)?),
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(State::in_database(Arc::new(database))?)
}

fn opening(error: DatabaseError) -> JournalError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => JournalError::InUse,
        other => failed(other),
    }
}

async fn blocking(
    path: &Path,
    work: impl FnOnce(&PathBuf) -> Result<State, JournalError> + Send + 'static,
) -> Result<State, JournalError> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || work(&path)).await.map_err(failed)?
}
