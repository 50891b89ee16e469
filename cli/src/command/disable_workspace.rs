//! `tg disable-workspace`: ends all use of a workspace at once.

use tollgate_proto::iam::{Operation, WorkspaceInput};

use crate::context::Context;
use crate::iam::{ChangeArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    /// The workspace
    #[arg(long, value_name = "ID")]
    workspace_id: String,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let done = Shown::data(format!("Disabled workspace {}", args.workspace_id));
    let record = WorkspaceInput { id: Some(args.workspace_id), ..WorkspaceInput::default() };
    let operation = Operation::DisableWorkspace { workspace_record: Some(record) };
    args.iam.connect(context)?.operate(&operation, |_| Ok(done)).await
}
