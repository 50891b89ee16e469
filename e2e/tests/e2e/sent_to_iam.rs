//! What was sent to IAM, when its caller ends first. A change may be done there: its own answer is
//! waited for. What only reads ends like any call, and costs no connection.

mod iam;

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use iam::{KEY, Slow};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_e2e::raw::{self, Socket};
use tollgate_runtime::clock::SystemClock;

const CHANGE: &str = "create-workspace";
const READ: &str = "list-workspaces";

async fn ask(socket: &mut Socket, operation: &str) -> anyhow::Result<()> {
    let request = json!({ "operation": operation, "workspace_record": { "id": "acme" } });
    socket.send(&json!({ "id": operation, "service": "iam", "request": request })).await
}

/// The end of an operation, by id and error.
fn end(frame: &Value) -> (&str, Option<&str>) {
    assert_eq!(frame["complete"], true, "{frame}");
    (frame["id"].as_str().unwrap_or_default(), frame["error"]["type"].as_str())
}

#[tokio::test]
async fn a_change_that_was_sent_cannot_be_taken_back() -> anyhow::Result<()> {
    let mut slow = Slow::start(&[], None).await?;
    let mut socket = Socket::authenticated(slow.address, KEY).await?;
    ask(&mut socket, CHANGE).await?;
    let change = slow.held(CHANGE).await?;
    ask(&mut socket, READ).await?;
    let _read = slow.held(READ).await?;
    for id in [CHANGE, READ] {
        socket.send(&json!({ "type": "cancel", "id": id })).await?;
    }
    assert_eq!(end(&socket.frame().await?), (READ, Some("cancelled")));
    change.release()?;
    assert_eq!(end(&socket.frame().await?), (CHANGE, None));
    Ok(())
}

#[tokio::test]
async fn a_change_is_answered_before_a_drained_socket_closes() -> anyhow::Result<()> {
    let mut slow = Slow::start(&[("gateway.drain", "50ms")], None).await?;
    let mut socket = Socket::authenticated(slow.address, KEY).await?;
    ask(&mut socket, CHANGE).await?;
    let change = slow.held(CHANGE).await?;
    ask(&mut socket, READ).await?;
    let _read = slow.held(READ).await?;
    let stopped = slow.stop();
    assert_eq!(socket.frame().await?["type"], "going-away");
    assert_eq!(end(&socket.frame().await?), (READ, Some("unavailable")));
    change.release()?;
    let (frames, code) = socket.close().await?;
    assert_eq!((end(&frames[0]), code), ((CHANGE, None), 1012));
    assert_eq!((&frames[1]["type"], frames.len()), (&json!("closing"), 2));
    assert_eq!(stopped.join_all().await, [true]);
    Ok(())
}

#[tokio::test]
async fn a_change_is_answered_after_the_credential_has_expired() -> anyhow::Result<()> {
    let soon = SystemClock::shared().now_ms() + 1_500;
    let mut slow = Slow::start(&[("gateway.auth.grace", "1ms")], Some(soon)).await?;
    let mut socket = Socket::authenticated(slow.address, KEY).await?;
    ask(&mut socket, CHANGE).await?;
    let change = slow.held(CHANGE).await?;
    ask(&mut socket, READ).await?;
    let _read = slow.held(READ).await?;
    assert_eq!(socket.frame().await?["type"], "auth-expiring");
    assert_eq!(end(&socket.frame().await?), (READ, Some("auth-expired")));
    assert_eq!(socket.frame().await?["type"], "auth-expired");
    change.release()?;
    assert_eq!(end(&socket.frame().await?), (CHANGE, None));
    Ok(())
}

