//! `tg change-password`: the caller's own password.

use secrecy::SecretString;
use serde::Serialize;
use tollgate_proto::secret;

use crate::context::Context;
use crate::iam::{IamArgs, Shown};
use crate::prompt;

#[derive(clap::Args)]
#[command(after_help = "\
Both passwords are asked for. Where standard input is no terminal, its first line is the current
password and its second the new one.")]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    /// Better not: the current password, else asked for
    #[arg(long, value_name = "PASSWORD", value_parser = prompt::as_it_is)]
    current: Option<SecretString>,
    /// Better not: the new password, else asked for
    #[arg(long, value_name = "PASSWORD", value_parser = prompt::as_it_is)]
    new: Option<SecretString>,
}

/// The body that existing servers read.
#[derive(Serialize)]
struct Body {
    #[serde(serialize_with = "secret::expose")]
    current_password: SecretString,
    #[serde(serialize_with = "secret::expose")]
    new_password: SecretString,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let iam = args.iam.connect(context)?;
    let ask_current = || prompt::password("Current password");
    let ask_new = || prompt::new_password("New password");
    let body = Body {
        current_password: prompt::or_ask(args.current, context, ask_current)?,
        new_password: prompt::or_ask(args.new, context, ask_new)?,
    };
    let done = Shown::data("Password changed.");
    iam.call("/api/v1/auth/change-password", &body, |_| Ok(done)).await
}
