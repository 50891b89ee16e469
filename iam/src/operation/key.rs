//! API keys.

use secrecy::{ExposeSecret, SecretString};
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{KeyInput, Reply};
use tollgate_proto::ids::{KeyId, UserId};

use super::{Answered, Context, Request, answer, caller, propose, record, required};
use crate::commit::Decided;
use crate::draw;
use crate::hash::Hash;
use crate::names;
use crate::policy::{self, Action, Allowed, Live, Owner};
use crate::record::{ApiKey, Change, Outcome, User};
use crate::refused::Refused;
use crate::state::{self, Read};
use crate::times;

/// Characters of a key that its record shows.
const PREFIX_LENGTH: usize = 7;
/// The longest life of a key that expires, in milliseconds: ten years.
const MAX_LIFE_MS: u64 = 3_653 * 86_400_000;

/// Makes a key and discloses it once.
pub(super) async fn create(
    context: &Context,
    request: &Request,
    workspace: Option<String>,
    key: Option<KeyInput>,
) -> Result<Answered, Refused> {
    caller::live(&context.state.view()?, request)?;
    let key = required(key, "key")?;
    let owner = read_id(&required(key.user_id, "key.user_id")?, "key.user_id")?;
    let name = required(key.name, "key.name")?;
    names::check_shown(&name)?;
    let expires_ms = key.expires.map(|text| read_expiry(&text, request.now_ms)).transpose()?;
    let plaintext = draw::api_key()?;
    let record = ApiKey {
        id: KeyId(draw::uuid()?),
        user: owner,
        // Filled in when it is decided.
        auth_epoch: 0,
        name,
        prefix: prefix(&plaintext),
        hash: Hash::of(plaintext.expose_secret().as_bytes()),
        expires_ms,
        revoked_ms: None,
        created_ms: request.now_ms,
        created_by: request.actor.as_ref().map(|actor| actor.user),
        bootstrap: false,
    };
    let new = NewKey { request: request.clone(), workspace, record: record.clone() };
    new.decide(&context.state.view()?)?;
    let settled =
        propose(context, request, "create-api-key", move |state| new.decide(state)).await?;
    let mut answered = answer(context, request, &settled)?;
    answered.reply.api_key = Some(record::key(&record, None));
    answered.reply.api_key_plaintext = Some(plaintext.expose_secret().to_owned().into());
    Ok(answered)
}

/// A user's keys: those that were not ended.
pub(super) async fn list(
    context: &Context,
    request: &Request,
    user_id: Option<String>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let keys = {
        let view = context.state.view()?;
        let live = caller::live(&view, request)?;
        let id = read_id(&required(user_id, "user_id")?, "user_id")?;
        let (owner, _) = manage(&view, &live, request, id)?;
        check_home(&owner, workspace.as_deref(), "user is in a different workspace")?;
        let mut keys = state::keys_of(&view, owner.id)?;
        keys.retain(|key| key.revoked_ms.is_none() && key.auth_epoch == owner.auth_epoch);
        keys
    };
    let ids = keys.iter().map(|key| key.id).collect();
    let used = context.last_used.of(&*context.journal, ids).await?;
    let api_keys = keys.iter().zip(used).map(|(key, used)| record::key(key, used)).collect();
    Ok(Reply { api_keys, ..Reply::default() }.into())
}

/// Ends a key.
pub(super) async fn revoke(
    context: &Context,
    request: &Request,
    key_id: Option<String>,
    workspace: Option<String>,
) -> Result<Answered, Refused> {
    let view = context.state.view()?;
    caller::live(&view, request)?;
    let key = required(key_id, "key_id")?;
    let key = key.parse().map_err(|_| Refused::Invalid("key_id must be a UUID".to_owned()))?;
    let end = EndKey { request: request.clone(), workspace, key };
    end.decide(&view)?;
    drop(view);
    let settled =
        propose(context, request, "revoke-api-key", move |state| end.decide(state)).await?;
    answer(context, request, &settled)
}

