//! Session tokens that need no question, because IAM has judged another of the same family: one
//! that differs in its session, its times and what it carries along, and in nothing else.
//!
//! In: a token, and what IAM said about another. Out: the identity, and the place at which IAM
//! would have said it; or nothing, and IAM is asked. Why that is as good as to ask:
//! `docs/decisions/0009-session-tokens-judged-by-the-gateway.md`.
//! Never: a no, which has its line in IAM's audit file; or a yes to a session that may have ended
//! before the feed was heard.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollgate_proto::iam::{Actor, Identity, Mark};
use tollgate_proto::ids::{JournalId, KeyName, UserId, WorkspaceId};
use tollgate_proto::jwt::{Claims, Expect, LEEWAY, Minter, Unverified};
use tollgate_runtime::clock::SharedClock;

use super::asking::{Asking, Said};
use super::cache::Table;
use super::heard::Heard;
use super::keys::Keys;

pub(super) struct Families {
    lease: Duration,
    clock: SharedClock,
    keys: Keys,
    accepted: Table<Family, Accepted>,
}

/// What all tokens of a family say alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Family {
    key: KeyName,
    issuer: String,
    audience: JournalId,
    user: UserId,
    auth_epoch: u64,
    minter: Option<Minter>,
    default_workspace: WorkspaceId,
}

/// What IAM said about one of them.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    authz_epoch: u64,
    mark: Mark,
    asked: Instant,
    /// How long that one lived, in seconds.
    life: u64,
}

impl Families {
    pub(super) fn new(lease: Duration, clock: SharedClock) -> Self {
        Self { lease, clock, keys: Keys::default(), accepted: Table::default() }
    }

    /// IAM has taken a credential.
    pub(super) fn learn(&self, credential: &str, said: &Said<Arc<Identity>>) {
        let Some(token) = Token::read(credential) else { return };
        let authz_epoch = said.what.authz_epoch;
        // Nothing follows from a token that IAM reads in another way.
        if token.identity(authz_epoch) != *said.what {
            return;
        }
        let life = token.claims.exp.saturating_sub(token.claims.iat);
        let accepted = Accepted { authz_epoch, mark: said.mark, asked: said.asked, life };
        self.accepted.put(token.family(), accepted, said.asked + self.lease);
    }

    /// Whose token this is, as IAM would have said when it was asked about the other one. Whether it
    /// may be used still, the caller must find out.
    pub(super) async fn identify(
        &self,
        credential: &str,
        heard: &Heard,
        asking: &Asking,
    ) -> Option<Said<Arc<Identity>>> {
        let token = Token::read(credential)?;
        let (Accepted { authz_epoch, mark, asked, life }, _) =
            self.accepted.find(&token.family())?;
        if !token.is_in_force(mark.journal, life, self.clock.now_s()) {
            return None;
        }
        let key = self.keys.get(token.form.key(), asking).await?;
        token.form.check_signature(&key).ok()?;
        let mark = heard.vouches(token.claims.jti, token.claims.seq?, mark)?;
        Some(Said { what: Arc::new(token.identity(authz_epoch)), mark, asked })
    }

    /// Forgets the families of whoever has ended.
    pub(super) fn forget(&self, actor: &Actor) {
        self.accepted.retain(|family, _| family.user != actor.user);
    }
}

/// A token and what it claims.
struct Token<'a> {
    form: Unverified<'a>,
    claims: Claims,
}

impl<'a> Token<'a> {
    fn read(credential: &'a str) -> Option<Self> {
        let form = Unverified::read(credential).ok()?;
        let claims = form.claims().ok()?;
        Some(Self { form, claims })
    }

    fn family(&self) -> Family {
        Family {
            key: self.form.key(),
            issuer: self.claims.iss.clone(),
            audience: self.claims.aud,
            user: self.claims.sub,
            auth_epoch: self.claims.ae,
            minter: self.claims.act,
            default_workspace: self.claims.default_workspace.clone(),
        }
    }

    /// Whether IAM finds it in force, by a clock that differs from ours by the leeway at most.
    fn is_in_force(&self, audience: JournalId, max_life: u64, now: u64) -> bool {
        let expect = Expect { issuer: &self.claims.iss, audience, now, max_life };
        let Claims { iat, nbf, exp, .. } = self.claims;
        self.claims.check(expect).is_ok() && iat.max(nbf) <= now && now + LEEWAY <= exp
    }

    /// Whom IAM takes it for, if it does.
    fn identity(&self, authz_epoch: u64) -> Identity {
        self.claims.identity(self.form.key(), authz_epoch)
    }
}

#[cfg(test)]
mod tests;
