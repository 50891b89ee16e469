//! `journal upgrade`: from the next entry on, entries are written in the newest format.
//!
//! Until then every program that wrote the journal can read it, and can be put back. In a cluster
//! the nodes work on: the entry that raises the format is one of theirs, and each obeys it when it
//! has applied it. A node that could not read it is waited for or named, never left behind.

use std::process::ExitCode;
#[cfg(feature = "cql")]
use std::time::Duration;

use tollgate_proto::iam::Client;
use tollgate_proto::ids::OperationId;
use tollgate_runtime::clock::{Clock, SystemClock};

use super::{Data, MaintenanceError, say};
#[cfg(not(feature = "cql"))]
use crate::config::InvalidSettings;
use crate::config::{IamSettings, JournalKind};
use crate::draw;
use crate::journal::entry::Act;
use crate::journal::{Committed, Journal, JournalError, failed, replay};
use crate::record::{Change, Format, Outcome};
use crate::seal::Seal;
use crate::state::{Position, Read, State};

/// A node that lives says so more often than this: ten times in a lease.
#[cfg(feature = "cql")]
const ALIVE: Duration = Duration::from_secs(5);

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
    use super::{on_cluster, open_cluster};

    settings.check_cql()?;
    let unusable = |error| on_cluster(settings, error);
    let seal = crate::app::read_seal(settings, false)?;
    let journal = open_cluster(settings, None).await?;
    let state = State::in_memory().map_err(|error| unusable(error.into()))?;
    replay::catch_up(&journal, &state, &seal).await.map_err(unusable)?;
    let stands = state.view().map(|view| view.position().format);
    if stands.map_err(|error| unusable(error.into()))? < Format::NEWEST {
        check_nodes(&journal, settings).await?;
    }
    raise(&journal, &state, &seal).await.map_err(unusable)
}

/// Refuses while a node lives that could not read on.
#[cfg(feature = "cql")]
async fn check_nodes(
    journal: &dyn Journal,
    settings: &IamSettings,
) -> Result<(), MaintenanceError> {
    let old = async || {
        let mut rows = journal.nodes().await.map_err(|error| super::on_cluster(settings, error))?;
        rows.retain(|row| row.format < u16::from(Format::NEWEST));
        Ok::<_, MaintenanceError>(rows)
    };
    let before = old().await?;
    if before.is_empty() {
        return Ok(());
    }
    super::remark("There is a node of an older version, or there was: looking whether it lives.");
    tokio::time::sleep(ALIVE).await;
    // What has not moved is what a node left behind.
    match old().await?.into_iter().find(|row| !before.contains(row)) {
        Some(row) => Err(MaintenanceError::OldNode { node: row.node, version: row.version }),
        None => Ok(()),
    }
}

/// Writes the entry that raises the format, unless the newest one is in force.
async fn raise(journal: &dyn Journal, state: &State, seal: &Seal) -> Result<Raised, JournalError> {
    let before = state.view()?.position().clone();
    loop {
        let mut open = state.open()?;
        if open.position().format == Format::NEWEST {
            break;
        }
        let row = replay::append(&mut open, vec![act()?], seal)?;
        if let Committed::Conflict(row) = journal.commit(open, row).await? {
            replay::adopt(state, vec![row], seal, |_, _| Ok(())).await?;
        }
    }
    let after = state.view()?.position().clone();
    Ok((before, after))
}

/// Nobody did it whom IAM knows.
fn act() -> Result<Act, JournalError> {
    Ok(Act {
        id: OperationId(draw::uuid().map_err(failed)?),
        operation: "upgrade-journal".to_owned(),
        at_ms: SystemClock.now_ms(),
        actor: None,
        client: Client::default(),
        capability: None,
        outcome: Outcome::Done,
        changes: vec![Change::RaiseFormat { to: Format::NEWEST }],
    })
}
