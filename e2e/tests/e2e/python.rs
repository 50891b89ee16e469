//! The published Python package `trustgraph-base`, unchanged, against Tollgate.
//!
//! The scripts in `e2e/python` tell what they saw, a JSON line for each check; what they should
//! have seen stands here, so that a check that is missing fails too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tollgate_e2e::{PASSWORD, Tollgate};

/// The newest one on `PyPI`.
const PACKAGE: &str = "trustgraph-base";
/// Imported by the package and missing from what it says it needs (2.11.1).
const UNDECLARED: &str = "aiohttp";
/// No script takes longer.
const PATIENCE: Duration = Duration::from_mins(2);

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
    let python = tokio::task::spawn_blocking(|| environment(PACKAGE, Some(UNDECLARED))).await??;
    let tollgate = Tollgate::start().await?;
    let (key, jwt) = credentials(&tollgate).await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let run = tokio::process::Command::new(python)
        .arg("-B")
        .arg(folder.join(script))
        .env("TOLLGATE_URL", tollgate.url())
        .env("TOLLGATE_KEY", key)
        .env("TOLLGATE_JWT", jwt)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await.context("the script hangs")??;
    let told = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script}: {}\n{told}{errors}", output.status);

    let mut seen = serde_json::Map::new();
    for line in told.lines() {
        let mut line: Value = serde_json::from_str(line)?;
        let name = line["check"].as_str().context("no name")?.to_owned();
        ensure!(seen.insert(name.clone(), line["seen"].take()).is_none(), "{name}: told twice");
    }
    for (name, expected) in expected {
        assert_eq!(seen.remove(name).as_ref(), Some(expected), "{script}: {name}");
    }
    ensure!(seen.is_empty(), "{script}: nothing was expected of {seen:?}");
    Ok(())
}

async fn credentials(tollgate: &Tollgate) -> anyhow::Result<(String, String)> {
    let acme = json!({ "operation": "create-workspace", "workspace_record": { "id": "acme" } });
    tollgate.iam(acme).await?;
    let user = json!({ "username": "ada", "password": PASSWORD, "roles": ["writer"] });
    let made = json!({ "operation": "create-user", "workspace": "acme", "user": user });
    let id = tollgate.iam(made).await?["user"]["id"].take();
    let key = json!({ "operation": "create-api-key", "key": { "user_id": id, "name": "python" } });
    let key = tollgate.iam(key).await?["api_key_plaintext"].take();
    let login = json!({ "username": "ada", "password": PASSWORD });
    let jwt = tollgate.post("/api/v1/auth/login", None, &login).await?.1["jwt"].take();
    let text = |value: Value| value.as_str().map(str::to_owned);
    Ok((text(key).context("no key")?, text(jwt).context("no jwt")?))
}

/// The interpreter of a virtual environment with the newest release of a package, made once for
/// this target folder.
pub(crate) fn environment(package: &str, undeclared: Option<&str>) -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
    std::fs::create_dir_all(&folder)?;
    // Other tests, and other processes, want the same one.
    let lock = std::fs::File::create(folder.join("lock"))?;
    lock.lock()?;
    let python = folder.join("venv/bin/python");
    // Written last: what is there without it is half made.
    let version = folder.join("version");
    if !version.exists() {
        let venv = folder.join("venv");
        run(package, Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
        let pip = ["-m", "pip", "install", "--quiet", package];
        run(package, Command::new(&python).args(pip).args(undeclared))?;
        let print = format!("import importlib.metadata as m; print(m.version('{package}'))");
        std::fs::write(&version, run(package, Command::new(&python).args(["-c", &print]))?)?;
    }
    Ok(python)
}

pub(crate) fn run(package: &str, command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output();
    let said = match &output {
        Ok(output) if output.status.success() => return Ok(output.stdout.clone()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    bail!(
        "{package} could not be installed: this test needs python3 (3.10 or newer) with venv, and \
         PyPI or a mirror of it (PIP_INDEX_URL); {command:?} said: {said}"
    )
}
