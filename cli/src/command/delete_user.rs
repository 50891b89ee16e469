//! `tg delete-user`: removes a user with its keys; the name is free again.

use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{ChangeArgs, Shown, UserArgs};
use crate::prompt;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    #[command(flatten)]
    user: UserArgs,
    /// Do not ask whether it is meant
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let UserArgs { user_id, workspace } = args.user;
    let iam = args.iam.connect(context)?;
    let is_meant = args.yes || iam.only_rehearses();
    if !is_meant && !prompt::confirm(context, &format!("Delete user {user_id} for good?"))? {
        return context.output.line("Aborted.");
    }
    let done = Shown::data(format!("Deleted user {user_id}"));
    let operation = Operation::DeleteUser { user_id: Some(user_id), workspace };
    iam.operate(&operation, |_| Ok(done)).await
}
