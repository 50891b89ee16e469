//! `backup`: the state as it is now and all that it takes to use it, for one recipient.
//!
//! The encrypted bytes are the seal key (its length in one byte, then its text) and a snapshot.
//! The key is in it if it lay in the data folder; one that the operator keeps elsewhere stays
//! there, so that whoever opens the backup cannot sign tokens with it. The snapshot is taken at
//! the newest entry, so there is no journal above it to add.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::envelope::{Opening, Sealing};
use super::recipient::{Identity, Recipient};
use super::{Data, MaintenanceError, remark};
use crate::app;
use crate::config::IamSettings;
use crate::journal::{Journal, JournalError, failed, replay, snapshot};
use crate::state::Position;

/// Writes a backup to a new file.
pub(super) async fn run(
    settings: &IamSettings,
    out: &Path,
    recipient: Recipient,
) -> Result<ExitCode, MaintenanceError> {
    let data = Data::of(settings)?;
    let unusable = |error| data.unusable(error);
    let (journal, state) = data.look_at().await?;
    replay::check(&journal, &state, &data.seal).await.map_err(unusable)?;
    let seal_key = match settings.seal_key_file {
        Some(_) => None,
        None => Some(app::read_seal_key(settings, false)?),
    };
    let file = |source| MaintenanceError::file(out, source);
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let made = open().map_err(file)?;
    let (path, seal) = (out.to_owned(), data.seal.clone());
    let write = move || {
        let write = || {
            let mut to = Sealing::begin(BufWriter::new(made), &recipient).map_err(failed)?;
            write_key(&mut to, seal_key.as_ref()).map_err(failed)?;
            let position = snapshot::write(&state.view()?, journal.id(), &seal, &mut to)?;
            let made = to.finish().and_then(|to| Ok(to.into_inner()?)).map_err(failed)?;
            made.sync_all().map_err(failed)?;
            Ok::<Position, JournalError>(position)
        };
        // Half a backup would be taken for one.
        write().inspect_err(|_| drop(remove_file(&path)))
    };
    let written = tokio::task::spawn_blocking(write).await.map_err(failed);
    let position = written.and_then(|written| written).map_err(unusable)?;
    remark(&format!("{} has the state at entry {}.", out.display(), position.seq));
    if settings.seal_key_file.is_some() {
        remark("The seal key is not in it: keep iam.seal_key_file as well.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens a backup: the seal key, if it is in it, and the snapshot.
pub(super) fn open(
    path: &Path,
    identity: &Identity,
) -> io::Result<(Option<SecretString>, Opening<File>)> {
    let mut from = Opening::begin(File::open(path)?, identity)?;
    let mut length = [0];
    from.read_exact(&mut length)?;
    let mut key = Zeroizing::new(String::new());
    from.by_ref().take(u64::from(length[0])).read_to_string(&mut key)?;
    let key = (!key.is_empty()).then(|| SecretString::from(key.as_str()));
    Ok((key, from))
}

fn write_key(to: &mut impl Write, key: Option<&SecretString>) -> io::Result<()> {
    let text = key.map_or("", ExposeSecret::expose_secret);
    let length = u8::try_from(text.len()).map_err(io::Error::other)?;
    to.write_all(&[length])?;
    to.write_all(text.as_bytes())
}
