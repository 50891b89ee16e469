//! `tg reset-password`: a temporary password for a user who lost the own one.

use anyhow::Context as _;
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
    let operation = Operation::ResetPassword { user_id: Some(user_id), workspace };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| {
        let password = reply.temporary_password.as_ref().context("the reply holds no password")?;
        Ok(Shown::data(password.expose())
            .note("The password is shown this once, and must be changed after the next login."))
    })
    .await
}
