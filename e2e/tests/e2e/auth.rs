//! The first frame, and everything that is not one.

use std::time::Duration;

use serde_json::json;
use tollgate_e2e::raw::{Received, Socket};
use tollgate_e2e::{PASSWORD, Tollgate};

const UNKNOWN_KEY: &str = "tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2";

#[tokio::test]
async fn a_socket_that_never_authenticates_is_closed_4408() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&[("gateway.auth.deadline", "300ms")]).await?;
    let mut silent = Socket::open(tollgate.address).await?;
    let (frames, code) = silent.close().await?;
    assert_eq!((frames.len(), code), (0, 4408), "a close before auth-ok carries its code alone");

    // Pings and refused frames do not re-arm the deadline.
    let mut busy = Socket::open(tollgate.address).await?;
    busy.ping().await?;
    busy.call(json!(1), json!({})).await?;
    let (frames, code) = busy.close().await?;
    assert_eq!((frames.len(), code), (1, 4408));
    Ok(())
}

#[tokio::test]
async fn an_authenticated_socket_outlives_the_deadline() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&[("gateway.auth.deadline", "200ms")]).await?;
    let mut socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    socket.call(json!(1), json!({ "prompt": "here" })).await?;
    assert_eq!(socket.frame().await?["response"]["response"], "here");
    Ok(())
}

#[tokio::test]
async fn calls_before_auth_hear_auth_required() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::open(tollgate.address).await?;
    for id in [json!("a"), json!(7), json!(null)] {
        socket.call(id.clone(), json!({})).await?;
        let frame = socket.frame().await?;
        assert_eq!(frame["id"], id);
        assert_eq!(frame["error"]["type"], "auth-required");
        assert_eq!(frame["error"]["message"], "auth failure");
        assert_eq!(frame["complete"], true);
    }
    Ok(())
}

#[tokio::test]
async fn every_credential_that_is_not_taken_gets_the_same_bytes() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (user, key) = tollgate.user("ann", "reader").await?;
    let soon = in_two_seconds();
    let expiring = json!({ "user_id": user, "name": "brief", "expires": soon });
    let made = tollgate.iam(json!({ "operation": "create-api-key", "key": expiring })).await?;
    let expired = made["api_key_plaintext"].as_str().unwrap().to_owned();
    let listed = tollgate.iam(json!({ "operation": "list-api-keys", "user_id": user })).await?;
    let keys = listed["api_keys"].as_array().unwrap();
    let key_id = keys.iter().find(|key| key["name"] == "e2e").unwrap()["id"].clone();
    tollgate.iam(json!({ "operation": "revoke-api-key", "key_id": key_id })).await?;
    tokio::time::sleep(Duration::from_millis(2_200)).await;

    let mut answers = Vec::new();
    for token in ["", "hello", "a.b.c", UNKNOWN_KEY, &key, &expired, &"x".repeat(9_000)] {
        let mut socket = Socket::open(tollgate.address).await?;
        socket.send(&json!({ "type": "auth", "token": token })).await?;
        answers.push(socket.text().await?);
    }
    for answer in &answers {
        assert_eq!(answer, r#"{"type":"auth-failed","error":"auth failure"}"#);
    }
    Ok(())
}

#[tokio::test]
async fn a_socket_takes_a_good_token_after_a_bad_one_and_keeps_it_after_another()
-> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::open(tollgate.address).await?;
    assert_eq!(socket.auth(UNKNOWN_KEY).await?["type"], "auth-failed");
    let greeting = socket.auth(&tollgate.admin_key).await?;
    assert_eq!(greeting["type"], "auth-ok");
    assert_eq!(greeting["default_workspace"], "default");
    assert_eq!(greeting["workspace"], "default");
    assert_eq!(socket.auth(UNKNOWN_KEY).await?["type"], "auth-failed");
    socket.call(json!(1), json!({ "prompt": "still me" })).await?;
    assert_eq!(socket.frame().await?["response"]["response"], "still me");
    Ok(())
}

