//! 32 bytes of SHA-256 or HMAC, as lower-case hexadecimal text wherever they are written.
//!
//! Never: a secret. What is hashed here may be public or a high-entropy key; passwords go
//! through `passwords`.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tollgate_proto::hex;

/// A hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first half, where that is enough to tell things apart.
    pub fn front(&self) -> [u8; 16] {
        let (front, _) = self.0.split_first_chunk().unwrap_or((&[0; 16], &[]));
        *front
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        hex::read(text).map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a hash has 64 digits of 0-9a-f")
    }
}

/// What a state adds up to: the sum of the hashes of its rows. Equal states have equal digests,
/// whatever way they were reached.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(u128);

impl Digest {
    /// Adds a row.
    pub fn add(&mut self, table: &str, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(row(table, key, value));
    }

    /// Takes a row away.
    pub fn subtract(&mut self, table: &str, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(row(table, key, value));
    }
}

fn row(table: &str, key: &[u8], value: &[u8]) -> u128 {
    let mut hash = Sha256::new();
    // Lengths in front: no two rows read alike.
    for part in [table.as_bytes(), key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(value);
    let whole: [u8; 32] = hash.finalize().into();
    whole.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = hex::read(&text).ok_or("a digest has 32 digits of 0-9a-f")?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_its_text_and_nothing_else_is_one() {
        let hash = Hash::of(b"tollgate");
        assert_eq!(Hash::parse(&hash.to_string()), Some(hash));
        let signs = "+1".repeat(32);
        for bad in ["", "é", &"g".repeat(64), &"é".repeat(32), &"0".repeat(63), &signs] {
            assert_eq!(Hash::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_digest_forgets_the_order_and_nothing_else() {
        let (mut one, mut two) = (Digest::default(), Digest::default());
        one.add("a", b"k", b"v");
        one.add("b", b"k", b"v");
        two.add("b", b"k", b"v");
        two.add("a", b"k", b"old");
        assert_ne!(one, two);
        two.subtract("a", b"k", b"old");
        two.add("a", b"k", b"v");
        assert_eq!(one, two);
        assert_eq!(Digest::try_from(one.to_string()), Ok(one));
        for bad in ["7", &"g".repeat(32), &"+1".repeat(16)] {
            assert!(Digest::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
