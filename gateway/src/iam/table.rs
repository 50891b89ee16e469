//! IAM as a table, for tests of the gateway's own logic: who a token is and what it may do.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tollgate_proto::iam::{
    Actor, Answer, Claim, Client, Confirmed, Credential, Decision, Event, Identity, Mark, Moved,
    News, Outcome, Poll, Question, Refusal, RefusalKind, Reply,
};
use tollgate_proto::ids::{JournalId, KeyId, Seq, UserId};
use tollgate_proto::jwt::{Jwk, Jwks};
use tollgate_runtime::clock::ManualClock;
use uuid::Uuid;

use super::cache::Known;
use super::{Iam, Questions, Unreachable};

/// What the clock says.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

fn mark(seq: u64) -> Mark {
    Mark { journal: JournalId(Uuid::nil()), seq: Seq(seq) }
}

/// Questions to a table whose feed has just said that nothing moved.
pub(crate) fn questions(iam: Arc<TableIam>, lease: Duration) -> Questions {
    let questions = unheard(iam, lease);
    hear(&questions, 0, true);
    questions
}

/// Tells that nothing moved up to an entry; or, if it is to begin anew, that nothing more is known.
pub(crate) fn hear(questions: &Questions, seq: u64, resync: bool) {
    let news = News { head: mark(seq), age_ms: 0, events: vec![], resync, asks: vec![] };
    questions.cache.heard().hear(&news, Instant::now());
}

/// Questions to a table whose feed was never heard.
pub(crate) fn unheard(iam: Arc<TableIam>, lease: Duration) -> Questions {
    Questions::new(iam, lease, ManualClock::at_ms(NOW_MS), Arc::default())
}

/// Tells that something moved with an entry.
pub(crate) fn tell(questions: &Questions, seq: u64, moved: Moved) {
    let events = vec![Event { seq: Seq(seq), moved }];
    let news = News { head: mark(seq), age_ms: 0, events, resync: false, asks: vec![] };
    questions.cache.heard().hear(&news, Instant::now());
}

/// The identity of a user whose home is `home`.
pub(crate) fn identity(user: &str) -> Identity {
    let id = user.bytes().fold(0_u128, |id, byte| id * 256 + u128::from(byte));
    Identity {
        actor: Actor {
            user: UserId(Uuid::from_u128(id)),
            credential: Credential::Key(KeyId(Uuid::from_u128(id))),
            auth_epoch: 1,
        },
        authz_epoch: 1,
        default_workspace: "home".parse().unwrap(),
        expires_at_ms: None,
        user_context: None,
    }
}

/// The same, as it was said before anything moved.
pub(crate) fn known(identity: Identity) -> Known {
    Known { identity: Arc::new(identity), said: mark(0) }
}

/// Tokens and whom they stand for; everybody may do everything at home and nothing elsewhere.
#[derive(Default)]
pub(crate) struct TableIam {
    pub(crate) identities: HashMap<String, Identity>,
    pub(crate) asked: AtomicUsize,
    pub(crate) away: Mutex<bool>,
    /// The entry that its answers rest on.
    pub(crate) seq: AtomicU64,
    /// The public keys, and how often they were read.
    pub(crate) keys: Vec<Jwk>,
    pub(crate) keys_read: AtomicUsize,
    /// Each answer waits for a place here, if there is one.
    pub(crate) gate: Option<Semaphore>,
}

impl TableIam {
    pub(crate) fn knowing(tokens: &[(&str, Identity)]) -> Self {
        let identities = tokens.iter().map(|(t, i)| ((*t).to_owned(), i.clone())).collect();
        Self { identities, ..Self::default() }
    }

    fn answer(&self, question: &Question) -> Result<Outcome, Unreachable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if *self.away.lock().unwrap() {
            return Err(Unreachable("away".into()));
        }
        let decide = |check: &tollgate_proto::iam::Check| match check.resource.workspace() {
            Some(workspace) if workspace.as_str() == "home" => Decision::Allow,
            Some(workspace) if workspace.as_str() == "gone" => Decision::NoWorkspace,
            Some(_) | None => Decision::Deny,
        };
        Ok(match question {
            Question::Authenticate { credential } => {
                match self.identities.get(credential.expose_secret()) {
                    Some(identity) => Outcome::Identity(identity.clone()),
                    None => Outcome::Refused(Refusal::new(RefusalKind::AuthFailed, "no")),
                }
            }
            Question::Authorise { check, .. } => Outcome::Decision(decide(check)),
            Question::AuthoriseMany { checks, .. } => {
                Outcome::Decisions(checks.iter().map(decide).collect())
            }
            Question::Revalidate { claims } => {
                let live =
                    |claim: &Claim| Confirmed::Live(claim.checks.iter().map(decide).collect());
                Outcome::Confirmed(claims.iter().map(live).collect())
            }
            Question::Operate { .. } => Outcome::Reply(Reply::default()),
        })
    }
}

impl Iam for TableIam {
    fn ask<'a>(
        &'a self,
        question: Question,
        _client: &'a Client,
    ) -> BoxFuture<'a, Result<Answer, Unreachable>> {
        let (answer, mark) = (self.answer(&question), mark(self.seq.load(Ordering::SeqCst)));
        let answer = async move {
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            Ok(Answer { mark, outcome: answer? })
        };
        answer.boxed()
    }

    fn keys(&self) -> BoxFuture<'_, Result<Jwks, Unreachable>> {
        self.keys_read.fetch_add(1, Ordering::SeqCst);
        let away = *self.away.lock().unwrap();
        let keys = if away { Err(Unreachable("away".into())) } else { Ok(self.keys.clone()) };
        async { Ok(Jwks { keys: keys? }) }.boxed()
    }

    fn poll(&self, _: Poll) -> BoxFuture<'_, Result<News, Unreachable>> {
        pending().boxed()
    }
}