#[tokio::test]
async fn frames_behind_an_auth_frame_run_under_its_outcome() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::open(tollgate.address).await?;
    // Sent at once: a refused token, a call, a good token, a call.
    socket.send(&json!({ "type": "auth", "token": UNKNOWN_KEY })).await?;
    socket.call(json!("early"), json!({})).await?;
    socket.send(&json!({ "type": "auth", "token": tollgate.admin_key })).await?;
    socket.call(json!("late"), json!({ "prompt": "x" })).await?;
    assert_eq!(socket.frame().await?["type"], "auth-failed");
    let early = socket.frame().await?;
    assert_eq!((&early["id"], &early["error"]["type"]), (&json!("early"), &json!("auth-required")));
    assert_eq!(socket.frame().await?["type"], "auth-ok");
    let late = socket.frame().await?;
    assert_eq!((&late["id"], &late["response"]["response"]), (&json!("late"), &json!("x")));
    Ok(())
}

#[tokio::test]
async fn a_login_authenticates_a_socket_and_expires() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    tollgate.user("ann", "reader").await?;
    let login = json!({ "username": "ann", "password": PASSWORD });
    let (status, reply) = tollgate.post("/api/v1/auth/login", None, &login).await?;
    assert_eq!(status, 200, "{reply}");
    let mut socket = Socket::open(tollgate.address).await?;
    let greeting = socket.auth(reply["jwt"].as_str().unwrap()).await?;
    assert_eq!(greeting["type"], "auth-ok");
    let life = greeting["expires_in_ms"].as_u64().unwrap();
    assert!((3_590_000..=3_600_000).contains(&life), "{life}");
    let reauth = greeting["reauth_in_ms"].as_u64().unwrap();
    assert!(reauth * 100 <= life * 85 && reauth * 100 >= life * 79, "{reauth}");
    Ok(())
}

#[tokio::test]
async fn a_credential_that_expires_ends_the_identity_after_its_grace() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&[("gateway.auth.grace", "500ms")]).await?;
    let (user, _) = tollgate.user("ann", "reader").await?;
    let brief = json!({ "user_id": user, "name": "brief", "expires": in_two_seconds() });
    let made = tollgate.iam(json!({ "operation": "create-api-key", "key": brief })).await?;
    let key = made["api_key_plaintext"].as_str().unwrap();
    let mut socket = Socket::authenticated(tollgate.address, key).await?;
    socket.call(json!(1), json!({ "prompt": "x" })).await?;
    assert_eq!(socket.frame().await?["response"]["response"], "x");
    assert_eq!(socket.frame().await?["type"], "auth-expiring");
    assert_eq!(socket.frame().await?["type"], "auth-expired");
    socket.call(json!(2), json!({ "prompt": "x" })).await?;
    assert_eq!(socket.frame().await?["error"]["type"], "auth-required");
    Ok(())
}

#[tokio::test]
async fn nonsense_is_answered_and_the_socket_stays() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::open(tollgate.address).await?;
    for (text, message) in [
        ("nonsense", "the frame is not JSON"),
        ("[1,2]", "the frame is not a JSON object"),
        ("{}", "Bad message"),
        ("", "the frame is not JSON"),
    ] {
        socket.send_text(text).await?;
        let frame = socket.frame().await?;
        assert_eq!(frame["error"]["type"], "error", "{text}");
        assert_eq!(frame["error"]["message"], message, "{text}");
        assert!(frame.get("id").is_none());
    }
    let deep = format!(r#"{{"id":9,"request":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    socket.send_text(&deep).await?;
    let frame = socket.frame().await?;
    assert_eq!((&frame["id"], &frame["error"]["type"]), (&json!(9), &json!("invalid-request")));
    socket.send_binary(vec![0xff, 0x00, 0xfe]).await?;
    assert_eq!(socket.frame().await?["error"]["type"], "error");
    // JSON in a binary message counts.
    let auth = json!({ "type": "auth", "token": tollgate.admin_key }).to_string();
    socket.send_binary(auth.into_bytes()).await?;
    assert_eq!(socket.frame().await?["type"], "auth-ok");
    Ok(())
}

#[tokio::test]
async fn nothing_but_nonsense_is_closed_4400() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::open(tollgate.address).await?;
    for _ in 0..20 {
        socket.send_text("nonsense").await?;
    }
    let (frames, code) = socket.close().await?;
    assert_eq!((frames.len(), code), (20, 4400));
    Ok(())
}

