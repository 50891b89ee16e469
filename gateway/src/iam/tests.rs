//! What many ask at the same time.

use std::pin::Pin;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::Moved;
use tollgate_proto::resource::Resource;

use super::table::{TableIam, identity, tell};
use super::*;

const TOKEN: &str = "ann's";
const LEASE: Duration = Duration::from_secs(5);
/// Of those who ask in a test.
const CROWD: usize = 50;

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Known, NotAuthenticated>> + 'a>>;

/// An IAM whose answers wait to be let go, and questions to it under a feed that is trusted.
fn held() -> (Arc<TableIam>, Questions) {
    let mut iam = TableIam::knowing(&[(TOKEN, identity("ann"))]);
    iam.gate = Some(Semaphore::new(0));
    let iam = Arc::new(iam);
    (Arc::clone(&iam), table::questions(iam, LEASE))
}

fn let_go(iam: &TableIam, answers: usize) {
    iam.gate.as_ref().unwrap().add_permits(answers);
}

fn asked(iam: &TableIam) -> usize {
    iam.asked.load(Ordering::SeqCst)
}

/// As many as are a crowd, all waiting.
fn crowd<'a>(questions: &'a Questions, credential: &'a SecretString) -> Vec<Waiting<'a>> {
    let ask = async move || questions.authenticate(credential, &Client::default()).await;
    let mut crowd: Vec<Waiting<'_>> = (0..CROWD).map(|_| ask().boxed_local()).collect();
    assert!(crowd.iter_mut().all(|one| one.now_or_never().is_none()));
    crowd
}

#[tokio::test(start_paused = true)]
async fn a_crowd_with_one_credential_costs_one_question_whoever_leaves() {
    let (iam, questions) = held();
    let credential = TOKEN.into();
    let mut crowd = crowd(&questions, &credential);
    // The one that asked is gone, and so is one that waited.
    drop(crowd.remove(0));
    drop(crowd.remove(7));
    let_go(&iam, 1);
    for one in crowd {
        assert_eq!(one.await.unwrap().identity.actor, identity("ann").actor);
    }
    assert_eq!(asked(&iam), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_with_one_question_about_rights_costs_one() {
    let (iam, questions) = held();
    let ann = identity("ann");
    let decide = async |workspace: &str, expect| {
        let resource = Resource::Workspace { workspace: workspace.parse().unwrap() };
        let check = Check { capability: Capability::Llm, resource };
        let client = Client::default();
        let ask = || questions.authorise(&ann, &check, &client);
        let mut crowd: Vec<_> = (0..CROWD).map(|_| ask().boxed_local()).collect();
        assert!(crowd.iter_mut().all(|one| one.now_or_never().is_none()));
        drop(crowd.remove(0));
        let_go(&iam, 1);
        for one in crowd {
            assert_eq!(one.await.unwrap().decision, expect);
        }
    };
    decide("home", Decision::Allow).await;
    decide("other", Decision::Deny).await;
    assert_eq!(asked(&iam), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_news_outran_is_asked_for_again_and_once() {
    let (iam, questions) = held();
    let credential = TOKEN.into();
    let crowd = crowd(&questions, &credential);
    tell(&questions, 6, Moved::UserAuth { id: identity("ann").actor.user, epoch: Some(2) });
    iam.seq.store(6, Ordering::SeqCst);
    let_go(&iam, 2);
    for one in futures_util::future::join_all(crowd).await {
        assert_eq!(one.unwrap().said.seq.0, 6);
    }
    assert_eq!(asked(&iam), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_one_came_is_not_taken_once_the_feed_is_lost() {
    let (iam, questions) = held();
    let credential = TOKEN.into();
    let crowd = crowd(&questions, &credential);
    // Long enough for authority to have ended that nobody told of.
    tokio::time::advance(LEASE).await;
    let_go(&iam, 1);
    let mut crowd: Vec<_> =
        crowd.into_iter().map(|mut one| (one.as_mut().now_or_never(), one)).collect();
    let (first, _) = crowd.remove(0);
    assert!(first.unwrap().is_ok(), "it asked itself");
    assert!(crowd.iter().all(|(answer, _)| answer.is_none()));
    let_go(&iam, 1);
    for (_, one) in crowd {
        assert!(one.await.is_ok());
    }
    assert_eq!(asked(&iam), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_nobody_elses_and_an_iam_that_is_away_is_everybodys() {
    let (iam, questions) = held();
    let credential = "nobody's".into();
    let refused = crowd(&questions, &credential);
    let_go(&iam, CROWD);
    for one in refused {
        assert!(matches!(one.await, Err(NotAuthenticated::Refused(_))));
    }
    assert_eq!(asked(&iam), CROWD);
    *iam.away.lock().unwrap() = true;
    let unjudged = crowd(&questions, &credential);
    let_go(&iam, 1);
    for one in unjudged {
        assert!(matches!(one.await, Err(NotAuthenticated::Unreachable(_))));
    }
    assert_eq!(asked(&iam), CROWD + 1);
}
