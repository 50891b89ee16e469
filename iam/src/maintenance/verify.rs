//! `journal verify`.

use std::fs::File;
use std::panic;
use std::process::ExitCode;

use tollgate_runtime::files;

use super::{Data, MaintenanceError, remark, say};
#[cfg(feature = "cql")]
use crate::app;
use crate::app::{StartError, with_causes};
#[cfg(not(feature = "cql"))]
use crate::config::InvalidSettings;
use crate::config::{IamSettings, JournalKind};
use crate::journal::verify::Report;
use crate::journal::{Journal, JournalError, embedded, verify};
use crate::record::Format;

/// Says what there is and what is wrong with it, a line each.
pub(super) async fn run(settings: &IamSettings) -> Result<ExitCode, MaintenanceError> {
    silence_redb();
    let (found, is_of_snapshot) = match settings.journal {
        JournalKind::Embedded => look_into_folder(settings).await?,
        #[cfg(feature = "cql")]
        JournalKind::Cql => Box::pin(look_into_cluster(settings)).await?,
        #[cfg(not(feature = "cql"))]
        JournalKind::Cql => return Err(InvalidSettings::NoCql.into()),
    };
    if found.is_empty() {
        return say("all of it is as it was written");
    }
    for problem in found {
        say(&format!("PROBLEM: {problem}"))?;
    }
    remark(match (settings.journal, is_of_snapshot) {
        (JournalKind::Embedded, true) => {
            "Only the snapshot is concerned: journal compact takes another."
        }
        (JournalKind::Cql, true) => {
            "Only the snapshot is concerned: a node takes another after the next 10000 entries."
        }
        (JournalKind::Embedded | JournalKind::Cql, false) => {
            "Keep a copy of the folder as it is, and restore the newest backup into another folder; \
             with --journal, if no entry is among the problems."
        }
    });
    Ok(ExitCode::FAILURE)
}

/// What is wrong, and whether only the snapshot is.
type Found = (Vec<String>, bool);

/// The entries in the cluster, the state that they make, and the snapshot.
#[cfg(feature = "cql")]
async fn look_into_cluster(settings: &IamSettings) -> Result<Found, MaintenanceError> {
    use super::{on_cluster, open_cluster};
    use crate::journal::cql::Wish;
    use crate::state::State;

    settings.check_cql()?;
    let unusable = |error| on_cluster(settings, error);
    let seal = app::read_seal(settings, false)?;
    let journal = open_cluster(settings, Wish::There).await?;
    let state = State::in_memory().map_err(|error| unusable(error.into()))?;
    let report = verify::verify(&journal, &state, &seal).await;
    tell(&report, &journal, &format!("keyspace {}", settings.cql.keyspace))
}

/// The entries, the rows and the snapshot in a data folder, and the pages of its file.
async fn look_into_folder(settings: &IamSettings) -> Result<Found, MaintenanceError> {
    let data = Data::of(settings)?;
    // A file that cannot be read is not one that is damaged.
    File::open(&data.path).map_err(|error| MaintenanceError::file(&data.path, error))?;
    if let Err(error) = files::check_private(&data.path) {
        remark(&format!("No server starts on it: {error}"));
    }
    let (mut found, mut is_of_snapshot) = match data.look_at().await {
        Ok((journal, state)) => {
            let report = verify::verify(&journal, &state, &data.seal).await;
            tell(&report, &journal, &data.shown)?
        }
        // What cannot even be opened is the finding, and not a failure to look.
        Err(MaintenanceError::Start(StartError::Journal { source, .. })) => {
            (vec![with_causes(&source)], false)
        }
        Err(error) => return Err(error),
    };
    let path = data.path.clone();
    let checked = tokio::task::spawn_blocking(move || embedded::check_pages(&path)).await;
    let pages = match checked {
        Ok(Ok(())) => None,
        Ok(Err(JournalError::InUse)) => return Err(data.unusable(JournalError::InUse)),
        Ok(Err(error)) => Some(with_causes(&error)),
        Err(error) => Some(with_causes(&error)),
    };
    is_of_snapshot &= pages.is_none();
    found.extend(pages);
    Ok((found, is_of_snapshot))
}

/// Says what there is.
fn tell(report: &Report, journal: &dyn Journal, shown: &str) -> Result<Found, MaintenanceError> {
    let first = report.base.0 + 1;
    say(&format!("journal {} in {shown}", journal.id()))?;
    say(&match report.newest {
        newest if newest == report.base => format!("no entry behind entry {newest}"),
        newest => format!("entries {first} to {newest}"),
    })?;
    if let Some(format) = report.format {
        say(&format!("written in format {format}; the newest is {}", Format::NEWEST))?;
    }
    say(&format!("{} rows", report.rows))?;
    say(&match report.snapshot {
        Some(seq) => format!("a snapshot at entry {seq}"),
        None => "no snapshot".to_owned(),
    })?;
    let is_of_snapshot = report.problems.iter().all(verify::Problem::is_of_snapshot);
    let problems = report.problems.iter().map(|problem| with_causes(problem)).collect();
    Ok((problems, is_of_snapshot))
}

/// redb panics over some files that something else wrote to. That is a finding here, and has its
/// line; a stack trace says no more.
fn silence_redb() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |told| {
        let is_redb = told.location().is_some_and(|at| at.file().contains("/redb-"));
        if !is_redb {
            others(told);
        }
    }));
}
