//! The private key that an operator brings: PKCS#8 as RFC 8410 has it, PEM or DER.

use std::path::Path;

use ed25519_dalek::SigningKey as PrivateKey;
use ed25519_dalek::pkcs8::{self, DecodePrivateKey, spki};
use tollgate_runtime::files::{self, FileError};
use zeroize::Zeroizing;

const PEM: &str = "-----BEGIN ";
const ENCRYPTED_PEM: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// Why a file holds no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read, or others can read it too.
    #[error(transparent)]
    File(#[from] FileError),
    /// It would need a passphrase.
    #[error("the private key is encrypted; it must stand there without a passphrase")]
    Encrypted,
    /// RSA, ECDSA and others.
    #[error("the private key is not of Ed25519; openssl genpkey -algorithm ed25519 makes one")]
    OtherKind,
    /// Something else.
    #[error(
        "there is no private key in PKCS#8, PEM or DER; openssl genpkey -algorithm ed25519 makes one"
    )]
    NotAKey,
}

/// Reads a private key from a file that is its owner's alone.
pub fn read(path: &Path) -> Result<PrivateKey, KeyFileError> {
    parse(&Zeroizing::new(files::read_private(path)?))
}

fn parse(bytes: &[u8]) -> Result<PrivateKey, KeyFileError> {
    let parsed = match std::str::from_utf8(bytes).map(str::trim) {
        Ok(text) if text.starts_with(ENCRYPTED_PEM) => return Err(KeyFileError::Encrypted),
        Ok(text) if text.starts_with(PEM) => PrivateKey::from_pkcs8_pem(text),
        Ok(_) | Err(_) => PrivateKey::from_pkcs8_der(bytes),
    };
    parsed.map_err(|error| match error {
        pkcs8::Error::PublicKey(spki::Error::OidUnknown { .. }) => KeyFileError::OtherKind,
        _ => KeyFileError::NotAKey,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD as BASE64;

    use super::*;

    /// `openssl genpkey -algorithm ed25519`: the key of RFC 8410, section 10.3.
    const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
    /// `openssl genpkey -algorithm x25519`: another curve in the same form.
    const X25519: &str = "MC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";

    fn pem(label: &str, base64: &str) -> Vec<u8> {
        format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n").into_bytes()
    }

    #[test]
    fn a_key_is_read_from_pem_and_from_der() {
        for bytes in [pem("PRIVATE KEY", ED25519), BASE64.decode(ED25519).unwrap()] {
            let public = parse(&bytes).unwrap().verifying_key();
            // From section 10.1.
            assert_eq!(BASE64.encode(public), "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
        }
    }

    #[test]
    fn what_is_no_key_says_what_it_is() {
        let check = |bytes: &[u8], expect: &str| {
            let error = parse(bytes).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(&pem("PRIVATE KEY", X25519), "not of Ed25519");
        check(&BASE64.decode(X25519).unwrap(), "not of Ed25519");
        check(&pem("ENCRYPTED PRIVATE KEY", ED25519), "without a passphrase");
        check(&pem("EC PRIVATE KEY", ED25519), "no private key in PKCS#8");
        check(&pem("PUBLIC KEY", ED25519), "no private key in PKCS#8");
        check(&[b'7'; 64], "no private key in PKCS#8");
        check(&[0xff; 48], "no private key in PKCS#8");
    }
}
