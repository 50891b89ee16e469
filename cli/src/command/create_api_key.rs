//! `tg create-api-key`: a key, shown once.

use anyhow::Context as _;
use tollgate_proto::iam::{KeyInput, Operation};

use crate::context::Context;
use crate::iam::{IamArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    /// Whose key it is
    #[arg(long, value_name = "ID")]
    user_id: String,
    /// What to call it, so that its owner knows it in lists
    #[arg(long)]
    name: String,
    /// When it ends, ISO 8601 [default: never]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Refuse unless the user's home workspace is this one
    #[arg(short, long, value_name = "ID")]
    workspace: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let key =
        KeyInput { user_id: Some(args.user_id), name: Some(args.name), expires: args.expires };
    let operation = Operation::CreateApiKey { workspace: args.workspace, key: Some(key) };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| {
        let key = reply.api_key_plaintext.as_ref().context("the reply holds no key")?;
        let mut shown = Shown::data(key.expose());
        if let Some(record) = &reply.api_key {
            shown = shown
                .note(format!("Key id: {}", record.id))
                .note(format!("Name: {}", record.name))
                .note(format!("Prefix: {}", record.prefix));
        }
        Ok(shown.note("The key is shown this once. Keep it safe."))
    })
    .await
}
