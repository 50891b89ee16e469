//! `tg rotate-signing-key`: the next signing key is published, and signs a little later; with
//! `--revoke`, a key that got into wrong hands ends at once.

use anyhow::Context as _;
use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{ChangeArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    /// End this key at once: nothing that it signed is accepted any more
    #[arg(long, value_name = "KID")]
    revoke: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let iam = args.iam.connect(context)?;
    let note = match args.revoke {
        None => "This key is published now and signs soon. Tokens signed before stay valid.",
        Some(_) => "The key is revoked. This one signs now.",
    };
    iam.operate(&Operation::RotateSigningKey { revoke: args.revoke }, |reply| {
        let key = reply.signing_key_id.as_ref().context("the reply holds no key id")?;
        Ok(Shown::data(key).note(note))
    })
    .await
}
