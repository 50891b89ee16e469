//! `tollgate-bench`: what Tollgate costs beside a bare echo server of the same libraries.
//!
//! In: the `tollgate` binary that was built beside this one. Out: tables for people, or JSON.
//! The machine may be shared, so ratios within a round are the result and rates are not.

mod common;
mod server;
mod claim;
mod bare;
mod upstream;
mod frame;
mod socket;
mod load;
mod measure;
mod quartiles;
mod rounds;
mod report;
mod idle;
mod echo;
mod hop;
mod sign_ins;
mod auth;
mod connect;
mod flood;
mod revoke;

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::task::JoinSet;

/// Measures Tollgate beside a bare echo server of the same libraries.
///
/// Each server is a child process of its own, with its data in a folder that is removed
/// afterwards. Build both binaries first:
/// cargo build --profile dist -p tollgate -p tollgate-bench
#[derive(Debug, Parser)]
#[command(name = "tollgate-bench", version)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Memory of each idle authenticated socket, before and after one call on it.
    Idle(idle::Args),
    /// Server CPU a reply and replies a second, with calls outstanding on many sockets.
    Echo(echo::Args),
    /// Server CPU a reply and time a call with a service behind Tollgate, over HTTP.
    Hop(hop::Args),
    /// Sign-ins a second and their CPU, each with a token of its own.
    Auth(auth::Args),
    /// Connections a second and their CPU that show a credential the gateway knows.
    Connect(connect::Args),
    /// Replies a second and times of calls while sign-ins take a part of the server's core.
    Flood(flood::Args),
    /// What an admin takes away from live sockets: nothing succeeds after the answer.
    Revoke(revoke::Args),
    /// The yardstick alone: echoes every message, until it is killed.
    BareEcho,
    /// The same as its libraries come.
    StockEcho,
    /// The service behind Tollgate alone: answers each POST with its body, until it is killed.
    BareUpstream,
}

fn main() -> ExitCode {
    match run(Line::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a reader there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "tollgate-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Idle(args) => generate(idle::run(&args)),
        Command::Echo(args) => {
            let placement = server::Placement::take();
            generate(echo::run(&args, placement))
        }
        Command::Hop(args) => {
            let placement = server::Placement::take();
            generate(hop::run(&args, placement))
        }
        Command::Auth(args) => {
            let placement = server::Placement::take();
            generate(auth::run(&args, placement))
        }
        Command::Connect(args) => {
            let placement = server::Placement::take();
            generate(connect::run(&args, placement))
        }
        Command::Flood(args) => {
            let placement = server::Placement::take();
            generate(flood::run(&args, placement))
        }
        Command::Revoke(args) => generate(revoke::run(&args)),
        Command::BareEcho => serve(bare::run(bare::Setup::Tuned)),
        Command::StockEcho => serve(bare::run(bare::Setup::Stock)),
        Command::BareUpstream => serve(upstream::run()),
    }
}

/// As Tollgate runs: a worker a core, and nothing on a thread of its own, which would have a share of
/// a busy core for itself.
fn serve(work: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut tasks = JoinSet::new();
    tasks.spawn_on(work, runtime.handle());
    runtime.block_on(tasks.join_next()).unwrap_or(Ok(Ok(())))?
}

/// The load comes from one thread.
fn generate(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
