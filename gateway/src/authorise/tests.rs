use std::sync::atomic::Ordering;
use std::time::Duration;

use tollgate_proto::capability::Capability;
use tollgate_proto::resource::Resource;

use super::*;
use crate::auth::authenticate;
use crate::iam::NotAuthenticated;
use crate::iam::table::{TableIam, identity};

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
    (iam.clone(), Questions::new(iam, LEASE, Arc::default()))
}

async fn ask(questions: &Questions, who: Option<&str>, needs: Needs) -> Result<(), ErrorKind> {
    let identity = who.map(|who| Arc::new(identity(who)));
    let permit = authorise(questions, identity, Arc::default(), call(needs)).await;
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
