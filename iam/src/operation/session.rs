//! What users do for themselves: open a session, look at themselves, change their password.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use tollgate_proto::iam::Reply;
use tollgate_proto::ids::{SessionId, WorkspaceId};

use super::rehash::{self, Verified};
use super::{Answered, Context, Request, answer, caller, propose, record, required};
use crate::commit::Decided;
use crate::draw;
use crate::names::Username;
use crate::policy::{self, Action, Rights};
use crate::record::{Change, Outcome, Password, PasswordHash, User};
use crate::refused::Refused;
use crate::state::{self, Read, View};
use crate::throttle::Attempt;
use crate::times;
use crate::tokens::{Issued, Session};

/// Logins that fail are answered in steps of this, counted from their beginning: behind the hash
/// some accounts take tens of microseconds more than others, and a step hides that.
const STEP: Duration = Duration::from_millis(20);

/// Opens a session. The order is the same for everybody: throttle, a place in the pool, the
/// record or none, the hash, and only then everything that could tell accounts apart.
pub(super) async fn login(
    context: &Context,
    request: &Request,
    username: Option<String>,
    password: Option<SecretString>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let (Some(username), Some(password)) = (username, password) else {
        return Err(Refused::Unauthenticated("no username or no password"));
    };
    let attempt = attempt(context, request, &username)?;
    let begun = Instant::now();
    let permit = context.passwords.permit().await?;
    let user = user_named(&context.state.view()?, &username)?;
    let kept = user.as_ref().and_then(|user| user.password.as_ref()).map(|kept| kept.hash.clone());
    let right = context.passwords.verify(permit, password.clone(), kept.as_ref()).await?;
    let opened = match (right, &user) {
        (true, Some(user)) => open_session(context, request, user, workspace.as_deref()),
        (_, None) => Err(Refused::Unauthenticated("no such user")),
        (false, Some(_)) => Err(Refused::Unauthenticated("wrong password")),
    };
    if opened.is_err() {
        until_step(begun).await;
    }
    let issued = settle(attempt, opened)?;
    if let (Some(user), Some(kept)) = (user, kept)
        && context.passwords.is_outdated(&kept)
    {
        rehash::later(context, Verified { user: user.id, password, kept });
    }
    Ok(disclose(issued))
}

/// Waits for the end of the step that is on.
async fn until_step(begun: Instant) {
    let mut end = begun + STEP;
    while end <= Instant::now() {
        end += STEP;
    }
    tokio::time::sleep_until(end).await;
}

/// The answer that holds a token.
pub(super) fn disclose(issued: Issued) -> Answered {
    let reply = Reply {
        jwt: Some(issued.token.expose_secret().to_owned().into()),
        jwt_expires: Some(times::format(issued.expires_s * 1_000)),
        ..Reply::default()
    };
    Answered { reply, opened: Some(issued.actor), ..Answered::default() }
}

/// The checks behind the password, on the state as it is after the hash.
fn open_session(
    context: &Context,
    request: &Request,
    checked: &User,
    workspace: Option<&str>,
) -> Result<Issued, Refused> {
    let view = context.state.view()?;
    let user = state::user(&view, checked.id)?
        .filter(|user| user.is_live() && user.auth_epoch == checked.auth_epoch)
        .ok_or(Refused::Unauthenticated("disabled, gone or changed"))?;
    let until_ms = user.password.as_ref().and_then(|password| password.until_ms);
    if until_ms.is_some_and(|until| until <= request.now_ms) {
        return Err(Refused::Unauthenticated("the temporary password has expired"));
    }
    let rights = caller::rights_of(&view, &user, request.now_ms)?;
    let session = Session {
        user: user.id,
        auth_epoch: user.auth_epoch,
        workspace: choose_workspace(&view, &user, &rights, workspace)?,
        id: SessionId(draw::uuid()?),
        minted: None,
    };
    context.tokens.issue(&view, &session, request.now_ms / 1_000)
}

/// The workspace of a session: the one asked for, if the user may use it; else the home.
fn choose_workspace(
    view: &View,
    user: &User,
    rights: &Rights,
    asked: Option<&str>,
) -> Result<WorkspaceId, Refused> {
    let Some(asked) = asked else {
        if caller::has_a_place(view, user, rights)? {
            return Ok(user.home.clone());
        }
        return Err(Refused::Unauthenticated("no workspace that is live"));
    };
    let refused = || Refused::Unauthenticated("a workspace that the user may not use");
    let asked: WorkspaceId = asked.parse().map_err(|_| refused())?;
    if rights.reach(&asked) && caller::is_live(view, &asked)? {
        return Ok(asked);
    }
    Err(refused())
}

