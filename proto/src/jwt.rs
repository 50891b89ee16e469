//! Session tokens: a JWS with one algorithm, EdDSA over Ed25519 (RFC 7515, 7519, 8037, 8725).
//!
//! In: a token, the public keys, what is expected. Out: [`Claims`], or the first rule that the
//! token breaks, for the log only: outside, every refusal looks alike.
//! Never: a key, an algorithm or a URL taken from the token.

mod jwks;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signature, Signer};
pub use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::iam::{Actor, Credential, Identity, SignedSession};
pub use crate::ids::KeyName;
use crate::ids::{JournalId, Seq, SessionId, UserId, WorkspaceId};
use crate::json::{Limits, Object};
pub use jwks::{Jwk, Jwks};

/// How far clocks may differ, in seconds.
pub const LEEWAY: u64 = 5;
/// The longest token, in bytes.
pub const MAX_TOKEN: usize = 8_192;
const MAX_HEADER: usize = 512;
const MAX_PAYLOAD: usize = 6 * 1_024;
/// The largest integer that every JSON reader agrees on.
const MAX_INTEGER: u64 = 1 << 53;
/// Header parameters that let a token choose how it is read (RFC 8725 §3.10).
const REFUSED_PARAMETERS: [&str; 8] = ["crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"];

/// What kind of session a token opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A login.
    Session,
    /// Minted for somebody else.
    Minted,
}

impl TokenKind {
    const fn typ(self) -> &'static str {
        match self {
            Self::Session => "tollgate-session+jwt",
            Self::Minted => "tollgate-minted+jwt",
        }
    }
}

/// What a token says. All of it is required but what a minted token adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: a setting.
    pub iss: String,
    /// For which deployment.
    pub aud: JournalId,
    /// Whom it stands for.
    pub sub: UserId,
    /// The workspace to fill in.
    pub default_workspace: WorkspaceId,
    /// Issued, in seconds since 1970.
    pub iat: u64,
    /// Not before.
    pub nbf: u64,
    /// Expires.
    pub exp: u64,
    /// The session.
    pub jti: SessionId,
    /// The user's credential epoch.
    pub ae: u64,
    /// The journal's newest entry before it was issued: what ended its session came later. Tokens of
    /// old do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// Minted: the text of a JSON object for the backends, which is the claim itself.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "raw")]
    pub user_context: Option<String>,
    /// Minted: who minted it (RFC 8693, section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Minter>,
}

impl Claims {
    /// Whether this is what is expected.
    pub fn check(&self, expect: Expect<'_>) -> Result<(), TokenError> {
        if self.iss != expect.issuer || self.aud != expect.audience {
            return Err(TokenError::Audience);
        }
        if self.exp + LEEWAY <= expect.now {
            return Err(TokenError::Expired);
        }
        let latest = expect.now + LEEWAY;
        if self.nbf > latest || self.iat > latest {
            return Err(TokenError::Time);
        }
        match self.exp.checked_sub(self.iat) {
            Some(life) if life <= expect.max_life => Ok(()),
            _ => Err(TokenError::Time),
        }
    }

    /// Whose token it is, if that key has signed it.
    pub fn actor(&self, signed_by: KeyName) -> Actor {
        let session = SignedSession { id: self.jti, signed_by };
        let credential = match self.act {
            None => Credential::Session(session),
            Some(by) => Credential::Minted { session, by: by.sub, epoch: by.ae },
        };
        Actor { user: self.sub, credential, auth_epoch: self.ae }
    }

    /// What it stands for, if that key has signed it, with what only IAM knows of the user.
    pub fn identity(&self, signed_by: KeyName, authz_epoch: u64) -> Identity {
        Identity {
            actor: self.actor(signed_by),
            authz_epoch,
            default_workspace: self.default_workspace.clone(),
            expires_at_ms: Some(self.exp.saturating_mul(1_000)),
            user_context: self.user_context.clone(),
        }
    }
}

/// Who minted a token, as it was then: the token dies with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Minter {
    /// The user.
    pub sub: UserId,
    /// The user's credential epoch.
    pub ae: u64,
}

/// A token that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What kind of session it opens.
    pub kind: TokenKind,
    /// The key that it was signed with.
    pub key: KeyName,
    /// What it says.
    pub claims: Claims,
}

/// What a verifier insists on.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The deployment.
    pub audience: JournalId,
    /// Now, in seconds since 1970.
    pub now: u64,
    /// The longest life of a token, in seconds.
    pub max_life: u64,
}

/// The first rule that a token breaks. For logs; never for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Too long, not three parts, or not canonical base64url.
    #[error("not a compact token")]
    Form,
    /// The header is not what we issue.
    #[error("unacceptable header")]
    Header,
    /// The key is not known or no longer verifies.
    #[error("unknown or unusable key")]
    Key,
    /// The signature is not of that key.
    #[error("bad signature")]
    Signature,
    /// A claim is missing, of a wrong type, or stands twice.
    #[error("unacceptable claims")]
    Claims,
    /// Another issuer or deployment.
    #[error("wrong issuer or audience")]
    Audience,
    /// Expired.
    #[error("expired")]
    Expired,
    /// From the future, or living too long.
    #[error("not valid at this time")]
    Time,
}

