//! Grants beyond the roles at home: a role or a capability, in a workspace or on the deployment.
//!
//! Whoever gives a grant, or takes one, has `iam:admin` and all that the grant allows, where it
//! holds. What a user may do is told to the user itself, and to whoever has `iam:admin` there.

use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{GrantInput, Reply};
use tollgate_proto::ids::{GrantId, UserId, WorkspaceId};

use super::last_admin::Account;
use super::target::{Address, Found};
use super::{Answered, Context, Request, caller, decide_and_commit, expires, record, required};
use crate::commit::Decided;
use crate::draw;
use crate::policy::{self, Action, Live, Rights, roles};
use crate::record::{Change, Grant, Outcome, Role, Scope, Subject, What};
use crate::refused::Refused;
use crate::state::{self, Read};

/// How many grants a subject may hold.
const MOST: usize = 64;

/// Gives a user a grant. The same one again only moves its end.
pub(super) async fn add(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    grant: Option<GrantInput>,
) -> Result<Answered, Refused> {
    caller::live(&context.state.view()?, request)?;
    let grant = required(grant, "grant")?;
    let expires = grant.expires.as_deref();
    let expires_ms = expires.map(|text| expires::read(text, "grant.expires", request.now_ms));
    let new = NewGrant {
        request: request.clone(),
        address: Address::read(user_id, None)?,
        expires_ms: expires_ms.transpose()?,
        place: Place::read(grant)?,
        id: GrantId(draw::uuid()?),
    };
    decide_and_commit(context, request, "add-user-grant", move |state| new.decide(state)).await
}

/// Takes a grant away.
pub(super) async fn remove(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    grant: Option<GrantInput>,
) -> Result<Answered, Refused> {
    caller::live(&context.state.view()?, request)?;
    let address = Address::read(user_id, None)?;
    let place = Place::read(required(grant, "grant")?)?;
    let end = EndGrant { request: request.clone(), address, place };
    decide_and_commit(context, request, "remove-user-grant", move |state| end.decide(state)).await
}

/// A user's grants that the caller may see.
pub(super) fn list(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    let (_, grants) = seen(&view, &live, request, &Address::read(user_id, None)?)?;
    let grants: Vec<_> = grants.iter().map(record::grant).collect();
    let grants_json = serde_json::to_string(&grants).map_err(Refused::internal)?;
    Ok(Reply { grants_json: Some(grants_json), ..Reply::default() }.into())
}

/// What a user may do, and where, and which grants say so. Without a user: the caller itself.
pub(super) fn resolve(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    let live = caller::live(&view, request)?;
    let own = live.user().id;
    let address = match user_id {
        Some(_) => Address::read(user_id, None)?,
        None => Address::of(own, None),
    };
    let (user, grants) = if address.id() == own {
        policy::allow(&live, &Action::ReadOwnRights)?;
        (own, state::grants_of(&view, Subject::User(own))?)
    } else {
        seen(&view, &live, request, &address)?
    };
    let grants = caller::in_force(&view, grants, request.now_ms)?;
    let permissions = record::permissions(user, &grants);
    let permissions = serde_json::to_string(&permissions).map_err(Refused::internal)?;
    Ok(Reply { effective_permissions_json: Some(permissions), ..Reply::default() }.into())
}

/// A user's grants in the scopes that the caller may see; nothing at all, if there are none and
/// the user is at home elsewhere.
fn seen(
    state: &dyn Read,
    live: &Live,
    request: &Request,
    address: &Address,
) -> Result<(UserId, Vec<Grant>), Refused> {
    let found = address.find(state, live, request, Capability::IamAdmin)?;
    let mut grants = state::grants_of(state, Subject::User(found.user.id))?;
    grants.retain(|grant| policy::allow(live, &Action::ReadGrants { scope: &grant.scope }).is_ok());
    if grants.is_empty() {
        let scope = Scope::Workspace(found.user.home.clone());
        policy::allow(live, &Action::ReadGrants { scope: &scope })?;
    }
    Ok((found.user.id, grants))
}

/// What a grant allows, and where.
struct Place {
    what: What,
    scope: Scope,
}

impl Place {
    fn read(grant: GrantInput) -> Result<Self, Refused> {
        let what = match (grant.role, grant.capability) {
            (Some(role), None) => What::Role(read_role(&role)?),
            (None, Some(capability)) => What::Capability(
                capability.parse().map_err(|_| invalid("grant.capability is unknown"))?,
            ),
            _ => return Err(invalid("grant must have either a role or a capability")),
        };
        let workspace = required(grant.workspace, "grant.workspace")?;
        let scope = if workspace == record::EVERYWHERE {
            Scope::Deployment
        } else {
            let id: Result<WorkspaceId, _> = workspace.parse();
            Scope::Workspace(id.map_err(|_| invalid("grant.workspace is no workspace id"))?)
        };
        Ok(Self { what, scope })
    }

