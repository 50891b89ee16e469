//! `/metrics`: what was done is counted, under labels that no client chooses.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tollgate_e2e::{PASSWORD, Tollgate, raw};

/// Every sample, by its name and labels.
async fn scrape(tollgate: &Tollgate) -> anyhow::Result<BTreeMap<String, f64>> {
    let answer = raw::http(tollgate.admin_address, "GET", "/metrics", &[], b"").await?;
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-type"].starts_with("application/openmetrics-text"));
    assert!(answer.body.ends_with("# EOF\n"));
    let mut samples = BTreeMap::new();
    for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').context("no value")?;
        let twice = samples.insert(name.to_owned(), value.parse()?);
        assert_eq!(twice, None, "{name} twice");
    }
    Ok(samples)
}

#[track_caller]
fn check(samples: &BTreeMap<String, f64>, expect: &[(&str, f64)]) {
    check_of("gateway", samples, expect);
}

#[track_caller]
fn check_of(service: &str, samples: &BTreeMap<String, f64>, expect: &[(&str, f64)]) {
    for (name, value) in expect {
        let name = format!("tollgate_{service}_{name}");
        assert_eq!(samples.get(&name), Some(value), "{name} in {samples:#?}");
    }
}

#[tokio::test]
async fn sockets_and_calls_are_counted() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = raw::Socket::open(tollgate.address).await?;
    socket.auth("tg_wrong").await?;
    socket.auth(&tollgate.admin_key).await?;
    socket.call(json!(1), json!({ "prompt": "hello" })).await?;
    socket.frame().await?;
    socket.send_text("nonsense").await?;
    socket.frame().await?;
    socket.send(&json!({ "id": 2, "service": "no-such-service", "request": {} })).await?;
    socket.frame().await?;

    let samples = scrape(&tollgate).await?;
    check(
        &samples,
        &[
            ("sockets_open", 1.0),
            ("sockets_total", 1.0),
            ("received_messages_total", 5.0),
            ("sent_messages_total", 5.0),
            (r#"authentications_total{via="socket",outcome="ok"}"#, 1.0),
            (r#"authentications_total{via="socket",outcome="refused"}"#, 1.0),
            (r#"calls_total{operation="text-completion",outcome="ok"}"#, 1.0),
            (r#"calls_total{operation="config:get",outcome="ok"}"#, 0.0),
            (r#"call_duration_seconds_count{operation="text-completion"}"#, 1.0),
            (r#"frames_refused_total{error="error"}"#, 1.0),
            (r#"frames_refused_total{error="unknown-service"}"#, 1.0),
            (r#"iam_questions_total{question="authenticate",outcome="ok"}"#, 1.0),
            (r#"iam_questions_total{question="authorise",outcome="ok"}"#, 1.0),
            (r#"cache_lookups_total{cache="decision",outcome="miss"}"#, 1.0),
            ("calls_in_flight", 0.0),
            ("calls_waiting", 0.0),
        ],
    );
    assert!(samples["process_open_fds"] > 0.0);

    socket.leave().await?;
    // The session ends when the connection does, which the client hears before.
    let closed = r#"socket_closes_total{code="0",reason="client"}"#;
    let samples = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let samples = scrape(&tollgate).await?;
            if samples.get("tollgate_gateway_sockets_open") == Some(&0.0) {
                return anyhow::Ok(samples);
            }
        }
    });
    check(&samples.await??, &[(closed, 1.0)]);
    Ok(())
}

#[tokio::test]
async fn http_requests_are_counted_by_their_route() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let (echo, secret) = (json!({ "prompt": "hello" }), "tg_hidden");
    let path = "/api/v1/flow/default/service/text-completion";
    let key = Some(&*tollgate.admin_key);
    assert_eq!(tollgate.post(path, key, &echo).await?.0, 200);
    assert_eq!(tollgate.post(path, Some(secret), &echo).await?.0, 401);
    assert_eq!(tollgate.post("/no/such?token=tg_hidden", None, &echo).await?.0, 404);

    let samples = scrape(&tollgate).await?;
    let route = "/api/v1/flow/{flow}/service/{*kind}";
    let response =
        |route, class| format!("http_responses_total{{route=\"{route}\",status=\"{class}\"}}");
    check(
        &samples,
        &[
            (&response(route, "2xx"), 1.0),
            (&response(route, "4xx"), 1.0),
            (&response("other", "4xx"), 1.0),
            (&response("/api/v1/auth/bootstrap", "2xx"), 1.0),
            (r#"authentications_total{via="http",outcome="refused"}"#, 1.0),
            (r#"calls_total{operation="text-completion",outcome="ok"}"#, 1.0),
        ],
    );
    assert!(!samples.keys().any(|name| name.contains("hidden") || name.contains("such")));
    Ok(())
}

#[tokio::test]
async fn iam_counts_what_it_is_asked_and_what_it_writes() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let at_first = scrape(&tollgate).await?;
    let seq = at_first["tollgate_iam_journal_seq"];
    tollgate.user("ann", "reader").await?;
    let login = json!({ "username": "ann", "password": PASSWORD });
    assert_eq!(tollgate.post("/api/v1/auth/login", None, &login).await?.0, 200);
    let wrong = json!({ "username": "ann", "password": "another one than that" });
    for status in [401, 401, 401, 401, 401, 429] {
        assert_eq!(tollgate.post("/api/v1/auth/login", None, &wrong).await?.0, status);
    }

    let samples = scrape(&tollgate).await?;
    let commits = samples["tollgate_iam_commits_total"];
    assert!(samples["tollgate_iam_changes_total"] > commits);
    assert!(samples["tollgate_iam_feed_polls_total"] > 0.0);
    check_of(
        "iam",
        &samples,
        &[
            (r#"logins_total{outcome="ok"}"#, 1.0),
            (r#"logins_total{outcome="refused"}"#, 5.0),
            (r#"logins_total{outcome="busy"}"#, 1.0),
            (r#"questions_total{question="operate",outcome="refused"}"#, 5.0),
            (r#"questions_total{question="authenticate",outcome="ok"}"#, 1.0),
            // A workspace that is there, a user, a key.
            ("journal_seq", seq + 2.0),
            ("gateways", 1.0),
            ("hashes_running", 0.0),
            ("hashes_waiting", 0.0),
            ("snapshot_seq", 0.0),
            ("audit_lines_dropped_total", 0.0),
            ("receipts_late_total", 0.0),
        ],
    );
    Ok(())
}
