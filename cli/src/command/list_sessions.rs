//! `tg list-sessions`: the sockets of a user, or those in a workspace.

use clap::builder::NonEmptyStringValueParser;
use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::IamArgs;
use crate::sessions::shown;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    #[command(flatten)]
    whose: WhoseArgs,
}

/// Without either they would be the caller's own, and what is empty would be absent.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct WhoseArgs {
    /// Those of this user
    #[arg(long, value_name = "ID", alias = "user", value_parser = NonEmptyStringValueParser::new())]
    user_id: Option<String>,
    /// Those whose calls are about this workspace
    #[arg(short, long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    workspace: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let WhoseArgs { user_id, workspace } = args.whose;
    let operation = Operation::ListSessions { user_id, workspace };
    args.iam.connect(context)?.operate(&operation, |reply| Ok(shown(reply))).await
}
