//! `journal verify`.

use std::fs::File;
use std::panic;
use std::process::ExitCode;

use tollgate_runtime::files;

use super::{Data, MaintenanceError, remark, say};
use crate::app::{StartError, with_causes};
use crate::config::IamSettings;
use crate::journal::{Journal, JournalError, embedded, verify};

/// Says what there is and what is wrong with it, a line each.
pub(super) async fn run(settings: &IamSettings) -> Result<ExitCode, MaintenanceError> {
    let data = Data::of(settings)?;
    // A file that cannot be read is not one that is damaged.
    File::open(&data.path).map_err(|error| MaintenanceError::file(&data.path, error))?;
    if let Err(error) = files::check_private(&data.path) {
        remark(&format!("No server starts on it: {error}"));
    }
    silence_redb();
    let mut is_of_snapshot = false;
    let problems = match data.look_at().await {
        Ok((journal, state)) => {
            let report = verify::verify(&journal, &state, &data.seal).await;
            let first = report.base.0 + 1;
            say(&format!("journal {} in {}", journal.id(), data.shown))?;
            say(&match report.newest {
                newest if newest == report.base => format!("no entry behind entry {newest}"),
                newest => format!("entries {first} to {newest}"),
            })?;
            say(&format!("{} rows", report.rows))?;
            say(&match report.snapshot {
                Some(seq) => format!("a snapshot at entry {seq}"),
                None => "no snapshot".to_owned(),
            })?;
            is_of_snapshot = report.problems.iter().all(verify::Problem::is_of_snapshot);
            report.problems.iter().map(|problem| with_causes(problem)).collect()
        }
        // What cannot even be opened is the finding, and not a failure to look.
        Err(MaintenanceError::Start(StartError::Journal { source, .. })) => {
            vec![with_causes(&source)]
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
    let found: Vec<_> = problems.into_iter().chain(pages).collect();
    if found.is_empty() {
        return say("all of it is as it was written");
    }
    for problem in found {
        say(&format!("PROBLEM: {problem}"))?;
    }
    remark(if is_of_snapshot {
        "Only the snapshot is concerned: journal compact takes another."
    } else {
        "Keep a copy of the folder as it is, and restore the newest backup into another folder; \
         with --journal, if no entry is among the problems."
    });
    Ok(ExitCode::FAILURE)
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
