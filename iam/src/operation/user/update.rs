//! Changing a user. Every field that is absent keeps what is stored.
//!
//! The name and the mail address need `users:write`; whatever moves authority needs `users:admin`
//! over a target that does not outrank the caller, each judged by itself.

use tollgate_proto::capability::Capability;
use tollgate_proto::iam::UserInput;
use tollgate_proto::ids::GrantId;

use super::super::grant;
use super::super::last_admin::Account;
use super::super::target::{Address, Found};
use super::super::{Answered, Context, Request, caller, decide_and_commit, required};
use super::authority::set_enabled;
use super::{check_email, grant_at_home, read_roles};
use crate::commit::Decided;
use crate::names;
use crate::policy::{self, Action, Allowed, Denied, Live, Rights};
use crate::record::{Change, Grant, Outcome, Role, Subject, User};
use crate::refused::Refused;
use crate::state::{self, Read};

/// Changes a user.
pub(in crate::operation) async fn update(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    workspace: Option<String>,
    user: Option<UserInput>,
) -> Result<Answered, Refused> {
    caller::live(&context.state.view()?, request)?;
    let address = Address::read(user_id, workspace)?;
    let user = required(user, "user")?;
    if user.password.is_some() {
        let other = "user.password cannot be set here; use change-password or reset-password";
        return Err(Refused::Invalid(other.to_owned()));
    }
    if let Some(name) = &user.name {
        names::check_shown(name)?;
    }
    if let Some(email) = &user.email {
        check_email(email)?;
    }
    let roles = user.roles.as_deref().map(read_roles).transpose()?;
    let update = Update {
        request: request.clone(),
        address,
        username: user.username,
        name: user.name,
        email: user.email,
        enabled: user.enabled,
        must_change_password: user.must_change_password,
        roles,
    };
    decide_and_commit(context, request, "update-user", move |state| update.decide(state)).await
}

/// An update, ready to be decided on.
struct Update {
    request: Request,
    address: Address,
    username: Option<String>,
    name: Option<String>,
    email: Option<String>,
    enabled: Option<bool>,
    must_change_password: Option<bool>,
    /// With the ids of the grants, where they are not there yet.
    roles: Option<Vec<(Role, GrantId)>>,
}

impl Update {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let live = caller::live(state, &self.request)?;
        let found = self.address.find(state, &live, &self.request, Capability::UsersWrite)?;
        let user = &found.user;
        let manages =
            self.enabled.is_some() || self.must_change_password.is_some() || self.roles.is_some();
        let describes = self.name.is_some() || self.email.is_some();
        let mut allowed = None;
        if manages {
            allowed = Some(self.check_authority(&live, &found)?);
        }
        if describes || !manages {
            allowed = Some(policy::allow(&live, &Action::UpdateProfile { home: &user.home })?);
        }
        let allowed = allowed.ok_or(Denied::NoGrant)?;
        self.address.check_home(user)?;
        if self.username.as_ref().is_some_and(|name| *name != user.username) {
            return Err(Refused::Invalid("user.username cannot be changed".to_owned()));
        }
        let mut changes = Vec::new();
        changes.extend(self.profile(user));
        if let Some(enabled) = self.enabled {
            changes.extend(set_enabled(state, &self.request, &found, enabled)?);
        }
        if let Some(must_change) = self.must_change_password
            && must_change != user.must_change_password
        {
            let is_temporary = user.password.as_ref().is_some_and(|kept| kept.until_ms.is_some());
            if is_temporary && !must_change {
                let owner = "a temporary password must be changed by its owner";
                return Err(Refused::NotPermitted(owner));
            }
            changes.push(Change::SetMustChange { user: user.id, must_change });
        }
        if let Some(roles) = &self.roles {
            changes.extend(self.set_roles(state, &found, roles)?);
        }
        Ok(Decided { allowed, changes, outcome: Outcome::User(user.id) })
    }

    /// Asked before anything else of the user is looked at: a refusal for another reason would
    /// tell of it.
    fn check_authority(&self, live: &Live, found: &Found) -> Result<Allowed, Denied> {
        let target = found.target();
        let Some(roles) = &self.roles else {
            return policy::allow(live, &Action::ManageUser { target });
        };
        let given: Vec<_> = roles.iter().map(|role| self.grant(&found.user, *role)).collect();
        let rights = Rights::of(&given, self.request.now_ms);
        policy::allow(live, &Action::SetRoles { target, rights: &rights })
    }

    fn profile(&self, user: &User) -> Option<Change> {
        let name = self.name.as_ref().unwrap_or(&user.name);
        let email = self.email.as_ref().unwrap_or(&user.email);
        let is_same = *name == user.name && *email == user.email;
        (!is_same).then(|| Change::SetProfile {
            user: user.id,
            name: name.clone(),
            email: email.clone(),
        })
    }

    /// Rewrites the roles that the wire shows: those at home, and `admin`. Other grants stay.
    fn set_roles(
        &self,
        state: &dyn Read,
        found: &Found,
        roles: &[(Role, GrantId)],
    ) -> Result<Vec<Change>, Refused> {
        let (user, now_ms) = (&found.user, self.request.now_ms);
        let held = state::grants_of(state, Subject::User(user.id))?;
        let mut changes = Vec::new();
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        for grant in held {
            match policy::shown_role(&grant, user) {
                // One that ends by itself is not what was asked for.
                Some(role) if grant.expires_ms.is_some() || !named(roles, role) => {
                    gone.push(grant.id);
                }
                Some(_) | None => kept.push(grant),
            }
        }
        for id in &gone {
            changes.push(Change::RemoveGrant { subject: Subject::User(user.id), grant: *id });
        }
        let missing = roles.iter().filter(|(role, _)| {
            !kept.iter().any(|grant| policy::shown_role(grant, user) == Some(*role))
        });
        let new: Vec<_> = missing.map(|role| self.grant(user, *role)).collect();
        grant::check_count(kept.len() + new.len())?;
        let account = Account::of(state, user)?;
        let after = account.clone().without_grants(&gone).with_grants(&new);
        account.check_change(state, Some(&after), now_ms)?;
        changes.extend(new.into_iter().map(Change::AddGrant));
        Ok(changes)
    }

    fn grant(&self, user: &User, role: (Role, GrantId)) -> Grant {
        grant_at_home(&self.request, user.id, &user.home, role)
    }
}

fn named(roles: &[(Role, GrantId)], role: Role) -> bool {
    roles.iter().any(|(named, _)| *named == role)
}
