//! Grants, by the subject that holds them.

use super::rows::{self, Read, Table};
use super::transaction::Open;
use super::{StateError, user};
use crate::record::{Grant, Subject};

/// The grants of a subject, those that have expired among them.
pub fn grants_of(from: &dyn Read, subject: Subject) -> Result<Vec<Grant>, StateError> {
    rows::list(from, Table::Grants, &prefix(subject))
}

pub(super) fn add(open: &mut Open, grant: &Grant) -> Result<(), StateError> {
    let mut key = prefix(grant.subject);
    key.extend_from_slice(grant.id.0.as_bytes());
    open.put(Table::Grants, &key, grant)?;
    match grant.subject {
        Subject::User(id) => user::move_rights(open, id),
    }
}

fn prefix(subject: Subject) -> Vec<u8> {
    match subject {
        Subject::User(id) => [b"u", id.0.as_bytes().as_slice()].concat(),
    }
}
