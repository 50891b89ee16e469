//! `tg create-workspace`: a workspace; an existing one is left as it is.

use anyhow::Context as _;
use tollgate_proto::iam::{Operation, WorkspaceInput};

use crate::context::Context;
use crate::iam::{IamArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    /// The id: letters, digits, dot, underscore, hyphen
    #[arg(long, value_name = "ID")]
    workspace_id: String,
    /// The name to show
    #[arg(long)]
    name: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let record =
        WorkspaceInput { id: Some(args.workspace_id), name: args.name, enabled: Some(true) };
    let operation = Operation::CreateWorkspace { workspace_record: Some(record) };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| {
        let workspace = reply.workspace.as_ref().context("the reply holds no workspace")?;
        Ok(Shown::data(format!("Workspace created: {}", workspace.id)))
    })
    .await
}
