//! `tg enable-user`: lets a disabled user log in again; its keys do not come back.

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
    let done = Shown::data(format!("Enabled user {user_id}"));
    let operation = Operation::EnableUser { user_id: Some(user_id), workspace };
    args.iam.connect(context)?.operate(&operation, |_| Ok(done)).await
}
