//! What gateways alone know, asked for at any node: those that poll another one are heard, too.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tollgate_e2e::raw::{Received, Socket};

use super::stage::{Deployment, Gateway, Node};
use super::until;

/// How long an answer may take for which a node was waited for in vain: before the deadline of
/// operations.
const LATE: Duration = Duration::from_secs(2);

/// Two nodes, and a gateway at each.
struct Stage {
    nodes: [Node; 2],
    gateways: [Gateway; 2],
    admin: String,
    /// A socket of the admin at each gateway, and its id.
    sockets: [(Socket, Value); 2],
    _deployment: Deployment,
}

impl Stage {
    async fn new() -> anyhow::Result<Self> {
        let deployment = Deployment::new().await?;
        let nodes = [deployment.node("one").await?, deployment.node("two").await?];
        let gateways = [Gateway::start(&[&nodes[0]]).await?, Gateway::start(&[&nodes[1]]).await?];
        let admin = gateways[0].claim().await?;
        let sockets = [open(&gateways[0], &admin).await?, open(&gateways[1], &admin).await?];
        let stage = Self { nodes, gateways, admin, sockets, _deployment: deployment };
        // Nodes see each other when they look the next time.
        for gateway in &stage.gateways {
            let both = json!({ "gateways_heard": 2, "gateways_silent": 0 });
            until(async || Ok(stage.list(gateway).await?["survey"] == both)).await?;
        }
        Ok(stage)
    }

    async fn list(&self, gateway: &Gateway) -> anyhow::Result<Value> {
        gateway.iam(&self.admin, &json!({ "operation": "list-sessions" })).await
    }

    /// Asks the first node while the second one is out of reach for it.
    async fn list_without_the_second(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let reply = self.list(&self.gateways[0]).await?;
        let expect = json!({ "gateways_heard": 1, "gateways_silent": 0, "nodes_silent": 1 });
        ensure!(reply["survey"] == expect, "{reply}");
        assert_eq!(ids(&reply), [&self.sockets[0].1]);
        Ok(begun.elapsed())
    }
}

async fn open(gateway: &Gateway, token: &str) -> anyhow::Result<(Socket, Value)> {
    let mut socket = Socket::open(gateway.address).await?;
    let mut ok = socket.auth(token).await?;
    ensure!(ok["type"] == "auth-ok", "{ok}");
    Ok((socket, ok["session"].take()))
}

fn ids(reply: &Value) -> Vec<&Value> {
    let sessions = reply["sessions"].as_array().into_iter().flatten();
    sessions.map(|session| &session["id"]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_knows_of_the_sockets_at_gateways_of_another() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    for gateway in &stage.gateways {
        let reply = stage.list(gateway).await?;
        assert_eq!(ids(&reply), [&stage.sockets[0].1, &stage.sockets[1].1]);
    }
    let user = stage.list(&stage.gateways[0]).await?["sessions"][0]["user_id"].take();
    let kick = json!({ "operation": "kick-user", "user_id": user, "dry_run": true });
    let rehearsal = &stage.gateways[0].iam(&stage.admin, &kick).await?["dry_run"];
    let both = json!({ "gateways_heard": 2, "gateways_silent": 0 });
    assert_eq!((&rehearsal["sockets"], &rehearsal["survey"]), (&json!(2), &both));

    // Through either node a socket at a gateway of the other is closed, and no more than that.
    for at in [0, 1] {
        let (socket, id) = &mut stage.sockets[1 - at];
        let end = json!({ "operation": "end-session", "session_id": id, "wait": true });
        let receipt = &stage.gateways[at].iam(&stage.admin, &end).await?["receipt"];
        assert_eq!(receipt["sockets_closed"], 1, "{receipt}");
        loop {
            match socket.next().await? {
                Received::Frame(frame) => assert_eq!(frame["type"], "closing"),
                Received::Closed(code) => break assert_eq!(code, 4403),
                Received::Gone => anyhow::bail!("no close frame"),
            }
        }
        until(async || {
            let left = stage.list(&stage.gateways[at]).await?;
            Ok(ids(&left).len() == 1 - at)
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_answer_is_told_of() -> anyhow::Result<()> {
    let mut stage = Stage::new().await?;
    stage.nodes[1].from_others.shut();
    ensure!(stage.list_without_the_second().await? < LATE);
    // Nobody accepts there.
    let frozen = TcpListener::bind("127.0.0.1:0").await?;
    stage.nodes[1].from_others.lead_to(&frozen.local_addr()?);
    ensure!(stage.list_without_the_second().await? < LATE);
    let end = json!({ "operation": "end-session", "session_id": stage.sockets[1].1 });
    let refused = stage.gateways[0].iam(&stage.admin, &end).await.err().context("it was found")?;
    ensure!(refused.to_string().contains("some did not: try kick-user"), "{refused}");
    // Another node lives at its address by now.
    stage.nodes[1].from_others.lead_to(&stage.nodes[0].address);
    ensure!(stage.list_without_the_second().await? < LATE);

    stage.nodes[1].kill()?;
    ensure!(stage.list_without_the_second().await? < LATE);
    // Then it is known to be gone.
    let alone = json!({ "gateways_heard": 1, "gateways_silent": 0 });
    until(async || Ok(stage.list(&stage.gateways[0]).await?["survey"] == alone)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_ask_each_other_under_tls() -> anyhow::Result<()> {
    let deployment = Deployment::under_tls().await?;
    let nodes = [deployment.node("one").await?, deployment.node("two").await?];
    let gateways = [
        Gateway::under_tls(&deployment, &nodes[0]).await?,
        Gateway::under_tls(&deployment, &nodes[1]).await?,
    ];
    let admin = gateways[0].claim().await?;
    let (_socket, id) = open(&gateways[1], &admin).await?;
    let list = json!({ "operation": "list-sessions" });
    until(async || Ok(ids(&gateways[0].iam(&admin, &list).await?) == [&id])).await
}
