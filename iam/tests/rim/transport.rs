//! The rim itself: the secret, limits, marks, and what is not offered.

use std::pin::pin;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_iam::nodes::SURVEY_PATH;
use tollgate_proto::iam::{Outcome, RefusalKind, known_operations};
use tollgate_proto::ids::Seq;
use uuid::Uuid;

use super::harness::{Iam, SECRET, assert_nobody, assert_refused, post_to};

#[tokio::test]
async fn without_the_secret_nothing_is_read() {
    let iam = Iam::fresh().await;
    for secret in ["", "wrong", &SECRET[..31], &format!("{SECRET}x")] {
        let (head, body) = iam.post(secret, "not even JSON").await;
        assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
        assert!(head.contains("connection: close") && body.is_empty());
    }
    let (head, _) = iam.http("POST /v1/call HTTP/1.1\r\nHost: iam\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    // A body that never comes does not matter to a stranger.
    let waiting = "POST /v1/call HTTP/1.1\r\nHost: iam\r\nContent-Length: 1000000\r\n\r\n";
    let (head, _) = iam.http(waiting).await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
}

#[tokio::test]
async fn a_node_answers_others_under_the_secret_and_for_itself_alone() {
    let iam = Iam::fresh().await;
    let ask = json!({"node": Uuid::now_v7(), "about": {"user": Uuid::now_v7()}}).to_string();
    for secret in ["", "wrong", &SECRET[..31]] {
        let (head, body) = iam.http(&post_to(SURVEY_PATH, secret, &ask)).await;
        assert!(head.starts_with("HTTP/1.1 401 ") && body.is_empty(), "{head}");
    }
    // No other writes to its journal.
    let (head, _) = iam.http(&post_to(SURVEY_PATH, SECRET, &ask)).await;
    assert!(head.starts_with("HTTP/1.1 421 "), "{head}");
    for body in ["{}", &"[".repeat(10_000)] {
        let (head, _) = iam.http(&post_to(SURVEY_PATH, SECRET, body)).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    }
    let (head, _) = iam.http(&post_to(SURVEY_PATH, SECRET, &"x".repeat((1 << 20) + 1))).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test]
async fn what_is_too_large_or_no_call_is_refused() {
    let iam = Iam::fresh().await;
    let (head, _) = iam.post(SECRET, &"x".repeat((1 << 20) + 1)).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    for body in ["", "{}", "[]", "{\"id\":7}", &"[".repeat(10_000)] {
        let (head, body) = iam.post(SECRET, body).await;
        assert!(head.starts_with("HTTP/1.1 400 ") && body.is_empty(), "{head}");
    }
    let (head, _) =
        iam.http("GET /v1/call HTTP/1.1\r\nHost: iam\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
}

#[tokio::test]
async fn a_connection_serves_many_calls() {
    let iam = Iam::fresh().await;
    let mut stream = TcpStream::connect(iam.address).await.unwrap();
    let call = json!({"id": Uuid::now_v7(), "question": {"authenticate": {"credential": "x"}}});
    let body = call.to_string();
    let request = format!(
        "POST /v1/call HTTP/1.1\r\nHost: iam\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 2_048];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = std::str::from_utf8(&answer[..read]).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("auth-failed"), "{answer}");
        assert!(answer.contains("cache-control: no-store"), "{answer}");
    }
}

#[tokio::test]
async fn strangers_are_few_and_others_wait_for_room() {
    let iam = Iam::fresh().await;
    let mut strangers = Vec::new();
    for _ in 0..64 {
        strangers.push(TcpStream::connect(iam.address).await.unwrap());
    }
    let call = json!({"id": Uuid::now_v7(), "question": {"authenticate": {"credential": "x"}}});
    let mut next = pin!(iam.call(&call));
    // Long enough for an answer, if there were one.
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut next).await.is_err());
    drop(strangers);
    assert!(matches!(next.await.outcome, Outcome::Refused(_)));
}

#[tokio::test]
async fn a_burst_of_connections_with_the_secret_loses_none() {
    let iam = Iam::fresh().await;
    let call = json!({"id": Uuid::now_v7(), "question": {"authenticate": {"credential": "x"}}});
    let burst = futures_util::future::join_all((0..500).map(|_| iam.call(&call)));
    assert!(burst.await.iter().all(|answer| matches!(answer.outcome, Outcome::Refused(_))));
}

#[tokio::test]
async fn marks_grow_with_what_was_done_and_a_node_that_is_behind_says_so() {
    let (iam, admin) = Iam::claimed().await;
    let whoami = json!({"operate": {"actor": admin.actor(), "operation": {"operation": "whoami"}}});
    let mark = iam.ask(whoami.clone()).await.mark;
    assert_eq!(mark.seq, Seq(1));
    iam.workspace(&admin, "acme").await;
    let next = iam.ask(whoami.clone()).await.mark;
    assert_eq!((next.journal, next.seq), (mark.journal, Seq(2)));

    let at_least = async |journal: &str, seq: u64| {
        let call = json!({"id": Uuid::now_v7(), "question": whoami,
            "at_least": {"journal": journal, "seq": seq}});
        iam.call(&call).await.outcome
    };
    let journal = mark.journal.to_string();
    assert!(matches!(at_least(&journal, 2).await, Outcome::Reply(_)));
    match at_least(&journal, 3).await {
        Outcome::Refused(refusal) => assert_eq!(refusal.kind, RefusalKind::Unavailable),
        other => panic!("{other:?}"),
    }
    let another = Uuid::nil().to_string();
    assert!(matches!(at_least(&another, 99).await, Outcome::Reply(_)));
}

#[tokio::test]
async fn every_operation_needs_an_actor_but_those_that_are_public() {
    let iam = Iam::fresh().await;
    let public = ["bootstrap", "bootstrap-status", "login"];
    for name in known_operations().iter().filter(|name| !public.contains(name)) {
        assert_nobody(iam.operate(None, json!({"operation": name})).await);
    }
}

#[tokio::test]
async fn what_is_not_offered_says_so() {
    let (iam, admin) = Iam::claimed().await;
    for name in ["create-group", "add-group-grant"] {
        let outcome = iam.operate(Some(admin.actor()), json!({"operation": name})).await;
        assert_refused(outcome, RefusalKind::NotSupported, "not supported");
    }
}

#[tokio::test]
async fn a_stop_ends_idle_connections() {
    let iam = Iam::fresh().await;
    let mut idle = TcpStream::connect(iam.address).await.unwrap();
    let life = iam.life.clone();
    assert!(life.stop(Duration::from_secs(5)).await);
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
}
