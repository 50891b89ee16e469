//! The public keys as a JWK set (RFC 7517, 8037): IAM writes it, gateways and others read it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::KeyName;

/// A set of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwks {
    /// In no order.
    pub keys: Vec<Jwk>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    kty: String,
    crv: String,
    r#use: String,
    alg: String,
    kid: String,
    x: String,
}

impl Jwk {
    /// The public half of a signing key.
    pub fn of(name: KeyName, public: &[u8; 32]) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            r#use: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
            kid: name.to_string(),
            x: BASE64.encode(public),
        }
    }

    /// What verifies tokens of ours; none for a key of another kind.
    pub fn verifier(&self) -> Option<(KeyName, VerifyingKey)> {
        let name = KeyName::parse(&self.kid)?;
        let public: [u8; 32] = BASE64.decode(&self.x).ok()?.try_into().ok()?;
        let is_ours = *self == Self::of(name, &public);
        is_ours.then(|| VerifyingKey::from_bytes(&public).ok()).flatten().map(|key| (name, key))
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_no_other_kind_is() {
        let public = SigningKey::from_bytes(&[7; 32]).verifying_key();
        let jwk = Jwk::of(KeyName::from_number(0xfeed), public.as_bytes());
        let text = serde_json::to_string(&jwk).unwrap();
        let read = |text: &str| serde_json::from_str::<Jwk>(text).unwrap().verifier();
        assert_eq!(read(&text), Some((KeyName::from_number(0xfeed), public)));
        for (from, to) in [
            ("OKP", "EC"),
            ("Ed25519", "X25519"),
            (r#""sig""#, r#""enc""#),
            ("EdDSA", "HS256"),
            ("000000000000feed", "feed"),
            (&*BASE64.encode(public), "AAAA"),
            (&*BASE64.encode(public), &format!("{}=", BASE64.encode(public))),
        ] {
            assert!(text.contains(from), "{from}");
            assert_eq!(read(&text.replace(from, to)), None, "{to}");
        }
    }
}
