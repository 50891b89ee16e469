//! Sessions that ended before their tokens do.

use tollgate_proto::ids::SessionId;

use super::StateError;
use super::rows::{Read, Table};

/// Whether a session was ended.
pub fn session_ended(from: &dyn Read, id: SessionId) -> Result<bool, StateError> {
    Ok(from.row(Table::EndedSessions, id.0.as_bytes())?.is_some())
}
