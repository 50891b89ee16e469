//! `tg whoami`: the record behind the token.

use anyhow::Context as _;
use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{IamArgs, Shown};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let iam = args.iam.connect(context)?;
    iam.operate(&Operation::Whoami {}, |reply| {
        let user = reply.user.as_ref().context("the reply holds no user")?;
        Ok(Shown::data(table::user(user)))
    })
    .await
}
