//! Users.

mod create;
mod update;
mod authority;

use tollgate_proto::capability::Capability;
use tollgate_proto::iam::Reply;
use tollgate_proto::ids::{GrantId, UserId, WorkspaceId};

use super::grant::read_role;
use super::target::Address;
use super::{Answered, Context, Request, caller, record};
use crate::draw;
use crate::names;
use crate::policy::{self, Action, Denied};
use crate::record::{Grant, Role, Subject, What};
use crate::refused::Refused;
use crate::state;

pub(super) use authority::{delete, disable, enable, reset_password};
pub(super) use create::create;
pub(super) use update::update;

/// The most bytes of a mail address.
const MAX_EMAIL: usize = 254;

/// Users at home in a workspace, or in all whose users the caller may see.
pub(super) fn list(
    context: &Context,
    request: &Request,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    let may_read = |home: &WorkspaceId| policy::allow(&live, &Action::ReadUsers { home });
    let asked: Option<WorkspaceId> = match workspace.map(|id| id.parse()) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Err(Denied::NoGrant.into()),
    };
    match &asked {
        Some(home) => may_read(home)?,
        None => policy::allow(&live, &Action::ReadUsersAnywhere)?,
    };
    let users = state::users(&view)?;
    let seen = users.iter().filter(|user| {
        asked.as_ref().is_none_or(|home| user.home == *home) && may_read(&user.home).is_ok()
    });
    let users = seen.map(|user| record::user(&view, user, request.now_ms));
    Ok(Reply { users: users.collect::<Result<_, _>>()?, ..Reply::default() }.into())
}

/// One user.
pub(super) fn get(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    let address = Address::read(user_id, workspace)?;
    let found = address.find(&view, &live, request, Capability::UsersRead)?;
    policy::allow(&live, &Action::ReadUsers { home: &found.user.home })?;
    address.check_home(&found.user)?;
    let user = record::user(&view, &found.user, request.now_ms)?;
    Ok(Reply { user: Some(user), ..Reply::default() }.into())
}

fn check_email(email: &str) -> Result<(), Refused> {
    // Before the rules of every name, which would call it one and allow it more.
    if email.len() > MAX_EMAIL {
        return Err(Refused::Invalid(format!("user.email must have at most {MAX_EMAIL} bytes")));
    }
    Ok(names::check_shown(email)?)
}

/// Reads roles, and draws an id for the grant of each.
fn read_roles(names: &[String]) -> Result<Vec<(Role, GrantId)>, Refused> {
    let read = names.iter().map(|name| read_role(name));
    let mut roles: Vec<_> = read.collect::<Result<_, _>>()?;
    roles.sort_unstable();
    roles.dedup();
    let with_id = |role| Ok((role, GrantId(draw::uuid()?)));
    roles.into_iter().map(with_id).collect()
}

/// A role that is given to a user at home.
fn grant_at_home(
    request: &Request,
    user: UserId,
    home: &WorkspaceId,
    (role, id): (Role, GrantId),
) -> Grant {
    Grant {
        id,
        subject: Subject::User(user),
        what: What::Role(role),
        scope: policy::home_scope(role, home),
        expires_ms: None,
        granted_by: request.actor.as_ref().map(|actor| actor.user),
        created_ms: request.now_ms,
    }
}
