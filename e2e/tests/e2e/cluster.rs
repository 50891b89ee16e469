//! Two gateways, two nodes of IAM, one cluster: what is taken away through one is gone at both, and
//! what fails of them is felt no further than it must.

#![expect(clippy::print_stderr, reason = "figures, for those who look at a run")]

mod stage;
mod surveys;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tollgate_e2e::raw::{self, Received, Socket};

use stage::{Deployment, Gateway, Node};

/// Whoever waits for something to come about gives up then.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer waits for gateways.
const RECEIPT: Duration = Duration::from_millis(250);

/// A socket's call of the echo: what kind of error it met, if any.
async fn call(socket: &mut Socket) -> anyhow::Result<Option<String>> {
    socket.call(json!(1), json!({ "prompt": "hello" })).await?;
    let answer = socket.frame().await?;
    Ok(answer["error"]["type"].as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_at_one_node_is_dead_at_the_gateways_of_both() -> anyhow::Result<()> {
    let deployment = Deployment::new().await?;
    let nodes = [deployment.node("one").await?, deployment.node("two").await?];
    let gateways = [Gateway::start(&[&nodes[0]]).await?, Gateway::start(&[&nodes[1]]).await?];
    let admin = gateways[0].claim().await?;
    let mut took = Vec::new();
    for n in 0..20 {
        let (key_id, key) = gateways[n % 2].reader(&admin, &format!("user{n}")).await?;
        let mut sockets = Vec::new();
        for gateway in &gateways {
            let mut socket = Socket::authenticated(gateway.address, &key).await?;
            // Twice: the second one is decided by what was kept.
            assert_eq!((call(&mut socket).await?, call(&mut socket).await?), (None, None));
            sockets.push(socket);
        }
        let begun = Instant::now();
        let revoke = json!({ "operation": "revoke-api-key", "key_id": key_id });
        gateways[0].iam(&admin, &revoke).await?;
        let answered = begun.elapsed();
        took.push(answered);
        for mut socket in sockets {
            // Its next call is refused, or it is closed already.
            socket.call(json!(2), json!({ "prompt": "hello" })).await.ok();
            loop {
                match socket.next().await? {
                    // Whoever is slow is not waited for any longer.
                    Received::Frame(_) if answered > RECEIPT => {}
                    Received::Frame(frame) => assert_eq!(frame.get("response"), None, "{frame}"),
                    Received::Closed(code) => break assert_eq!(code, 4403),
                    Received::Gone => break,
                }
            }
        }
    }
    took.sort();
    eprintln!(
        "revoked at one node, dead at the gateways of both: p50 {:?}, most {:?}",
        took[10], took[19]
    );
    Ok(())
}

/// Asks IAM through a gateway again and again. Gives when each question that failed was asked, and
/// how many did not fail.
async fn ask(
    gateway: Arc<Gateway>,
    admin: String,
    stop: watch::Receiver<bool>,
) -> (Vec<(Instant, String)>, usize) {
    let (mut failed, mut fine) = (Vec::new(), 0);
    let whoami = json!({ "operation": "whoami" });
    while !*stop.borrow() {
        let asked = Instant::now();
        match gateway.iam(&admin, &whoami).await {
            Ok(_) => fine += 1,
            Err(error) => failed.push((asked, error.to_string())),
        }
    }
    (failed, fine)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_costs_the_calls_that_it_was_at() -> anyhow::Result<()> {
    const ASKERS: usize = 8;
    let deployment = Deployment::new().await?;
    let mut nodes = [deployment.node("one").await?, deployment.node("two").await?];
    let mut gateways = Vec::new();
    for _ in 0..2 {
        gateways.push(Arc::new(Gateway::start(&[&nodes[0], &nodes[1]]).await?));
    }
    let admin = gateways[0].claim().await?;
    for victim in 0..2 {
        let (stopping, stop) = watch::channel(false);
        let mut askers = JoinSet::new();
        for n in 0..ASKERS {
            let gateway = Arc::clone(&gateways[n % 2]);
            askers.spawn(ask(gateway, admin.clone(), stop.clone()));
        }
        sleep(Duration::from_secs(1)).await;
        nodes[victim].kill()?;
        let killed = Instant::now();
        sleep(Duration::from_secs(4)).await;
        stopping.send_replace(true);
        let (mut failed, mut fine) = (Vec::new(), 0);
        for (its, count) in askers.join_all().await {
            failed.extend(its);
            fine += count;
        }
        eprintln!("node {victim} was killed: {} of {} failed", failed.len(), fine + failed.len());
        assert!(failed.len() <= ASKERS, "{failed:?}");
        for (asked, error) in failed {
            assert!(asked < killed, "{:?} after the kill: {error}", asked - killed);
        }
        assert!(fine > 100, "{fine}");
        nodes[victim] = deployment.node(["one", "two"][victim]).await?;
        // Gateways know a node by its address; the port is another one now.
        let all = [&nodes[0], &nodes[1]];
        gateways =
            vec![Arc::new(Gateway::start(&all).await?), Arc::new(Gateway::start(&all).await?)];
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_cluster_nothing_is_allowed_and_all_heals() -> anyhow::Result<()> {
    let deployment = Deployment::new().await?;
    let nodes = [deployment.node("one").await?, deployment.node("two").await?];
    let gateways = [
        Gateway::start(&[&nodes[0], &nodes[1]]).await?,
        Gateway::start(&[&nodes[1], &nodes[0]]).await?,
    ];
    let admin = gateways[0].claim().await?;
    let (_, key) = gateways[0].reader(&admin, "ann").await?;
    let mut sockets = Vec::new();
    for gateway in &gateways {
        let mut socket = Socket::authenticated(gateway.address, &key).await?;
        assert_eq!(call(&mut socket).await?, None);
        sockets.push(socket);
    }

    deployment.set_open(false)?;
    let gone = Instant::now();
    for socket in &mut sockets {
        until(async || Ok(call(socket).await?.as_deref() == Some("unavailable"))).await?;
    }
    eprintln!(
        "without the cluster all is refused after {:?} (lease {})",
        gone.elapsed(),
        stage::LEASE
    );
    for _ in 0..20 {
        for socket in &mut sockets {
            assert_eq!(call(socket).await?.as_deref(), Some("unavailable"));
        }
    }
    all_lack(&nodes, &gateways, ["the journal is not read", "iam is not heard"].map(Some)).await?;

    deployment.set_open(true)?;
    let back = Instant::now();
    for socket in &mut sockets {
        until(async || Ok(call(socket).await?.is_none())).await?;
    }
    eprintln!("with it all is well again after {:?}", back.elapsed());
    all_lack(&nodes, &gateways, [None, None]).await?;
    Ok(())
}

/// Waits until the probes of all nodes, and of all gateways, say that this is lacking.
async fn all_lack(
    nodes: &[Node],
    gateways: &[Gateway],
    [of_nodes, of_gateways]: [Option<&str>; 2],
) -> anyhow::Result<()> {
    let nodes = nodes.iter().map(|node| (node.admin_address, of_nodes));
    let gateways = gateways.iter().map(|gateway| (gateway.admin_address, of_gateways));
    for (address, expected) in nodes.chain(gateways) {
        until(async || Ok(raw::lacking(address).await?.as_deref() == expected)).await?;
    }
    Ok(())
}

async fn until(mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !is_so().await? {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "it never came to be");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
