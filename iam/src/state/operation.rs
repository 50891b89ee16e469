//! The operations that were done, so that one that comes twice is done once.

use tollgate_proto::ids::OperationId;

use super::StateError;
use super::rows::{self, Read, Table};
use super::transaction::Open;
use crate::record::Done;

/// How many operations are remembered.
pub const REMEMBERED: u64 = 100_000;

/// What came of an operation, if it was done and is remembered.
pub fn done(from: &dyn Read, id: OperationId) -> Result<Option<Done>, StateError> {
    rows::get(from, Table::Operations, id.0.as_bytes())
}

pub(super) fn remember(open: &mut Open, id: OperationId, done: &Done) -> Result<(), StateError> {
    let number = open.count_operation();
    if let Some(oldest) = number.checked_sub(REMEMBERED) {
        let key = oldest.to_be_bytes();
        if let Some(forgotten) = rows::get::<OperationId>(open, Table::OperationOrder, &key)? {
            open.remove(Table::Operations, forgotten.0.as_bytes())?;
            open.remove(Table::OperationOrder, &key)?;
        }
    }
    open.put(Table::OperationOrder, &number.to_be_bytes(), &id)?;
    open.put(Table::Operations, id.0.as_bytes(), done)
}
