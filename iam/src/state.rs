//! The state: what the journal's changes add up to.
//!
//! In: changes, in the journal's order. Out: records, read from a [`View`] or from the [`Open`]
//! transaction that the writer decides in. Applying is pure and deterministic, and nothing else
//! writes here. Never: network, a clock, random numbers, or a read transaction that outlives a
//! request.

mod rows;
mod transaction;
mod deployment;
mod user;
mod workspace;
mod grant;
mod key;
mod session;
mod signing;
mod operation;

use std::sync::Arc;

use redb::{Database, ReadableDatabase};
use serde::{Deserialize, Serialize};
use tollgate_proto::ids::{OperationId, Seq};

use crate::hash::{Digest, Hash};
use crate::record::{Change, Done, Format, Subject};

pub use deployment::deployment;
pub use grant::{deployment_holders, grants_of};
pub use key::{key, key_by_hash, keys_of};
pub use operation::{REMEMBERED, done};
pub use rows::{Definition, KeyedRow, Read, Table};
pub use session::session_ended;
pub use signing::{active_signing_key, signing_key, signing_keys};
pub use transaction::{Open, View};
pub use user::{user, user_by_name, users};
pub use workspace::{workspace, workspace_folded, workspaces};

/// redb's cache over a state in memory: what one transaction writes finds room in it.
const MEMORY_CACHE: usize = 16 << 20;

/// Why the state cannot be read or written. Every one of them is a fault of ours.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The store failed.
    #[error("the state cannot be read or written")]
    Store(#[source] Box<redb::Error>),
    /// A row is not what it should be.
    #[error("a row of {table} is broken")]
    Broken {
        /// Where.
        table: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A change does not fit the state: it was not decided on it.
    #[error("a change does not fit the state: {0}")]
    Unfit(&'static str),
}

/// Where a state stands.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The newest entry that was applied.
    pub seq: Seq,
    /// The seal of that entry.
    pub head: Hash,
    /// What the rows add up to.
    pub digest: Digest,
    /// How many operations there were: names the next one in the ring of remembered ones.
    pub operations: u64,
    /// What the next entry is written in, unless it raises it.
    #[serde(default = "Format::oldest")]
    pub format: Format,
}

/// The tables. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State(Arc<Database>);

impl State {
    /// The state in a database; its tables are made if they are not there.
    pub fn in_database(database: Arc<Database>) -> Result<Self, StateError> {
        let state = Self(database);
        let open = state.open()?;
        open.make_tables()?;
        open.into_inner().commit().map_err(rows::store)?;
        Ok(state)
    }

    /// A state that is gone with the process: for a journal elsewhere, and for tests.
    pub fn in_memory() -> Result<Self, StateError> {
        let memory = redb::backends::InMemoryBackend::new();
        let mut builder = Database::builder();
        // What is in memory need not be there twice.
        builder.set_cache_size(MEMORY_CACHE);
        let database = builder.create_with_backend(memory).map_err(rows::store)?;
        Self::in_database(Arc::new(database))
    }

    /// The state as it is now, for reading.
    pub fn view(&self) -> Result<View, StateError> {
        View::new(self.0.begin_read().map_err(rows::store)?)
    }

    /// All tables that a state has in a file.
    pub fn tables() -> impl Iterator<Item = Definition> {
        Table::ALL.into_iter().map(Table::definition).chain([rows::POSITION])
    }

    /// A transaction to decide and apply in. There is one at a time; others wait.
    pub fn open(&self) -> Result<Open, StateError> {
        Open::new(self.0.begin_write().map_err(rows::store)?)
    }
}

/// Applies what one operation changed, as part of entry `seq`.
pub fn apply(
    open: &mut Open,
    id: OperationId,
    done: &Done,
    changes: &[Change],
) -> Result<(), StateError> {
    for change in changes {
        match change {
            Change::Claim { at_ms } => deployment::claim(open, *at_ms)?,
            Change::AddWorkspace(workspace) => workspace::add(open, workspace)?,
            Change::SetWorkspace { workspace, name, enabled } => {
                workspace::set(open, workspace, name, *enabled)?;
            }
            Change::AddUser(user) => user::add(open, user)?,
            Change::SetProfile { user, name, email } => {
                user::set_profile(open, *user, name, email)?;
            }
            Change::SetEnabled { user, enabled } => user::set_enabled(open, *user, *enabled)?,
            Change::SetMustChange { user, must_change } => {
                user::set_must_change(open, *user, *must_change)?;
            }
            Change::RemoveUser { user } => {
                grant::remove_all(open, Subject::User(*user))?;
                key::remove_all(open, *user)?;
                user::remove(open, *user)?;
            }
            Change::Suspend { at_ms: _ } => user::suspend_all(open)?,
            Change::AddGrant(grant) => grant::add(open, grant)?,
            Change::RemoveGrant { subject, grant } => grant::remove(open, *subject, *grant)?,
            Change::SetPassword { user, password, must_change, revoke_keys, at_ms } => {
                let user = user::set_password(open, *user, password, *must_change)?;
                key::follow_epoch(open, &user, revoke_keys.then_some(*at_ms))?;
            }
            Change::Rehash { user, hash } => user::rehash(open, *user, hash)?,
            Change::EndSession { session, until_ms, at_ms } => {
                session::end(open, *session, *until_ms, *at_ms)?;
            }
            Change::AddKey(key) => key::add(open, key)?,
            Change::RevokeKey { key, at_ms } => key::revoke(open, *key, *at_ms)?,
            Change::AddSigningKey(key) => signing::add(open, key)?,
            Change::MoveSigningKey { key, to } => signing::move_to(open, *key, *to)?,
            // The entry itself has the format, and gateways alone know of sockets.
            Change::RaiseFormat { to: _ }
            | Change::CloseSockets { user: _ }
            | Change::CloseSocket { .. } => {}
        }
    }
    operation::remember(open, id, done)
}
