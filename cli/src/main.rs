//! `tg`, the command line of Tollgate.
//!
//! In: arguments, environment, standard input. Out: data on stdout, words on stderr, and an exit
//! code: 0 done, 1 refused or failed, 2 misused. Every command is one file in `command/`; linked
//! as `tg-<command>` the binary is that command.

mod command;
mod iam;
mod sessions;
mod manner;
mod grant;
mod access;
mod credentials;
mod api;
mod prompt;
mod table;
mod context;
mod environment;
mod output;

use std::process::ExitCode;

use clap::Parser;

use command::{Cli, Misuse, SaidNo};
use context::Context;
use environment::Environment;
use output::{Output, PipeClosed};

/// Arguments that clap cannot judge by themselves were wrong.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse_from(command::expand(std::env::args_os()));
    let output = Output;
    let Err(error) = run(cli, &output) else { return ExitCode::SUCCESS };
    if error.chain().any(<dyn std::error::Error>::is::<PipeClosed>) {
        // Whoever reads has enough: `tg … | head` is no failure.
        return ExitCode::SUCCESS;
    }
    if error.is::<SaidNo>() {
        return ExitCode::FAILURE;
    }
    if let Some(misuse) = error.downcast_ref::<Misuse>() {
        output.note(&format!("error: {misuse}"));
        return ExitCode::from(MISUSED);
    }
    output.note(&format!("Exception: {error:#}"));
    ExitCode::FAILURE
}

fn run(cli: Cli, output: &Output) -> anyhow::Result<()> {
    let context = Context { environment: Environment::read(), output };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(cli.run(&context))
}
