//! `tg create-api-key`: a key, shown once.

use anyhow::Context as _;
use tollgate_proto::iam::{KeyInput, Operation};

use crate::access::AccessArgs;
use crate::api::Api;
use crate::context::Context;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    access: AccessArgs,
    /// Whose key it is
    #[arg(long, value_name = "ID")]
    user_id: String,
    /// What to call it, so that its owner knows it in lists
    #[arg(long)]
    name: String,
    /// When it ends, ISO 8601 [default: never]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Refuse unless the user's home workspace is this one
    #[arg(short, long, value_name = "ID")]
    workspace: Option<String>,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let api = Api::new(args.access.resolve(context)?)?;
    let key =
        KeyInput { user_id: Some(args.user_id), name: Some(args.name), expires: args.expires };
    let operation = Operation::CreateApiKey { workspace: args.workspace, key: Some(key) };
    let answer = api.operate(&operation).await?;
    let plaintext = answer.reply.api_key_plaintext.as_ref().context("the reply holds no key")?;
    if args.json {
        return context.output.line(answer.text.trim());
    }
    if let Some(record) = &answer.reply.api_key {
        context.output.note(&format!("Key id: {}", record.id));
        context.output.note(&format!("Name: {}", record.name));
        context.output.note(&format!("Prefix: {}", record.prefix));
    }
    context.output.note("The key is shown this once. Keep it safe.");
    context.output.line(plaintext.expose())
}
