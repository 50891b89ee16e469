//! `tg update-workspace`: changes what is named and nothing else.

use anyhow::Context as _;
use clap::builder::BoolishValueParser;
use tollgate_proto::iam::{Operation, WorkspaceInput};

use crate::context::Context;
use crate::iam::{ChangeArgs, Shown};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    /// The workspace
    #[arg(long, value_name = "ID")]
    workspace_id: String,
    #[command(flatten)]
    change: FieldArgs,
}

/// An update without any of these is a misuse.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
struct FieldArgs {
    /// The name to show
    #[arg(long)]
    name: Option<String>,
    /// Whether it can be used
    #[arg(long, value_name = "Y/N", value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    enabled: Option<bool>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let FieldArgs { name, enabled } = args.change;
    let record = WorkspaceInput { id: Some(args.workspace_id), name, enabled };
    let operation = Operation::UpdateWorkspace { workspace_record: Some(record) };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| {
        let workspace = reply.workspace.as_ref().context("the reply holds no workspace")?;
        Ok(Shown::data(table::workspace(workspace)))
    })
    .await
}
