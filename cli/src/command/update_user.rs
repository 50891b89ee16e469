//! `tg update-user`: changes what is named and nothing else.

use anyhow::Context as _;
use clap::builder::BoolishValueParser;
use tollgate_proto::iam::{Operation, UserInput, UserRecord};

use crate::context::Context;
use crate::iam::{ChangeArgs, Shown, UserArgs};
use crate::table::yes_no;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    iam: ChangeArgs,
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    change: FieldArgs,
}

/// An update without any of these is a misuse.
#[derive(clap::Args)]
#[group(required = true, multiple = true)]
struct FieldArgs {
    /// The name to show
    #[arg(long)]
    name: Option<String>,
    /// The mail address
    #[arg(long)]
    email: Option<String>,
    /// All roles from now on: reader, writer, admin
    #[arg(long, value_name = "ROLE", num_args = 1..)]
    roles: Option<Vec<String>>,
    /// Whether the user can do anything at all
    #[arg(long, value_name = "Y/N", value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    enabled: Option<bool>,
    /// Whether the next login must choose another password
    #[arg(long, value_name = "Y/N", value_parser = BoolishValueParser::new(), hide_possible_values = true)]
    must_change_password: Option<bool>,
}

pub(crate) async fn run(args: Args, context: &Context<'_>) -> anyhow::Result<()> {
    let UserArgs { user_id, workspace } = args.user;
    let FieldArgs { name, email, roles, enabled, must_change_password } = args.change;
    let user =
        UserInput { name, email, roles, enabled, must_change_password, ..UserInput::default() };
    let operation = Operation::UpdateUser { user_id: Some(user_id), workspace, user: Some(user) };
    let iam = args.iam.connect(context)?;
    iam.operate(&operation, |reply| {
        let user = reply.user.as_ref().context("the reply holds no user")?;
        Ok(Shown::data(lines(user)))
    })
    .await
}

/// Scripts know these very lines.
fn lines(user: &UserRecord) -> String {
    [
        format!("id        : {}", user.id),
        format!("username  : {}", user.username),
        format!("name      : {}", user.name),
        format!("email     : {}", user.email),
        format!("default_ws: {}", user.default_workspace),
        format!("roles     : {}", user.roles.join(", ")),
        format!("enabled   : {}", yes_no(user.enabled)),
        format!("must-change-pw: {}", yes_no(user.must_change_password)),
    ]
    .join("\n")
}
