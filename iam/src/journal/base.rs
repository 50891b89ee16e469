//! Where a journal begins when its older entries are gone, or live under another id: the seal
//! that its first entry follows on, sealed in turn, so that nobody can cut a journal unseen.

use tollgate_proto::ids::{JournalId, Seq};

use super::JournalError;
use crate::hash::Hash;
use crate::seal::Seal;

/// Of the bytes of a base.
const LENGTH: usize = 8 + 32 + 32;

/// What the first kept entry follows on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The newest entry that is not kept.
    pub seq: Seq,
    /// What stands for its seal.
    pub head: Hash,
    seal: Hash,
}

impl Base {
    /// Seals a base of a journal.
    pub fn new(journal: JournalId, seq: Seq, head: Hash, seal: &Seal) -> Self {
        Self { seq, head, seal: link(journal, seq, &head, seal) }
    }

    /// Checks that it was sealed for this journal.
    pub fn check(&self, journal: JournalId, seal: &Seal) -> Result<(), JournalError> {
        use subtle::ConstantTimeEq;
        let expected = link(journal, self.seq, &self.head, seal);
        if !bool::from(expected.0.ct_eq(&self.seal.0)) {
            return Err(JournalError::BrokenBase);
        }
        Ok(())
    }

    /// The bytes for an engine to keep.
    pub fn to_bytes(self) -> Vec<u8> {
        [self.seq.0.to_be_bytes().as_slice(), &self.head.0, &self.seal.0].concat()
    }

    /// Reads what [`Base::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, JournalError> {
        let parts = || {
            let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
            let (seq, rest) = bytes.split_first_chunk::<8>()?;
            let (head, seal) = rest.split_first_chunk::<32>()?;
            let seal = Hash(seal.try_into().ok()?);
            Some(Self { seq: Seq(u64::from_be_bytes(*seq)), head: Hash(*head), seal })
        };
        parts().ok_or(JournalError::BrokenBase)
    }
}

/// An entry is JSON, so none has these bytes.
fn link(journal: JournalId, seq: Seq, head: &Hash, seal: &Seal) -> Hash {
    let bytes = [b"tollgate base".as_slice(), &seq.0.to_be_bytes(), &head.0].concat();
    seal.link(&seal.first_link(journal), &bytes)
}
