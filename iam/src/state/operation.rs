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
    remember_among(open, id, done, REMEMBERED)
}

fn remember_among(
    open: &mut Open,
    id: OperationId,
    done: &Done,
    limit: u64,
) -> Result<(), StateError> {
    let number = open.count_operation();
    if let Some(oldest) = number.checked_sub(limit) {
        let key = oldest.to_be_bytes();
        if let Some(forgotten) = rows::get::<OperationId>(open, Table::OperationOrder, &key)? {
            open.remove(Table::Operations, forgotten.0.as_bytes())?;
            open.remove(Table::OperationOrder, &key)?;
        }
    }
    open.put(Table::OperationOrder, &number.to_be_bytes(), &id)?;
    open.put(Table::Operations, id.0.as_bytes(), done)
}

#[cfg(test)]
mod tests {
    use tollgate_proto::ids::Seq;
    use uuid::Uuid;

    use super::*;
    use crate::record::Outcome;
    use crate::state::State;

    #[test]
    fn the_oldest_operation_is_forgotten_first() {
        let mut open = State::in_memory().unwrap().open().unwrap();
        let id = |n| OperationId(Uuid::from_u128(n));
        let act =
            Done { seq: Seq(1), operation: "x".to_owned(), actor: None, outcome: Outcome::Done };
        for n in 0..10 {
            remember_among(&mut open, id(n), &act, 3).unwrap();
        }
        let kept = (0..10).filter(|n| done(&open, id(*n)).unwrap().is_some());
        assert_eq!(kept.collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(open.rows(Table::OperationOrder, b"").unwrap().len(), 3);
    }
}
