//! The rules, as a plain function of a world and what is asked: the world after it, or the kind
//! of the refusal. Written from the rules alone; knows nothing of how IAM decides.

use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{Actor, Credential, Decision};
use tollgate_proto::ids::{KeyId, UserId};

use crate::ask::{Ask, Asked, UserChange, is_role};
use crate::effects::{deleted, disabled, enabled, reset};
use crate::world::{
    Capabilities, EVERYWHERE, Fate, Grant, GrantName, Key, Password, User, Workspace, World,
};

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum No {
    /// The actor is not who it was, or no longer.
    NotLive,
    Denied,
    NotFound,
    Duplicate,
    NotPermitted,
    Invalid,
    WeakPassword,
}

/// Ids that IAM drew.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Drawn {
    pub(crate) user: Option<UserId>,
    pub(crate) key: Option<KeyId>,
}

/// The keys that somebody may have by `keys:self`.
const OWN_KEYS: usize = 20;

/// Decides, leaving aside what is wrong whatever the state.
pub(crate) fn decide(world: &World, asked: &Asked, drawn: Drawn) -> Result<World, No> {
    check_actor(world, &asked.actor, asked.now)?;
    let judge = Judge { world, actor: asked.actor.user, asked };
    let after = match &asked.ask {
        Ask::CreateUser { workspace, username, change } => {
            judge.create_user(workspace, username, change, drawn)?
        }
        Ask::UpdateUser { user, username, change } => {
            judge.update_user(*user, username.as_deref(), change)?
        }
        Ask::DisableUser(user) => disabled(judge.administer(*user)?, *user),
        Ask::EnableUser(user) => enabled(judge.administer(*user)?, *user),
        Ask::DeleteUser(user) => deleted(judge.administer(*user)?, *user),
        Ask::ResetPassword(user) => reset(judge.administer(*user)?, *user),
        Ask::CreateKey { user, name, expires } => judge.create_key(*user, name, *expires, drawn)?,
        Ask::RevokeKey(key) => judge.revoke_key(*key)?,
        Ask::CreateWorkspace { id } => judge.create_workspace(id)?,
        Ask::UpdateWorkspace { id, name, enabled } => {
            judge.update_workspace(id, name.as_deref(), *enabled)?
        }
        Ask::DisableWorkspace { id } => judge.update_workspace(id, None, Some(false))?,
        Ask::AddGrant { user, what, scope, expires } => {
            judge.add_grant(*user, what, scope, *expires)?
        }
        Ask::RemoveGrant { user, what, scope } => judge.remove_grant(*user, what, scope)?,
    };
    if after.usable_admins() == 0 { Err(No::NotPermitted) } else { Ok(after) }
}

/// What a question about one capability is answered; nothing, if the actor is not who it was.
pub(crate) fn authorise(
    world: &World,
    actor: &Actor,
    capability: Capability,
    scope: &str,
    now: u64,
) -> Option<Decision> {
    let needed = Capabilities::one(capability);
    let may = |scope: &str| needed.within(world.allowed(actor.user, scope, now));
    let standing = check_actor(world, actor, now);
    if standing == Err(No::NotLive) {
        return None;
    }
    if standing.is_err() || !may(scope) {
        return Some(Decision::Deny);
    }
    let exists = scope == EVERYWHERE || world.is_usable(scope);
    Some(if exists { Decision::Allow } else { Decision::NoWorkspace })
}

/// Whether the actor is who it was, and may do more than change its password.
fn check_actor(world: &World, actor: &Actor, now: u64) -> Result<(), No> {
    let user = world.users.get(&actor.user).filter(|user| user.is_live());
    let user = user.ok_or(No::NotLive)?;
    let is_of_now = match actor.credential {
        // A key moves on with its owner's password.
        Credential::Key(_) => actor.auth_epoch <= user.epoch,
        Credential::Session(_) | Credential::Minted { .. } => actor.auth_epoch == user.epoch,
    };
    if !is_of_now {
        return Err(No::NotLive);
    }
    match actor.credential {
        Credential::Session(_) if user.must_change => Err(No::Denied),
        Credential::Session(_) => Ok(()),
        Credential::Minted { .. } => unreachable!("nobody mints in a history"),
        Credential::Key(id) => {
            let key = world.keys.get(&id).filter(|key| key.user == actor.user);
            key.filter(|key| key.is_live(now)).map(drop).ok_or(No::NotLive)
        }
    }
}

struct Judge<'a> {
    world: &'a World,
    actor: UserId,
    asked: &'a Asked,
}

