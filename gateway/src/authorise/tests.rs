use std::sync::atomic::Ordering;
use std::time::Duration;

use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{Check, Moved, Operation};
use tollgate_proto::resource::Resource;

use super::*;
use crate::auth::authenticate;
use crate::iam::table::{self, TableIam, identity, known, questions, tell};
use crate::iam::{NotAuthenticated, NotDone};

const KEY: &str = "tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2";
const LEASE: Duration = Duration::from_secs(5);

fn call(needs: Needs) -> Call {
    Call {
        name: "test".into(),
        metrics: Arc::default(),
        service: "test".into(),
        needs,
        flow: None,
        target: Target::Nothing,
        taken: Instant::now(),
        budget: LEASE,
        traceparent: None,
    }
}

fn on(workspace: &str) -> Needs {
    let resource = Resource::Workspace { workspace: workspace.parse().unwrap() };
    Needs::Check(Check { capability: Capability::Llm, resource })
}

fn table() -> (Arc<TableIam>, Questions) {
    let iam = Arc::new(TableIam::knowing(&[(KEY, identity("ann"))]));
    (iam.clone(), questions(iam, LEASE))
}

async fn ask(questions: &Questions, who: Option<&str>, needs: Needs) -> Result<(), ErrorKind> {
    let caller = who.map(|who| Arc::new(Caller::new(known(identity(who)))));
    ask_as(questions, caller, needs).await
}

async fn ask_as(
    questions: &Questions,
    caller: Option<Arc<Caller>>,
    needs: Needs,
) -> Result<(), ErrorKind> {
    let call = Box::new(call(needs));
    let permit = authorise(questions, caller, Arc::default(), call, Instant::now()).await;
    permit.map(drop).map_err(|reason| reason.kind())
}

