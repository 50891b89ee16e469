//! `tg kick`: closes all sockets of a user, who may come back at once.

use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{ChangeArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    /// The user
    #[arg(long, value_name = "ID", alias = "user")]
    user_id: String,
    /// Refuse unless the user's home workspace is this one
    #[arg(short, long, value_name = "ID")]
    workspace: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let done = Shown::data(format!("Closed all sockets of user {}", args.user_id));
    let operation = Operation::KickUser { user_id: Some(args.user_id), workspace: args.workspace };
    args.iam.connect(context)?.operate(&operation, |_| Ok(done)).await
}
