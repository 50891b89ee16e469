//! `journal upgrade`: from the next entry on, entries are written in the newest format.
//!
//! Until then every program that wrote the journal can read it, and can be put back. In a cluster
//! the nodes work on: the entry that raises the format is one of theirs, and each obeys it when it
//! has applied it. A node that lives and could not read it is named, never left behind.

use std::process::ExitCode;

use tollgate_runtime::clock::{Clock, SystemClock};

use super::{Data, MaintenanceError, say};
#[cfg(not(feature = "cql"))]
use crate::config::InvalidSettings;
use crate::config::{IamSettings, JournalKind};
use crate::journal::entry::Act;
use crate::journal::{Committed, Journal, JournalError, replay};
use crate::record::{Change, Format, Outcome};
use crate::seal::Seal;
use crate::state::{Position, Read, State};

pub(super) async fn run(settings: &IamSettings) -> Result<ExitCode, MaintenanceError> {
    let (before, after) = match settings.journal {
        JournalKind::Embedded => in_folder(settings).await?,
        #[cfg(feature = "cql")]
        JournalKind::Cql => Box::pin(in_cluster(settings)).await?,
        #[cfg(not(feature = "cql"))]
        JournalKind::Cql => return Err(InvalidSettings::NoCql.into()),
    };
    let Position { seq, format, .. } = after;
    say(&if before.format == format {
        format!("entries are written in format {format} already; this program knows no newer one")
    } else {
        format!("from entry {seq} on, entries are written in format {format}")
    })
}

/// Where the journal stood, and where it stands now.
type Raised = (Position, Position);

async fn in_folder(settings: &IamSettings) -> Result<Raised, MaintenanceError> {
    let data = Data::embedded(settings)?;
    let (journal, state) = data.open().await?;
    let raised = async {
        replay::check(&journal, &state, &data.seal).await?;
        raise(&journal, &state, &data.seal).await
    };
    raised.await.map_err(|error| data.unusable(error))
}

#[cfg(feature = "cql")]
async fn in_cluster(settings: &IamSettings) -> Result<Raised, MaintenanceError> {
    use super::{living, on_cluster, open_cluster};
    use crate::journal::cql::Wish;

    settings.check_cql()?;
    let unusable = |error| on_cluster(settings, error);
    let seal = crate::app::read_seal(settings, false)?;
    let journal = open_cluster(settings, Wish::There).await?;
    let state = State::in_memory().map_err(|error| unusable(error.into()))?;
    replay::catch_up(&journal, &state, &seal).await.map_err(unusable)?;
    let stands = state.view().map(|view| view.position().format);
    if stands.map_err(|error| unusable(error.into()))? < Format::NEWEST {
        let newest = u16::from(Format::NEWEST);
        if let Some(row) = living(&journal, settings, |row| row.format < newest).await? {
            return Err(MaintenanceError::OldNode { node: row.node, version: row.version });
        }
    }
    raise(&journal, &state, &seal).await.map_err(unusable)
}

/// Writes the entry that raises the format, unless the newest one is in force.
async fn raise(journal: &dyn Journal, state: &State, seal: &Seal) -> Result<Raised, JournalError> {
    let before = state.view()?.position().clone();
    loop {
        let mut open = state.open()?;
        if open.position().format == Format::NEWEST {
            break;
        }
        let changes = vec![Change::RaiseFormat { to: Format::NEWEST }];
        let now_ms = SystemClock.now_ms();
        let act = Act::of_operator("upgrade-journal", now_ms, Outcome::Done, changes)?;
        let row = replay::append(&mut open, vec![act], seal)?;
        if let Committed::Conflict(row) = journal.commit(open, row).await? {
            replay::adopt(state, vec![row], seal, |_, _| Ok(())).await?;
        }
    }
    let after = state.view()?.position().clone();
    Ok((before, after))
}
