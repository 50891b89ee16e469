//! `tg completions`: what a shell needs to complete commands and flags, under every name that
//! the executable can have.

use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use crate::command::{Cli, linkable, linked_name};
use crate::context::Context;

/// This command's own name.
pub(super) const NAME: &str = "completions";

#[derive(clap::Args)]
#[command(after_help = "\
bash  source <(tg completions bash)                         in ~/.bashrc
zsh   source <(tg completions zsh)                          in ~/.zshrc, after compinit
fish  tg completions fish > ~/.config/fish/conf.d/tg.fish   once

The links of `tg install-links` are completed as well.")]
pub(crate) struct Args {
    /// Which shell
    #[arg(value_enum)]
    shell: Kind,
}

/// The shells in which one script can serve several names.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> anyhow::Result<()> {
    let shell = match args.shell {
        Kind::Bash => Shell::Bash,
        Kind::Zsh => Shell::Zsh,
        Kind::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    for (name, mut command) in names() {
        generate(shell, &mut command, name, &mut script);
    }
    context.output.text(&String::from_utf8(script)?)
}

/// `tg`, and every link with its command.
fn names() -> impl Iterator<Item = (String, Command)> {
    let links = linkable().into_iter().map(|command| (linked_name(command.get_name()), command));
    std::iter::once(("tg".to_owned(), Cli::command())).chain(links)
}