impl Judge<'_> {
    fn may(&self, capability: Capability, scope: &str) -> bool {
        self.has(Capabilities::one(capability), scope)
    }

    fn has(&self, all: Capabilities, scope: &str) -> bool {
        all.within(self.world.allowed(self.actor, scope, self.asked.now))
    }

    /// Whether all of a role or capability is held until a moment; without one, for good.
    fn lasts(&self, what: &str, scope: &str, until: Option<u64>) -> bool {
        let last = until.map_or(u64::MAX, |until| until - 1);
        Capabilities::named(what).within(self.world.allowed(self.actor, scope, last))
    }

    fn need(&self, capability: Capability, scope: &str) -> Result<(), No> {
        if self.may(capability, scope) { Ok(()) } else { Err(No::Denied) }
    }

    /// The target, or what those are told who may and who may not know that it is not there.
    fn target(&self, user: UserId, capability: Capability) -> Result<&User, No> {
        let missing = if self.may(capability, EVERYWHERE) { No::NotFound } else { No::Denied };
        self.world.users.get(&user).ok_or(missing)
    }

    /// Whether the target holds anything, anywhere, that the actor may not do there as long.
    fn is_outranked_by(&self, target: UserId) -> bool {
        let of_target = self.world.grants.iter().filter(|(name, _)| name.user == target);
        let mut held = of_target.filter(|(_, grant)| grant.is_live(self.asked.now));
        held.any(|(name, grant)| !self.lasts(&name.what, &name.scope, grant.expires))
    }

    /// Whether the workspace that was named to be sure is the right one.
    fn confirm_home(&self, home: &str) -> Result<(), No> {
        match &self.asked.workspace {
            Some(named) if named != home => Err(No::NotPermitted),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the roles may be handed out to somebody at home there.
    fn may_hand_out(&self, roles: &[&'static str], home: &str) -> Result<(), No> {
        let mut roles = roles.iter();
        // For good: so must they be held.
        let all = roles.all(|role| self.lasts(role, role_scope(role, home), None));
        if all { Ok(()) } else { Err(No::Denied) }
    }

    fn create_user(
        &self,
        home: &str,
        username: &str,
        change: &UserChange,
        drawn: Drawn,
    ) -> Result<World, No> {
        let roles = change.roles.as_deref().unwrap_or_default();
        self.need(Capability::UsersAdmin, home)?;
        self.may_hand_out(roles, home)?;
        if !self.world.is_usable(home) {
            return Err(No::NotFound);
        }
        if self.world.user_named(username).is_some() {
            return Err(No::Duplicate);
        }
        let user = User {
            username: username.to_owned(),
            name: change.name.clone().unwrap_or_else(|| username.to_owned()),
            email: change.email.clone().unwrap_or_default(),
            home: home.to_owned(),
            enabled: change.enabled.unwrap_or(true),
            suspended: false,
            password: Password::Given,
            must_change: change.must_change.unwrap_or(false),
            epoch: 1,
        };
        let mut after = self.world.clone();
        if let Some(id) = drawn.user {
            after.users.insert(id, user);
            for role in roles {
                after.give(id, role, role_scope(role, home), None);
            }
        }
        Ok(after)
    }

    fn update_user(
        &self,
        id: UserId,
        username: Option<&str>,
        change: &UserChange,
    ) -> Result<World, No> {
        let UserChange { name, email, roles, enabled: switch, must_change } = change;
        let authority = roles.is_some() || switch.is_some() || must_change.is_some();
        let profile = name.is_some() || email.is_some() || !authority;
        let needed = [(Capability::UsersWrite, profile), (Capability::UsersAdmin, authority)];
        let needed: Vec<_> = needed.iter().filter(|(_, is)| *is).map(|(one, _)| *one).collect();
        let target = self.target(id, Capability::UsersWrite)?;
        for capability in needed {
            self.need(capability, &target.home)?;
        }
        if authority && self.is_outranked_by(id) {
            return Err(No::Denied);
        }
        self.may_hand_out(roles.as_deref().unwrap_or_default(), &target.home)?;
        self.confirm_home(&target.home)?;
        if username.is_some_and(|username| username != target.username) {
            return Err(No::Invalid);
        }
        // Only its owner frees a session from a password that somebody else knows.
        if target.password == Password::Temporary
            && target.must_change
            && *must_change == Some(false)
        {
            return Err(No::NotPermitted);
        }
        let mut after = self.world.clone();
        if let Some(roles) = roles {
            let home = &target.home;
            let at_home = |grant: &GrantName| {
                grant.user == id
                    && is_role(&grant.what)
                    && grant.scope == role_scope(&grant.what, home)
            };
            after.grants.retain(|grant, _| !at_home(grant));
            for role in roles {
                after.give(id, role, role_scope(role, home), None);
            }
        }
        after = match switch {
            Some(true) => enabled(after, id),
            Some(false) => disabled(after, id),
            None => after,
        };
        let user = after.users.get_mut(&id).unwrap();
        user.name = name.clone().unwrap_or_else(|| user.name.clone());
        user.email = email.clone().unwrap_or_else(|| user.email.clone());
        user.must_change = must_change.unwrap_or(user.must_change);
        Ok(after)
    }

    /// What is common to all that ends or gives back a user's authority.
    fn administer(&self, id: UserId) -> Result<World, No> {
        let target = self.target(id, Capability::UsersAdmin)?;
        self.need(Capability::UsersAdmin, &target.home)?;
        if self.is_outranked_by(id) {
            return Err(No::Denied);
        }
        self.confirm_home(&target.home)?;
        Ok(self.world.clone())
    }

    fn create_key(
        &self,
        id: UserId,
        name: &str,
        expires: Option<u64>,
        drawn: Drawn,
    ) -> Result<World, No> {
        let target = self.target(id, Capability::KeysAdmin)?;
        let by_admin = self.may_manage_keys(id, &target.home)?;
        let live = |key: &&Key| key.user == id && key.is_live(self.asked.now);
        let is_full = self.world.keys.values().filter(live).count() >= OWN_KEYS;
        if !target.is_live() || (!by_admin && is_full) {
            return Err(No::NotPermitted);
        }
        self.confirm_home(&target.home)?;
        let mut after = self.world.clone();
        if let Some(key) = drawn.key {
            after
                .keys
                .insert(key, Key { user: id, name: name.to_owned(), fate: Fate::Alive, expires });
        }
        Ok(after)
    }

    /// True by `keys:admin`, false by `keys:self`. The keys of an account are as good as the
    /// account, so who holds more is out of reach; one's own one may have wherever that is held.
    fn may_manage_keys(&self, owner: UserId, home: &str) -> Result<bool, No> {
        if self.may(Capability::KeysAdmin, home) && !self.is_outranked_by(owner) {
            return Ok(true);
        }
        let mut scopes = self.world.held(self.actor, self.asked.now).map(|(scope, _)| scope);
        let by_self = owner == self.actor && scopes.any(|at| self.may(Capability::KeysSelf, at));
        if by_self { Ok(false) } else { Err(No::Denied) }
    }

    fn revoke_key(&self, id: KeyId) -> Result<World, No> {
        let there = self.world.keys.get(&id).filter(|key| key.fate != Fate::Revoked);
        let Some(key) = there else {
            let may_know = self.may(Capability::KeysAdmin, EVERYWHERE);
            return Err(if may_know { No::NotFound } else { No::Denied });
        };
        let home = &self.world.users[&key.user].home;
        self.may_manage_keys(key.user, home)?;
        self.confirm_home(home)?;
        let mut after = self.world.clone();
        after.keys.get_mut(&id).unwrap().fate = Fate::Revoked;
        Ok(after)
    }

    fn create_workspace(&self, id: &str) -> Result<World, No> {
        self.need(Capability::WorkspacesAdmin, EVERYWHERE)?;
        let mut after = self.world.clone();
        if self.world.workspaces.contains_key(id) {
            return Ok(after);
        }
        if self.world.workspaces.keys().any(|there| there.eq_ignore_ascii_case(id)) {
            return Err(No::Duplicate);
        }
        after.workspaces.insert(id.to_owned(), Workspace { name: id.to_owned(), enabled: true });
        Ok(after)
    }

    fn update_workspace(
        &self,
        id: &str,
        name: Option<&str>,
        enabled: Option<bool>,
    ) -> Result<World, No> {
        self.need(Capability::WorkspacesAdmin, id)?;
        let mut after = self.world.clone();
        let workspace = after.workspaces.get_mut(id).ok_or(No::NotFound)?;
        workspace.name = name.unwrap_or(&workspace.name).to_owned();
        workspace.enabled = enabled.unwrap_or(workspace.enabled);
        Ok(after)
    }

    fn add_grant(
        &self,
        user: UserId,
        what: &str,
        scope: &str,
        expires: Option<u64>,
    ) -> Result<World, No> {
        // Whoever gives must have it all in that scope for as long, and the right to give.
        self.need(Capability::IamAdmin, scope)?;
        if !self.lasts(what, scope, expires) {
            return Err(No::Denied);
        }
        self.target(user, Capability::IamAdmin)?;
        if scope != EVERYWHERE && !self.world.is_usable(scope) {
            return Err(No::NotFound);
        }
        let name = GrantName::of(user, what, scope);
        if self.world.grants.get(&name).is_none_or(|grant| grant.expires != expires) {
            self.may_end(&name)?;
        }
        let mut after = self.world.clone();
        after.give(user, what, scope, expires);
        Ok(after)
    }

    fn remove_grant(&self, user: UserId, what: &str, scope: &str) -> Result<World, No> {
        self.need(Capability::IamAdmin, scope)?;
        if !self.has(Capabilities::named(what), scope) {
            return Err(No::Denied);
        }
        // Nobody at all is like somebody without the grant.
        let mut after = self.world.clone();
        let name = GrantName::of(user, what, scope);
        self.may_end(&name)?;
        after.grants.remove(&name).ok_or(No::NotFound)?;
        Ok(after)
    }

    /// Whether a grant, if it is held, may be taken away or given another end.
    fn may_end(&self, name: &GrantName) -> Result<(), No> {
        let held = self.world.grants.get(name).filter(|grant| grant.is_live(self.asked.now));
        let may = |grant: &Grant| self.lasts(&name.what, &name.scope, grant.expires);
        if held.is_none_or(may) { Ok(()) } else { Err(No::Denied) }
    }
}

/// Where a role holds that a user has by its record.
fn role_scope<'a>(role: &str, home: &'a str) -> &'a str {
    if role == "admin" { EVERYWHERE } else { home }
}
