//! The service of the README, as the README has it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;
use tollgate_client::{CallError, Client, Request};
use tollgate_e2e::Tollgate;

const PATIENCE: Duration = Duration::from_secs(20);

/// The first block of a language behind a heading.
fn block(readme: &str, heading: &str, language: &str) -> anyhow::Result<String> {
    let section = readme.split_once(heading).context("no such heading")?.1;
    let begin = format!("```{language}\n");
    let block = section.split_once(&begin).and_then(|(_, rest)| rest.split_once("```"));
    Ok(block.context("no such block")?.0.to_owned())
}

/// Calls until the service is up.
async fn shout(client: &Client) -> anyhow::Result<String> {
    loop {
        let request = Request::new("shout", &json!({ "prompt": "hello" }))?.flow("default");
        match client.call(request).await {
            Err(CallError::Refused(error)) if error.r#type == "unavailable" => {}
            answer => return Ok(answer?.get().to_owned()),
        }
    }
}

#[tokio::test]
async fn the_service_of_the_readme_works_as_it_stands_there() -> anyhow::Result<()> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme)?;
    let heading = "## Add a service of your own";
    let (service, stanza) = (block(&readme, heading, "python")?, block(&readme, heading, "toml")?);
    assert_eq!(service.lines().filter(|line| !line.is_empty()).count(), 10);
    // All but the port, which may be taken here.
    let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port().to_string();
    let (service, stanza) = (service.replace("9000", &free), stanza.replace("9000", &free));
    assert!(service.contains(&free) && stanza.contains(&free));

    let _python = Command::new("python3")
        .args(["-c", &service])
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("this test needs python3")?;
    let tollgate = Tollgate::start_with_registry(&stanza).await?;
    let client = tollgate.client().await?;
    let answer =
        timeout(PATIENCE, shout(&client)).await.context("the service does not start")??;
    assert_eq!(answer, r#"{"response": "HELLO"}"#);
    Ok(())
}
