//! The published TypeScript client `@trustgraph/client`, unchanged, against Tollgate.
//!
//! What it asks, is answered and sees stands in `e2e/transcripts`; where the client errs against any
//! server, the script says so. A restart of the server is in the tests of `tollgate`.

use std::path::PathBuf;

use expect_test::expect_file;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tollgate_e2e::script::{self, Script};
use tollgate_e2e::services::{Exchange, Services};
use tollgate_e2e::upstream::Upstream;
use tollgate_e2e::{Tollgate, packages};

#[tokio::test]
async fn every_call_of_the_typescript_client_works_unchanged() -> anyhow::Result<()> {
    let packages = packages().await?;
    let services = Services::start().await?;
    let tollgate = start(&services.registry()).await?;
    services.expect("acme", Exchange::read(include_str!("../../transcripts/typescript.txt"))?);
    let mut command = Script::node(&packages, "client.mjs")?;
    command
        .env("TOLLGATE_URL", format!("ws://{}/api/socket", tollgate.address))
        .env("TOLLGATE_KEY", tollgate.user_in("acme", "ada", "admin").await?.1)
        .env("TOLLGATE_READER", tollgate.user_in("acme", "rea", "reader").await?.1);
    let told = Script::start(&mut command)?.finish().await?;
    expect_file!["../../transcripts/typescript.seen.txt"].assert_eq(&script::text(&told));
    services.finish().await
}

#[tokio::test]
async fn two_streams_of_the_typescript_client_take_turns_on_one_socket() -> anyhow::Result<()> {
    let packages = packages().await?;
    let (first, second) = (Upstream::listen().await?, Upstream::listen().await?);
    let stanza = |name: &str, upstream: &Upstream| {
        format!("[flow-service.{name}]\nbackend = \"http://{}/\"\n", upstream.address)
    };
    let registry = stanza("graph-rag", &first) + &stanza("document-rag", &second);
    let tollgate = start(&registry).await?;
    let mut command = Script::node(&packages, "interleaved.mjs")?;
    command
        .env("TOLLGATE_URL", format!("ws://{}/api/v1/socket", tollgate.address))
        .env("TOLLGATE_KEY", tollgate.user("ada", "reader").await?.1);
    let mut script = Script::start(&mut command)?;

    let (mut first, mut second) = (first.posted().await?.0, second.posted().await?.0);
    for line in [&mut first, &mut second] {
        line.begin_stream("application/x-ndjson").await?;
    }
    for turn in ["one", "two"] {
        for (name, line) in [("second", &mut second), ("first", &mut first)] {
            line.chunk(&format!("{}\n", json!({ "response": turn }))).await?;
            assert_eq!(script.tells(&format!("{name}: {turn}")).await?, false);
        }
    }
    for (name, line) in [("first", &mut first), ("second", &mut second)] {
        line.chunk(&format!("{}\n", json!({ "response": "end", "end_of_stream": true }))).await?;
        line.chunk("").await?;
        assert_eq!(script.tells(&format!("{name}: end")).await?, true);
    }
    assert_eq!(script.finish().await?, Vec::<(String, Value)>::new());
    Ok(())
}

async fn packages() -> anyhow::Result<PathBuf> {
    spawn_blocking(|| packages::node(env!("CARGO_TARGET_TMPDIR"), packages::TYPESCRIPT)).await?
}

async fn start(registry: &str) -> anyhow::Result<Tollgate> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("registry.toml");
    std::fs::write(&file, registry)?;
    let file = file.display().to_string();
    Tollgate::start_with(&[("gateway.registry_file", &file), ("gateway.compat.url_token", "true")])
        .await
}