/// What a record shows of a key.
pub(super) fn prefix(plaintext: &SecretString) -> String {
    plaintext.expose_secret().chars().take(PREFIX_LENGTH).collect()
}

/// A new key, ready to be decided on.
struct NewKey {
    request: Request,
    workspace: Option<String>,
    record: ApiKey,
}

impl NewKey {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let now_ms = self.request.now_ms;
        let live = caller::live(state, &self.request)?;
        let user = find(state, &live, self.record.user)?;
        let rights = caller::rights_of(state, &user, now_ms)?;
        let keys = state::keys_of(state, user.id)?;
        let live_keys = keys.iter().filter(|key| policy::is_key_live(key, &user, now_ms)).count();
        let owner = Owner { user: &user, rights: &rights };
        let allowed = policy::allow(&live, &Action::CreateKey { owner, live_keys })?;
        check_home(&user, self.workspace.as_deref(), "user is in a different workspace")?;
        if !user.is_live() {
            return Err(Refused::NotPermitted("user is disabled"));
        }
        let record = ApiKey { auth_epoch: user.auth_epoch, ..self.record.clone() };
        Ok(Decided { allowed, changes: vec![Change::AddKey(record)], outcome: Outcome::Secret })
    }
}

/// The end of a key, ready to be decided on.
struct EndKey {
    request: Request,
    workspace: Option<String>,
    key: KeyId,
}

impl EndKey {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let live = caller::live(state, &self.request)?;
        let Some(key) = state::key(state, self.key)?.filter(|key| key.revoked_ms.is_none()) else {
            policy::allow(&live, &Action::SeeMissing { capability: Capability::KeysAdmin })?;
            return Err(Refused::NotFound("api key not found"));
        };
        let (owner, allowed) = manage(state, &live, &self.request, key.user)?;
        let other = "key belongs to a different workspace";
        check_home(&owner, self.workspace.as_deref(), other)?;
        super::last_admin::check_without_key(state, &owner, &key, self.request.now_ms)?;
        let change = Change::RevokeKey { key: key.id, at_ms: self.request.now_ms };
        Ok(Decided { allowed, changes: vec![change], outcome: Outcome::Done })
    }
}

/// The owner of keys that the caller may see and end.
fn manage(
    state: &dyn Read,
    live: &Live,
    request: &Request,
    id: UserId,
) -> Result<(User, Allowed), Refused> {
    let user = find(state, live, id)?;
    let rights = caller::rights_of(state, &user, request.now_ms)?;
    let owner = Owner { user: &user, rights: &rights };
    let allowed = policy::allow(live, &Action::ManageKeys { owner })?;
    Ok((user, allowed))
}

/// A user; that there is none is said only to those who may see all.
fn find(state: &dyn Read, live: &Live, id: UserId) -> Result<User, Refused> {
    if let Some(user) = state::user(state, id)? {
        return Ok(user);
    }
    policy::allow(live, &Action::SeeMissing { capability: Capability::KeysAdmin })?;
    Err(Refused::NotFound("user not found"))
}

/// The caller's word for where the user is at home must be right, if there is one.
fn check_home(user: &User, said: Option<&str>, otherwise: &'static str) -> Result<(), Refused> {
    match said {
        Some(home) if home != user.home.as_str() => Err(Refused::NotPermitted(otherwise)),
        Some(_) | None => Ok(()),
    }
}

fn read_id(text: &str, field: &str) -> Result<UserId, Refused> {
    text.parse().map_err(|_| Refused::Invalid(format!("{field} must be a UUID")))
}

fn read_expiry(text: &str, now_ms: u64) -> Result<u64, Refused> {
    let invalid = |rule: &str| Refused::Invalid(format!("key.expires must be {rule}"));
    let expires = times::parse(text)
        .ok_or_else(|| invalid("a time with offset, like 2030-01-31T12:00:00+00:00"))?;
    if expires <= now_ms || expires - now_ms > MAX_LIFE_MS {
        return Err(invalid("in the future, and at most ten years away"));
    }
    Ok(expires)
}
