//! `tollgate-iam`: IAM as a process of its own.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tollgate_iam::config::{DEFAULTS, IamSettings};
use tollgate_iam::flags::IamFlags;
use tollgate_iam::maintenance::Maintenance;
use tollgate_runtime::clock::SystemClock;
use tollgate_runtime::command::{self, ServerArgs};
use tollgate_runtime::config::{LinkSettings, LogSettings, SHARED_DEFAULTS};
use tollgate_runtime::lifecycle::{Lifecycle, Signals};
use tollgate_runtime::probes::{self, Readiness};
use tollgate_runtime::{files, log};

/// How long what runs may take to end after a stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// Users, workspaces, roles, API keys, passwords and signing keys on one ordered journal.
#[derive(Debug, Parser)]
#[command(name = "tollgate-iam", version)]
struct Line {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    iam: IamFlags,
    /// Where the gateway finds IAM (setting iam.listen).
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Ask the running server whether it is ready.
    Healthcheck,
    #[command(flatten)]
    Maintenance(Maintenance),
}

/// The sections that this process reads.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Settings {
    iam: IamSettings,
    link: LinkSettings,
    log: LogSettings,
}

fn main() -> ExitCode {
    let line = Line::parse();
    command::run("tollgate-iam", async { run(line).await.map_err(Into::into) })
}

async fn run(line: Line) -> anyhow::Result<ExitCode> {
    match line.command.clone() {
        None => match load(&line, Settings::check)? {
            Some(settings) => serve(settings, || load(&line, Settings::check)).await,
            None => Ok(ExitCode::SUCCESS),
        },
        Some(Command::Healthcheck) => match load(&line, Settings::check)? {
            Some(settings) => Ok(command::healthcheck(settings.iam.admin_listen).await),
            None => Ok(ExitCode::SUCCESS),
        },
        // These serve nobody: what only a server needs may be missing.
        Some(Command::Maintenance(maintenance)) => {
            let settings = || load(&line, |_| Ok(())).map(|loaded| loaded.map(|all| all.iam));
            maintenance.run(settings).await
        }
    }
}

fn load(
    line: &Line,
    check: impl FnOnce(&Settings) -> anyhow::Result<()>,
) -> anyhow::Result<Option<Settings>> {
    let mut own = line.iam.clone().settings();
    own.push(("iam.listen", line.listen.map(|address| address.to_string())));
    line.server.load(&[DEFAULTS, SHARED_DEFAULTS], own, check)
}

impl Settings {
    /// Checks what the types do not.
    fn check(&self) -> anyhow::Result<()> {
        log::check(&self.log)?;
        tollgate_iam::check(&self.iam, &self.link)?;
        if self.link.secret_file.as_os_str().is_empty() {
            anyhow::bail!(
                "link.secret_file must be set: the file with the secret that gateways show"
            );
        }
        Ok(())
    }
}

async fn serve(
    settings: Settings,
    load: impl Fn() -> anyhow::Result<Option<Settings>>,
) -> anyhow::Result<ExitCode> {
    log::init(&settings.log)?;
    let mut signals = Signals::catch()?;
    let secret = files::read_secret(&settings.link.secret_file);
    let secret = secret.map_err(|error| anyhow::anyhow!("link.secret_file: {error}"))?;
    let secret = SecretString::from(secret);
    let life = Lifecycle::new();
    let readiness = Readiness::default();
    let address = settings.iam.admin_listen;
    probes::serve(address, "iam.admin_listen", readiness.clone(), &life).await?;
    let Settings { iam, link, .. } = &settings;
    let start = tollgate_iam::start(iam, link, secret, SystemClock::shared(), &life);
    // A cluster that is away is waited for, and a stop ends that. The process ends behind it.
    let running = tokio::select! {
        biased;
        started = start => started?,
        () = signals.stopped() => return Ok(ExitCode::SUCCESS),
    };
    let freshness = running.freshness;
    readiness.started("the journal is not read", move || freshness.check().is_ok());
    // Nothing of IAM's changes while it runs: whatever was changed is named.
    let reload = || command::reload(&load, |_| Ok(settings.clone()));
    Ok(life.run(signals, reload, || PATIENCE).await)
}
