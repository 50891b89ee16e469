//! `tg mint-token`: a token for a user, with a context for the services behind the gateway.

use anyhow::Context as _;
use tollgate_proto::iam::Operation;
use tollgate_proto::json::{Limits, Object};

use crate::context::Context;
use crate::iam::{IamArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    /// The workspace that the token is for
    #[arg(short, long, value_name = "ID")]
    workspace: String,
    /// What services shall know of the user: a JSON object
    #[arg(long, value_name = "JSON")]
    user_context: String,
    #[command(flatten)]
    subject: SubjectArgs,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct SubjectArgs {
    /// Whom the token stands for
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// The same by name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The caller
    #[arg(long = "self")]
    caller: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    Object::parse(args.user_context.trim(), Limits::FRIEND)
        .context("--user-context is no JSON object")?;
    // Nobody named is the caller.
    let SubjectArgs { user_id, username, caller: _ } = args.subject;
    let operation = Operation::MintToken {
        workspace: Some(args.workspace),
        user_context_json: Some(args.user_context),
        user_id,
        username,
    };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| {
        let token = reply.jwt.as_ref().context("the reply holds no token")?;
        let shown = Shown::data(token.expose());
        Ok(match &reply.jwt_expires {
            Some(expires) => shown.note(format!("JWT expires: {expires}")),
            None => shown,
        })
    })
    .await
}
