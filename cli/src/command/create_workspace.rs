//! `tg create-workspace`: a workspace; an existing one is left as it is.

use anyhow::Context as _;
use tollgate_proto::iam::{Operation, WorkspaceInput};

use crate::access::AccessArgs;
use crate::api::Api;
use crate::context::Context;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    access: AccessArgs,
    /// The id: letters, digits, dot, underscore, hyphen
    #[arg(long, value_name = "ID")]
    workspace_id: String,
    /// The name to show
    #[arg(long)]
    name: Option<String>,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let api = Api::new(args.access.resolve(context)?)?;
    let record =
        WorkspaceInput { id: Some(args.workspace_id), name: args.name, enabled: Some(true) };
    let operation = Operation::CreateWorkspace { workspace_record: Some(record) };
    let answer = api.operate(&operation).await?;
    let workspace = answer.reply.workspace.as_ref().context("the reply holds no workspace")?;
    if args.json {
        return context.output.line(answer.text.trim());
    }
    context.output.line(&format!("Workspace created: {}", workspace.id))
}
