//! IAM as the gateway sees it: a question goes out, an outcome comes back, or nothing does.
//!
//! [`link`] asks over the wire; tests put a table behind the same trait. [`cache`] keeps what was
//! said for at most the lease. Never: a guess when IAM cannot be asked.

pub(crate) mod cache;
pub(crate) mod link;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use tokio::time::Instant;
use tollgate_proto::iam::{
    Actor, Check, Client, Decision, Identity, Operation, Outcome, Question, Refusal, RefusalKind,
    Reply,
};

use crate::metrics::{Answered, Asked, Cached, Found, Metrics};
use cache::{Cache, Decided};

/// IAM gave no answer that can be used. The reason is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("iam cannot be asked: {0}")]
pub(crate) struct Unreachable(pub(crate) String);

/// The seam: over the link, or a table in a test.
pub(crate) trait Iam: Send + Sync {
    /// Asks, within the deadline of the question.
    fn ask<'a>(
        &'a self,
        question: Question,
        client: &'a Client,
    ) -> BoxFuture<'a, Result<Outcome, Unreachable>>;
}

/// Why a credential is not taken. Outside, all of them look alike.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAuthenticated {
    /// IAM, or its form, says no.
    #[error("{0}")]
    Refused(&'static str),
    /// It could not be judged.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Why an operation of IAM was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    /// The caller is no longer who it was here: its credential has ended meanwhile.
    #[error("the credential has ended")]
    Ended,
    /// IAM says no.
    #[error("{0}")]
    Refused(Refusal),
    /// IAM gave no answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// The questions of the gateway, each answered from the cache where that is allowed.
pub(crate) struct Questions {
    iam: Arc<dyn Iam>,
    cache: Cache,
    metrics: Arc<Metrics>,
}

impl Questions {
    pub(crate) fn new(iam: Arc<dyn Iam>, lease: Duration, metrics: Arc<Metrics>) -> Self {
        Self { iam, cache: Cache::new(lease), metrics }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    async fn ask(&self, question: Question, client: &Client) -> Result<Outcome, Unreachable> {
        let (asked, started) = (Asked::from(&question), Instant::now());
        let outcome = self.iam.ask(question, client).await;
        let answered = match &outcome {
            Ok(Outcome::Refused(_)) => Answered::Refused,
            Ok(_) => Answered::Ok,
            Err(_) => Answered::Unreachable,
        };
        self.metrics.iam_questions.inc((asked, answered));
        self.metrics.iam_question_duration_seconds.observe(started.elapsed());
        outcome
    }

    fn count_look_up<T>(&self, cache: Cached, found: Option<T>) -> Option<T> {
        let outcome = if found.is_some() { Found::Hit } else { Found::Miss };
        self.metrics.cache_lookups.inc((cache, outcome));
        found
    }

    /// Whose credential is this?
    pub(crate) async fn authenticate(
        &self,
        credential: &SecretString,
        client: &Client,
    ) -> Result<Arc<Identity>, NotAuthenticated> {
        let key = Cache::credential_key(credential);
        if let Some(identity) = self.count_look_up(Cached::Identity, self.cache.identity(&key)) {
            return Ok(identity);
        }
        let question = Question::Authenticate { credential: credential.clone() };
        match self.ask(question, client).await? {
            Outcome::Identity(identity) => {
                let identity = Arc::new(identity);
                self.cache.keep_identity(key, &identity);
                Ok(identity)
            }
            Outcome::Refused(refusal) => Err(refused(&refusal)),
            other => Err(unexpected(&other).into()),
        }
    }

    /// May this identity do that?
    pub(crate) async fn authorise(
        &self,
        identity: &Identity,
        check: &Check,
        client: &Client,
    ) -> Result<Decided, Unreachable> {
        let kept = self.cache.decision(identity, check);
        if let Some(decided) = self.count_look_up(Cached::Decision, kept) {
            return Ok(decided);
        }
        let generation = self.cache.generation();
        let question = Question::Authorise { actor: identity.actor.clone(), check: check.clone() };
        let decision = match self.ask(question, client).await? {
            Outcome::Decision(decision) => decision,
            Outcome::Refused(refusal) if is_transient(refusal.kind) => {
                return Err(Unreachable(refusal.to_string()));
            }
            Outcome::Refused(_) => Decision::Deny,
            other => return Err(unexpected(&other)),
        };
        Ok(self.cache.keep_decision(identity, check, decision, generation))
    }

    /// Forgets everything about an actor, here and wherever a decision was kept.
    pub(crate) fn forget(&self, actor: &Actor) {
        self.cache.forget(actor);
    }

    /// A decision that somebody kept, if it still holds.
    pub(crate) fn again(&self, decided: &Decided, now: Instant) -> Option<Decision> {
        if !self.cache.is_fresh(decided, now) {
            return None;
        }
        self.metrics.cache_lookups.inc((Cached::Decision, Found::Hit));
        Some(decided.decision)
    }

    /// May this identity do each of these? All are decided on one state of IAM, and none is kept.
    pub(crate) async fn authorise_many(
        &self,
        identity: &Identity,
        checks: &[Check],
        client: &Client,
    ) -> Result<Vec<Decision>, Unreachable> {
        let (actor, checks) = (identity.actor.clone(), checks.to_vec());
        let count = checks.len();
        match self.iam.ask(Question::AuthoriseMany { actor, checks }, client).await? {
            Outcome::Decisions(decisions) if decisions.len() == count => Ok(decisions),
            Outcome::Refused(refusal) if is_transient(refusal.kind) => {
                Err(Unreachable(refusal.to_string()))
            }
            Outcome::Refused(_) => Ok(vec![Decision::Deny; count]),
            other => Err(unexpected(&other)),
        }
    }

    /// An operation of IAM's own. Never cached, never repeated. An actor whom IAM no longer takes
    /// is forgotten, so that its credential is judged anew when it comes again.
    pub(crate) async fn operate(
        &self,
        actor: Option<Actor>,
        operation: Operation,
        client: &Client,
    ) -> Result<Reply, NotDone> {
        let asserted = actor.clone().filter(|_| !is_proof_asked(&operation));
        let question = Question::Operate { actor, operation };
        match self.ask(question, client).await? {
            Outcome::Reply(reply) => Ok(reply),
            Outcome::Refused(refusal) => match asserted {
                Some(actor) if refusal.kind == RefusalKind::AuthFailed => {
                    self.forget(&actor);
                    Err(NotDone::Ended)
                }
                Some(_) | None => Err(NotDone::Refused(refusal)),
            },
            other => Err(unexpected(&other).into()),
        }
    }
}

/// Whether an operation asks for a proof of its own, which may be what `auth-failed` is about.
fn is_proof_asked(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Bootstrap {} | Operation::Login { .. } | Operation::ChangePassword { .. }
    )
}

fn is_transient(kind: RefusalKind) -> bool {
    match kind {
        RefusalKind::Unavailable | RefusalKind::InternalError | RefusalKind::TooManyRequests => {
            true
        }
        RefusalKind::InvalidArgument
        | RefusalKind::NotFound
        | RefusalKind::Duplicate
        | RefusalKind::AuthFailed
        | RefusalKind::AccessDenied
        | RefusalKind::OperationNotPermitted
        | RefusalKind::WeakPassword
        | RefusalKind::NotSupported => false,
    }
}

fn refused(refusal: &Refusal) -> NotAuthenticated {
    if is_transient(refusal.kind) {
        return Unreachable(refusal.to_string()).into();
    }
    NotAuthenticated::Refused("refused by iam")
}

fn unexpected(outcome: &Outcome) -> Unreachable {
    Unreachable(format!("an answer of another kind: {outcome:?}"))
}

#[cfg(test)]
pub(crate) mod table;
