//! `tg add-user-grant`: gives a user a role or a capability.

use tollgate_proto::iam::{GrantInput, Operation};

use crate::context::Context;
use crate::grant::WhatArgs;
use crate::iam::{ChangeArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    /// Who gets it
    #[arg(long, value_name = "ID")]
    user_id: String,
    #[command(flatten)]
    what: WhatArgs,
    /// When it ends, ISO 8601 [default: never]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let iam = args.iam.connect(context)?;
    let done = format!("Gave {} to user {}", args.what.in_words(), args.user_id);
    let input = GrantInput { expires: args.expires, ..args.what.input() };
    let operation = Operation::AddUserGrant { user_id: Some(args.user_id), grant: Some(input) };
    iam.operate(&operation, |_| Ok(Shown::data(done))).await
}
