//! The seal key of a deployment: one secret, from which comes one key for each purpose.
//!
//! In: 64 hexadecimal digits, as `iam.seal_key_file` has them. Out: derived keys, so that whoever
//! holds one of them holds no other. Never: the key itself.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::hex;

/// A text that is no seal key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a seal key is 64 hexadecimal digits")]
pub struct NotAKey;

/// The seal key.
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// Reads a seal key.
    pub fn parse(text: &SecretString) -> Result<Self, NotAKey> {
        let Mac(key) = Mac::parse(text.expose_secret()).ok_or(NotAKey)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// The key for one purpose.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(tag(keyed(&self.0), &[purpose.as_bytes()]).0)
    }

    /// HMAC-SHA-256 under the key for one purpose.
    pub fn mac(&self, purpose: &str) -> Hmac<Sha256> {
        keyed(&self.derive(purpose))
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[seal key]")
    }
}

/// The HMAC of some parts, one behind the other.
pub fn tag(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> Mac {
    for part in parts {
        mac.update(part);
    }
    Mac(mac.finalize().into_bytes().into())
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC pads a key with zeros to a block.
    let mut block = Zeroizing::new([0; 64]);
    let (front, _) = block.split_at_mut(key.len());
    front.copy_from_slice(key);
    Hmac::new((&*block).into())
}

/// An HMAC-SHA-256, as lower-case hexadecimal text wherever it is written.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 32]);

impl Mac {
    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        hex::read(text).map(Self)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("an HMAC has 64 digits of 0-9a-f")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_serves_one_purpose_and_is_never_printed() {
        let key = SealKey::parse(&SecretString::from("a".repeat(64))).unwrap();
        assert_ne!(key.derive("one"), key.derive("two"));
        assert_eq!(format!("{key:?}"), "[seal key]");
        for bad in ["", "short", &"g".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert!(SealKey::parse(&SecretString::from(bad)).is_err(), "{bad}");
        }
    }
}
