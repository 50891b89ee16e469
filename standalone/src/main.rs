//! `tollgate`: what `cargo run --release` starts.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tollgate::{DEFAULTS, Running, Settings, StartError};
use tollgate_iam::flags::IamFlags;
use tollgate_iam::maintenance::Maintenance;
use tollgate_runtime::clock::SystemClock;
use tollgate_runtime::command::{self, ServerArgs};
use tollgate_runtime::lifecycle::{Lifecycle, Signals};
use tollgate_runtime::log;

/// Gateway and IAM in one process, on a data folder of its own.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version)]
struct Line {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    iam: IamFlags,
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
    #[command(flatten)]
    Maintenance(Maintenance),
}

fn main() -> ExitCode {
    let line = Line::parse();
    command::run("tollgate", run(line))
}

async fn run(line: Line) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut own = line.iam.settings();
    own.push(("gateway.listen", line.listen.map(|address| address.to_string())));
    let server = line.server;
    if let Some(Command::Maintenance(maintenance)) = line.command {
        // It serves nobody: what only a server needs may be missing.
        let unchecked = |_: &Settings| Ok::<_, StartError>(());
        let load = || Ok(server.load(&DEFAULTS, own, unchecked)?.map(|settings| settings.iam));
        return maintenance.run(load).await;
    }
    let load = || server.load(&DEFAULTS, own.clone(), Settings::check);
    let Some(settings) = load()? else { return Ok(ExitCode::SUCCESS) };
    match line.command {
        Some(Command::Healthcheck) => Ok(command::healthcheck(settings.gateway.admin_listen).await),
        Some(Command::Maintenance(_)) | None => serve(settings, load).await,
    }
}

async fn serve(
    settings: Settings,
    load: impl Fn() -> Result<Option<Settings>, StartError>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    log::init(&settings.log)?;
    let signals = Signals::catch()?;
    let life = Lifecycle::new();
    let running = tollgate::start(&settings, SystemClock::shared(), &life).await?;
    greet(&settings, &running)?;
    let reload = || command::reload(&load, |new| running.reload(&settings, new));
    Ok(life.run(signals, reload, || running.gateway.patience()).await)
}

/// Three lines for whoever started it: what it is, where it listens, how to go on.
fn greet(settings: &Settings, running: &Running) -> std::io::Result<()> {
    let (url, data) = (running.gateway.address, settings.iam.data_dir.display());
    let next = if running.iam.bootstrap_available {
        "Nobody owns it yet: `tg bootstrap-iam` prints the admin's API key, once."
    } else {
        "`tg whoami` with an API key or a login tells who you are."
    };
    let mut out = std::io::stderr().lock();
    writeln!(
        out,
        "Tollgate {}: WebSocket gateway and IAM in one process.",
        env!("CARGO_PKG_VERSION")
    )?;
    let s = if settings.gateway.tls.is_set() { "s" } else { "" };
    writeln!(
        out,
        "Clients connect to ws{s}://{url}/api/v1/socket and http{s}://{url}; data is in {data}."
    )?;
    writeln!(out, "{next}")
}
