//! `tg man`: the manual pages `tg.1` and `tg-COMMAND.1`, from the definitions that `--help`
//! shows. For whoever packages `tg`.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory;

use crate::command::Cli;
use crate::context::Context;

/// This command's own name.
pub(super) const NAME: &str = "man";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the pages go
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> anyhow::Result<()> {
    let cannot = || format!("cannot write to {}", args.dir.display());
    fs::create_dir_all(&args.dir).with_context(cannot)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).with_context(cannot)?;
    context.output.note(&format!("Manual pages are in {}", args.dir.display()));
    Ok(())
}
