//! There is always an admin who can get in: whoever has the role on the whole deployment without
//! an end, is enabled, and has a key without an end or a password of its own choice.

use crate::policy;
use crate::record::{ApiKey, Role, Scope, Subject, User, What};
use crate::refused::Refused;
use crate::state::{self, Read, StateError};

/// Refuses to end a key that is the last way in.
pub(super) fn check_without_key(
    state: &dyn Read,
    owner: &User,
    key: &ApiKey,
    now_ms: u64,
) -> Result<(), Refused> {
    let counts = is_admin(state, owner, now_ms, None)?;
    if !counts || is_admin(state, owner, now_ms, Some(key))? {
        return Ok(());
    }
    for other in state::users(state)? {
        if other.id != owner.id && is_admin(state, &other, now_ms, None)? {
            return Ok(());
        }
    }
    Err(Refused::NotPermitted("it is the last credential of the last admin"))
}

/// Whether a user is an admin who can get in, `without` one of its keys.
fn is_admin(
    state: &dyn Read,
    user: &User,
    now_ms: u64,
    without: Option<&ApiKey>,
) -> Result<bool, StateError> {
    if !user.is_live() {
        return Ok(false);
    }
    let grants = state::grants_of(state, Subject::User(user.id))?;
    let holds = grants.iter().any(|grant| {
        grant.what == What::Role(Role::Admin)
            && grant.scope == Scope::Deployment
            && grant.expires_ms.is_none()
    });
    if !holds {
        return Ok(false);
    }
    if user.password.as_ref().is_some_and(|password| password.own) {
        return Ok(true);
    }
    let keys = state::keys_of(state, user.id)?;
    Ok(keys.iter().any(|key| {
        key.expires_ms.is_none()
            && policy::is_key_live(key, user, now_ms)
            && without.is_none_or(|without| without.id != key.id)
    }))
}
