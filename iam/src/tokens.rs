//! Session tokens: issued with the active signing key, verified with those that still verify.
//!
//! The private half is unsealed on first use and kept in memory; the journal has it sealed only.

pub mod key_file;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ed25519_dalek::{SigningKey as PrivateKey, VerifyingKey};
use secrecy::SecretString;
use tollgate_proto::iam::Actor;
use tollgate_proto::ids::{JournalId, SessionId, UserId, WorkspaceId};
use tollgate_proto::jwt::{
    self, Claims, Expect, Jwk, Jwks, KeyName, Minter, TokenError, TokenKind, Verified,
};
use zeroize::Zeroizing;

use crate::draw;
use crate::hash::Hash;
use crate::record::{SigningKey, SigningState};
use crate::refused::Refused;
use crate::seal::{Seal, SealError};
use crate::state::{self, Read, StateError};
use crate::times::LIFE;

/// Who issues the tokens.
pub const ISSUER: &str = "tollgate-iam";

/// Issues and verifies.
#[derive(Debug)]
pub struct Tokens {
    seal: Seal,
    journal: JournalId,
    /// How long a retired key still verifies, in milliseconds.
    grace_ms: u64,
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
    /// What a minted one adds.
    pub minted: Option<Minted>,
}

/// What a minted token says beyond others.
#[derive(Debug)]
pub struct Minted {
    /// Who minted it.
    pub by: Minter,
    /// The text of a JSON object for the backends.
    pub user_context: Option<String>,
}

/// A token, and when it expires in seconds since 1970.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: SecretString,
    /// The end.
    pub expires_s: u64,
    /// Whose it is.
    pub actor: Actor,
}

impl Tokens {
    /// The tokens of one deployment: the journal's id is their audience.
    pub fn new(seal: Seal, journal: JournalId, grace: Duration) -> Self {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        Self { seal, journal, grace_ms, unsealed: Mutex::new(None) }
    }

    /// A new key pair with a sealed private half. `private` is one that the operator brought.
    pub fn make_key(
        &self,
        private: Option<&PrivateKey>,
        state: SigningState,
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
            state,
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
        let minted = session.minted.as_ref();
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
            seq: Some(from.position().seq),
            user_context: minted.and_then(|minted| minted.user_context.clone()),
            act: minted.map(|minted| minted.by),
        };
        let kind = if minted.is_some() { TokenKind::Minted } else { TokenKind::Session };
        let token = jwt::sign(kind, key.name, &private, &claims);
        let actor = claims.actor(key.name);
        Ok(Issued { token: SecretString::from(token), expires_s, actor })
    }

    /// What a token says, if it is one of ours and in force.
    pub fn verify(
        &self,
        from: &dyn Read,
        token: &str,
        now_s: u64,
    ) -> Result<Result<Verified, TokenError>, StateError> {
        let mut unread = None;
        let key_of = |name| match state::signing_key(from, name) {
            Ok(key) => {
                let key = key.filter(|key| self.verifies(key, now_s.saturating_mul(1_000)))?;
                VerifyingKey::from_bytes(&key.public.0).ok()
            }
            Err(error) => {
                unread = Some(error);
                None
            }
        };
        let expect = Expect { issuer: ISSUER, audience: self.journal, now: now_s, max_life: LIFE };
        let verified = jwt::verify(token, key_of, expect);
        unread.map_or(Ok(verified), Err)
    }

    /// Whether a key verifies. The next one does too: another process may have it sign already.
    fn verifies(&self, key: &SigningKey, now_ms: u64) -> bool {
        match key.state {
            SigningState::Next | SigningState::Active => true,
            SigningState::Retired(at_ms) => now_ms < at_ms.saturating_add(self.grace_ms),
            SigningState::Revoked => false,
        }
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

    /// The public keys that verify now, as a JWK set (RFC 7517, 8037).
    pub fn jwks(&self, from: &dyn Read, now_ms: u64) -> Result<String, Refused> {
        let keys = state::signing_keys(from)?;
        let keys = keys.iter().filter(|key| self.verifies(key, now_ms));
        let keys = keys.map(|key| Jwk::of(key.name, &key.public.0)).collect();
        serde_json::to_string(&Jwks { keys }).map_err(Refused::internal)
    }
}