#[tokio::test]
async fn a_change_over_http_is_answered_after_the_drain() -> anyhow::Result<()> {
    let mut slow = Slow::start(&[("gateway.drain", "50ms")], None).await?;
    let address = slow.address;
    let post = |path: &'static str, body: Value| {
        let mut status = JoinSet::new();
        status.spawn(async move {
            let answer = raw::post(address, path, Some(KEY), body.to_string().as_bytes()).await;
            answer.map_or(0, |(status, _)| status)
        });
        status
    };
    let body = json!({ "operation": CHANGE, "workspace_record": { "id": "acme" } });
    let change = post("/api/v1/iam", body);
    let held = slow.held(CHANGE).await?;
    let claim = post("/api/v1/auth/bootstrap", json!({}));
    let held_claim = slow.held("bootstrap").await?;
    let password = json!({ "current_password": "a", "new_password": "b" });
    let password = post("/api/v1/auth/change-password", password);
    let held_password = slow.held("change-password").await?;
    let read = post("/api/v1/iam", json!({ "operation": READ }));
    let _read = slow.held(READ).await?;
    let stopped = slow.stop();
    assert_eq!(read.join_all().await, [503]);
    for (held, answer) in [(held, change), (held_claim, claim), (held_password, password)] {
        held.release()?;
        assert_eq!(answer.join_all().await, [200]);
    }
    assert_eq!(stopped.join_all().await, [true]);
    Ok(())
}

#[tokio::test]
async fn a_change_whose_caller_has_left_is_recorded_as_it_ended() -> anyhow::Result<()> {
    let mut slow = Slow::start(&[], None).await?;
    let mut socket = Socket::authenticated(slow.address, KEY).await?;
    ask(&mut socket, CHANGE).await?;
    let change = slow.held(CHANGE).await?;
    ask(&mut socket, READ).await?;
    let _read = slow.held(READ).await?;
    // Its goodbye is answered at once.
    socket.leave().await?;
    change.release()?;
    let count = |operation: &str, outcome: &str| {
        let labels = format!("{{operation=\"iam:{operation}\",outcome=\"{outcome}\"}}");
        format!("tollgate_gateway_calls_total{labels} 1\n")
    };
    let (done, dropped) = (count(CHANGE, "ok"), count(READ, "cancelled"));
    let counted = async {
        loop {
            let metrics = raw::http(slow.admin_address, "GET", "/metrics", &[], b"").await?.body;
            if metrics.contains(&done) && metrics.contains(&dropped) {
                return anyhow::Ok(());
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), counted).await?
}

#[tokio::test]
async fn calls_that_are_taken_back_cost_nobody_the_way_to_iam() -> anyhow::Result<()> {
    let mut slow = Slow::start(&[], None).await?;
    let mut socket = Socket::authenticated(slow.address, KEY).await?;
    for _ in 0..50 {
        ask(&mut socket, READ).await?;
        let read = slow.held(READ).await?;
        socket.send(&json!({ "type": "cancel", "id": READ })).await?;
        assert_eq!(end(&socket.frame().await?), (READ, Some("cancelled")));
        read.release()?;
    }
    // One, if each is back for the next; never one for each.
    let connections = slow.connections();
    assert!(connections < 10, "{connections} connections for 50 calls");
    Ok(())
}

#[tokio::test]
async fn those_who_wait_for_other_gateways_keep_nobody_from_being_asked() -> anyhow::Result<()> {
    let mut slow = Slow::start(&[], None).await?;
    let mut socket = Socket::authenticated(slow.address, KEY).await?;
    // More than there are turns of any kind.
    for id in 0..40 {
        let request =
            json!({ "operation": CHANGE, "workspace_record": { "id": "acme" }, "wait": true });
        socket.send(&json!({ "id": id, "service": "iam", "request": request })).await?;
    }
    let mut waiting = VecDeque::new();
    for _ in 0..4 {
        waiting.push_back(slow.held(CHANGE).await?);
    }
    ask(&mut socket, READ).await?;
    slow.held(READ).await?.release()?;
    assert_eq!(end(&socket.frame().await?), (READ, None));
    for left in (0..40).rev() {
        waiting.pop_front().context("none is held")?.release()?;
        let frame = socket.frame().await?;
        assert!(frame.get("error").is_none(), "{frame}");
        if left >= 4 {
            waiting.push_back(slow.held(CHANGE).await?);
        }
    }
    Ok(())
}
