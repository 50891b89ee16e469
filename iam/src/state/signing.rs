//! Signing keys. One of them is active.

use tollgate_proto::jwt::KeyName;

use super::StateError;
use super::rows::{self, Read, Table};
use super::transaction::Open;
use crate::record::{SigningKey, SigningState};

/// All signing keys, those that no longer verify among them.
pub fn signing_keys(from: &dyn Read) -> Result<Vec<SigningKey>, StateError> {
    rows::list(from, Table::SigningKeys, b"")
}

/// The one that signs.
pub fn active_signing_key(from: &dyn Read) -> Result<Option<SigningKey>, StateError> {
    Ok(signing_keys(from)?.into_iter().find(|key| key.state == SigningState::Active))
}

pub(super) fn add(open: &mut Open, key: &SigningKey) -> Result<(), StateError> {
    let name = key.name.to_string();
    if open.row(Table::SigningKeys, name.as_bytes())?.is_some() {
        return Err(StateError::Unfit("a signing key that is there"));
    }
    if key.state == SigningState::Active && active_signing_key(open)?.is_some() {
        return Err(StateError::Unfit("a second active signing key"));
    }
    open.put(Table::SigningKeys, name.as_bytes(), key)
}

pub(super) fn move_to(open: &mut Open, name: KeyName, to: SigningState) -> Result<(), StateError> {
    let keys = signing_keys(open)?;
    let Some(key) = keys.into_iter().find(|key| key.name == name) else {
        return Err(StateError::Unfit("a signing key that is not there"));
    };
    if to == SigningState::Active && active_signing_key(open)?.is_some() {
        return Err(StateError::Unfit("a second active signing key"));
    }
    let key = SigningKey { state: to, ..key };
    open.put(Table::SigningKeys, name.to_string().as_bytes(), &key)
}
