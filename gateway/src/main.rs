//! `tollgate-gateway`: the gateway as a process of its own.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tollgate_gateway::{DEFAULTS, GatewaySettings};
use tollgate_runtime::clock::SystemClock;
use tollgate_runtime::command::{self, ServerArgs};
use tollgate_runtime::config::{LinkSettings, LogSettings, SHARED_DEFAULTS};
use tollgate_runtime::lifecycle::{Lifecycle, Signals};
use tollgate_runtime::{files, log};

/// The WebSocket gateway: first-frame authentication, calls multiplexed by id, every frame
/// authorised.
#[derive(Debug, Parser)]
#[command(name = "tollgate-gateway", version)]
struct Line {
    #[command(flatten)]
    server: ServerArgs,
    /// Where clients connect (setting gateway.listen).
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask the running server whether it is ready.
    Healthcheck,
}

/// The sections that this process reads.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Settings {
    gateway: GatewaySettings,
    link: LinkSettings,
    log: LogSettings,
}

fn main() -> ExitCode {
    let line = Line::parse();
    command::run("tollgate-gateway", async { run(line).await.map_err(Into::into) })
}

async fn run(line: Line) -> anyhow::Result<ExitCode> {
    let own = vec![("gateway.listen", line.listen.map(|address| address.to_string()))];
    let load = || line.server.load(&[DEFAULTS, SHARED_DEFAULTS], own.clone(), check);
    let Some(settings) = load()? else { return Ok(ExitCode::SUCCESS) };
    match line.command {
        Some(Command::Healthcheck) => Ok(command::healthcheck(settings.gateway.admin_listen).await),
        None => serve(settings, load).await,
    }
}

/// Checks what the types do not.
fn check(settings: &Settings) -> anyhow::Result<()> {
    log::check(&settings.log)?;
    tollgate_gateway::check(&settings.gateway, &settings.link)?;
    if settings.link.secret_file.as_os_str().is_empty() {
        anyhow::bail!("link.secret_file must be set: the file with the secret that IAM expects");
    }
    Ok(())
}

async fn serve(
    settings: Settings,
    load: impl Fn() -> anyhow::Result<Option<Settings>>,
) -> anyhow::Result<ExitCode> {
    log::init(&settings.log)?;
    let signals = Signals::catch()?;
    let secret = files::read_secret(&settings.link.secret_file);
    let secret = secret.map_err(|error| anyhow::anyhow!("link.secret_file: {error}"))?;
    let secret = SecretString::from(secret);
    let life = Lifecycle::new();
    let Settings { gateway, link, .. } = &settings;
    let running =
        tollgate_gateway::start(gateway, link, &secret, SystemClock::shared(), &life).await?;
    tracing::info!(address = %running.address, "the gateway is listening");
    let reload = || {
        command::reload(&load, |new| {
            let gateway = settings.gateway.reloaded(&new.gateway);
            running.reload(&gateway)?;
            Ok(Settings { gateway, ..settings.clone() })
        });
    };
    Ok(life.run(signals, reload, || running.patience()).await)
}
