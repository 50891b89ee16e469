//! `tg logout`: ends the session that `tg login --save` opened, and forgets its token.

use secrecy::SecretString;
use tollgate_proto::iam::Operation;

use crate::access::{Access, AddressArgs};
use crate::api::Api;
use crate::context::Context;
use crate::credentials::Credentials;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    address: AddressArgs,
    /// Print {"ended":…,"removed":…}: the session there, the token here
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> anyhow::Result<()> {
    let url = args.address.resolve(context).url;
    let credentials = Credentials::at(&context.environment)?;
    if credentials.remove_broken()? {
        let path = credentials.path();
        context.output.note(&format!("warning: removed {}: it was broken", path.display()));
    }
    let token = credentials.token_for(&url)?;
    let removed = token.is_some();
    let mut ended = false;
    if let Some(token) = token {
        ended = end(&url, token, context).await;
        credentials.forget(&url)?;
    }
    let said = if removed { "Forgot the token for" } else { "No token is kept for" };
    context.output.note(&format!("{said} {url}"));
    if args.json {
        let reply = serde_json::json!({ "removed": removed, "ended": ended });
        context.output.line(&reply.to_string())?;
    }
    Ok(())
}

/// Whether the gateway ended the session. The token is forgotten in any case.
async fn end(url: &str, token: SecretString, context: &Context<'_>) -> bool {
    let ask = async {
        let api = Api::new(Access { url: url.to_owned(), token: Some(token) })?;
        api.operate(&Operation::Logout {}).await
    };
    let Err(error) = ask.await else { return true };
    context.output.note(&format!("warning: the gateway did not end the session: {error:#}"));
    false
}