/// The caller's own record.
pub(super) fn whoami(context: &Context, request: &Request) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    policy::allow(&live, &Action::ReadSelf)?;
    let user = record::user(&view, live.user(), request.now_ms)?;
    Ok(Reply { user: Some(user), ..Reply::default() }.into())
}

/// The workspaces in which the caller has any right.
pub(super) fn list_workspaces(context: &Context, request: &Request) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    policy::allow(&live, &Action::ReadOwnRights)?;
    let all = state::workspaces(&view)?;
    let own = all.iter().filter(|workspace| live.rights().reach(&workspace.id));
    Ok(Reply { workspaces: own.map(record::workspace).collect(), ..Reply::default() }.into())
}

/// Changes the caller's password, which ends its sessions.
pub(super) async fn change_password(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    password: Option<SecretString>,
    new_password: Option<SecretString>,
    revoke_keys: bool,
) -> Result<Answered, Refused> {
    let user = {
        let view = context.state.view()?;
        let live = caller::live(&view, request)?;
        let own = live.user().id;
        let asked = match user_id.map(|id| id.parse()) {
            None => own,
            Some(Ok(id)) => id,
            Some(Err(_)) => return Err(policy::Denied::NotSelf.into()),
        };
        policy::allow(&live, &Action::ChangePassword { user: asked })?;
        live.user().clone()
    };
    let password = required(password, "password (current)")?;
    let new_password = required(new_password, "new_password")?;
    let names = [&*user.username, user.home.as_str()];
    context.passwords.check_new(&new_password, &names)?;
    if password.expose_secret() == new_password.expose_secret() {
        return Err(Refused::WeakPassword("the new password must be another one".to_owned()));
    }

    let attempt = attempt(context, request, &user.username)?;
    let permit = context.passwords.permit().await?;
    let kept = user.password.as_ref().map(|kept| &kept.hash);
    let right = context.passwords.verify(permit, password, kept).await?;
    let unexpired = user
        .password
        .as_ref()
        .and_then(|password| password.until_ms)
        .is_none_or(|until| request.now_ms < until);
    settle(
        attempt,
        if right && unexpired { Ok(()) } else { Err(Refused::Unauthenticated("wrong password")) },
    )?;
    let permit = context.passwords.permit().await?;
    let hash = context.passwords.hash(permit, new_password).await?;

    let change = NewPassword { request: request.clone(), hash, revoke_keys };
    let proposed =
        propose(context, request, "change-password", move |state| change.decide(state)).await?;
    answer(context, request, proposed)
}

/// A change of password, ready to be decided on.
struct NewPassword {
    request: Request,
    hash: PasswordHash,
    revoke_keys: bool,
}

impl NewPassword {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        // Of the same epoch still, so the password that the caller knew is the one of now.
        let live = caller::live(state, &self.request)?;
        let user = live.user();
        let allowed = policy::allow(&live, &Action::ChangePassword { user: user.id })?;
        let change = Change::SetPassword {
            user: user.id,
            password: Password { hash: self.hash.clone(), own: true, until_ms: None },
            must_change: false,
            revoke_keys: self.revoke_keys,
            at_ms: self.request.now_ms,
        };
        Ok(Decided { allowed, changes: vec![change], outcome: Outcome::Done })
    }
}

fn attempt<'a>(
    context: &'a Context,
    request: &Request,
    username: &str,
) -> Result<Attempt<'a>, Refused> {
    let folded = username.to_ascii_lowercase();
    context.throttle.attempt(&folded, request.client.address.as_deref())
}

/// Counts a failure to authenticate, and nothing else.
fn settle<T>(attempt: Attempt<'_>, outcome: Result<T, Refused>) -> Result<T, Refused> {
    match &outcome {
        Ok(_) => attempt.succeeded(),
        Err(Refused::Unauthenticated(_)) => attempt.failed(),
        Err(_) => {}
    }
    outcome
}

pub(super) fn user_named(view: &View, username: &str) -> Result<Option<User>, Refused> {
    match Username::parse(username) {
        Ok(username) => Ok(state::user_by_name(view, username.folded())?),
        Err(_) => Ok(None),
    }
}
