//! `tg revoke-api-key`: ends a key at once.

use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{ChangeArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    /// The key's id, as list-api-keys shows it
    #[arg(long, value_name = "ID")]
    key_id: String,
    /// Refuse unless the home workspace of the key's owner is this one
    #[arg(short, long, value_name = "ID")]
    workspace: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let done = Shown::data(format!("Revoked key {}", args.key_id));
    let operation =
        Operation::RevokeApiKey { key_id: Some(args.key_id), workspace: args.workspace };
    args.iam.connect(context)?.operate(&operation, |_| Ok(done)).await
}
