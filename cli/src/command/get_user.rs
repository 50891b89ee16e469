//! `tg get-user`: one user.

use anyhow::Context as _;
use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{IamArgs, Shown, UserArgs};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    #[command(flatten)]
    user: UserArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let UserArgs { user_id, workspace } = args.user;
    let operation = Operation::GetUser { user_id: Some(user_id), workspace };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| {
        let user = reply.user.as_ref().context("the reply holds no user")?;
        Ok(Shown::data(table::user(user)))
    })
    .await
}
