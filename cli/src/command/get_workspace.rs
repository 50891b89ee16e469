//! `tg get-workspace`: one workspace.

use anyhow::Context as _;
use tollgate_proto::iam::{Operation, WorkspaceInput};

use crate::context::Context;
use crate::iam::{IamArgs, Shown};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    /// The workspace
    #[arg(long, value_name = "ID")]
    workspace_id: String,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let record = WorkspaceInput { id: Some(args.workspace_id), ..WorkspaceInput::default() };
    let operation = Operation::GetWorkspace { workspace_record: Some(record) };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| {
        let workspace = reply.workspace.as_ref().context("the reply holds no workspace")?;
        Ok(Shown::data(table::workspace(workspace)))
    })
    .await
}
