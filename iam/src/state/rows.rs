//! Rows: JSON under a key, in one table for each kind of record and index.

use redb::TableDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Position, StateError};

/// The tables. All of them together are what the digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// One row.
    Deployment,
    /// By user id.
    Users,
    /// Folded username → user id.
    Usernames,
    /// By folded id.
    Workspaces,
    /// By subject and grant id.
    Grants,
    /// User id and grant id → nothing, for grants on the whole deployment.
    DeploymentGrants,
    /// By key id.
    Keys,
    /// SHA-256 of the key → key id.
    KeyHashes,
    /// User id and key id → nothing.
    KeysOfUsers,
    /// By `jti`: sessions that ended before their token does.
    EndedSessions,
    /// When its token expires and `jti` → nothing, soonest first.
    EndedSessionOrder,
    /// By name.
    SigningKeys,
    /// By operation id.
    Operations,
    /// Number → operation id, oldest first.
    OperationOrder,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Deployment,
        Self::Users,
        Self::Usernames,
        Self::Workspaces,
        Self::Grants,
        Self::DeploymentGrants,
        Self::Keys,
        Self::KeyHashes,
        Self::KeysOfUsers,
        Self::EndedSessions,
        Self::EndedSessionOrder,
        Self::SigningKeys,
        Self::Operations,
        Self::OperationOrder,
    ];

    /// The name in the file. Never changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Users => "users",
            Self::Usernames => "usernames",
            Self::Workspaces => "workspaces",
            Self::Grants => "grants",
            Self::DeploymentGrants => "deployment-grants",
            Self::Keys => "keys",
            Self::KeyHashes => "key-hashes",
            Self::KeysOfUsers => "keys-of-users",
            Self::EndedSessions => "ended-sessions",
            Self::EndedSessionOrder => "ended-session-order",
            Self::SigningKeys => "signing-keys",
            Self::Operations => "operations",
            Self::OperationOrder => "operation-order",
        }
    }

    pub(super) const fn definition(self) -> Definition {
        TableDefinition::new(self.name())
    }
}

/// A table as redb knows it.
pub type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// Where the state stands; not covered by the digest, which is part of it.
pub(super) const POSITION: Definition = TableDefinition::new("position");

/// What can be read, whether in a view or in the open transaction: a decision that was prepared
/// on the one is made by the same code on the other.
pub trait Read {
    /// Where the state stands.
    fn position(&self) -> &Position;

    /// One row.
    fn row(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;

    /// All rows whose key begins with `prefix`, in the order of their keys.
    fn rows(&self, table: Table, prefix: &[u8]) -> Result<Vec<KeyedRow>, StateError>;
}

/// A row with its key.
pub type KeyedRow = (Vec<u8>, Vec<u8>);

/// A record by its key.
pub(super) fn get<T: DeserializeOwned>(
    from: &dyn Read,
    table: Table,
    key: &[u8],
) -> Result<Option<T>, StateError> {
    from.row(table, key)?.map(|row| decode(table, &row)).transpose()
}

/// All records whose key begins with `prefix`.
pub(super) fn list<T: DeserializeOwned>(
    from: &dyn Read,
    table: Table,
    prefix: &[u8],
) -> Result<Vec<T>, StateError> {
    from.rows(table, prefix)?.iter().map(|(_, row)| decode(table, row)).collect()
}

pub(super) fn decode<T: DeserializeOwned>(table: Table, row: &[u8]) -> Result<T, StateError> {
    serde_json::from_slice(row).map_err(|source| StateError::Broken { table: table.name(), source })
}

pub(super) fn encode<T: Serialize>(table: Table, record: &T) -> Result<Vec<u8>, StateError> {
    serde_json::to_vec(record).map_err(|source| StateError::Broken { table: table.name(), source })
}

/// An error of the store, of whatever kind.
pub(super) fn store(error: impl Into<redb::Error>) -> StateError {
    StateError::Store(Box::new(error.into()))
}
