//! Users, and their names.

use tollgate_proto::ids::UserId;

use super::StateError;
use super::rows::{self, Read, Table};
use super::transaction::Open;
use crate::record::{Password, PasswordHash, User};

/// A user by id.
pub fn user(from: &dyn Read, id: UserId) -> Result<Option<User>, StateError> {
    rows::get(from, Table::Users, id.0.as_bytes())
}

/// A user by the folded form of the name.
pub fn user_by_name(from: &dyn Read, folded: &str) -> Result<Option<User>, StateError> {
    let id: Option<UserId> = rows::get(from, Table::Usernames, folded.as_bytes())?;
    id.map_or(Ok(None), |id| user(from, id))
}

/// All users.
pub fn users(from: &dyn Read) -> Result<Vec<User>, StateError> {
    rows::list(from, Table::Users, b"")
}

pub(super) fn add(open: &mut Open, user: &User) -> Result<(), StateError> {
    let folded = user.username.to_ascii_lowercase();
    if open.row(Table::Usernames, folded.as_bytes())?.is_some() {
        return Err(StateError::Unfit("a username that is taken"));
    }
    open.put(Table::Usernames, folded.as_bytes(), &user.id)?;
    put(open, user)
}

/// Sets a password; the credential epoch moves. Gives the user as it is then.
pub(super) fn set_password(
    open: &mut Open,
    id: UserId,
    password: &Password,
    must_change: bool,
) -> Result<User, StateError> {
    let mut user = expect(open, id)?;
    user.password = Some(password.clone());
    user.must_change_password = must_change;
    user.auth_epoch += 1;
    put(open, &user)?;
    Ok(user)
}

/// Keeps another hash of the same password: nothing ends.
pub(super) fn rehash(open: &mut Open, id: UserId, hash: &PasswordHash) -> Result<(), StateError> {
    let mut user = expect(open, id)?;
    let password = user.password.as_mut().ok_or(StateError::Unfit("no password to hash again"))?;
    password.hash = hash.clone();
    put(open, &user)
}

/// Changes what is shown.
pub(super) fn set_profile(
    open: &mut Open,
    id: UserId,
    name: &str,
    email: &str,
) -> Result<(), StateError> {
    let mut user = expect(open, id)?;
    name.clone_into(&mut user.name);
    email.clone_into(&mut user.email);
    put(open, &user)
}

/// Disables or enables. Both move decisions; disabling moves credentials too, and nothing ever
/// moves the keys after it.
pub(super) fn set_enabled(open: &mut Open, id: UserId, enabled: bool) -> Result<(), StateError> {
    let mut user = expect(open, id)?;
    user.enabled = enabled;
    user.authz_epoch += 1;
    if enabled {
        user.suspended = false;
    } else {
        user.auth_epoch += 1;
    }
    put(open, &user)
}

/// Binds sessions to changing the password, or frees them: decisions move.
pub(super) fn set_must_change(
    open: &mut Open,
    id: UserId,
    must_change: bool,
) -> Result<(), StateError> {
    let mut user = expect(open, id)?;
    user.must_change_password = must_change;
    user.authz_epoch += 1;
    put(open, &user)
}

/// Suspends everybody; all credentials end.
pub(super) fn suspend_all(open: &mut Open) -> Result<(), StateError> {
    for mut user in users(open)? {
        user.suspended = true;
        user.auth_epoch += 1;
        user.authz_epoch += 1;
        put(open, &user)?;
    }
    Ok(())
}

/// Removes the record and frees the name.
pub(super) fn remove(open: &mut Open, id: UserId) -> Result<(), StateError> {
    let user = expect(open, id)?;
    open.remove(Table::Usernames, user.username.to_ascii_lowercase().as_bytes())?;
    open.remove(Table::Users, id.0.as_bytes())
}

/// Moves a user's decision epoch.
pub(super) fn move_rights(open: &mut Open, id: UserId) -> Result<(), StateError> {
    let mut user = expect(open, id)?;
    user.authz_epoch += 1;
    put(open, &user)
}

fn expect(open: &Open, id: UserId) -> Result<User, StateError> {
    user(open, id)?.ok_or(StateError::Unfit("a user who is not there"))
}

fn put(open: &mut Open, user: &User) -> Result<(), StateError> {
    open.put(Table::Users, user.id.0.as_bytes(), user)
}
