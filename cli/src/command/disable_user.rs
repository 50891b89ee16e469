//! `tg disable-user`: takes a user's authority away at once; its keys are gone for good.

use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{ChangeArgs, Shown, UserArgs};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    #[command(flatten)]
    user: UserArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let UserArgs { user_id, workspace } = args.user;
    let done = Shown::data(format!("Disabled user {user_id}"));
    let operation = Operation::DisableUser { user_id: Some(user_id), workspace };
    args.iam.connect(context)?.operate(&operation, |_| Ok(done)).await
}