/// Signs a token.
pub fn sign(kind: TokenKind, name: KeyName, key: &SigningKey, claims: &Claims) -> String {
    let header = format!(r#"{{"alg":"EdDSA","typ":"{}","kid":"{name}"}}"#, kind.typ());
    let payload = serde_json::to_vec(claims).unwrap_or_default();
    let mut token = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    token.push_str(&BASE64.encode(signature.to_bytes()));
    token
}

/// Verifies a token, in the order of the rules. `key_of` gives the key of a name if it may
/// still verify.
pub fn verify(
    token: &str,
    key_of: impl FnOnce(KeyName) -> Option<VerifyingKey>,
    expect: Expect<'_>,
) -> Result<Verified, TokenError> {
    let token = Unverified::read(token)?;
    token.check_signature(&key_of(token.key).ok_or(TokenError::Key)?)?;
    let claims = token.claims()?;
    claims.check(expect)?;
    Ok(Verified { kind: token.kind, key: token.key, claims })
}

/// A token of the right form, whose signature nobody has checked: for whoever must know first
/// whether the check is worth while.
#[derive(Debug)]
pub struct Unverified<'a> {
    kind: TokenKind,
    key: KeyName,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Reads form and header.
    pub fn read(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Form);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Form);
        };
        let decode = |part: &str| BASE64.decode(part).map_err(|_| TokenError::Form);
        let signed = token.get(..header.len() + 1 + payload.len()).ok_or(TokenError::Form)?;
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let (kind, key) = read_header(&header)?;
        Ok(Self { kind, key, signed, payload, signature })
    }

    /// The key that it names.
    pub fn key(&self) -> KeyName {
        self.key
    }

    /// Whether it was signed with this key.
    pub fn check_signature(&self, key: &VerifyingKey) -> Result<(), TokenError> {
        let signature =
            Signature::from_slice(&self.signature).map_err(|_| TokenError::Signature)?;
        key.verify_strict(self.signed.as_bytes(), &signature).map_err(|_| TokenError::Signature)
    }

    /// What it says: worth nothing without its signature.
    pub fn claims(&self) -> Result<Claims, TokenError> {
        let claims = read_claims(&self.payload)?;
        check_kind(self.kind, &claims)?;
        Ok(claims)
    }
}

fn read_header(bytes: &[u8]) -> Result<(TokenKind, KeyName), TokenError> {
    let text = std::str::from_utf8(bytes).map_err(|_| TokenError::Header)?;
    if text.len() > MAX_HEADER {
        return Err(TokenError::Header);
    }
    let header = Object::parse(text, Limits::STRANGER).map_err(|_| TokenError::Header)?;
    if REFUSED_PARAMETERS.iter().any(|name| header.get(name).is_some())
        || header.text("alg").as_deref() != Some("EdDSA")
    {
        return Err(TokenError::Header);
    }
    let kind = [TokenKind::Session, TokenKind::Minted]
        .into_iter()
        .find(|kind| header.text("typ").as_deref() == Some(kind.typ()))
        .ok_or(TokenError::Header)?;
    let name = header.text("kid").as_deref().and_then(KeyName::parse).ok_or(TokenError::Header)?;
    Ok((kind, name))
}

fn read_claims(bytes: &[u8]) -> Result<Claims, TokenError> {
    let text = std::str::from_utf8(bytes).map_err(|_| TokenError::Claims)?;
    if text.len() > MAX_PAYLOAD {
        return Err(TokenError::Claims);
    }
    // Duplicates of keys that the struct does not know are refused too.
    Object::parse(text, Limits::FRIEND).map_err(|_| TokenError::Claims)?;
    let claims: Claims = serde_json::from_str(text).map_err(|_| TokenError::Claims)?;
    let minter_epoch = claims.act.map_or(0, |minter| minter.ae);
    let Seq(seq) = claims.seq.unwrap_or_default();
    let integers = [claims.iat, claims.nbf, claims.exp, claims.ae, seq, minter_epoch];
    if integers.iter().any(|number| *number > MAX_INTEGER) {
        return Err(TokenError::Claims);
    }
    Ok(claims)
}

/// A minted token says who minted it; a session says nothing of the kind.
fn check_kind(kind: TokenKind, claims: &Claims) -> Result<(), TokenError> {
    let fits = match kind {
        TokenKind::Session => claims.act.is_none() && claims.user_context.is_none(),
        TokenKind::Minted => claims.act.is_some(),
    };
    if fits { Ok(()) } else { Err(TokenError::Claims) }
}

/// JSON inside JSON, without quotes around it.
mod raw {
    use serde::de::Deserializer;
    use serde::ser::{Error, Serializer};
    use serde::{Deserialize, Serialize};
    use serde_json::value::RawValue;

    #[expect(clippy::ref_option, reason = "serde hands it over like this")]
    pub(super) fn serialize<S: Serializer>(
        text: &Option<String>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let raw = text.clone().map(RawValue::from_string).transpose().map_err(S::Error::custom)?;
        raw.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<String>, D::Error> {
        let raw = Option::<Box<RawValue>>::deserialize(from)?;
        Ok(raw.map(|raw| raw.get().to_owned()))
    }
}

#[cfg(test)]
mod tests;
