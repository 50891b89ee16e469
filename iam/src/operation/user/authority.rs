//! Taking a user's authority away, and giving it back.
//!
//! Whatever is taken is gone when the entry is on disk: the user's credential epoch moves, or the
//! user is not there any more, however many keys and sessions there are.

use secrecy::ExposeSecret;
use tollgate_proto::capability::Capability;

use super::super::last_admin::Account;
use super::super::target::{Address, Found};
use super::super::{Answered, Context, Request, answer, caller, decide_and_commit, propose};
use crate::commit::Decided;
use crate::draw;
use crate::policy::{self, Action, Allowed};
use crate::record::{Change, Outcome, Password, PasswordHash};
use crate::refused::Refused;
use crate::state::Read;

/// How long a temporary password works, in milliseconds: a day.
const TEMPORARY_MS: u64 = 86_400_000;

/// Takes all authority away until the user is enabled again; keys and sessions end for good.
pub(in crate::operation) async fn disable(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let managed = Managed::read(context, request, user_id, workspace)?;
    let decide = move |state: &dyn Read| managed.decide_enabled(state, false);
    decide_and_commit(context, request, "disable-user", decide).await
}

/// Gives authority back to a user who was disabled, or suspended by a restore.
pub(in crate::operation) async fn enable(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let managed = Managed::read(context, request, user_id, workspace)?;
    let decide = move |state: &dyn Read| managed.decide_enabled(state, true);
    decide_and_commit(context, request, "enable-user", decide).await
}

/// Removes a user; its name is free again.
pub(in crate::operation) async fn delete(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let managed = Managed::read(context, request, user_id, workspace)?;
    let decide = move |state: &dyn Read| {
        let (allowed, Found { user, .. }) = managed.check(state)?;
        Account::of(state, &user)?.check_change(state, None, managed.request.now_ms)?;
        let changes = vec![Change::RemoveUser { user: user.id }];
        Ok(Decided { allowed, changes, outcome: Outcome::Done })
    };
    decide_and_commit(context, request, "delete-user", decide).await
}

/// Replaces a password with a temporary one, which its owner must change.
pub(in crate::operation) async fn reset_password(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let managed = Managed::read(context, request, user_id, workspace)?;
    let reset = Reset { managed, hash: PasswordHash(String::new()) };
    // Refused here, it costs no hash.
    reset.decide(&context.state.view()?)?;
    let temporary = draw::password()?;
    let permit = context.passwords.permit().await?;
    let hash = context.passwords.hash(permit, temporary.clone()).await?;
    let reset = Reset { hash, ..reset };
    let decide = move |state: &dyn Read| reset.decide(state);
    let proposed = propose(context, request, "reset-password", decide).await?;
    let mut answered = answer(context, request, proposed)?;
    answered.reply.temporary_password = Some(temporary.expose_secret().to_owned().into());
    Ok(answered)
}

/// What disables or enables a user, if it is not so already.
pub(super) fn set_enabled(
    state: &dyn Read,
    request: &Request,
    found: &Found,
    enabled: bool,
) -> Result<Option<Change>, Refused> {
    let user = &found.user;
    if enabled == user.enabled && !(enabled && user.suspended) {
        return Ok(None);
    }
    if !enabled {
        Account::of(state, user)?.check_change(state, None, request.now_ms)?;
    }
    Ok(Some(Change::SetEnabled { user: user.id, enabled }))
}

/// A user whose authority is to change.
struct Managed {
    request: Request,
    address: Address,
}

impl Managed {
    fn read(
        context: &Context,
        request: &Request,
        user_id: Option<String>,
        workspace: Option<String>,
    ) -> Result<Self, Refused> {
        // Whoever is nobody is told nothing about what is required.
        caller::live(&context.state.view()?, request)?;
        Ok(Self { request: request.clone(), address: Address::read(user_id, workspace)? })
    }

    fn check(&self, state: &dyn Read) -> Result<(Allowed, Found), Refused> {
        let live = caller::live(state, &self.request)?;
        let found = self.address.find(state, &live, &self.request, Capability::UsersAdmin)?;
        let allowed = policy::allow(&live, &Action::ManageUser { target: found.target() })?;
        self.address.check_home(&found.user)?;
        Ok((allowed, found))
    }

    fn decide_enabled(&self, state: &dyn Read, enabled: bool) -> Result<Decided, Refused> {
        let (allowed, found) = self.check(state)?;
        let change = set_enabled(state, &self.request, &found, enabled)?;
        Ok(Decided { allowed, changes: change.into_iter().collect(), outcome: Outcome::Done })
    }
}

/// A reset, ready to be decided on.
struct Reset {
    managed: Managed,
    hash: PasswordHash,
}

impl Reset {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let (allowed, Found { user, .. }) = self.managed.check(state)?;
        let now_ms = self.managed.request.now_ms;
        let account = Account::of(state, &user)?;
        let after = account.clone().without_own_password();
        account.check_change(state, Some(&after), now_ms)?;
        let change = Change::SetPassword {
            user: user.id,
            password: Password {
                hash: self.hash.clone(),
                own: false,
                until_ms: Some(now_ms + TEMPORARY_MS),
            },
            must_change: true,
            revoke_keys: false,
            at_ms: now_ms,
        };
        Ok(Decided { allowed, changes: vec![change], outcome: Outcome::Secret })
    }
}
