//! `tg list-user-grants`: what was given to a user, and where.

use anyhow::Context as _;
use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::grant;
use crate::iam::{IamArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    /// The user
    #[arg(long, value_name = "ID")]
    user_id: String,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let operation = Operation::ListUserGrants { user_id: Some(args.user_id) };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| {
        let text = reply.grants_json.as_ref().context("the reply holds no grants")?;
        let grants: Vec<_> =
            serde_json::from_str(text).context("the grants are not as expected")?;
        Ok(Shown::data(grant::grid(&grants)).json(text))
    })
    .await
}
