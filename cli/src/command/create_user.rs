//! `tg create-user`: a user with a first password.

use anyhow::Context as _;
use tollgate_proto::iam::{Operation, UserInput};

use crate::context::Context;
use crate::iam::{IamArgs, Shown};
use crate::prompt::{self, PasswordArgs};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: IamArgs,
    /// The name to log in with
    #[arg(long, value_name = "NAME")]
    username: String,
    #[command(flatten)]
    password: PasswordArgs,
    /// The name to show
    #[arg(long)]
    name: Option<String>,
    /// The mail address
    #[arg(long)]
    email: Option<String>,
    /// What the user may do: reader, writer, admin
    #[arg(long, value_name = "ROLE", num_args = 1.., default_value = "reader")]
    roles: Vec<String>,
    /// Make the user choose another password at the first login
    #[arg(long)]
    must_change_password: bool,
    /// The user's home workspace: IAM wants it named
    #[arg(short, long, value_name = "ID")]
    workspace: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let iam = args.iam.connect(context)?;
    let password =
        args.password.or_ask(context, || prompt::new_password("Password of the new user"))?;
    let user = UserInput {
        username: Some(args.username),
        password: Some(password),
        name: args.name,
        email: args.email,
        roles: Some(args.roles),
        enabled: Some(true),
        must_change_password: Some(args.must_change_password),
    };
    let operation = Operation::CreateUser { workspace: args.workspace, user: Some(user) };
    iam.operate(&operation, |reply| {
        let user = reply.user.as_ref().context("the reply holds no user")?;
        Ok(Shown::data(&user.id)
            .note(format!("User id: {}", user.id))
            .note(format!("Username: {}", user.username))
            .note(format!("Roles: {}", user.roles.join(", "))))
    })
    .await
}
