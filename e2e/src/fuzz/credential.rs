//! Credentials: session tokens and API keys.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use tollgate_proto::jwt::{self, Expect, LEEWAY, TokenError, Verified};
use tollgate_proto::key::{self, ALPHABET, PREFIX, RANDOM_LENGTH, Shape};

const NOW: u64 = 1_800_000_000;
const MAX_LIFE: u64 = 3_600;
const ISSUER: &str = "tollgate-iam";
const AUDIENCE: &str = "01890000-0000-7000-8000-000000000001";

/// Bytes as a token, which nobody signed; and as the header and the payload, with NUL between them,
/// of a token that we signed.
pub fn jwt(bytes: &[u8]) {
    let (ours, other) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
    if let Ok(token) = std::str::from_utf8(bytes) {
        assert!(verify(token, &ours).is_err(), "nobody signed {token}");
    }
    let Some(at) = bytes.iter().position(|byte| *byte == 0) else { return };
    let (header, payload) = (&bytes[..at], &bytes[at + 1..]);
    let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = BASE64.encode(ours.sign(signed.as_bytes()).to_bytes());
    let token = format!("{signed}.{signature}");
    assert!(verify(&token, &other).is_err(), "another key signed {token}");
    if let Ok(verified) = verify(&token, &ours) {
        check_header(header, &verified);
        check_claims(&verified);
        check_spellings(&token, &ours);
        let again = jwt::sign(verified.kind, verified.key, &ours, &verified.claims);
        assert_eq!(verify(&again, &ours), Ok(verified), "{token}");
    }
}

fn verify(token: &str, key: &SigningKey) -> Result<Verified, TokenError> {
    let Ok(audience) = AUDIENCE.parse() else { return Err(TokenError::Audience) };
    let expect = Expect { issuer: ISSUER, audience, now: NOW, max_life: MAX_LIFE };
    jwt::verify(token, |_| Some(key.verifying_key()), expect)
}

fn check_header(header: &[u8], verified: &Verified) {
    let header: Value = serde_json::from_slice(header).unwrap_or_default();
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(header["kid"], verified.key.to_string());
    for refused in ["crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"] {
        assert!(header.get(refused).is_none(), "{header}");
    }
}

fn check_claims(verified: &Verified) {
    let claims = &verified.claims;
    assert_eq!((&*claims.iss, claims.aud.to_string()), (ISSUER, AUDIENCE.to_owned()));
    assert!(claims.exp + LEEWAY > NOW, "{claims:?}");
    assert!(claims.nbf.max(claims.iat) <= NOW + LEEWAY, "{claims:?}");
    assert!(claims.iat <= claims.exp && claims.exp - claims.iat <= MAX_LIFE, "{claims:?}");
}

/// A token has one spelling.
fn check_spellings(token: &str, key: &SigningKey) {
    for other in
        [format!("{token}="), format!("{token}."), format!(" {token}"), format!("{token}\n")]
    {
        assert!(verify(&other, key).is_err(), "{other}");
    }
    // Of the last character of 64 bytes, four bits stand for nothing.
    let (rest, last) = token.split_at(token.len() - 1);
    for digit in ALPHABET.iter().map(|digit| char::from(*digit)).chain(['-', '_']) {
        let other = format!("{rest}{digit}");
        assert!(last.starts_with(digit) || verify(&other, key).is_err(), "{other}");
    }
}

/// Bytes as a key; and as the random characters of one.
pub fn key(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let shape = key::shape(text);
        assert_eq!(shape == Shape::NotAKey, !text.starts_with(PREFIX), "{text}");
        if shape == Shape::Current {
            let random = &text.as_bytes()[PREFIX.len()..PREFIX.len() + RANDOM_LENGTH];
            let digits = random.iter().filter_map(|byte| ALPHABET.iter().position(|d| d == byte));
            let digits: Vec<u8> = digits.filter_map(|digit| u8::try_from(digit).ok()).collect();
            assert_eq!(made_of(&digits).as_deref(), Some(text));
        }
    }
    let Some(text) = made_of(bytes) else { return };
    assert_eq!(key::shape(&text), Shape::Current, "{text}");
    // CRC-32 finds every change of one character, and every two that change places.
    let at = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>() % text.len();
    for digit in ALPHABET.iter().map(|digit| char::from(*digit)) {
        let other = format!("{}{digit}{}", &text[..at], &text[at + 1..]);
        assert!(other == text || key::shape(&other) != Shape::Current, "{other}");
    }
}

fn made_of(digits: &[u8]) -> Option<String> {
    let digits = digits.first_chunk::<RANDOM_LENGTH>()?;
    Some(key::format(&digits.map(|digit| digit % 62)))
}
