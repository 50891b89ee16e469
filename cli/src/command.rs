//! The commands of `tg`, one file each.
//!
//! In: arguments, by `tg <command>` or by a link `tg-<command>`. Out: the command, run. What its
//! help says is its documentation.

mod bootstrap_iam;
mod login;
mod logout;
mod whoami;
mod create_user;
mod create_api_key;
mod create_workspace;
mod call;
mod install_links;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use clap::{CommandFactory, Parser, Subcommand};

use crate::context::Context;

/// The command line of Tollgate.
#[derive(Parser)]
#[command(
    name = "tg",
    version,
    about = "Talk to a Tollgate gateway: log in, manage users and keys, call services",
    after_help = ENVIRONMENT_HELP,
    max_term_width = 100,
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const ENVIRONMENT_HELP: &str = "\
Every command also runs as tg-COMMAND, through links that `tg install-links DIR` makes.

Environment:
  TOLLGATE_URL        The gateway, unless -u says it [else: TRUSTGRAPH_URL]
  TOLLGATE_TOKEN      API key or JWT, unless -t says it [else: TRUSTGRAPH_TOKEN]
  TOLLGATE_WORKSPACE  The workspace of `tg call`, unless -w says it [else: TRUSTGRAPH_WORKSPACE]

Data goes to stdout, words to stderr. Exit code: 0 done, 1 refused or failed, 2 misused.";

#[derive(Subcommand)]
enum Command {
    /// Claim a fresh deployment and print the first API key
    BootstrapIam(bootstrap_iam::Args),
    /// Log in with a password and print the token, or keep it
    Login(login::Args),
    /// Forget the token that login kept
    Logout(logout::Args),
    /// Show who the token stands for
    Whoami(whoami::Args),
    /// Create a user and print its id
    CreateUser(create_user::Args),
    /// Create an API key for a user and print the key
    CreateApiKey(create_api_key::Args),
    /// Create a workspace
    CreateWorkspace(create_workspace::Args),
    /// Call a service and print its answer
    Call(call::Args),
    /// Make a link tg-COMMAND for every command
    InstallLinks(install_links::Args),
}

/// Arguments that do not go together; ends with the exit code of every misuse.
#[derive(Debug)]
pub(crate) struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

impl Cli {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context<'_>) -> anyhow::Result<()> {
        match self.command {
            Command::BootstrapIam(args) => bootstrap_iam::run(&args, context).await,
            Command::Login(args) => login::run(args, context).await,
            Command::Logout(args) => logout::run(&args, context),
            Command::Whoami(args) => whoami::run(args, context).await,
            Command::CreateUser(args) => create_user::run(args, context).await,
            Command::CreateApiKey(args) => create_api_key::run(args, context).await,
            Command::CreateWorkspace(args) => create_workspace::run(args, context).await,
            Command::Call(args) => call::run(args, context).await,
            Command::InstallLinks(args) => install_links::run(&args, context),
        }
    }
}

/// `tg-login …` becomes `tg login …`, by the name that the binary was called under.
pub(crate) fn expand(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let called = args.next().unwrap_or_else(|| "tg".into());
    let linked = Path::new(&called)
        .file_name()
        .and_then(OsStr::to_str)
        .and_then(|name| name.strip_prefix("tg-"))
        .filter(|command| !command.is_empty())
        .map(OsString::from);
    std::iter::once("tg".into()).chain(linked).chain(args).collect()
}

/// The commands that a link can stand for: all but the one that makes the links.
fn linkable() -> Vec<String> {
    let cli = Cli::command();
    let names = cli.get_subcommands().map(|command| command.get_name().to_owned());
    names.filter(|name| name != install_links::NAME).collect()
}

#[cfg(test)]
mod tests;
