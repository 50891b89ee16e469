//! `tg rotate-signing-key`: the next key signs from now on, tokens of the last one stay valid.

use anyhow::Context as _;
use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{IamArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let iam = args.iam.connect(context)?;
    iam.operate(&Operation::RotateSigningKey {}, |reply| {
        let key = reply.signing_key_id.as_ref().context("the reply holds no key id")?;
        Ok(Shown::data(key).note("This key signs now. Tokens that were signed before stay valid."))
    })
    .await
}
