//! Making a user.

use tollgate_proto::iam::UserInput;
use tollgate_proto::ids::{GrantId, UserId, WorkspaceId};

use super::super::{Answered, Context, Request, answer, caller, propose, required};
use super::{check_email, grant_at_home, read_roles};
use crate::commit::Decided;
use crate::draw;
use crate::names::{self, Username};
use crate::policy::{self, Action, Allowed, Rights};
use crate::record::{Change, Grant, Outcome, Password, PasswordHash, Role, User};
use crate::refused::Refused;
use crate::state::{self, Read};

/// Makes a user at home in a workspace, with roles there.
pub(in crate::operation) async fn create(
    context: &Context,
    request: &Request,
    workspace: Option<String>,
    user: Option<UserInput>,
) -> Result<Answered, Refused> {
    // Whoever is nobody is told nothing about what a user must have.
    caller::live(&context.state.view()?, request)?;
    let home = required(workspace, "workspace")?;
    let user = required(user, "user")?;
    let username = Username::parse(&required(user.username, "user.username")?)?;
    let password = required(user.password, "user.password")?;
    let new = NewUser {
        request: request.clone(),
        id: UserId(draw::uuid()?),
        home: home.parse().map_err(|_| unknown_workspace())?,
        name: user.name.unwrap_or_else(|| username.typed().to_owned()),
        email: user.email.unwrap_or_default(),
        username,
        enabled: user.enabled.unwrap_or(true),
        must_change_password: user.must_change_password.unwrap_or(false),
        roles: read_roles(&user.roles.unwrap_or_default())?,
    };
    names::check_shown(&new.name)?;
    check_email(&new.email)?;
    // Refused here, it costs no hash.
    new.check(&context.state.view()?)?;
    context.passwords.check_new(&password, &[new.username.typed(), new.home.as_str()])?;
    let permit = context.passwords.permit().await?;
    let hash = context.passwords.hash(permit, password).await?;

    let ready = ReadyUser { new, hash };
    let proposed =
        propose(context, request, "create-user", move |state| ready.decide(state)).await?;
    answer(context, request, proposed)
}

/// A new user, as it was asked for.
struct NewUser {
    request: Request,
    id: UserId,
    home: WorkspaceId,
    username: Username,
    name: String,
    email: String,
    enabled: bool,
    must_change_password: bool,
    /// With the ids of the grants.
    roles: Vec<(Role, GrantId)>,
}

impl NewUser {
    fn check(&self, state: &dyn Read) -> Result<Allowed, Refused> {
        let live = caller::live(state, &self.request)?;
        let given: Vec<_> = self.grants().collect();
        let rights = Rights::of(&given, self.request.now_ms);
        let action = Action::CreateUser { home: &self.home, rights: &rights };
        let allowed = policy::allow(&live, &action)?;
        if !caller::is_live(state, &self.home)? {
            return Err(unknown_workspace());
        }
        if state::user_by_name(state, self.username.folded())?.is_some() {
            return Err(Refused::Duplicate("username already exists"));
        }
        Ok(allowed)
    }

    fn grants(&self) -> impl Iterator<Item = Grant> {
        let roles = self.roles.iter();
        roles.map(|role| grant_at_home(&self.request, self.id, &self.home, *role))
    }
}

/// A new user with all that was drawn and hashed for it.
struct ReadyUser {
    new: NewUser,
    hash: PasswordHash,
}

impl ReadyUser {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let new = &self.new;
        let allowed = new.check(state)?;
        let password = Password {
            hash: self.hash.clone(),
            // Whoever made the user knows it too.
            own: false,
            until_ms: None,
        };
        let user = User {
            id: new.id,
            username: new.username.typed().to_owned(),
            name: new.name.clone(),
            email: new.email.clone(),
            home: new.home.clone(),
            enabled: new.enabled,
            suspended: false,
            password: Some(password),
            must_change_password: new.must_change_password,
            auth_epoch: 1,
            authz_epoch: 1,
            created_ms: new.request.now_ms,
        };
        let grants = new.grants().map(Change::AddGrant);
        let changes = std::iter::once(Change::AddUser(user)).chain(grants).collect();
        Ok(Decided { allowed, changes, outcome: Outcome::User(new.id) })
    }
}

fn unknown_workspace() -> Refused {
    Refused::NotFound("workspace not found or disabled")
}