    fn rights(&self) -> Rights {
        Rights::of_one(self.what, &self.scope)
    }

    fn is_of(&self, grant: &Grant) -> bool {
        grant.what == self.what && grant.scope == self.scope
    }
}

/// Refuses more grants than a user may hold.
pub(super) fn check_count(grants: usize) -> Result<(), Refused> {
    if grants > MOST {
        return Err(Refused::NotPermitted("a user may hold at most 64 grants"));
    }
    Ok(())
}

/// Reads the name of a role.
pub(super) fn read_role(name: &str) -> Result<Role, Refused> {
    roles::role(name).ok_or_else(|| invalid("unknown role; known are admin, reader and writer"))
}

fn invalid(message: &str) -> Refused {
    Refused::Invalid(message.to_owned())
}

/// A new grant, ready to be decided on.
struct NewGrant {
    request: Request,
    address: Address,
    place: Place,
    expires_ms: Option<u64>,
    id: GrantId,
}

impl NewGrant {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let live = caller::live(state, &self.request)?;
        let (scope, rights) = (&self.place.scope, &self.place.rights());
        let action = Action::GiveGrant { scope, rights, until_ms: self.expires_ms };
        let allowed = policy::allow(&live, &action)?;
        let Found { user, .. } =
            self.address.find(state, &live, &self.request, Capability::IamAdmin)?;
        if let Scope::Workspace(id) = &self.place.scope
            && !caller::is_live(state, id)?
        {
            return Err(Refused::NotFound("workspace not found or disabled"));
        }
        let subject = Subject::User(user.id);
        let held = state::grants_of(state, subject)?;
        let same: Vec<_> = held.iter().filter(|grant| self.place.is_of(grant)).collect();
        if same.iter().any(|grant| grant.expires_ms == self.expires_ms) {
            return Ok(Decided { allowed, changes: Vec::new(), outcome: Outcome::Done });
        }
        for grant in &same {
            check_end(&live, grant, self.request.now_ms)?;
        }
        check_count(held.len() - same.len() + 1)?;
        let new = Grant {
            id: self.id,
            subject,
            what: self.place.what,
            scope: self.place.scope.clone(),
            expires_ms: self.expires_ms,
            granted_by: self.request.actor.as_ref().map(|actor| actor.user),
            created_ms: self.request.now_ms,
        };
        let gone: Vec<_> = same.iter().map(|grant| grant.id).collect();
        let account = Account::of(state, &user)?;
        let after = account.clone().without_grants(&gone).with_grants(std::slice::from_ref(&new));
        account.check_change(state, Some(&after), self.request.now_ms)?;
        let removed = gone.into_iter().map(|grant| Change::RemoveGrant { subject, grant });
        let changes = removed.chain([Change::AddGrant(new)]).collect();
        Ok(Decided { allowed, changes, outcome: Outcome::Done })
    }
}

/// The end of a grant, ready to be decided on.
struct EndGrant {
    request: Request,
    address: Address,
    place: Place,
}

impl EndGrant {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let live = caller::live(state, &self.request)?;
        let (scope, rights) = (&self.place.scope, &self.place.rights());
        let allowed = policy::allow(&live, &Action::TakeGrant { scope, rights })?;
        let Found { user, .. } = self
            .address
            .find(state, &live, &self.request, Capability::IamAdmin)
            .map_err(like_one_without_it)?;
        let subject = Subject::User(user.id);
        let held = state::grants_of(state, subject)?;
        let mut gone = Vec::new();
        for grant in held.iter().filter(|grant| self.place.is_of(grant)) {
            check_end(&live, grant, self.request.now_ms)?;
            gone.push(grant.id);
        }
        if gone.is_empty() {
            return Err(not_held());
        }
        let account = Account::of(state, &user)?;
        let after = account.clone().without_grants(&gone);
        account.check_change(state, Some(&after), self.request.now_ms)?;
        let removed = gone.into_iter().map(|grant| Change::RemoveGrant { subject, grant });
        Ok(Decided { allowed, changes: removed.collect(), outcome: Outcome::Done })
    }
}

/// Whether a grant may be taken away or given another end. One that has ended is nothing to take.
fn check_end(live: &Live, grant: &Grant, now_ms: u64) -> Result<(), Refused> {
    if grant.expires_ms.is_none_or(|expires| now_ms < expires) {
        policy::allow(live, &Action::EndGrant { grant })?;
    }
    Ok(())
}

fn not_held() -> Refused {
    Refused::NotFound("grant not found")
}

/// Whoever may take grants away in one workspace may name anybody: a user who is not there is
/// told from one who does not hold the grant to those alone who may know who is there.
fn like_one_without_it(refused: Refused) -> Refused {
    match refused {
        Refused::Denied(_) => not_held(),
        other => other,
    }
}
