//! One entry: what a group of operations changed, who asked for it, and the seal that ties it to
//! the entry before.
//!
//! The text is JSON, so that a journal can be read without this program. Its meaning under one
//! format number never changes; what a build cannot read stops it.

use serde::{Deserialize, Serialize};
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{Actor, Client};
use tollgate_proto::ids::{OperationId, Seq};

use super::{JournalError, failed};
use crate::draw;
use crate::hash::{Digest, Hash};
use crate::record::{Change, Format, Outcome};
use crate::seal::Seal;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How to read the rest; in force from here on.
    pub format: Format,
    /// Its place.
    pub seq: Seq,
    /// What the state added up to before.
    pub before: Digest,
    /// What was done, in this order.
    pub acts: Vec<Act>,
}

/// One operation that was done. The audit line is written from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// The operation's id.
    pub id: OperationId,
    /// Its name.
    pub operation: String,
    /// When it was prepared, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who did it; nobody, if it was public.
    pub actor: Option<Actor>,
    /// Where it came from.
    pub client: Client,
    /// The capability that allowed it; none, if it concerned the actor alone or was public.
    pub capability: Option<Capability>,
    /// What came of it.
    pub outcome: Outcome,
    /// What it changed.
    pub changes: Vec<Change>,
}

impl Act {
    /// One of whoever runs IAM: nobody whom it knows.
    pub fn of_operator(
        operation: &str,
        at_ms: u64,
        outcome: Outcome,
        changes: Vec<Change>,
    ) -> Result<Self, JournalError> {
        Ok(Self {
            id: OperationId(draw::uuid().map_err(failed)?),
            operation: operation.to_owned(),
            at_ms,
            actor: None,
            client: Client::default(),
            capability: None,
            outcome,
            changes,
        })
    }
}

/// An entry as it is kept: text and seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub seq: Seq,
    /// The first operation's id: whoever wrote it knows it by that.
    pub op: OperationId,
    /// HMAC-SHA-256 over the seal of the entry before and the text.
    pub seal: Hash,
    /// The text.
    pub body: Vec<u8>,
}

impl Row {
    /// Writes an entry behind the one whose seal is `before`.
    pub fn write(entry: &Entry, before: &Hash, seal: &Seal) -> Result<Self, JournalError> {
        let seq = entry.seq;
        let body =
            serde_json::to_vec(entry).map_err(|source| JournalError::Unreadable { seq, source })?;
        Ok(Self { seq, op: first_operation(entry), seal: seal.link(before, &body), body })
    }

    /// Reads the entry, if it is what was sealed behind `before`.
    pub fn read(&self, before: &Hash, seal: &Seal) -> Result<Entry, JournalError> {
        use subtle::ConstantTimeEq;
        let seq = self.seq;
        if !bool::from(seal.link(before, &self.body).0.ct_eq(&self.seal.0)) {
            return Err(JournalError::BrokenSeal(seq));
        }
        let unreadable = |source| JournalError::Unreadable { seq, source };
        // The format first: the rest may not be readable.
        let Beginning { format } = serde_json::from_slice(&self.body).map_err(unreadable)?;
        Format::try_from(format).map_err(|unknown| JournalError::UnknownFormat(seq, unknown))?;
        let entry: Entry = serde_json::from_slice(&self.body).map_err(unreadable)?;
        // The place and the operation's id are kept beside the text, which the seal covers.
        if entry.seq != seq || first_operation(&entry) != self.op {
            return Err(JournalError::BrokenSeal(seq));
        }
        Ok(entry)
    }