#[tokio::test(start_paused = true)]
async fn each_refusal_has_its_answer() {
    let (iam, questions) = table();
    assert_eq!(ask(&questions, Some("ann"), on("home")).await, Ok(()));
    assert_eq!(ask(&questions, Some("ann"), on("other")).await, Err(ErrorKind::AccessDenied));
    assert_eq!(ask(&questions, Some("ann"), on("gone")).await, Err(ErrorKind::WorkspaceNotFound));
    assert_eq!(ask(&questions, None, on("home")).await, Err(ErrorKind::AuthRequired));
    assert_eq!(ask(&questions, None, Needs::Identity).await, Err(ErrorKind::AuthRequired));
    assert_eq!(ask(&questions, None, Needs::Nothing).await, Ok(()));
    *iam.away.lock().unwrap() = true;
    assert_eq!(ask(&questions, Some("bob"), on("home")).await, Err(ErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_kept_for_the_lease_and_for_one_identity() {
    let (iam, questions) = table();
    for _ in 0..3 {
        ask(&questions, Some("ann"), on("home")).await.unwrap();
    }
    assert_eq!(iam.asked.load(Ordering::SeqCst), 1);
    ask(&questions, Some("bob"), on("home")).await.unwrap();
    assert_eq!(iam.asked.load(Ordering::SeqCst), 2);
    tokio::time::advance(LEASE).await;
    *iam.away.lock().unwrap() = true;
    assert_eq!(ask(&questions, Some("ann"), on("home")).await, Err(ErrorKind::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn what_moved_is_asked_again_and_by_answers_that_know_of_it() {
    let (iam, questions) = table();
    let caller = Arc::new(Caller::new(known(identity("ann"))));
    let ask = async || ask_as(&questions, Some(caller.clone()), on("home")).await;
    let asked = || iam.asked.load(Ordering::SeqCst);
    let moved = |who: &str| Moved::UserAuthz { id: identity(who).actor.user, epoch: None };
    ask().await.unwrap();
    tell(&questions, 7, moved("bob"));
    ask().await.unwrap();
    assert_eq!(asked(), 1, "nothing about ann");
    tell(&questions, 8, moved("ann"));
    // The table does not know of it yet.
    assert_eq!(ask().await, Err(ErrorKind::Unavailable));
    let before = asked();
    iam.seq.store(8, Ordering::SeqCst);
    ask().await.unwrap();
    ask().await.unwrap();
    assert_eq!(asked(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_kept_is_used_when_the_feed_is_lost() {
    let iam = Arc::new(TableIam::knowing(&[(KEY, identity("ann"))]));
    let questions = table::unheard(iam.clone(), LEASE);
    for asked in 1..3 {
        ask(&questions, Some("ann"), on("home")).await.unwrap();
        authenticate(&questions, Some(&KEY.into()), &Client::default()).await.unwrap();
        assert_eq!(iam.asked.load(Ordering::SeqCst), 2 * asked);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_remembers_ends_as_what_all_remember() {
    let (iam, questions) = table();
    let ann = || identity("ann");
    let caller = Arc::new(Caller::new(known(ann())));
    let ask = async || ask_as(&questions, Some(caller.clone()), on("home")).await;
    ask().await.unwrap();
    ask().await.unwrap();
    assert_eq!(iam.asked.load(Ordering::SeqCst), 1);
    questions.forget(&ann().actor);
    ask().await.unwrap();
    assert_eq!(iam.asked.load(Ordering::SeqCst), 2);
    questions.forget(&identity("bob").actor);
    ask().await.unwrap();
    assert_eq!(iam.asked.load(Ordering::SeqCst), 2, "what is forgotten of one is kept of others");
    tokio::time::advance(LEASE).await;
    ask().await.unwrap();
    assert_eq!(iam.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_caller_remembers_little() {
    let (iam, questions) = table();
    let caller = Arc::new(Caller::new(known(identity("ann"))));
    for n in 0..2 * MAX_REMEMBERED {
        let refused = ask_as(&questions, Some(caller.clone()), on(&format!("w{n}"))).await;
        assert_eq!(refused, Err(ErrorKind::AccessDenied));
    }
    assert_eq!(caller.remembered.lock().unwrap().len(), MAX_REMEMBERED);
    assert_eq!(iam.asked.load(Ordering::SeqCst), 2 * MAX_REMEMBERED);
}

#[tokio::test(start_paused = true)]
async fn a_credential_is_asked_for_once_and_junk_never() {
    let (iam, questions) = table();
    let client = Client::default();
    for _ in 0..3 {
        authenticate(&questions, Some(&KEY.into()), &client).await.unwrap();
    }
    for junk in ["", "hello", "tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT3"] {
        let refused = authenticate(&questions, Some(&junk.into()), &client).await;
        assert!(matches!(refused, Err(NotAuthenticated::Refused(_))), "{junk}");
    }
    assert_eq!(iam.asked.load(Ordering::SeqCst), 1);
    *iam.away.lock().unwrap() = true;
    let unjudged = authenticate(&questions, Some(&"a.b.c".into()), &client).await;
    assert!(matches!(unjudged, Err(NotAuthenticated::Unreachable(_))));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_refused_too_often_has_what_is_kept_and_nothing_else() {
    let (iam, questions) = table();
    ask(&questions, Some("ann"), on("home")).await.unwrap();
    let asked = || iam.asked.load(Ordering::SeqCst);
    for n in 0..1_000 {
        let refused = ask(&questions, Some("ann"), on(&format!("w{n}"))).await;
        assert_eq!(refused, Err(ErrorKind::AccessDenied));
        // What is kept is not counted.
        let refused = ask(&questions, Some("ann"), on(&format!("w{n}"))).await;
        assert_eq!(refused, Err(ErrorKind::AccessDenied));
    }
    assert_eq!(asked(), 1_001);
    assert_eq!(ask(&questions, Some("ann"), on("x")).await, Err(ErrorKind::RateLimited));
    assert_eq!(ask(&questions, Some("ann"), on("home")).await, Ok(()));
    let whoami = async |who: &str| {
        let operation = Operation::Whoami {};
        questions.operate(Some(identity(who).actor), operation.into(), &Client::default()).await
    };
    assert!(matches!(whoami("ann").await, Err(NotDone::TooOften(_))));
    let many = questions.authorise_many(&identity("ann"), &[], &Client::default()).await;
    assert!(matches!(many, Err(NotDecided::TooOften(_))));
    assert_eq!(asked(), 1_001, "nothing was asked");
    whoami("bob").await.unwrap();
    tokio::time::advance(Duration::from_millis(50)).await;
    assert_eq!(ask(&questions, Some("ann"), on("x")).await, Err(ErrorKind::AccessDenied));
    assert_eq!(ask(&questions, Some("ann"), on("y")).await, Err(ErrorKind::RateLimited));
}
