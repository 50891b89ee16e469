//! `journal copy`: the way from one machine to many, and back, without losing a credential.
//!
//! The entries are written as they are, behind the same first link and under the same seal key, so
//! that every token and key goes on to work. What was copied half is no journal: a copy that was
//! cut short is begun again, and nobody starts on it before.

use std::fs::rename;
use std::process::ExitCode;

use tollgate_proto::ids::{KeyId, Seq};
use tollgate_runtime::files;
use uuid::Uuid;

use super::{Data, MaintenanceError, living, on_cluster, open_cluster, say};
use crate::app::{self, StartError};
use crate::config::{IamSettings, JournalKind};
use crate::journal::cql::Wish;
use crate::journal::embedded::{self, Embedded};
use crate::journal::snapshot::{self, Snapshot};
use crate::journal::{Base, Committed, Journal, JournalError, failed, replay};
use crate::seal::Seal;
use crate::state::{Position, Read, State, StateError, Table};

/// The data file until it is complete: a server does not take it for one.
const DRAFT: &str = "iam.redb.copying";
/// How many keys are asked about at a time.
const KEYS: usize = 1_000;

pub(super) async fn run(
    settings: &IamSettings,
    from: JournalKind,
    to: JournalKind,
) -> Result<ExitCode, MaintenanceError> {
    settings.check_cql()?;
    let seal = app::read_seal(settings, false)?;
    let copied = match (from, to) {
        (JournalKind::Embedded, JournalKind::Cql) => Box::pin(to_cluster(settings, &seal)).await?,
        (JournalKind::Cql, JournalKind::Embedded) => {
            Box::pin(from_cluster(settings, &seal)).await?
        }
        (JournalKind::Embedded, JournalKind::Embedded) | (JournalKind::Cql, JournalKind::Cql) => {
            return Err(MaintenanceError::SameEngine);
        }
    };
    let Position { seq, head, digest, .. } = copied;
    say(&format!("entries up to {seq} are there, sealed {head}, and make the state {digest}"))
}

async fn to_cluster(settings: &IamSettings, seal: &Seal) -> Result<Position, MaintenanceError> {
    let data = Data::embedded(settings)?;
    let (source, state) = data.look_at().await?;
    replay::check(&source, &state, seal).await.map_err(|error| data.unusable(error))?;
    let unusable = |error| on_cluster(settings, error);
    let copy = open_cluster(settings, Wish::CopyOf(source.id())).await?;
    let made = State::in_memory().map_err(|error| unusable(error.into()))?;
    copy_entries(&source, (&copy, &made), seal).await.map_err(unusable)?;
    let position = compare(&state, &made)?;
    copy.finish_copy().await.map_err(unusable)?;
    Ok(position)
}

async fn from_cluster(settings: &IamSettings, seal: &Seal) -> Result<Position, MaintenanceError> {
    let folder = &settings.data_dir;
    files::make_private_folder(folder)?;
    if folder.join(embedded::FILE).exists() {
        return Err(MaintenanceError::HasJournal(folder.display().to_string()));
    }
    let unusable = |error| on_cluster(settings, error);
    let source = open_cluster(settings, Wish::There).await?;
    if let Some(row) = living(&source, settings, |_| true).await? {
        return Err(MaintenanceError::AliveNode(row.node));
    }
    let state = State::in_memory().map_err(|error| unusable(error.into()))?;
    replay::catch_up(&source, &state, seal).await.map_err(unusable)?;
    let (path, id) = (folder.join(DRAFT), source.id());
    let _ = std::fs::remove_file(&path);
    let open = move || Embedded::open_as(&path, id);
    let opened = tokio::task::spawn_blocking(open).await.map_err(failed);
    let (copy, made) = opened.and_then(|opened| opened).map_err(unusable)?;
    copy_entries(&source, (&copy, &made), seal).await.map_err(unusable)?;
    let position = compare(&state, &made)?;
    drop((copy, made));
    rename(folder.join(DRAFT), folder.join(embedded::FILE))
        .map_err(|error| MaintenanceError::file(folder, error))?;
    Ok(position)
}

/// Writes every entry of a journal into another one, whose state it makes on the way.
async fn copy_entries(
    from: &dyn Journal,
    (to, made): (&dyn Journal, &State),
    seal: &Seal,
) -> Result<(), JournalError> {
    if replay::base(from, seal).await?.seq == Seq(0) {
        replay::begin(to, made, seal)?;
    } else {
        begin_behind_snapshot(from, (to, made), seal).await?;
    }
    loop {
        let at = made.view()?.position().seq;
        let rows = from.read(at, replay::BATCH).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let mut open = made.open()?;
            replay::apply(&mut open, &row, seal)?;
            let seq = row.seq;
            match to.commit(open, row).await? {
                Committed::Ours => {}
                Committed::Conflict(_) => return Err(JournalError::Diverged(seq)),
            }
        }
    }
    copy_last_used(from, to, made).await
}

/// Of a journal that was compacted, the entries below its newest snapshot stay behind.
async fn begin_behind_snapshot(
    from: &dyn Journal,
    (to, made): (&dyn Journal, &State),
    seal: &Seal,
) -> Result<(), JournalError> {
    let base = replay::base(from, seal).await?;
    let bytes = from.load_snapshot().await?.ok_or(JournalError::NoSnapshot(base.seq))?;
    let (id, state, key) = (from.id(), made.clone(), seal.clone());
    let load = move || Snapshot::open_of(id, bytes, &key)?.load(&state);
    let at = tokio::task::spawn_blocking(load).await.map_err(failed)??;
    to.truncate(Base::new(id, at.seq, at.head, seal)).await?;
    snapshot::save(to, made, seal).await.map(drop)
}

async fn copy_last_used(
    from: &dyn Journal,
    to: &dyn Journal,
    made: &State,
) -> Result<(), JournalError> {
    let mut keys = Vec::new();
    made.view()?.each_row(Table::Keys, |key, _| {
        keys.extend(Uuid::from_slice(key).map(KeyId));
        Ok::<_, StateError>(())
    })?;
    for keys in keys.chunks(KEYS) {
        let used = from.last_used(keys.to_vec()).await?;
        let known = keys.iter().zip(used).filter_map(|(key, at_ms)| Some((*key, at_ms?)));
        to.put_last_used(known.collect()).await?;
    }
    Ok(())
}

/// Seq, chain and every row.
fn compare(source: &State, copy: &State) -> Result<Position, MaintenanceError> {
    let stands = |state: &State| {
        let view = state.view().map_err(JournalError::from);
        view.map(|view| view.position().clone())
            .map_err(|source| StartError::Journal { folder: "the copy".to_owned(), source })
    };
    let (source, copy) = (stands(source)?, stands(copy)?);
    if source != copy {
        return Err(MaintenanceError::OtherCopy { copy: copy.seq, source_at: source.seq });
    }
    Ok(copy)
}
