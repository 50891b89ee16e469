//! API keys.

use secrecy::{ExposeSecret, SecretString};
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{KeyInput, Reply};
use tollgate_proto::ids::KeyId;

use super::last_admin::Account;
use super::target::{self, Address, read_id};
use super::{Answered, Context, Request, caller, decide_and_commit, expires, record, required};
use crate::commit::Decided;
use crate::draw;
use crate::hash::Hash;
use crate::names;
use crate::policy::{self, Action};
use crate::record::{ApiKey, Change, Outcome};
use crate::refused::Refused;
use crate::state::{self, Read};

/// Characters of a key that its record shows.
const PREFIX_LENGTH: usize = 7;

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
    let expires = key.expires.as_deref();
    let expires_ms = expires.map(|text| expires::read(text, "key.expires", request.now_ms));
    let plaintext = draw::api_key()?;
    let record = ApiKey {
        id: KeyId(draw::uuid()?),
        user: owner,
        // Filled in when it is decided.
        auth_epoch: 0,
        name,
        prefix: prefix(&plaintext),
        hash: Hash::of(plaintext.expose_secret().as_bytes()),
        expires_ms: expires_ms.transpose()?,
        revoked_ms: None,
        created_ms: request.now_ms,
        created_by: request.actor.as_ref().map(|actor| actor.user),
        bootstrap: false,
    };
    let new = NewKey {
        request: request.clone(),
        owner: Address::of(owner, workspace),
        record: record.clone(),
    };
    let decide = move |state: &dyn Read| new.decide(state);
    let mut answered = decide_and_commit(context, request, "create-api-key", decide).await?;
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
        let address = Address::read(user_id, workspace)?;
        let owner = address.find(&view, &live, request, Capability::KeysAdmin)?;
        policy::allow(&live, &Action::ManageKeys { owner: owner.target() })?;
        address.check_home(&owner.user)?;
        let owner = owner.user;
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
    caller::live(&context.state.view()?, request)?;
    let key = required(key_id, "key_id")?;
    let key = key.parse().map_err(|_| Refused::Invalid("key_id must be a UUID".to_owned()))?;
    let end = EndKey { request: request.clone(), workspace, key };
    decide_and_commit(context, request, "revoke-api-key", move |state| end.decide(state)).await
}

/// What a record shows of a key.
pub(super) fn prefix(plaintext: &SecretString) -> String {
    plaintext.expose_secret().chars().take(PREFIX_LENGTH).collect()
}

/// A new key, ready to be decided on.
struct NewKey {
    request: Request,
    owner: Address,
    record: ApiKey,
}

impl NewKey {
    fn decide(&self, state: &dyn Read) -> Result<Decided, Refused> {
        let now_ms = self.request.now_ms;
        let live = caller::live(state, &self.request)?;
        let found = self.owner.find(state, &live, &self.request, Capability::KeysAdmin)?;
        let user = &found.user;
        let keys = state::keys_of(state, user.id)?;
        let live_keys = keys.iter().filter(|key| policy::is_key_live(key, user, now_ms)).count();
        let action = Action::CreateKey { owner: found.target(), live_keys };
        let allowed = policy::allow(&live, &action)?;
        self.owner.check_home(user)?;
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
        let address = Address::of(key.user, None);
        let owner = address.find(state, &live, &self.request, Capability::KeysAdmin)?;
        let allowed = policy::allow(&live, &Action::ManageKeys { owner: owner.target() })?;
        let other = "key belongs to a different workspace";
        target::check_home(&owner.user, self.workspace.as_deref(), other)?;
        let account = Account::of(state, &owner.user)?;
        let after = account.clone().without_key(key.id);
        account.check_change(state, Some(&after), self.request.now_ms)?;
        let change = Change::RevokeKey { key: key.id, at_ms: self.request.now_ms };
        Ok(Decided { allowed, changes: vec![change], outcome: Outcome::Done })
    }
}
