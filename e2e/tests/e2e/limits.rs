//! Limits on JSON and on names, at every door that takes them.

use serde_json::{Value, json};
use tollgate_e2e::raw::{self, Socket};
use tollgate_e2e::{PASSWORD, Tollgate};

/// An object so many levels deep.
fn deep(levels: usize) -> String {
    format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
}

/// An object of so many brackets, commas and colons: one for itself, two for its list.
fn wide(tokens: usize) -> String {
    format!("{{\"a\":[{}0]}}", "0,".repeat(tokens - 3))
}

/// An object with a number of so many digits.
fn long(digits: usize) -> String {
    format!("{{\"a\":-{}e{}}}", "1".repeat(digits - 2), 10)
}

#[tokio::test]
async fn frames_beyond_the_limits_are_refused_under_their_id() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut stranger = Socket::open(tollgate.address).await?;
    let mut friend = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    // The envelope is one level, with 9 separators and brackets of its own.
    for (body, of_stranger, of_friend) in [
        (deep(31), "auth-required", "ok"),
        (deep(32), "invalid-request", "ok"),
        (deep(63), "invalid-request", "ok"),
        (deep(64), "invalid-request", "invalid-request"),
        (wide(2_000 - 8), "auth-required", "ok"),
        (wide(2_000 - 7), "invalid-request", "ok"),
        (long(64), "auth-required", "ok"),
        (long(65), "invalid-request", "invalid-request"),
    ] {
        let call =
            format!(r#"{{"id":7,"service":"text-completion","flow":"default","request":{body}}}"#);
        for (socket, expect) in [(&mut stranger, of_stranger), (&mut friend, of_friend)] {
            socket.send_text(&call).await?;
            let answer = socket.frame().await?;
            let kind = answer["error"]["type"].as_str().unwrap_or("ok");
            assert_eq!((kind, &answer["id"]), (expect, &json!(7)), "{body:.80}");
        }
    }
    for (body, expect) in [(wide(100_000 - 8), "ok"), (wide(100_000 - 7), "invalid-request")] {
        let call =
            format!(r#"{{"id":7,"service":"text-completion","flow":"default","request":{body}}}"#);
        friend.send_text(&call).await?;
        assert_eq!(friend.frame().await?["error"]["type"].as_str().unwrap_or("ok"), expect);
    }
    Ok(())
}

#[tokio::test]
async fn bodies_beyond_the_limits_are_refused() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let admin = Some(tollgate.admin_key.as_str());
    let passed_on = "/api/v1/flow/default/service/text-completion";
    for (path, token, within) in [
        // Passed on as it is, and read here.
        (passed_on, admin, 200),
        ("/api/v1/config", admin, 400),
        ("/api/v1/iam", admin, 400),
    ] {
        for (body, fits) in [
            (deep(64), true),
            (deep(65), false),
            (wide(100_000), path != "/api/v1/iam"),
            (wide(100_001), false),
            (long(64), true),
            (long(65), false),
        ] {
            let (status, answer) =
                raw::post(tollgate.address, path, token, body.as_bytes()).await?;
            let limit = answer["error"] == "nested too deep, too many members or a number too long"
                || answer["error"] == "beyond the size limit";
            assert_eq!(
                (limit, status == within || !fits),
                (!fits, true),
                "{path} {status} {answer}"
            );
        }
    }
    for body in [deep(33), wide(2_001), long(65)] {
        for path in ["/api/v1/iam", "/api/v1/config"] {
            let (status, answer) = raw::post(tollgate.address, path, None, body.as_bytes()).await?;
            let expect = "nested too deep, too many members or a number too long";
            assert_eq!((status, answer), (400, json!({ "error": expect })), "{path}");
        }
        let login = "/api/v1/auth/login";
        let (user, rest) = (json!("admin"), &body[1..]);
        let body = format!(r#"{{"username":{user},"password":"{PASSWORD}",{rest}"#);
        let (status, _) = raw::post(tollgate.address, login, None, body.as_bytes()).await?;
        assert!(status == 400 || status == 413, "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn names_have_their_length() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    let name = |length: usize| json!("n".repeat(length));
    for (key, length, longest, beyond) in [
        // With its quotes.
        ("id", 254, "ok", "invalid-request"),
        ("service", 128, "unknown-service", "invalid-request"),
        // The echo knows no such flow.
        ("flow", 128, "error", "invalid-request"),
        ("workspace", 64, "workspace-not-found", "invalid-request"),
    ] {
        for (length, expect) in [(length, longest), (length + 1, beyond)] {
            let mut call: Value = json!({
                "id": 1, "service": "text-completion", "flow": "default", "request": {},
            });
            call[key] = name(length);
            socket.send(&call).await?;
            let answer = socket.frame().await?;
            let kind = answer["error"]["type"].as_str().unwrap_or("ok");
            let kind = if answer["response"]["error"].is_object() { "error" } else { kind };
            assert_eq!(kind, expect, "{key} of {length}: {answer}");
        }
    }
    Ok(())
}
