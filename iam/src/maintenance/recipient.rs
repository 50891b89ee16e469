//! For whom a backup is: the public key that it is encrypted to, and the private one that opens
//! it, as text that shows a slip of the hand.
//!
//! X25519, as HPKE (RFC 9180) takes it. Never: an identity in an argument or a log.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, Serializable};
use secrecy::SecretString;
use tollgate_runtime::files;
use zeroize::Zeroizing;

use super::MaintenanceError;
use crate::draw::{self, DrawError};
use crate::hash::Hash;

const RECIPIENT: &str = "tollgate-recipient-";
const IDENTITY: &str = "tollgate-identity-";
/// Of the checksum at the end, in digits.
const CHECKSUM: usize = 8;

pub(super) type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
pub(super) type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;

/// Whoever a backup is for.
#[derive(Clone)]
pub struct Recipient(pub(super) PublicKey);

/// A text is not a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a recipient: tollgate-iam keygen --backup prints one")]
pub struct NotARecipient;

impl FromStr for Recipient {
    type Err = NotARecipient;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = read(RECIPIENT, text).ok_or(NotARecipient)?;
        PublicKey::from_bytes(&*bytes).map(Self).map_err(|_| NotARecipient)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write(RECIPIENT, &self.0.to_bytes().into()))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What opens backups.
pub(super) struct Identity(pub(super) PrivateKey);

impl Identity {
    /// Reads the file that `keygen --backup` printed.
    pub(super) fn read_file(path: &Path) -> Result<Self, MaintenanceError> {
        let not_one = || MaintenanceError::NotAnIdentity(path.display().to_string());
        let text = Zeroizing::new(files::read_secret(path)?);
        let line = text.lines().map(str::trim).find(|line| !line.starts_with('#'));
        let bytes = line.and_then(|line| read(IDENTITY, line)).ok_or_else(not_one)?;
        PrivateKey::from_bytes(&*bytes).map(Self).map_err(|_| not_one())
    }
}

/// A new pair, as the text of a file: the recipient in a comment, the identity below it.
pub(super) fn draw_pair() -> Result<SecretString, DrawError> {
    let seed = Zeroizing::new(draw::bytes::<32>()?);
    let (private, public) = X25519HkdfSha256::derive_keypair(&*seed);
    let private = Zeroizing::new(private.to_bytes().into());
    let identity = Zeroizing::new(write(IDENTITY, &private));
    Ok(SecretString::from(format!("# {}\n{}", Recipient(public), *identity)))
}

fn write(prefix: &str, bytes: &[u8; 32]) -> String {
    let digits = Zeroizing::new(format!("{prefix}{}", Hash(*bytes)));
    format!("{}{}", *digits, checksum(&digits))
}

fn read(prefix: &str, text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let (digits, given) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
    let bytes = Hash::parse(digits.strip_prefix(prefix)?)?;
    (checksum(digits) == given).then(|| Zeroizing::new(bytes.0))
}

fn checksum(digits: &str) -> String {
    Hash::of(digits.as_bytes()).to_string().chars().take(CHECKSUM).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_pair_belongs_together_and_a_slip_shows() {
        let pair = draw_pair().unwrap();
        let (recipient, identity) = pair.expose_secret().split_once('\n').unwrap();
        let recipient = recipient.strip_prefix("# ").unwrap();
        let private = PrivateKey::from_bytes(&*read(IDENTITY, identity).unwrap()).unwrap();
        let public = recipient.parse::<Recipient>().unwrap();
        assert_eq!(X25519HkdfSha256::sk_to_pk(&private), public.0);
        assert_eq!(public.to_string(), recipient);

        let slip = recipient.replace(['1', '2', '3', '4', '5'], "6");
        for wrong in [&*slip, identity, "", "tollgate-recipient-", &"é".repeat(60)] {
            assert!(wrong.parse::<Recipient>().is_err(), "{wrong}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, fits) in [(pair.expose_secret(), true), (recipient, false), ("# no", false)] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(Identity::read_file(file.path()).is_ok(), fits);
        }
    }
}
