//! `tg bootstrap-status`: whether a deployment waits to be claimed.

use serde_json::json;

use crate::access::AddressArgs;
use crate::api::Api;
use crate::context::Context;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    address: AddressArgs,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> anyhow::Result<()> {
    let api = Api::new(args.address.resolve(context))?;
    let answer = api.call("/api/v1/auth/bootstrap-status", &json!({})).await?;
    context.output.line(match (args.json, answer.reply.bootstrap_available) {
        (true, _) => answer.text.trim(),
        (false, true) => "Waits to be claimed by bootstrap-iam.",
        (false, false) => "Cannot be claimed (any more).",
    })
}
