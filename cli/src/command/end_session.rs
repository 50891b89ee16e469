//! `tg end-session`: closes one socket.

use tollgate_proto::iam::Operation;

use crate::context::Context;
use crate::iam::{ChangeArgs, Shown};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    /// The session, as list-sessions shows it
    #[arg(value_name = "ID")]
    session_id: String,
    /// Refuse unless it is this user's
    #[arg(long, value_name = "ID", alias = "user")]
    user_id: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let done = Shown::data(format!("Closed session {}", args.session_id));
    let operation =
        Operation::EndSession { session_id: Some(args.session_id), user_id: args.user_id };
    args.iam.connect(context)?.operate(&operation, |_| Ok(done)).await
}
