//! `tg login`: exchanges a password for a token.

use anyhow::Context as _;
use secrecy::SecretString;
use serde::Serialize;
use tollgate_proto::secret;

use crate::access::AddressArgs;
use crate::api::Api;
use crate::context::Context;
use crate::credentials::Credentials;
use crate::prompt::{self, PasswordArgs};

#[derive(clap::Args)]
#[command(after_help = "\
The token is printed, so that TOLLGATE_TOKEN=$(tg login …) works. With --save it goes to
$XDG_CONFIG_HOME/tollgate/credentials.json (mode 0600; ~/.config if that is not set) instead, and
later commands for the same gateway use it when neither -t nor the environment gives one.")]
pub(crate) struct Args {
    #[command(flatten)]
    address: AddressArgs,
    /// Who logs in
    #[arg(long, value_name = "NAME")]
    username: String,
    #[command(flatten)]
    password: PasswordArgs,
    /// The token's default workspace, instead of the user's own
    #[arg(short, long, value_name = "ID")]
    workspace: Option<String>,
    /// Keep the token for later commands instead of printing it
    #[arg(long)]
    save: bool,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
}

/// The body that existing servers read.
#[derive(Serialize)]
struct Body<'a> {
    username: &'a str,
    #[serde(serialize_with = "secret::expose")]
    password: SecretString,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace: Option<&'a str>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let access = args.address.resolve(context);
    let url = access.url.clone();
    let api = Api::new(access)?;
    let password = args.password.or_ask(context, || prompt::password("Password"))?;
    let body = Body { username: &args.username, password, workspace: args.workspace.as_deref() };
    let answer = api.call("/api/v1/auth/login", &body).await?;
    let token = answer.reply.jwt.as_ref().context("the reply holds no token")?;
    if args.save {
        let credentials = Credentials::at(&context.environment)?;
        if credentials.remove_broken()? {
            let path = credentials.path();
            context.output.note(&format!("warning: replaced {}: it was broken", path.display()));
        }
        credentials.keep(&url, &token.expose().into())?;
        context.output.note(&format!("Token kept in {}", credentials.path().display()));
    }
    if let Some(expires) = &answer.reply.jwt_expires {
        context.output.note(&format!("JWT expires: {expires}"));
    }
    match (args.json, args.save) {
        (true, _) => context.output.line(answer.text.trim()),
        (false, true) => Ok(()),
        (false, false) => context.output.line(token.expose()),
    }
}
