//! A stop and a new start on the same port and data, as a client with a socket lives through it:
//! the published TypeScript client, which tries once to connect again, two to three seconds after
//! the close, and never more.

use std::process::Command;

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tollgate_e2e::packages;
use tollgate_e2e::process::{Folder, PATIENCE, Server};
use tollgate_e2e::script::Script;
use tollgate_e2e::upstream::Upstream;

use crate::folder;

#[tokio::test]
async fn the_typescript_client_outlives_a_restart() -> anyhow::Result<()> {
    let cache = env!("CARGO_TARGET_TMPDIR");
    let packages = spawn_blocking(|| packages::node(cache, packages::TYPESCRIPT)).await??;
    let (folder, slow) = (folder(), Upstream::listen().await?);
    let stanza = format!("[flow-service.graph-rag]\nbackend = \"http://{}/\"\n", slow.address);
    std::fs::write(folder.path("registry.toml"), stanza)?;
    let server = Server::start(&mut command(&folder));
    let address = server.address;
    let mut script = Script::node(&packages, "restart.mjs")?;
    script
        .env("TOLLGATE_URL", format!("ws://{address}/api/v1/socket"))
        .env("TOLLGATE_KEY", server.claim());
    let mut script = Script::start(&mut script)?;

    assert_eq!(script.tells("before").await?, "before");
    let (mut line, _) = slow.posted().await?;
    server.signal("TERM");
    // From then on it takes nobody in.
    while TcpStream::connect(address).await.is_ok() {}
    line.answer(&json!({ "response": "done" })).await?;
    assert_eq!(script.tells("running at the stop").await?, "done");
    assert_eq!(script.tells("closed").await?, Value::Null);
    let (code, said) = spawn_blocking(|| server.wait(PATIENCE)).await?;
    ensure!(code == Some(0), "{code:?} {said:?}");

    let server =
        Server::start(command(&folder).env("TOLLGATE_GATEWAY__LISTEN", address.to_string()));
    assert_eq!(server.address, address);
    for made in ["made while it was away", "made later"] {
        assert_eq!(script.tells(made).await?, made);
    }
    let seen = ["connecting", "authenticated", "connecting", "reconnecting", "authenticated"];
    assert_eq!(script.tells("states").await?, json!(seen));
    script.finish().await?;
    Ok(())
}

fn command(folder: &Folder) -> Command {
    let mut command = folder.command();
    command
        .env("TOLLGATE_GATEWAY__REGISTRY_FILE", folder.path("registry.toml"))
        .env("TOLLGATE_GATEWAY__COMPAT__URL_TOKEN", "true");
    command
}
