//! `tollgate`: gateway and IAM in one process, over loopback, on an embedded journal.
//!
//! The two speak as they do across machines, under a service secret that is made at the first
//! start. Tests start the same thing with ports of their own.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tollgate_gateway::GatewaySettings;
use tollgate_iam::config::IamSettings;
use tollgate_iam::hash::Hash;
use tollgate_runtime::clock::SharedClock;
use tollgate_runtime::config::{ConfigError, LinkSettings, LogSettings, SHARED_DEFAULTS};
use tollgate_runtime::files::{self, FileError};
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::log;

/// What this process adds to the defaults of both services: whoever asks first, from this
/// machine, becomes the admin.
const OWN_DEFAULTS: &str = "\
[iam]
# tollgate only. Its gateway finds its IAM by itself: gateway.iam_url is not used, unless there is
# [iam.tls]. Nor is iam.admin_listen: the probes of both answer on gateway.admin_listen.
bootstrap_mode = \"bootstrap\"
";

/// The documented defaults of every section.
pub const DEFAULTS: [&str; 4] =
    [tollgate_gateway::DEFAULTS, tollgate_iam::config::DEFAULTS, SHARED_DEFAULTS, OWN_DEFAULTS];

/// The service secret's file in the data folder, unless a setting names another.
const SECRET: &str = "link.secret";

/// Every section.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The gateway.
    pub gateway: GatewaySettings,
    /// IAM.
    pub iam: IamSettings,
    /// Between them.
    pub link: LinkSettings,
    /// Logs.
    pub log: LogSettings,
}

/// Why `tollgate` did not start, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log level.
    #[error(transparent)]
    Log(#[from] log::InvalidLevel),
    /// IAM has a certificate, and nothing says by which name to call it.
    #[error(
        "with [iam.tls] tollgate's own gateway needs gateway.iam_url: https://, a name in that \
         certificate, and the port of iam.listen"
    )]
    NoName,
    /// The data folder.
    #[error("iam.data_dir: {0}")]
    DataFolder(FileError),
    /// The service secret.
    #[error("link.secret_file: {0}")]
    Secret(FileError),
    /// The machine gave no random bytes.
    #[error(transparent)]
    Draw(#[from] tollgate_iam::draw::DrawError),
    /// IAM.
    #[error(transparent)]
    Iam(#[from] tollgate_iam::StartError),
    /// The gateway.
    #[error(transparent)]
    Gateway(#[from] tollgate_gateway::StartError),
}

/// Both services, at work.
pub struct Running {
    /// The gateway.
    pub gateway: tollgate_gateway::Running,
    /// IAM.
    pub iam: tollgate_iam::Running,
}

impl Settings {
    /// Checks what the types do not.
    pub fn check(&self) -> Result<(), StartError> {
        log::check(&self.log)?;
        tollgate_iam::check(&self.iam, &self.link)?;
        tollgate_gateway::check(&self.gateway, &self.link)?;
        self.check_way()
    }

    /// Under TLS the gateway has to call IAM by the name that its certificate proves.
    fn check_way(&self) -> Result<(), StartError> {
        if self.iam.tls.is_set() && !self.gateway.iam_url.starts_with("https://") {
            return Err(StartError::NoName);
        }
        Ok(())
    }
}

/// Starts IAM, then the gateway. Both stop with `life`: the gateway first, which needs IAM to its end.
pub async fn start(
    settings: &Settings,
    clock: SharedClock,
    life: &Lifecycle,
) -> Result<Running, StartError> {
    settings.check_way()?;
    let folder = &settings.iam.data_dir;
    files::make_private_folder(folder).map_err(StartError::DataFolder)?;
    let secret = read_service_secret(&settings.link, folder)?;
    let below = life.below();
    let iam =
        tollgate_iam::start(&settings.iam, &settings.link, secret.clone(), clock.clone(), &below)
            .await?;
    let gateway_settings = to_iam(&settings.gateway, &settings.iam, &iam);
    let gateway =
        tollgate_gateway::start(&gateway_settings, &settings.link, &secret, clock, life).await?;
    Ok(Running { gateway, iam })
}

/// The gateway of this process asks the IAM of this process: where it listens, or under TLS where the
/// settings say.
fn to_iam(
    gateway: &GatewaySettings,
    iam: &IamSettings,
    running: &tollgate_iam::Running,
) -> GatewaySettings {
    if iam.tls.is_set() {
        return gateway.clone();
    }
    GatewaySettings { iam_url: format!("http://{}", running.address), ..gateway.clone() }
}

impl Running {
    /// Puts the settings in force that can be changed while it runs, of `new`; the others stay as
    /// `before` has them. Gives what is in force then.
    pub fn reload(&self, before: &Settings, new: &Settings) -> Result<Settings, StartError> {
        let gateway = before.gateway.reloaded(&new.gateway);
        self.gateway.reload(&to_iam(&gateway, &before.iam, &self.iam))?;
        Ok(Settings { gateway, ..before.clone() })
    }
}

fn read_service_secret(link: &LinkSettings, folder: &Path) -> Result<SecretString, StartError> {
    let secret = if link.secret_file == PathBuf::new() {
        let drawn = Hash(tollgate_iam::draw::bytes()?);
        files::read_or_make_secret(&folder.join(SECRET), || drawn.to_string())
    } else {
        files::read_secret(&link.secret_file)
    };
    secret.map(SecretString::from).map_err(StartError::Secret)
}
