//! IAM as the gateway sees it: a question goes out, an outcome comes back, or nothing does.
//!
//! [`link`] asks over the wire; tests put a table behind the same trait. [`asking`] asks once what
//! many want to know at once, by [`flights`]; [`cache`] keeps what was said, and [`heard`] what moved
//! since, as the feed tells; [`review`] asks what became of those whom that concerns. [`pace`] is for
//! users who are refused too often.
//! Never: a guess when IAM cannot be asked, or the use of an answer that is older than the news
//! about its subject.

mod asking;
mod flights;
mod keys;
mod families;
pub(crate) mod cache;
pub(crate) mod heard;
pub(crate) mod link;
mod review;
mod pace;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use tollgate_proto::iam::{
    Actor, Answer, Check, Claim, Client, Confirmed, Decision, Identity, News, Operation, Order,
    Outcome, Poll, Question, Refusal, RefusalKind, Reply,
};
use tollgate_proto::ids::UserId;
use tollgate_proto::jwt::Jwks;
use tollgate_proto::key;
use tollgate_runtime::clock::SharedClock;

use crate::metrics::{Cached, Found, Metrics};
use asking::{Asking, For, Said, Told, Unsaid, is_transient, settle, unexpected};
use cache::{Cache, CredentialKey, Decided, DecisionKey, Known};
use families::Families;
use flights::Flights;
use pace::Pace;
use review::Reviews;

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
    ) -> BoxFuture<'a, Result<Answer, Unreachable>>;

    /// Reads the public keys of session tokens.
    fn keys(&self) -> BoxFuture<'_, Result<Jwks, Unreachable>>;

    /// Asks for news.
    fn poll(&self, poll: Poll) -> BoxFuture<'_, Result<News, Unreachable>>;
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

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDecided {
    /// The caller is no longer who it was.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// This user was refused too often.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// IAM gave no answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// A user was refused so often that IAM is not asked again before this time is over.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("refused too often of late")]
pub(crate) struct TooOften(pub(crate) Duration);

/// The credential of this actor has ended meanwhile, or its user is not there any more.
#[derive(Debug, thiserror::Error)]
#[error("the credential has ended")]
pub(crate) struct Ended(pub(crate) Box<Actor>);

/// Why an operation of IAM was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    /// The caller is no longer who it was.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// IAM says no.
    #[error("{0}")]
    Refused(Refusal),
    /// The caller was refused too often.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// IAM gave no answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// The questions of the gateway, each answered from the cache where that is allowed.
pub(crate) struct Questions {
    asking: Asking,
    lease: Duration,
    cache: Cache,
    judging: Flights<CredentialKey, Told<Arc<Identity>>>,
    deciding: Flights<DecisionKey, Told<Decision>>,
    families: Families,
    pace: Pace,
    reviews: Reviews,
}

impl Questions {
    pub(crate) fn new(
        iam: Arc<dyn Iam>,
        lease: Duration,
        clock: SharedClock,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            asking: Asking::new(iam, metrics),
            lease,
            cache: Cache::new(lease, Arc::clone(&clock)),
            judging: Flights::default(),
            deciding: Flights::default(),
            families: Families::new(lease, clock),
            pace: Pace::default(),
            reviews: Reviews::default(),
        }
    }

    /// Asks for news, and takes them up: nothing that they void is used from here on. Says too
    /// whether somebody may have found the feed silent before.
    pub(crate) async fn poll(&self, poll: Poll) -> Result<(News, bool), Unreachable> {
        let asked = Instant::now();
        let news = self.asking.iam().poll(poll).await?;
        let trusted_until = self.trusted_until();
        self.cache.heard().hear(&news, asked);
        Ok((news, trusted_until <= Instant::now()))
    }

    /// Until when what is known can be relied on, unless there are news before.
    pub(crate) fn trusted_until(&self) -> Instant {
        self.cache.heard().trusted_until()
    }

    /// Whether IAM was heard, and not so long ago that nothing of it is relied on any more.
    pub(crate) fn is_iam_heard(&self) -> bool {
        self.cache.is_trusted(Instant::now())
    }

    /// Whether nothing has moved that an identity rests on.
    pub(crate) fn still_holds(&self, known: &Known) -> bool {
        self.cache.heard().holds_identity(&known.identity, known.said)
    }

    /// What became of somebody, however long it takes to learn it.
    pub(crate) async fn review(&self, claim: Claim) -> Confirmed {
        self.reviews.ask(claim).await
    }

    /// Asks for all who want to know that.
    pub(crate) async fn serve_reviews(&self) {
        self.reviews.serve(&self.asking).await;
    }

    /// How long an answer of IAM may take.
    pub(crate) fn patience(&self) -> Duration {
        Question::longest_deadline(self.lease)
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        self.asking.metrics()
    }

    fn count_look_up<T>(&self, cache: Cached, found: Option<T>) -> Option<T> {
        let outcome = if found.is_some() { Found::Hit } else { Found::Miss };
        self.metrics().cache_lookups.inc((cache, outcome));
        found
    }

    /// Whose credential is this?
    pub(crate) async fn authenticate(
        &self,
        credential: &SecretString,
        client: &Client,
    ) -> Result<Known, NotAuthenticated> {
        let key = Cache::credential_key(credential);
        if let Some(known) = self.count_look_up(Cached::Identity, self.cache.identity(&key)) {
            return Ok(known);
        }
        if let Some(known) = self.judge(key, credential).await {
            return Ok(known);
        }
        let ask = || {
            let question = Question::Authenticate { credential: credential.clone() };
            self.asking.ask_for_all(question, client, |outcome| match outcome {
                Outcome::Identity(identity) => Ok(Arc::new(identity)),
                other => Err(Box::new(other)),
            })
        };
        let take = |said: Said<_>, whose| {
            let known = self.take(key, &said, whose)?;
            if whose == For::Asker {
                self.families.learn(credential.expose_secret(), &said);
            }
            Some(known)
        };
        let kept = || self.cache.identity(&key);
        settle(&self.judging, &key, kept, ask, take).await.map_err(|reason| match reason {
            Unsaid::Refused => NotAuthenticated::Refused("refused by iam"),
            Unsaid::Unreachable(reason) => reason.into(),
        })
    }

    /// Whose session token this is, if that follows from what IAM said about others.
    async fn judge(&self, key: CredentialKey, credential: &SecretString) -> Option<Known> {
        let text = credential.expose_secret();
        if text.starts_with(key::PREFIX) || !self.is_iam_heard() {
            return None;
        }
        let said = self.families.identify(text, self.cache.heard(), &self.asking).await;
        let known = said.and_then(|said| self.take(key, &said, For::Another));
        self.count_look_up(Cached::Family, known)
    }

    /// Keeps what was said, if it holds. What was asked for another must be good as what is kept.
    fn take(&self, key: CredentialKey, said: &Said<Arc<Identity>>, whose: For) -> Option<Known> {
        let known = Known { identity: Arc::clone(&said.what), said: said.mark };
        let is_kept = self.cache.keep_identity(key, &known, said.asked);
        let is_good = whose == For::Asker || self.cache.identity(&key).is_some();
        (is_kept && is_good).then_some(known)
    }

    /// May this identity do that?
    pub(crate) async fn authorise(
        &self,
        identity: &Identity,
        check: &Check,
        client: &Client,
    ) -> Result<Decided, NotDecided> {
        let key = cache::decision_key(identity, check);
        let kept = || self.cache.decision(&key);
        if let Some(decided) = self.count_look_up(Cached::Decision, kept()) {
            return Ok(decided);
        }
        let user = identity.actor.user;
        self.check_pace(user)?;
        let ask = || {
            let (actor, check) = (identity.actor.clone(), check.clone());
            let question = Question::Authorise { actor, check };
            self.asking.ask_for_all(question, client, |outcome| match outcome {
                Outcome::Decision(decision) => Ok(decision),
                Outcome::Refused(refusal) if is_denial(refusal.kind) => Ok(Decision::Deny),
                other => Err(Box::new(other)),
            })
        };
        let take = |said: Said<Decision>, whose| {
            self.count_refused(user, &[said.what]);
            let decided = self.cache.keep_decision(&key, said)?;
            let is_good = whose == For::Asker || self.cache.is_fresh(&decided, Instant::now());
            is_good.then_some(decided)
        };
        match settle(&self.deciding, &key, kept, ask, take).await {
            Ok(decided) => Ok(decided),
            Err(Unsaid::Refused) => Err(self.ended(&identity.actor).into()),
            Err(Unsaid::Unreachable(reason)) => Err(reason.into()),
        }
    }

    /// Forgets everything about an actor, here and wherever a decision was kept.
    pub(crate) fn forget(&self, actor: &Actor) {
        self.families.forget(actor);
        self.cache.forget(actor);
    }

    /// A decision that somebody kept, if it still holds.
    pub(crate) fn again(&self, decided: &Decided, now: Instant) -> Option<Decision> {
        if !self.cache.is_fresh(decided, now) {
            return None;
        }
        self.metrics().cache_lookups.inc((Cached::Decision, Found::Hit));
        Some(decided.decision)
    }

    /// May this identity do each of these? All are decided on one state of IAM, and none is kept.
    pub(crate) async fn authorise_many(
        &self,
        identity: &Identity,
        checks: &[Check],
        client: &Client,
    ) -> Result<Vec<Decision>, NotDecided> {
        let (actor, checks) = (identity.actor.clone(), checks.to_vec());
        let (user, count) = (actor.user, checks.len());
        self.check_pace(user)?;
        let question = Question::AuthoriseMany { actor, checks };
        let decisions = match self.asking.ask(question, client).await?.outcome {
            Outcome::Decisions(decisions) if decisions.len() == count => decisions,
            Outcome::Refused(refusal) if is_transient(refusal.kind) => {
                return Err(Unreachable(refusal.to_string()).into());
            }
            Outcome::Refused(refusal) if is_denial(refusal.kind) => vec![Decision::Deny; count],
            Outcome::Refused(_) => return Err(self.ended(&identity.actor).into()),
            other => return Err(unexpected(&other).into()),
        };
        self.count_refused(user, &decisions);
        Ok(decisions)
    }

    /// An operation of IAM's own. Never cached, never repeated. An actor whom IAM no longer takes
    /// is forgotten, so that its credential is judged anew when it comes again.
    pub(crate) async fn operate(
        &self,
        actor: Option<Actor>,
        order: Order,
        client: &Client,
    ) -> Result<Reply, NotDone> {
        let Order { operation, manner } = order;
        let asserted = actor.clone().filter(|_| !is_proof_asked(&operation));
        let user = actor.as_ref().map(|actor| actor.user);
        if let Some(user) = user {
            self.check_pace(user)?;
        }
        let question = Question::Operate { actor, operation, manner };
        match self.asking.ask(question, client).await?.outcome {
            Outcome::Reply(reply) => Ok(reply),
            Outcome::Refused(refusal) => match asserted {
                Some(actor) if refusal.kind == RefusalKind::AuthFailed => {
                    Err(self.ended(&actor).into())
                }
                Some(_) | None => {
                    if let Some(user) = user {
                        self.pace.refused(user, 1, Instant::now());
                    }
                    Err(NotDone::Refused(refusal))
                }
            },
            other => Err(unexpected(&other).into()),
        }
    }

    /// IAM does not take this actor any more.
    fn ended(&self, actor: &Actor) -> Ended {
        self.pace.refused(actor.user, 1, Instant::now());
        self.forget(actor);
        Ended(Box::new(actor.clone()))
    }

    fn check_pace(&self, user: UserId) -> Result<(), TooOften> {
        self.pace.wait(user, Instant::now()).map_or(Ok(()), |wait| Err(TooOften(wait)))
    }

    fn count_refused(&self, user: UserId, decisions: &[Decision]) {
        let refused = decisions.iter().filter(|decision| **decision != Decision::Allow);
        self.pace.refused(user, refused.count(), Instant::now());
    }
}

/// Whether an operation asks for a proof of its own, which may be what `auth-failed` is about.
fn is_proof_asked(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Bootstrap {} | Operation::Login { .. } | Operation::ChangePassword { .. }
    )
}

/// Whether a question about decisions comes to no, if it is refused as a whole.
fn is_denial(kind: RefusalKind) -> bool {
    kind != RefusalKind::AuthFailed && !is_transient(kind)
}

#[cfg(test)]
pub(crate) mod table;
#[cfg(test)]
mod tests;
