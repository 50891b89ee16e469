//! `tg list-users`: users at home in a workspace, or in all that the caller may see.

use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{IamArgs, Shown};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    /// Users at home in this workspace only
    #[arg(short, long, value_name = "ID")]
    workspace: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let operation = Operation::ListUsers { workspace: args.workspace };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| Ok(Shown::data(table::users(&reply.users)))).await
}
