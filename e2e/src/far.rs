//! A further gateway of a deployment, whose link to IAM a test can cut, and callers that never stop.
//!
//! In: where IAM is. Out: what each caller got, and when. A change is made at a gateway whose link is
//! whole: what the far one does about it is the question.

pub mod cable;
pub mod crowd;
mod ticker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tollgate::{DEFAULTS, Settings};
use tollgate_proto::secret::SecretString;
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::config::{self, Flags};
use tollgate_runtime::lifecycle::Lifecycle;

use crate::witness::Witness;
use cable::Cable;
pub use ticker::Ticker;

/// Where an IAM listens for gateways, and what it knows them by.
pub struct Road {
    /// Its address.
    pub iam: SocketAddr,
    /// The service secret.
    pub secret: SecretString,
    /// Its clock.
    pub clock: SharedClock,
}

/// The gateway. It ends with the value.
pub struct Far {
    /// Where clients connect. What they say and hear there is held against the documents.
    pub address: SocketAddr,
    /// Where its probes answer.
    pub admin_address: SocketAddr,
    /// Its link.
    pub cable: Cable,
    life: Lifecycle,
    _witness: Witness,
    _folder: TempDir,
}

impl Far {
    /// Starts one whose registry has these stanzas too.
    pub async fn start(
        road: &Road,
        stanzas: &str,
        settings: &[(&'static str, &str)],
    ) -> anyhow::Result<Self> {
        let (cable, folder) = (Cable::to(road.iam).await?, tempfile::tempdir()?);
        let (file, registry) = (folder.path().join("t.toml"), folder.path().join("registry.toml"));
        std::fs::write(&file, "")?;
        std::fs::write(&registry, stanzas)?;
        let mut flags = vec![
            ("gateway.listen", "127.0.0.1:0".to_owned()),
            ("gateway.admin_listen", "127.0.0.1:0".to_owned()),
            ("gateway.registry_file", registry.display().to_string()),
            ("gateway.iam_url", format!("http://{}", cable.address)),
        ];
        flags.extend(settings.iter().map(|(path, value)| (*path, (*value).to_owned())));
        let flags = Flags { file: Some(file), settings: flags };
        let settings: Settings = config::load(&DEFAULTS, &flags, [])?;
        let (life, clock) = (Lifecycle::new(), Arc::clone(&road.clock));
        let Settings { gateway, link, .. } = &settings;
        let running = tollgate_gateway::start(gateway, link, &road.secret, clock, &life).await?;
        let witness = Witness::before(running.address).await?;
        let (address, admin_address) = (witness.address, running.admin_address);
        Ok(Self { address, admin_address, cable, life, _witness: witness, _folder: folder })
    }

    /// Stops it as SIGTERM does, however long its drain takes. True: nothing is left behind.
    pub async fn stop(&self) -> bool {
        self.life.stop(Duration::from_mins(2)).await
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.life.stop.cancel();
    }
}

/// How often a test does what it does: in the suite, or as this variable says.
#[expect(clippy::disallowed_methods, reason = "a test has no other configuration")]
pub fn count(variable: &str, in_the_suite: usize) -> anyhow::Result<usize> {
    std::env::var(variable).map_or(Ok(in_the_suite), |count| Ok(count.parse()?))
}
