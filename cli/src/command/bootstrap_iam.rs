//! `tg bootstrap-iam`: claims a deployment that nobody owns yet.

use anyhow::{Context as _, bail};
use hyper::StatusCode;
use serde_json::json;
use tollgate_proto::iam::Reply;

use crate::access::AddressArgs;
use crate::api::{Api, Raw};
use crate::context::Context;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    address: AddressArgs,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
}

/// Every refusal looks alike, so that a stranger learns nothing; this is what it can be.
const CLAIMED: &str = "\nhint: the deployment was claimed before, or it cannot be claimed in this \
     way; whoever has its first key can make you a user";

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> anyhow::Result<()> {
    let api = Api::new(args.address.resolve(context))?;
    let Raw { status, text } = api.post("/api/v1/auth/bootstrap", &json!({})).await?;
    if status != StatusCode::OK {
        let hint = match status {
            StatusCode::UNAUTHORIZED => CLAIMED,
            _ => "",
        };
        // Scripts know this command by the raw body.
        bail!("HTTP {}: {}{hint}", status.as_u16(), text.trim());
    }
    let reply: Reply = serde_json::from_str(&text).context("the reply is not as expected")?;
    let Some(key) = &reply.bootstrap_admin_api_key else {
        bail!("the reply holds no key: {}", text.trim());
    };
    if args.json {
        return context.output.line(text.trim());
    }
    let user_id = reply.bootstrap_admin_user_id.as_deref().unwrap_or_default();
    context.output.note(&format!("Admin user id: {user_id}"));
    context.output.note("The key is shown this once. Keep it safe, and use it as TOLLGATE_TOKEN.");
    context.output.line(key.expose())
}
