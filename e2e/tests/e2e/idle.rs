//! A client that is silent keeps its socket, and nothing comes on it that it did not ask for.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::Socket;
use tollgate_e2e::script::{self, Script};

use crate::python;

/// Whoever were pinged would be, and closed for its silence, many times in the shortest idle time.
const FAST: [(&str, &str); 2] =
    [("gateway.limits.heartbeat", "100ms"), ("gateway.limits.heartbeat_patience", "50ms")];

/// `TOLLGATE_IDLE_SECONDS` says how long the client is idle; three seconds without it.
#[tokio::test]
async fn the_sync_python_client_calls_again_after_idling() -> anyhow::Result<()> {
    let python = python::interpreter().await?;
    let tollgate = Tollgate::start_with(&FAST).await?;
    let mut command = Script::python(&python, "idle.py");
    command
        .env("TOLLGATE_URL", tollgate.url())
        .env("TOLLGATE_KEY", &tollgate.admin_key)
        .env("TOLLGATE_JWT", "")
        .env("TOLLGATE_IDLE_SECONDS", idle_seconds());
    let told = Script::start(&mut command)?.finish().await?;
    let expected = "before: \"before\"\nafter: \"after\"\non the same socket: true\n";
    assert_eq!(script::text(&told), expected);
    Ok(())
}

fn idle_seconds() -> String {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
    std::env::var("TOLLGATE_IDLE_SECONDS").unwrap_or_else(|_| "3".to_owned())
}

/// Time is made to pass: an hour in which no byte comes, no ping, no close, under the settings
/// that everybody has.
#[tokio::test]
async fn a_client_that_asked_for_nothing_hears_nothing_for_an_hour() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let mut socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
    tokio::time::pause();
    assert!(socket.hears_nothing(Duration::from_hours(1)).await);
    tokio::time::resume();
    socket.call(json!(1), json!({ "prompt": "still here" })).await?;
    let frame: Value = socket.frame().await?;
    assert_eq!(frame["response"]["response"], "still here", "{frame}");
    Ok(())
}
