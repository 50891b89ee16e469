//! Signing keys. One of them is active.

use tollgate_proto::jwt::KeyName;

use super::StateError;
use super::rows::{self, Read, Table};
use super::transaction::Open;
use crate::record::{SigningKey, SigningState};

/// All signing keys, those that no longer verify among them.
pub fn signing_keys(from: &dyn Read) -> Result<Vec<SigningKey>, StateError> {
    rows::list(from, Table::SigningKeys, b"")
}

/// One of them.
pub fn signing_key(from: &dyn Read, name: KeyName) -> Result<Option<SigningKey>, StateError> {
    rows::get(from, Table::SigningKeys, name.to_string().as_bytes())
}

/// The one that signs.
pub fn active_signing_key(from: &dyn Read) -> Result<Option<SigningKey>, StateError> {
    Ok(signing_keys(from)?.into_iter().find(|key| key.state == SigningState::Active))
}

pub(super) fn add(open: &mut Open, key: &SigningKey) -> Result<(), StateError> {
    if signing_key(open, key.name)?.is_some() {
        return Err(StateError::Unfit("a signing key that is there"));
    }
    put(open, key)
}

/// Moves a key along its life, which has no way back.
pub(super) fn move_to(open: &mut Open, name: KeyName, to: SigningState) -> Result<(), StateError> {
    use SigningState::{Active, Next, Retired, Revoked};
    let key = signing_key(open, name)?;
    let key = key.ok_or(StateError::Unfit("a signing key that is not there"))?;
    match (key.state, to) {
        (Next, Active) | (Active, Retired(_)) | (Next | Active | Retired(_), Revoked) => {}
        (Next, Next | Retired(_))
        | (Active, Next | Active)
        | (Retired(_), Next | Active | Retired(_))
        | (Revoked, Next | Active | Retired(_) | Revoked) => {
            return Err(StateError::Unfit("a signing key that cannot come to that state"));
        }
    }
    put(open, &SigningKey { state: to, ..key })
}

/// There is at most one that signs, and at most one that will.
fn put(open: &mut Open, key: &SigningKey) -> Result<(), StateError> {
    let alone = match key.state {
        SigningState::Next | SigningState::Active => {
            !signing_keys(open)?.iter().any(|other| other.state == key.state)
        }
        SigningState::Retired(_) | SigningState::Revoked => true,
    };
    if !alone {
        return Err(StateError::Unfit("a second signing key of that state"));
    }
    open.put(Table::SigningKeys, key.name.to_string().as_bytes(), key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Hash;
    use crate::record::Sealed;
    use crate::state::State;

    #[test]
    fn a_key_goes_through_its_life_in_one_direction_and_one_signs() {
        use SigningState::{Active, Next, Retired, Revoked};
        let mut open = State::in_memory().unwrap().open().unwrap();
        let name = KeyName::from_number;
        let key = |number, state| SigningKey {
            name: name(number),
            state,
            public: Hash::default(),
            sealed: Sealed(String::new()),
            created_ms: 0,
        };
        add(&mut open, &key(1, Active)).unwrap();
        assert!(add(&mut open, &key(1, Revoked)).is_err(), "it is there");
        assert!(add(&mut open, &key(2, Active)).is_err());
        add(&mut open, &key(2, Next)).unwrap();
        assert!(add(&mut open, &key(3, Next)).is_err());
        assert!(move_to(&mut open, name(2), Active).is_err(), "another one signs");
        assert!(move_to(&mut open, name(1), Next).is_err());
        move_to(&mut open, name(1), Retired(7)).unwrap();
        move_to(&mut open, name(2), Active).unwrap();
        assert!(move_to(&mut open, name(1), Active).is_err());
        assert!(move_to(&mut open, name(1), Retired(9)).is_err(), "it would verify for longer");
        move_to(&mut open, name(1), Revoked).unwrap();
        assert!(move_to(&mut open, name(1), Retired(7)).is_err());
        assert!(move_to(&mut open, name(4), Revoked).is_err(), "it is not there");
        assert_eq!(active_signing_key(&open).unwrap().unwrap().name, name(2));
    }
}