    /// The row for an engine that keeps bytes: operation id, seal, text.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.op.0.as_bytes(), self.seal.0.as_slice(), &self.body].concat()
    }

    /// Reads what [`Row::to_bytes`] wrote.
    pub fn from_bytes(seq: Seq, bytes: &[u8]) -> Result<Self, JournalError> {
        let parts = || {
            let (op, rest) = bytes.split_first_chunk::<16>()?;
            let (seal, body) = rest.split_first_chunk::<32>()?;
            let op = OperationId(uuid::Uuid::from_bytes(*op));
            Some(Self { seq, op, seal: Hash(*seal), body: body.to_vec() })
        };
        parts().ok_or(JournalError::BrokenSeal(seq))
    }
}

fn first_operation(entry: &Entry) -> OperationId {
    entry.acts.first().map_or(OperationId(uuid::Uuid::nil()), |act| act.id)
}

#[derive(Deserialize)]
struct Beginning {
    format: u16,
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use secrecy::SecretString;
    use tollgate_proto::iam::Credential;
    use tollgate_proto::ids::{KeyId, UserId};
    use uuid::Uuid;

    use super::*;

    fn entry() -> Entry {
        let actor = Actor {
            user: UserId(Uuid::from_u128(1)),
            credential: Credential::Key(KeyId(Uuid::from_u128(2))),
            auth_epoch: 3,
        };
        let act = Act {
            id: OperationId(Uuid::from_u128(4)),
            operation: "revoke-api-key".into(),
            at_ms: 5,
            actor: Some(actor),
            client: Client::default(),
            capability: Some(Capability::KeysAdmin),
            outcome: Outcome::Done,
            changes: vec![Change::RevokeKey { key: KeyId(Uuid::from_u128(6)), at_ms: 5 }],
        };
        Entry { format: Format::OLDEST, seq: Seq(7), before: Digest::default(), acts: vec![act] }
    }

    fn seal() -> Seal {
        Seal::new(&SecretString::from("a".repeat(64))).unwrap()
    }

    #[test]
    fn the_text_of_format_1_stays_as_it_is() {
        let row = Row::write(&entry(), &Hash::default(), &seal()).unwrap();
        let expect = expect![[
            r#"{"format":1,"seq":7,"before":"00000000000000000000000000000000","acts":[{"id":"00000000-0000-0000-0000-000000000004","operation":"revoke-api-key","at_ms":5,"actor":{"user":"00000000-0000-0000-0000-000000000001","credential":{"key":"00000000-0000-0000-0000-000000000002"},"auth_epoch":3},"client":{"via":"http"},"capability":"keys:admin","outcome":"done","changes":[{"revoke-key":{"key":"00000000-0000-0000-0000-000000000006","at_ms":5}}]}]}"#
        ]];
        expect.assert_eq(std::str::from_utf8(&row.body).unwrap());
        assert_eq!(Row::from_bytes(Seq(7), &row.to_bytes()).unwrap(), row);
        assert_eq!(row.read(&Hash::default(), &seal()).unwrap(), entry());
    }

    #[test]
    fn what_was_changed_moved_or_written_by_a_later_build_is_refused() {
        let row = Row::write(&entry(), &Hash::default(), &seal()).unwrap();
        let refused = |row: &Row, before: Hash| row.read(&before, &seal()).unwrap_err().to_string();
        let mut changed = row.clone();
        changed.body[20] ^= 1;
        let broken = "entry 7 was changed, or sealed under another seal key";
        assert_eq!(refused(&changed, Hash::default()), broken);
        assert_eq!(refused(&row, Hash::of(b"another")), broken);
        assert_eq!(
            refused(&Row { seq: Seq(8), ..row.clone() }, Hash::default()),
            "entry 8 was changed, or sealed under another seal key"
        );
        for format in [0, 3] {
            let text = std::str::from_utf8(&row.body).unwrap();
            let body =
                text.replacen("\"format\":1", &format!("\"format\":{format}"), 1).into_bytes();
            let other = Row { seal: seal().link(&Hash::default(), &body), body, ..row.clone() };
            assert_eq!(
                refused(&other, Hash::default()),
                format!("entry 7 has format {format}, which this build does not read")
            );
        }
    }
}
