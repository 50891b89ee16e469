//! Session tokens: issued with the active signing key, verified with those that still verify.
//!
//! The private half is unsealed on first use and kept in memory; the journal has it sealed only.

pub mod key_file;

use std::sync::{Mutex, PoisonError};

use ed25519_dalek::{SigningKey as PrivateKey, VerifyingKey};
use secrecy::SecretString;
use serde::Serialize;
use tollgate_proto::ids::{JournalId, SessionId, UserId, WorkspaceId};
use tollgate_proto::jwt::{self, Claims, Expect, KeyName, TokenError, TokenKind};
use zeroize::Zeroizing;

use crate::draw;
use crate::hash::Hash;
use crate::record::{SigningKey, SigningState};
use crate::refused::Refused;
use crate::seal::{Seal, SealError};
use crate::state::{self, Read, StateError};

/// Who issues the tokens.
pub const ISSUER: &str = "tollgate-iam";
/// How long a session lasts, in seconds.
pub const LIFE: u64 = 3_600;
/// The longest life that any token may have, in seconds.
pub const MAX_LIFE: u64 = 86_400;
/// How long a retired key still verifies, in milliseconds.
const GRACE_MS: u64 = 7_200_000;

/// Issues and verifies.
#[derive(Debug)]
pub struct Tokens {
    seal: Seal,
    journal: JournalId,
    unsealed: Mutex<Option<(KeyName, PrivateKey)>>,
}

/// Whom a token is for.
#[derive(Debug)]
pub struct Session {
    /// The user.
    pub user: UserId,
    /// The user's credential epoch.
    pub auth_epoch: u64,
    /// The workspace to fill in.
    pub workspace: WorkspaceId,
    /// Names the session.
    pub id: SessionId,
}

/// A token, and when it expires in seconds since 1970.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: SecretString,
    /// The end.
    pub expires_s: u64,
}

impl Tokens {
    /// The tokens of one deployment: the journal's id is their audience.
    pub fn new(seal: Seal, journal: JournalId) -> Self {
        Self { seal, journal, unsealed: Mutex::new(None) }
    }

    /// A new key pair with a sealed private half. `private` is one that the operator brought.
    pub fn make_key(
        &self,
        private: Option<&PrivateKey>,
        created_ms: u64,
    ) -> Result<SigningKey, SealError> {
        let private = match private {
            Some(private) => Zeroizing::new(private.to_bytes()),
            None => Zeroizing::new(draw::bytes()?),
        };
        let name = KeyName::from_number(draw::number()?);
        let public = PrivateKey::from_bytes(&private).verifying_key();
        Ok(SigningKey {
            name,
            state: SigningState::Active,
            public: Hash(public.to_bytes()),
            sealed: self.seal.seal(private.as_slice(), &self.context(name))?,
            created_ms,
        })
    }

    /// Opens a session.
    pub fn issue(&self, from: &dyn Read, session: &Session, now_s: u64) -> Result<Issued, Refused> {
        let key = state::active_signing_key(from)?
            .ok_or(Refused::Unavailable("there is no signing key yet"))?;
        let private = self.private(&key)?;
        let expires_s = now_s + LIFE;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: self.journal,
            sub: session.user,
            default_workspace: session.workspace.clone(),
            iat: now_s,
            nbf: now_s,
            exp: expires_s,
            jti: session.id,
            ae: session.auth_epoch,
            user_context: None,
            act: None,
        };
        let token = jwt::sign(TokenKind::Session, key.name, &private, &claims);
        Ok(Issued { token: SecretString::from(token), expires_s })
    }

    /// What a token says, if it is one of ours and in force.
    pub fn verify(
        &self,
        from: &dyn Read,
        token: &str,
        now_s: u64,
    ) -> Result<Result<Claims, TokenError>, StateError> {
        let keys = usable(from, now_s.saturating_mul(1_000))?;
        let key_of = |name| {
            let key = keys.iter().find(|key| key.name == name)?;
            VerifyingKey::from_bytes(&key.public.0).ok()
        };
        let expect =
            Expect { issuer: ISSUER, audience: self.journal, now: now_s, max_life: MAX_LIFE };
        Ok(jwt::verify(token, key_of, expect).map(|(_, claims)| claims))
    }

    fn private(&self, key: &SigningKey) -> Result<PrivateKey, Refused> {
        let mut unsealed = self.unsealed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, private)) = &*unsealed
            && *name == key.name
        {
            return Ok(private.clone());
        }
        let bytes = self.seal.open(&key.sealed, &self.context(key.name))?;
        let bytes: &[u8; 32] =
            bytes.as_slice().try_into().map_err(|_| Refused::internal("a sealed key is broken"))?;
        let private = PrivateKey::from_bytes(bytes);
        *unsealed = Some((key.name, private.clone()));
        Ok(private)
    }

    /// A sealed key opens as this key of this deployment and as nothing else.
    fn context(&self, name: KeyName) -> String {
        format!("signing key {name} of {}", self.journal)
    }
}

/// The public keys that verify now, as a JWK set (RFC 7517, 8037).
pub fn jwks(from: &dyn Read, now_ms: u64) -> Result<String, Refused> {
    #[derive(Serialize)]
    struct Jwk {
        kty: &'static str,
        crv: &'static str,
        r#use: &'static str,
        alg: &'static str,
        kid: String,
        x: String,
    }
    #[derive(Serialize)]
    struct Jwks {
        keys: Vec<Jwk>,
    }
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    let keys = usable(from, now_ms)?.into_iter().map(|key| Jwk {
        kty: "OKP",
        crv: "Ed25519",
        r#use: "sig",
        alg: "EdDSA",
        kid: key.name.to_string(),
        x: BASE64.encode(key.public.0),
    });
    serde_json::to_string(&Jwks { keys: keys.collect() }).map_err(Refused::internal)
}

fn usable(from: &dyn Read, now_ms: u64) -> Result<Vec<SigningKey>, StateError> {
    let verifies = |key: &SigningKey| match key.state {
        SigningState::Next | SigningState::Active => true,
        SigningState::Retired(at_ms) => now_ms < at_ms + GRACE_MS,
        SigningState::Revoked => false,
    };
    Ok(state::signing_keys(from)?.into_iter().filter(verifies).collect())
}
