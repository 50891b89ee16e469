//! The commands of `tg`, one file each.
//!
//! In: arguments, by `tg <command>` or by a link `tg-<command>`. Out: the command, run. What its
//! help says is its documentation.

mod bootstrap_iam;
mod bootstrap_status;
mod login;
mod logout;
mod whoami;
mod change_password;
mod create_user;
mod list_users;
mod get_user;
mod update_user;
mod disable_user;
mod enable_user;
mod delete_user;
mod reset_password;
mod create_api_key;
mod list_api_keys;
mod revoke_api_key;
mod create_workspace;
mod list_workspaces;
mod list_my_workspaces;
mod get_workspace;
mod update_workspace;
mod disable_workspace;
mod sessions;
mod list_sessions;
mod kick;
mod end_session;
mod list_user_grants;
mod add_user_grant;
mod remove_user_grant;
mod can_i;
mod mint_token;
mod rotate_signing_key;
mod audit;
mod call;
mod install_links;
mod completions;
mod man;

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
  SSL_CERT_FILE       The certificates to trust under https, PEM [else: those of the machine]

Data goes to stdout, words to stderr. Exit code: 0 done, 1 refused or failed, 2 misused.";

#[derive(Subcommand)]
enum Command {
    /// Claim a fresh deployment and print the first API key
    BootstrapIam(bootstrap_iam::Args),
    /// Say whether a deployment waits to be claimed
    BootstrapStatus(bootstrap_status::Args),
    /// Log in with a password and print the token, or keep it
    Login(login::Args),
    /// End the session that login kept, and forget its token
    Logout(logout::Args),
    /// Show who the token stands for
    Whoami(whoami::Args),
    /// Change your own password
    ChangePassword(change_password::Args),
    /// Create a user and print its id
    CreateUser(create_user::Args),
    /// List users
    ListUsers(list_users::Args),
    /// Show a user
    GetUser(get_user::Args),
    /// Change a user's name, address, roles or flags
    UpdateUser(update_user::Args),
    /// Take a user's authority away at once
    DisableUser(disable_user::Args),
    /// Let a disabled user log in again
    EnableUser(enable_user::Args),
    /// Delete a user for good
    DeleteUser(delete_user::Args),
    /// Give a user a temporary password and print it
    ResetPassword(reset_password::Args),
    /// Create an API key for a user and print the key
    CreateApiKey(create_api_key::Args),
    /// List a user's API keys
    ListApiKeys(list_api_keys::Args),
    /// End an API key at once
    RevokeApiKey(revoke_api_key::Args),
    /// Create a workspace
    CreateWorkspace(create_workspace::Args),
    /// List all workspaces
    ListWorkspaces(list_workspaces::Args),
    /// List the workspaces that you may use
    ListMyWorkspaces(list_my_workspaces::Args),
    /// Show a workspace
    GetWorkspace(get_workspace::Args),
    /// Change a workspace's name, or enable it
    UpdateWorkspace(update_workspace::Args),
    /// End all use of a workspace at once
    DisableWorkspace(disable_workspace::Args),
    /// List your own open sockets
    Sessions(sessions::Args),
    /// List the open sockets of a user, or those in a workspace
    ListSessions(list_sessions::Args),
    /// Close all sockets of a user, who may come back
    Kick(kick::Args),
    /// Close one socket, whose user may come back
    EndSession(end_session::Args),
    /// List what was given to a user, and where
    ListUserGrants(list_user_grants::Args),
    /// Give a user a role or a capability in a workspace
    AddUserGrant(add_user_grant::Args),
    /// Take a role or a capability away from a user
    RemoveUserGrant(remove_user_grant::Args),
    /// Say whether a user may do something, and why
    CanI(can_i::Args),
    /// Print a token for a user, with a context for the services
    MintToken(mint_token::Args),
    /// Publish the next signing key, which signs soon; or revoke one
    RotateSigningKey(rotate_signing_key::Args),
    /// Read and verify the audit file of IAM
    Audit(audit::Args),
    /// Call a service and print its answer
    Call(call::Args),
    /// Make a link tg-COMMAND for every command
    InstallLinks(install_links::Args),
    /// Print the completion script of a shell
    Completions(completions::Args),
    /// Write the manual pages
    Man(man::Args),
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

/// The answer was no, and is told already.
#[derive(Debug)]
pub(crate) struct SaidNo;

impl fmt::Display for SaidNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no")
    }
}

impl std::error::Error for SaidNo {}

impl Cli {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context<'_>) -> anyhow::Result<()> {
        match self.command {
            Command::BootstrapIam(args) => bootstrap_iam::run(&args, context).await,
            Command::BootstrapStatus(args) => bootstrap_status::run(&args, context).await,
            Command::Login(args) => login::run(args, context).await,
            Command::Logout(args) => logout::run(&args, context).await,
            Command::Whoami(args) => whoami::run(args, context).await,
            Command::ChangePassword(args) => change_password::run(args, context).await,
            Command::CreateUser(args) => create_user::run(args, context).await,
            Command::ListUsers(args) => list_users::run(args, context).await,
            Command::GetUser(args) => get_user::run(args, context).await,
            Command::UpdateUser(args) => update_user::run(args, context).await,
            Command::DisableUser(args) => disable_user::run(args, context).await,
            Command::EnableUser(args) => enable_user::run(args, context).await,
            Command::DeleteUser(args) => delete_user::run(args, context).await,
            Command::ResetPassword(args) => reset_password::run(args, context).await,
            Command::CreateApiKey(args) => create_api_key::run(args, context).await,
            Command::ListApiKeys(args) => list_api_keys::run(args, context).await,
            Command::RevokeApiKey(args) => revoke_api_key::run(args, context).await,
            Command::CreateWorkspace(args) => create_workspace::run(args, context).await,
            Command::ListWorkspaces(args) => list_workspaces::run(args, context).await,
            Command::ListMyWorkspaces(args) => list_my_workspaces::run(args, context).await,
            Command::GetWorkspace(args) => get_workspace::run(args, context).await,
            Command::UpdateWorkspace(args) => update_workspace::run(args, context).await,
            Command::DisableWorkspace(args) => disable_workspace::run(args, context).await,
            Command::Sessions(args) => sessions::run(args, context).await,
            Command::ListSessions(args) => list_sessions::run(args, context).await,
            Command::Kick(args) => kick::run(args, context).await,
            Command::EndSession(args) => end_session::run(args, context).await,
            Command::ListUserGrants(args) => list_user_grants::run(args, context).await,
            Command::AddUserGrant(args) => add_user_grant::run(args, context).await,
            Command::RemoveUserGrant(args) => remove_user_grant::run(args, context).await,
            Command::CanI(args) => can_i::run(args, context).await,
            Command::MintToken(args) => mint_token::run(args, context).await,
            Command::RotateSigningKey(args) => rotate_signing_key::run(args, context).await,
            Command::Audit(args) => audit::run(args, context).await,
            Command::Call(args) => call::run(args, context).await,
            Command::InstallLinks(args) => install_links::run(&args, context),
            Command::Completions(args) => completions::run(&args, context),
            Command::Man(args) => man::run(&args, context),
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

/// The commands that a link can stand for: all but those that serve an installation.
fn linkable() -> Vec<clap::Command> {
    let cli = Cli::command();
    let without = [install_links::NAME, completions::NAME, man::NAME];
    let commands = cli.get_subcommands().filter(|command| !without.contains(&command.get_name()));
    commands.cloned().collect()
}

/// The name of the link for a command.
fn linked_name(command: &str) -> String {
    format!("tg-{command}")
}

#[cfg(test)]
mod tests;
