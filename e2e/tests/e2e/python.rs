//! The published Python package `trustgraph-base`, unchanged, against Tollgate.
//!
//! The scripts in `e2e/python` tell what they saw, a JSON line for each check; what they should
//! have seen stands here or in `e2e/transcripts`, so that a check that is missing fails too.

mod bulk;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use expect_test::expect_file;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tollgate_e2e::script::{self, Script};
use tollgate_e2e::services::{Exchange, Services};
use tollgate_e2e::{PASSWORD, Tollgate, packages};

/// The newest one on `PyPI`.
const PACKAGE: &str = "trustgraph-base";
/// Imported by the package and missing from what it says it needs (2.11.1).
const UNDECLARED: &str = "aiohttp";

#[tokio::test]
async fn the_async_client_works_unchanged() -> anyhow::Result<()> {
    let mut expected = vec![
        ("wrong token".to_owned(), json!(["ProtocolException", "auth failure: auth failure"])),
        ("after a wrong token".to_owned(), json!("again")),
    ];
    for name in ["key", "jwt"] {
        expected.extend(of_a_client(name));
        expected.push((format!("{name}: new credential under way"), json!("after")));
    }
    check("async_client.py", &expected).await
}

#[tokio::test]
async fn the_sync_and_http_clients_work_unchanged() -> anyhow::Result<()> {
    let mut expected = vec![
        ("wrong token".to_owned(), json!(["ProtocolException", "auth failure: auth failure"])),
        ("after a wrong token".to_owned(), json!("again")),
        ("wrong token over HTTP".to_owned(), json!(["ProtocolException", "Status code 401"])),
    ];
    for name in ["key", "jwt"] {
        expected.extend(of_a_client(name));
        expected.push((format!("{name}: streams at once"), json!(100)));
        expected.push((format!("{name}: over HTTP"), json!("hello")));
    }
    check("sync_client.py", &expected).await
}

#[tokio::test]
async fn one_socket_takes_credential_after_credential() -> anyhow::Result<()> {
    let expected = [
        ("before", json!("auth-required")),
        ("wrong first", json!({ "type": "auth-failed", "error": "auth failure" })),
        ("still outside", json!("auth-required")),
        ("good after wrong", json!(["auth-ok", "acme", "acme"])),
        ("inside", json!("call 3")),
        ("wrong after good", json!("auth-failed")),
        ("still inside", json!("call 4")),
        ("another credential", json!("auth-ok")),
        ("inside again", json!("call 5")),
    ];
    let expected = expected.map(|(name, seen)| (name.to_owned(), seen));
    check("one_socket.py", &expected).await
}

#[tokio::test]
async fn every_call_of_the_python_clients_works_unchanged() -> anyhow::Result<()> {
    let python = interpreter().await?;
    let services = Services::start().await?;
    let tollgate = Tollgate::start_with_registry(&services.registry()).await?;
    let (_, key) = tollgate.user_in("acme", "ada", "admin").await?;
    services.expect("acme", Exchange::read(include_str!("../../transcripts/python.txt"))?);
    let mut command = Script::python(&python, "every_call.py");
    command.env("TOLLGATE_URL", tollgate.url()).env("TOLLGATE_KEY", key).env("TOLLGATE_JWT", "");
    let told = Script::start(&mut command)?.finish().await?;
    expect_file!["../../transcripts/python.seen.txt"].assert_eq(&script::text(&told));
    services.finish().await
}

/// What both socket clients show with each credential.
fn of_a_client(name: &str) -> Vec<(String, Value)> {
    let checks = [
        // Learned from auth-ok.
        ("workspace", json!("acme")),
        ("call", json!("hello")),
        (
            "raw call",
            json!({
                "echo": { "prompt": "raw", "mine": [1, null], "workspace": "acme" },
                "response": "raw",
            }),
        ),
        ("stream", json!([["one ", false], ["two ", false], ["three", true]])),
        (
            "agent",
            json!([
                ["AgentAnswer", "who ", false],
                ["AgentAnswer", "are ", false],
                ["AgentAnswer", "you", true]
            ]),
        ),
        ("calls at once", json!(100)),
        ("unknown service", json!("unknown-service")),
    ];
    checks.map(|(check, seen)| (format!("{name}: {check}"), seen)).into()
}

/// Runs a script as a user of the workspace `acme` who has a key and a login.
async fn check(script: &str, expected: &[(String, Value)]) -> anyhow::Result<()> {
    check_on(&Tollgate::start().await?, script, expected).await
}

/// The same on a Tollgate of the test's own.
async fn check_on(
    tollgate: &Tollgate,
    script: &str,
    expected: &[(String, Value)],
) -> anyhow::Result<()> {
    let python = interpreter().await?;
    let (key, jwt) = credentials(tollgate).await?;
    let mut command = Script::python(&python, script);
    command.env("TOLLGATE_URL", tollgate.url()).env("TOLLGATE_KEY", key).env("TOLLGATE_JWT", jwt);
    let mut seen: BTreeMap<_, _> =
        Script::start(&mut command)?.finish().await?.into_iter().collect();
    for (name, expected) in expected {
        assert_eq!(seen.remove(name).as_ref(), Some(expected), "{script}: {name}");
    }
    ensure!(seen.is_empty(), "{script}: nothing was expected of {seen:?}");
    Ok(())
}

pub(crate) async fn interpreter() -> anyhow::Result<PathBuf> {
    let cache = env!("CARGO_TARGET_TMPDIR");
    spawn_blocking(|| packages::python(cache, PACKAGE, Some(UNDECLARED))).await?
}

/// An API key and a login of a user of the workspace `acme`.
async fn credentials(tollgate: &Tollgate) -> anyhow::Result<(String, String)> {
    let (_, key) = tollgate.user_in("acme", "ada", "writer").await?;
    let login = json!({ "username": "ada", "password": PASSWORD });
    let (_, reply) = tollgate.post("/api/v1/auth/login", None, &login).await?;
    Ok((key, reply["jwt"].as_str().context("no jwt")?.to_owned()))
}
