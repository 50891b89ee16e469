//! Whoever is refused without end costs no more than so much: lines of the audit file come at a
//! pace, and others are not disturbed.

use anyhow::Context;
use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::{self, Socket};

/// As docs/PROTOCOL.md has it, "Limits".
const AT_ONCE: usize = 1_000;
const A_SECOND: usize = 20;
/// Calls that run at once.
const WINDOW: usize = 64;

/// Sends so many calls, which are all refused, and counts those that are so for another reason
/// than the rate. When to come back is said with the others.
async fn flood(
    socket: &mut Socket,
    windows: usize,
    call: impl Fn(usize) -> Value,
) -> anyhow::Result<usize> {
    let mut judged = 0;
    for window in 0..windows {
        for n in 0..WINDOW {
            socket.send(&call(window * WINDOW + n)).await?;
        }
        for _ in 0..WINDOW {
            let answer = socket.frame().await?;
            match answer["error"]["type"].as_str() {
                Some("access-denied") => judged += 1,
                Some("rate-limited") => {
                    assert!(answer["error"]["retry_after_ms"].as_u64() > Some(0), "{answer}");
                }
                _ => anyhow::bail!("{answer}"),
            }
        }
    }
    Ok(judged)
}

fn in_another_workspace(n: usize) -> Value {
    json!({
        "id": n, "service": "text-completion", "flow": "default",
        "workspace": format!("w{n}"), "request": { "prompt": "hello" },
    })
}

fn list_users(n: usize) -> Value {
    json!({ "id": n, "service": "iam", "request": { "operation": "list-users" } })
}

#[tokio::test]
async fn a_flood_of_refusals_is_paced() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let audit = folder.path().join("audit.jsonl");
    let tollgate =
        Tollgate::start_with(&[("iam.audit_file", &audit.display().to_string())]).await?;
    let begun = Instant::now();
    // As many as may be, and those that were under way then.
    let most = |begun: Instant| {
        AT_ONCE + WINDOW + A_SECOND * usize::try_from(begun.elapsed().as_secs() + 1).unwrap_or(0)
    };
    let mut judged = 0;
    for (name, call) in [
        ("ann", in_another_workspace as fn(usize) -> Value),
        ("eve", list_users as fn(usize) -> Value),
    ] {
        let (_, key) = tollgate.user(name, "reader").await?;
        let mut socket = Socket::authenticated(tollgate.address, &key).await?;
        let begun = Instant::now();
        let of_one = flood(&mut socket, 40, call).await?;
        assert!((AT_ONCE..=most(begun)).contains(&of_one), "{name}: {of_one}");
        judged += of_one;
        // Another socket of the same user is as late as this one.
        let token = [("Authorization", format!("Bearer {key}"))];
        let request = br#"{"operation":"list-users"}"#;
        flood(&mut socket, 2, call).await?;
        // Several at once: while one comes, room for another may.
        let ask = || raw::http(tollgate.address, "POST", "/api/v1/iam", &token, request);
        let answers = futures_util::future::try_join_all((0..20).map(|_| ask())).await?;
        let paced = answers.iter().find(|answer| answer.status == 429);
        let paced = paced.with_context(|| format!("{answers:?}"))?;
        assert!(paced.headers["retry-after"].parse::<u64>()? > 0);
    }
    let (_, key) = tollgate.user("bob", "reader").await?;
    let mut bob = Socket::authenticated(tollgate.address, &key).await?;
    for (call, expect) in
        [(in_another_workspace(1), "access-denied"), (list_users(2), "access-denied")]
    {
        bob.send(&call).await?;
        assert_eq!(bob.frame().await?["error"]["type"], expect);
    }
    bob.call(json!(3), json!({ "prompt": "hello" })).await?;
    assert_eq!(bob.frame().await?["complete"], true);
    assert!(tollgate.stop().await);
    let lines = std::fs::read_to_string(&audit)?;
    let denied = lines.lines().filter(|line| line.contains("authz.deny")).count();
    assert!((judged..=2 * most(begun)).contains(&denied), "{denied} lines of {judged} refusals");
    Ok(())
}
