//! `tg list-workspaces`: all workspaces of the deployment.

use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{IamArgs, Shown};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let iam = args.iam.connect(context)?;
    let operation = Operation::ListWorkspaces {};
    iam.operate(&operation, |reply| Ok(Shown::data(table::workspaces(&reply.workspaces)))).await
}
