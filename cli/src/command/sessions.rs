//! `tg sessions`: the caller's own sockets.

use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::IamArgs;
use crate::sessions::shown;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let own = Operation::ListSessions { user_id: None, workspace: None };
    args.iam.connect(context)?.operate(&own, |reply| Ok(shown(reply))).await
}