#[tokio::test]
async fn strangers_have_16_kib_a_message_and_friends_more() -> anyhow::Result<()> {
    const LIMIT: usize = 16 << 10;
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::open(tollgate.address).await?;
    socket.send_text(&"x".repeat(LIMIT)).await?;
    assert_eq!(socket.frame().await?["error"]["type"], "error");
    socket.send_text(&"x".repeat(LIMIT + 1)).await?;
    let (frames, code) = socket.close().await?;
    assert_eq!((frames.len(), code), (0, 1009));

    let mut socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    let large = "y".repeat(1 << 20);
    socket.call(json!(1), json!({ "prompt": large })).await?;
    assert_eq!(socket.frame().await?["response"]["response"], large.as_str());
    // One frame beyond 16 MiB, within the limit that auth-ok names.
    let request = json!({ "x": "y".repeat(17 << 20) });
    socket.send(&json!({ "id": 2, "service": "nope", "flow": "f", "request": request })).await?;
    assert_eq!(socket.frame().await?["error"]["type"], "unknown-service");
    Ok(())
}

#[tokio::test]
async fn each_refusal_costs_a_pause() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    for _ in 0..4 {
        let started = tokio::time::Instant::now();
        assert_eq!(socket.auth(UNKNOWN_KEY).await?["type"], "auth-failed");
        assert!(started.elapsed() >= Duration::from_millis(50));
    }
    Ok(())
}

#[tokio::test]
async fn a_foreign_origin_is_closed_after_the_upgrade() -> anyhow::Result<()> {
    let origins = [("gateway.origins", "[\"https://app.example.com\"]")];
    let tollgate = Tollgate::start_with(&origins).await?;
    let open = async |origin: &'static str| {
        Socket::open_with(tollgate.address, "", &[("origin", origin)]).await
    };
    assert_eq!(open("https://evil.example.com").await?.close().await?, (vec![], 1008));
    let mut friend = open("https://app.example.com").await?;
    assert_eq!(friend.auth(&tollgate.admin_key).await?["type"], "auth-ok");
    Ok(())
}

#[tokio::test]
async fn a_token_on_the_upgrade_counts_as_a_first_frame() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&[("gateway.compat.url_token", "true")]).await?;
    let open = |token: &str| {
        let (address, query) = (tollgate.address, format!("?token={token}"));
        async move { Socket::open_with(address, &query, &[]).await }
    };
    let mut socket = open(&tollgate.admin_key).await?;
    socket.call(json!(1), json!({ "prompt": "x" })).await?;
    assert_eq!(
        socket.next().await?,
        Received::Frame(json!({
            "id": 1, "complete": true,
            "response": { "response": "x", "echo": { "workspace": "default", "prompt": "x" } },
        }))
    );
    let mut refused = open(UNKNOWN_KEY).await?;
    refused.call(json!(1), json!({ "prompt": "x" })).await?;
    assert_eq!(refused.frame().await?["error"]["type"], "auth-required");

    let closed = Tollgate::start().await?;
    let query = format!("?token={}", closed.admin_key);
    let mut unread = Socket::open_with(closed.address, &query, &[]).await?;
    unread.call(json!(1), json!({ "prompt": "x" })).await?;
    assert_eq!(unread.frame().await?["error"]["type"], "auth-required", "off by default");
    Ok(())
}

/// RFC 3339, two seconds from now.
fn in_two_seconds() -> String {
    let soon = jiff::Timestamp::now() + Duration::from_secs(2);
    soon.to_string()
}

#[tokio::test]
async fn a_credential_that_ended_is_nobodys_though_the_gateway_knew_it_a_moment_ago()
-> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (user, key) = tollgate.user("ann", "reader").await?;
    let whoami = json!({ "operation": "whoami" });
    let ask = || tollgate.post("/api/v1/iam", Some(&key), &whoami);
    assert_eq!(ask().await?.0, 200);
    let mut socket = Socket::authenticated(tollgate.address, &key).await?;
    // Live, and wrong about the password: that is an answer and no end.
    let wrong = json!({ "operation": "change-password", "password": "not the one, long",
        "new_password": "another one, long enough" });
    let (status, reply) = tollgate.post("/api/v1/iam", Some(&key), &wrong).await?;
    assert_eq!((status, &reply["error"]["type"]), (200, &json!("auth-failed")));

    tollgate.iam(json!({ "operation": "disable-user", "user_id": user })).await?;
    let masked = (401, json!({ "error": "auth failure" }));
    assert_eq!(ask().await?, masked);
    // Nothing of it is remembered: this would be 403 to somebody who is known.
    let list = json!({ "operation": "list" });
    assert_eq!(tollgate.post("/api/v1/config", Some(&key), &list).await?, masked);
    assert_eq!(socket.close().await?.1, 4403);
    Ok(())
}
