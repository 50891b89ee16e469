//! `tg remove-user-grant`: takes a role or a capability away again.

use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::grant::WhatArgs;
use crate::iam::{ChangeArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    /// Who loses it
    #[arg(long, value_name = "ID")]
    user_id: String,
    #[command(flatten)]
    what: WhatArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let iam = args.iam.connect(context)?;
    let done = format!("Took {} from user {}", args.what.in_words(), args.user_id);
    let grant = Some(args.what.input());
    let operation = Operation::RemoveUserGrant { user_id: Some(args.user_id), grant };
    iam.operate(&operation, |_| Ok(Shown::data(done))).await
}
