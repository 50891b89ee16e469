//! Sessions that ended before their tokens do. Once the token has expired by itself, its session
//! need not be remembered.

use tollgate_proto::ids::SessionId;

use super::StateError;
use super::rows::{Read, Table};
use super::transaction::Open;

/// How many that are over are forgotten when one is added: more than one, so that they run out.
const FORGET: usize = 2;

/// Whether a session was ended.
pub fn session_ended(from: &dyn Read, id: SessionId) -> Result<bool, StateError> {
    Ok(from.row(Table::EndedSessions, id.0.as_bytes())?.is_some())
}

pub(super) fn end(
    open: &mut Open,
    id: SessionId,
    until_ms: u64,
    now_ms: u64,
) -> Result<(), StateError> {
    for _ in 0..FORGET {
        let Some((key, _)) = open.first(Table::EndedSessionOrder)? else { break };
        let Some((until, oldest)) = key.split_first_chunk() else { break };
        if now_ms <= u64::from_be_bytes(*until) {
            break;
        }
        open.remove(Table::EndedSessions, oldest)?;
        open.remove(Table::EndedSessionOrder, &key)?;
    }
    let key = [until_ms.to_be_bytes().as_slice(), id.0.as_bytes()].concat();
    open.put(Table::EndedSessionOrder, &key, &())?;
    open.put(Table::EndedSessions, id.0.as_bytes(), &until_ms)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::state::State;

    #[test]
    fn an_ended_session_is_remembered_as_long_as_its_token_lives() {
        let mut open = State::in_memory().unwrap().open().unwrap();
        let id = |n| SessionId(Uuid::from_u128(n));
        for n in 1..=9 {
            end(&mut open, id(n), 100, 1).unwrap();
        }
        end(&mut open, id(10), 200, 100).unwrap();
        assert!((1..=10).all(|n| session_ended(&open, id(n)).unwrap()));
        for n in 11..=15 {
            end(&mut open, id(n), 300, 101).unwrap();
        }
        assert!((1..=9).all(|n| !session_ended(&open, id(n)).unwrap()));
        assert!((10..=15).all(|n| session_ended(&open, id(n)).unwrap()));
        assert_eq!(open.rows(Table::EndedSessionOrder, b"").unwrap().len(), 6);
    }
}
