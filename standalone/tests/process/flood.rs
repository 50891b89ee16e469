//! A flood of connections on a process that may have few descriptors: whoever is in keeps working,
//! backends and IAM are reached, and when it is over everything is as before.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};
use tollgate_e2e::process::Server;
use tollgate_e2e::raw::{self, Received, Socket};
use tollgate_e2e::upstream::Upstream;

use crate::folder;

/// The same, with so many descriptors at most.
fn with_descriptors(command: &Command, count: u64) -> Command {
    crate::limited(command, &format!("ulimit -n {count}"))
}

/// Connections that say nothing.
fn flood(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    (0..count).map(|_| Ok(TcpStream::connect(address)?)).collect()
}

async fn echo(socket: &mut Socket) -> Result<()> {
    socket.call(json!(0), json!({ "prompt": "hello" })).await?;
    let frame = socket.frame().await?;
    anyhow::ensure!(frame["response"]["response"] == "hello", "{frame}");
    Ok(())
}

/// Comes in as soon as there is room.
async fn comes_in(address: SocketAddr, key: &str) {
    while Socket::authenticated(address, key).await.is_err() {}
}

#[tokio::test]
async fn a_flood_leaves_friends_backends_and_iam_their_descriptors() -> Result<()> {
    let (folder, upstream) = (folder(), Upstream::listen().await?);
    let registry = format!(
        "[flow-service.mine]\ncapability = \"llm\"\nbackend = \"http://{}/\"\n",
        upstream.address
    );
    std::fs::write(folder.path("registry.toml"), registry)?;
    let mut command = folder.command();
    command.env("TOLLGATE_GATEWAY__REGISTRY_FILE", folder.path("registry.toml"));
    // That makes 96 connections, and 48 of strangers.
    let server = Server::start(&mut with_descriptors(&command, 256));
    let (key, address) = (server.claim(), server.address);
    let mut friend = Socket::authenticated(address, &key).await?;
    let held = flood(address, 400)?;

    // Whoever comes now is told, unless too many are being told.
    let told = loop {
        let Ok(mut socket) = Socket::open(address).await else { continue };
        match socket.next().await? {
            Received::Closed(code) => break code,
            Received::Gone => {}
            Received::Frame(frame) => anyhow::bail!("{frame}"),
        }
    };
    assert_eq!(told, 4431);
    let bearer = [("Authorization", format!("Bearer {key}"))];
    let refused = raw::http(address, "POST", "/api/v1/iam", &bearer, b"{}").await?;
    assert_eq!(refused.status, 503);
    echo(&mut friend).await?;
    // As many connections to a backend as the calls of a socket that run at once.
    let calls: Vec<Value> = (1..=30)
        .map(|id| json!({ "id": id, "service": "mine", "flow": "default", "request": {} }))
        .collect();
    let mut lines = Vec::new();
    for call in &calls {
        friend.send(call).await?;
        lines.push(upstream.posted().await?.0);
    }
    for line in &mut lines {
        line.answer(&json!({})).await?;
    }
    for _ in &calls {
        let frame = friend.frame().await?;
        assert_eq!((&frame["complete"], &frame["error"]), (&json!(true), &Value::Null), "{frame}");
    }
    let body = json!({ "operation": "create-workspace", "workspace_record": { "id": "new" } });
    friend.send(&json!({ "id": "w", "service": "iam", "request": body })).await?;
    let made = friend.frame().await?;
    assert_eq!((&made["id"], &made["error"]), (&json!("w"), &Value::Null), "{made}");
    assert_eq!(made["response"]["error"], Value::Null, "{made}");

    drop(held);
    comes_in(address, &key).await;
    Ok(())
}

#[tokio::test]
async fn a_process_out_of_descriptors_goes_on_and_recovers() -> Result<()> {
    let folder = folder();
    let mut command = folder.command();
    // Limits that promise more than there is.
    for limit in ["MAX_CONNECTIONS", "MAX_STRANGERS", "MAX_STRANGERS_PER_ADDRESS"] {
        command.env(format!("TOLLGATE_GATEWAY__LIMITS__{limit}"), "10000");
    }
    let server = Server::start(&mut with_descriptors(&command, 100));
    let (key, address) = (server.claim(), server.address);
    let mut friend = Socket::authenticated(address, &key).await?;
    let held = flood(address, 200)?;
    server.said_until("no connection can be accepted for now");
    echo(&mut friend).await?;
    drop(held);
    comes_in(address, &key).await;
    echo(&mut friend).await
}
