//! `tg whoami`: the record behind the token.

use anyhow::Context as _;
use tollgate_proto::iam::Operation;

use crate::access::AccessArgs;
use crate::api::Api;
use crate::context::Context;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    access: AccessArgs,
    /// Print the reply as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let api = Api::new(args.access.resolve(context)?)?;
    let answer = api.operate(&Operation::Whoami {}).await?;
    let user = answer.reply.user.as_ref().context("the reply holds no user")?;
    if args.json {
        return context.output.line(answer.text.trim());
    }
    let yes_no = |value| if value { "yes" } else { "no" };
    // Servers of another version fill in one of the two only.
    let workspace = match user.default_workspace.as_str() {
        "" => &user.workspace,
        _ => &user.default_workspace,
    };
    context.output.pairs(&[
        ("id", &user.id),
        ("username", &user.username),
        ("name", &user.name),
        ("email", &user.email),
        ("workspace", workspace),
        ("roles", &user.roles.join(", ")),
        ("enabled", yes_no(user.enabled)),
        ("must change password", yes_no(user.must_change_password)),
        ("created", &user.created),
    ])
}
