//! Grants, by the subject that holds them; those on the whole deployment have an index.

use tollgate_proto::ids::{GrantId, UserId};

use super::rows::{self, Read, Table};
use super::transaction::Open;
use super::{StateError, user};
use crate::record::{Grant, Scope, Subject};

/// The grants of a subject, those that have expired among them.
pub fn grants_of(from: &dyn Read, subject: Subject) -> Result<Vec<Grant>, StateError> {
    rows::list(from, Table::Grants, &prefix(subject))
}

/// The users who hold any grant on the whole deployment, each as often as it holds one.
pub fn deployment_holders(from: &dyn Read) -> Result<Vec<UserId>, StateError> {
    rows::list(from, Table::DeploymentGrants, b"")
}

pub(super) fn add(open: &mut Open, grant: &Grant) -> Result<(), StateError> {
    let key = row_key(grant.subject, grant.id);
    let Subject::User(holder) = grant.subject;
    if grant.scope == Scope::Deployment {
        open.put(Table::DeploymentGrants, &key, &holder)?;
    }
    open.put(Table::Grants, &key, grant)?;
    user::move_rights(open, holder)
}

pub(super) fn remove(open: &mut Open, subject: Subject, id: GrantId) -> Result<(), StateError> {
    let key = row_key(subject, id);
    if open.row(Table::Grants, &key)?.is_none() {
        return Err(StateError::Unfit("a grant that is not there"));
    }
    open.remove(Table::Grants, &key)?;
    open.remove(Table::DeploymentGrants, &key)?;
    let Subject::User(holder) = subject;
    user::move_rights(open, holder)
}

pub(super) fn remove_all(open: &mut Open, subject: Subject) -> Result<(), StateError> {
    for grant in grants_of(open, subject)? {
        remove(open, subject, grant.id)?;
    }
    Ok(())
}

fn row_key(subject: Subject, id: GrantId) -> Vec<u8> {
    let mut key = prefix(subject);
    key.extend_from_slice(id.0.as_bytes());
    key
}

fn prefix(subject: Subject) -> Vec<u8> {
    match subject {
        Subject::User(id) => [b"u", id.0.as_bytes().as_slice()].concat(),
    }
}
