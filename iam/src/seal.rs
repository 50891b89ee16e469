//! The seal key at work: the chain over the journal, the encryption of private keys, the keys of
//! the audit file.
//!
//! In: `iam.seal_key_file`, 64 hexadecimal digits. Out: links of the chain and sealed bytes.
//! Never: the key itself, in a log, a row or an answer.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use hmac::Hmac;
use secrecy::SecretString;
use sha2::Sha256;
use tollgate_proto::audit::AuditKey;
use tollgate_proto::ids::JournalId;
use tollgate_proto::seal_key::{SealKey, tag};
use zeroize::Zeroizing;

use crate::draw::{self, DrawError};
use crate::hash::Hash;
use crate::record::Sealed;

const ALGORITHM: &str = "xchacha20poly1305";
const NONCE: usize = 24;

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The seal key is not 64 hexadecimal digits.
    #[error("a seal key is 64 hexadecimal digits")]
    NotAKey,
    /// No random bytes.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// Sealed under another key, or changed.
    #[error("it was sealed under another seal key, or changed since")]
    Foreign,
}

/// What the seal key can do.
#[derive(Clone)]
pub struct Seal {
    chain: Hmac<Sha256>,
    cipher: XChaCha20Poly1305,
    audit: AuditKey,
    /// Names the key in what it sealed, so that keys can be exchanged.
    name: String,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A new seal key, as it stands in its file.
pub fn draw_key() -> Result<SecretString, DrawError> {
    Ok(SecretString::from(Hash(draw::bytes()?).to_string()))
}

impl Seal {
    /// Reads a seal key.
    pub fn new(key: &SecretString) -> Result<Self, SealError> {
        let key = SealKey::parse(key).map_err(|_| SealError::NotAKey)?;
        let name = Hash(*key.derive("tollgate seal key name")).to_string();
        Ok(Self {
            chain: key.mac("tollgate journal chain"),
            cipher: XChaCha20Poly1305::new((&*key.derive("tollgate sealed secrets")).into()),
            audit: AuditKey::of(&key),
            name: name.chars().take(16).collect(),
        })
    }

    /// The keys of the audit file.
    pub fn audit_key(&self) -> &AuditKey {
        &self.audit
    }

    /// What the first entry of a journal is chained to.
    pub fn first_link(&self, journal: JournalId) -> Hash {
        Hash(tag(self.chain.clone(), &[b"tollgate journal", journal.0.as_bytes()]).0)
    }

    /// The seal of an entry behind another.
    pub fn link(&self, before: &Hash, entry: &[u8]) -> Hash {
        Hash(tag(self.chain.clone(), &[&before.0, entry]).0)
    }

    /// Encrypts a secret. `context` says what it is, and must be the same when it is opened.
    pub fn seal(&self, secret: &[u8], context: &str) -> Result<Sealed, SealError> {
        let nonce: [u8; NONCE] = draw::bytes()?;
        let payload = Payload { msg: secret, aad: context.as_bytes() };
        let text = self.cipher.encrypt((&nonce).into(), payload).map_err(|_| SealError::Foreign)?;
        let (nonce, text) = (BASE64.encode(nonce), BASE64.encode(text));
        Ok(Sealed(format!("{ALGORITHM}${}${nonce}${text}", self.name)))
    }

    /// Decrypts what [`Seal::seal`] encrypted.
    pub fn open(&self, sealed: &Sealed, context: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let open = || {
            let mut parts = sealed.0.split('$');
            let (algorithm, name) = (parts.next()?, parts.next()?);
            let nonce: [u8; NONCE] = BASE64.decode(parts.next()?).ok()?.try_into().ok()?;
            let text = BASE64.decode(parts.next()?).ok()?;
            if algorithm != ALGORITHM || name != self.name || parts.next().is_some() {
                return None;
            }
            let payload = Payload { msg: &text, aad: context.as_bytes() };
            self.cipher.decrypt((&nonce).into(), payload).ok()
        };
        open().map(Zeroizing::new).ok_or(SealError::Foreign)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn seal(digit: &str) -> Seal {
        Seal::new(&SecretString::from(digit.repeat(64))).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_under_the_same_key_and_context_only() {
        let sealed = seal("a").seal(b"private", "kid 1").unwrap();
        assert!(!sealed.0.contains("private"));
        assert_eq!(seal("a").open(&sealed, "kid 1").unwrap().as_slice(), b"private");
        assert!(seal("a").open(&sealed, "kid 2").is_err());
        assert!(seal("b").open(&sealed, "kid 1").is_err());
        let changed = Sealed(sealed.0.replace("xchacha20poly1305", "none"));
        assert!(seal("a").open(&changed, "kid 1").is_err());
        assert!(seal("a").open(&Sealed("x$y".into()), "kid 1").is_err());
    }

    #[test]
    fn a_link_depends_on_key_journal_order_and_bytes() {
        let first = seal("a").first_link(JournalId(Uuid::from_u128(1)));
        assert_ne!(first, seal("a").first_link(JournalId(Uuid::from_u128(2))));
        assert_ne!(first, seal("b").first_link(JournalId(Uuid::from_u128(1))));
        assert_ne!(seal("a").link(&first, b"x"), seal("a").link(&first, b"y"));
        assert_ne!(seal("a").link(&first, b"x"), seal("a").link(&Hash::default(), b"x"));
    }

    #[test]
    fn a_drawn_key_is_a_key_and_junk_is_not() {
        assert!(Seal::new(&draw_key().unwrap()).is_ok());
        assert!(Seal::new(&SecretString::from("short")).is_err());
    }
}
