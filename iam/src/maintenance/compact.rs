//! `journal compact`: what was deleted is gone from the files, and the chain goes on.

use std::process::ExitCode;

use super::{Data, MaintenanceError, say};
use crate::config::IamSettings;
use crate::journal::{Base, Journal, JournalError, snapshot, verify};

/// Takes a snapshot, drops the entries below it, and rewrites the file without them.
pub(super) async fn run(settings: &IamSettings) -> Result<ExitCode, MaintenanceError> {
    let data = Data::of(settings)?;
    let unusable = |error| data.unusable(error);
    let (journal, state) = data.open().await?;
    // Whatever is wrong with the entries could never be found again.
    let report = verify::verify(&journal, &state, &data.seal).await;
    if !report.problems.iter().all(verify::Problem::is_of_snapshot) {
        return Err(MaintenanceError::NotWhole(data.shown));
    }
    let position = snapshot::save(&journal, &state, &data.seal).await.map_err(unusable)?;
    let base = Base::new(journal.id(), position.seq, position.head, &data.seal);
    journal.truncate(base).await.map_err(unusable)?;
    let path = data.path.clone();
    let rewritten = tokio::task::spawn_blocking(move || {
        drop(state);
        journal.rewrite(&path)
    });
    let rewritten = rewritten.await.map_err(|error| JournalError::Store(Box::new(error)));
    rewritten.and_then(|done| done).map_err(unusable)?;
    say(&format!("the journal in {} begins behind entry {}", data.shown, position.seq))
}
