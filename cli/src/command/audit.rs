//! `tg audit`: the audit file of IAM, read on the machine that has it.
//!
//! In: the file, which nobody is asked for over a network. Out: its lines, or the verdict on its
//! chain.

mod tail;
mod verify;

use crate::context::Context;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print the last lines, and those that come
    Tail(tail::Args),
    /// Check that no line was changed, removed, inserted or moved
    Verify(verify::Args),
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    match args.command {
        Command::Tail(args) => tail::run(&args, context).await,
        Command::Verify(args) => verify::run(&args, context),
    }
}
