//! API keys, by id, by the hash of the key and by their owner.

use tollgate_proto::ids::{KeyId, UserId};

use super::StateError;
use super::rows::{self, Read, Table};
use super::transaction::Open;
use crate::hash::Hash;
use crate::record::{ApiKey, User};

/// A key's record.
pub fn key(from: &dyn Read, id: KeyId) -> Result<Option<ApiKey>, StateError> {
    rows::get(from, Table::Keys, id.0.as_bytes())
}

/// The record of the key with this SHA-256.
pub fn key_by_hash(from: &dyn Read, hash: &Hash) -> Result<Option<ApiKey>, StateError> {
    let id: Option<KeyId> = rows::get(from, Table::KeyHashes, &hash.0)?;
    id.map_or(Ok(None), |id| key(from, id))
}

/// A user's keys, dead ones among them.
pub fn keys_of(from: &dyn Read, user: UserId) -> Result<Vec<ApiKey>, StateError> {
    let ids: Vec<KeyId> = rows::list(from, Table::KeysOfUsers, user.0.as_bytes())?;
    ids.into_iter().filter_map(|id| key(from, id).transpose()).collect()
}

pub(super) fn add(open: &mut Open, key: &ApiKey) -> Result<(), StateError> {
    if open.row(Table::KeyHashes, &key.hash.0)?.is_some() {
        return Err(StateError::Unfit("a key that is there"));
    }
    open.put(Table::KeysOfUsers, &of_user(key), &key.id)?;
    open.put(Table::KeyHashes, &key.hash.0, &key.id)?;
    put(open, key)
}

pub(super) fn revoke(open: &mut Open, id: KeyId, at_ms: u64) -> Result<(), StateError> {
    let mut key = key(open, id)?.ok_or(StateError::Unfit("a key that is not there"))?;
    key.revoked_ms.get_or_insert(at_ms);
    put(open, &key)
}

/// After a user's credential epoch moved by one: the keys that were live move on with it, or
/// end. Keys of older epochs stay dead.
pub(super) fn follow_epoch(
    open: &mut Open,
    user: &User,
    revoked_ms: Option<u64>,
) -> Result<(), StateError> {
    for mut key in keys_of(open, user.id)? {
        if key.revoked_ms.is_some() || key.auth_epoch + 1 != user.auth_epoch {
            continue;
        }
        match revoked_ms {
            Some(_) => key.revoked_ms = revoked_ms,
            None => key.auth_epoch = user.auth_epoch,
        }
        put(open, &key)?;
    }
    Ok(())
}

/// Removes the records themselves: their owner was removed.
pub(super) fn remove_all(open: &mut Open, user: UserId) -> Result<(), StateError> {
    for key in keys_of(open, user)? {
        open.remove(Table::KeysOfUsers, &of_user(&key))?;
        open.remove(Table::KeyHashes, &key.hash.0)?;
        open.remove(Table::Keys, key.id.0.as_bytes())?;
    }
    Ok(())
}

fn of_user(key: &ApiKey) -> Vec<u8> {
    [key.user.0.as_bytes().as_slice(), key.id.0.as_bytes()].concat()
}

fn put(open: &mut Open, key: &ApiKey) -> Result<(), StateError> {
    open.put(Table::Keys, key.id.0.as_bytes(), key)
}
