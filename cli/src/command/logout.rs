//! `tg logout`: forgets the token that `tg login --save` kept. The token itself lives on until it
//! expires.

use crate::access::AddressArgs;
use crate::context::Context;
use crate::credentials::Credentials;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    address: AddressArgs,
    /// Print {"removed":true} or {"removed":false}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> anyhow::Result<()> {
    let url = args.address.resolve(context).url;
    let removed = Credentials::at(&context.environment)?.forget(&url)?;
    let said = if removed { "Forgot the token for" } else { "No token is kept for" };
    context.output.note(&format!("{said} {url}"));
    if args.json {
        context.output.line(&serde_json::json!({ "removed": removed }).to_string())?;
    }
    Ok(())
}
