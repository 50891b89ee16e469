//! Calls multiplexed over one socket: each ends once, none delays another.

use std::collections::HashMap;

use serde_json::{Value, json};
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::Socket;

async fn admin() -> anyhow::Result<(Tollgate, Socket)> {
    let tollgate = Tollgate::start().await?;
    let socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    Ok((tollgate, socket))
}

#[tokio::test]
async fn ids_come_back_with_their_type() -> anyhow::Result<()> {
    let (_tollgate, mut socket) = admin().await?;
    for id in [json!(7), json!("7"), json!(0), json!(""), json!(null), json!([1, "a"])] {
        socket.call(id.clone(), json!({ "prompt": "x" })).await?;
        let frame = socket.frame().await?;
        assert_eq!(frame["id"], id);
        assert_eq!(frame["complete"], true);
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_keeps_its_order_and_ends_once() -> anyhow::Result<()> {
    let (_tollgate, mut socket) = admin().await?;
    // More parts than the queue between a call and its socket holds.
    let words: Vec<String> = (0..500).map(|n| format!("w{n} ")).collect();
    let request = json!({ "prompt": words.concat(), "streaming": true });
    socket.call(json!("s"), request).await?;
    let mut text = String::new();
    for n in 0..500 {
        let frame = socket.frame().await?;
        text += frame["response"]["response"].as_str().unwrap();
        assert_eq!(frame["complete"], n == 499);
        assert_eq!(frame["response"]["end_of_stream"], n == 499);
    }
    assert_eq!(text, words.concat());
    Ok(())
}

#[tokio::test]
async fn a_thousand_calls_at_once_each_get_their_own_answer() -> anyhow::Result<()> {
    let (_tollgate, mut socket) = admin().await?;
    for n in 0..1_000 {
        let streaming = n % 3 == 0;
        let request = json!({ "prompt": format!("a{n} b"), "streaming": streaming });
        socket.call(json!(n), request).await?;
    }
    let mut texts: HashMap<u64, String> = HashMap::new();
    let mut ended = 0;
    while ended < 1_000 {
        let frame = socket.frame().await?;
        let id = frame["id"].as_u64().unwrap();
        let text = frame["response"]["response"].as_str().unwrap();
        texts.entry(id).or_default().push_str(text);
        ended += u32::from(frame["complete"] == true);
    }
    for n in 0..1_000 {
        assert_eq!(texts[&n], format!("a{n} b"));
    }
    Ok(())
}

#[tokio::test]
async fn a_repeated_id_in_flight_joins_or_is_dropped() -> anyhow::Result<()> {
    let (_tollgate, mut socket) = admin().await?;
    let long = json!({ "prompt": "w ".repeat(2_000), "streaming": true });
    socket.call(json!("x"), long.clone()).await?;
    socket.call(json!("x"), long).await?;
    socket.call(json!("x"), json!({ "prompt": "other" })).await?;
    socket.call(json!("y"), json!({ "prompt": "end" })).await?;
    let (mut parts, mut seen_y) = (0, false);
    let mut ends = 0;
    while ends < 1 || !seen_y {
        let frame = socket.frame().await?;
        if frame["id"] == "y" {
            seen_y = true;
        } else {
            parts += 1;
            ends += u32::from(frame["complete"] == true);
            assert_eq!(frame["response"]["response"], "w ");
        }
    }
    assert_eq!((parts, ends), (2_000, 1));
    Ok(())
}

#[tokio::test]
async fn a_cancelled_call_ends_exactly_once() -> anyhow::Result<()> {
    let (_tollgate, mut socket) = admin().await?;
    let long = json!({ "prompt": "w ".repeat(20_000), "streaming": true });
    socket.call(json!("x"), long).await?;
    socket.send(&json!({ "type": "cancel", "id": "x" })).await?;
    socket.send(&json!({ "type": "cancel", "id": "no such" })).await?;
    let mut last = socket.frame().await?;
    while last["complete"] != true {
        last = socket.frame().await?;
    }
    assert_eq!((&last["id"], &last["error"]["type"]), (&json!("x"), &json!("cancelled")));
    socket.send(&json!({ "type": "ping", "t": 1 })).await?;
    assert_eq!(
        socket.frame().await?,
        json!({ "type": "pong", "t": 1 }),
        "nothing follows a last frame"
    );
    Ok(())
}

#[tokio::test]
async fn what_may_not_be_called_is_refused_in_its_order() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    tollgate
        .iam(json!({ "operation": "create-workspace", "workspace_record": { "id": "other" } }))
        .await?;
    let (_, reader) = tollgate.user("ann", "reader").await?;
    let mut ann = Socket::authenticated(tollgate.address, &reader).await?;
    let mut admin = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    let ask = async |socket: &mut Socket, change: Value| {
        let mut frame = json!({
            "id": 1, "service": "text-completion", "flow": "default", "request": { "prompt": "x" },
        });
        let fields = change.as_object().unwrap().clone();
        frame.as_object_mut().unwrap().extend(fields);
        socket.send(&frame).await?;
        let answer = socket.frame().await?;
        anyhow::Ok(answer["error"]["type"].as_str().unwrap_or("ok").to_owned())
    };
    for (change, of_ann, of_admin) in [
        (json!({}), "ok", "ok"),
        (json!({ "workspace": "other" }), "access-denied", "ok"),
        (json!({ "workspace": "ghost" }), "access-denied", "workspace-not-found"),
        (json!({ "workspace": "a/b" }), "invalid-request", "invalid-request"),
        (json!({ "service": "nope" }), "unknown-service", "unknown-service"),
        (json!({ "flow": "nope" }), "error", "error"),
        (json!({ "flow": "" }), "unknown-service", "unknown-service"),
        (json!({ "service": "document-load" }), "access-denied", "ok"),
        (
            json!({ "service": "config", "flow": "", "request": { "operation": "put" } }),
            "access-denied",
            "unavailable",
        ),
        (
            json!({ "service": "iam", "flow": "", "request": { "operation": "list-users" } }),
            "access-denied",
            "ok",
        ),
        (
            json!({ "service": "iam", "flow": "", "request": { "operation": "authorise" } }),
            "unknown-service",
            "unknown-service",
        ),
        (json!({ "request": [] }), "invalid-request", "invalid-request"),
    ] {
        assert_eq!(ask(&mut ann, change.clone()).await?, of_ann, "ann {change}");
        assert_eq!(ask(&mut admin, change.clone()).await?, of_admin, "admin {change}");
    }
    Ok(())
}

#[tokio::test]
async fn the_workspace_of_a_call_cannot_be_claimed_inside_it() -> anyhow::Result<()> {
    let (_tollgate, mut socket) = admin().await?;
    let request = json!({ "prompt": "x", "workspace": "evil", "user-context": { "root": true } });
    socket.call(json!(1), request).await?;
    let echo = &socket.frame().await?["response"]["echo"];
    assert_eq!(*echo, json!({ "prompt": "x", "workspace": "default" }));
    Ok(())
}

#[tokio::test]
async fn a_deadline_is_kept() -> anyhow::Result<()> {
    let (_tollgate, mut socket) = admin().await?;
    // A hash of 100 000 rounds takes longer than this.
    let login = json!({ "operation": "login", "username": "admin", "password": "x" });
    let call = json!({ "id": 1, "service": "iam", "deadline_ms": 1, "request": login });
    socket.send(&call).await?;
    assert_eq!(socket.frame().await?["error"]["type"], "deadline-exceeded");
    Ok(())
}

#[tokio::test]
async fn a_stop_ends_every_call_and_says_so() -> anyhow::Result<()> {
    let (tollgate, mut socket) = admin().await?;
    let mut idle = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    socket.call(json!("x"), json!({ "prompt": "w ".repeat(5_000), "streaming": true })).await?;
    assert_eq!(socket.frame().await?["complete"], false);
    let (stopped, watched, idled) = tokio::join!(tollgate.stop(), socket.close(), idle.close());
    assert!(stopped, "every task has ended");
    let (frames, code) = watched?;
    assert_eq!(code, 1012);
    let ends = frames.iter().filter(|frame| frame["complete"] == true).count();
    assert_eq!(ends, 1, "the call got its last frame");
    assert_eq!(frames.last().unwrap()["type"], "closing");
    let (frames, code) = idled?;
    assert_eq!(code, 1012);
    let types: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["going-away", "closing"]);
    Ok(())
}

#[tokio::test]
async fn a_large_answer_on_its_way_holds_nothing_against_its_reader() -> anyhow::Result<()> {
    let (_tollgate, mut socket) = admin().await?;
    let large = "y".repeat(4 << 20);
    socket.call(json!("large"), json!({ "prompt": large })).await?;
    socket.call(json!("small"), json!({ "prompt": "x" })).await?;
    socket.send(&json!({ "type": "ping", "t": 1 })).await?;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let frame = socket.frame().await?;
        assert!(frame.get("error").is_none() && frame["type"] != "closing", "{frame}");
        seen.push(frame["id"].as_str().unwrap_or("pong").to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["large", "pong", "small"]);
    Ok(())
}
