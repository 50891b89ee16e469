//! What is given is there as soon as what is taken is gone: whoever was refused a moment ago is allowed
//! with the answer to whoever gave it, at both gateways of a deployment.
//!
//! `TOLLGATE_PROMOTIONS` says how often; a few times without it. The figures are printed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;
use tollgate_e2e::Tollgate;
use tollgate_e2e::far::{Far, Ticker, count};
use tollgate_e2e::raw::{self, Socket};

/// Somebody who has a key and may do nothing at home, on a socket at each gateway.
struct Member {
    user: String,
    key: String,
    sockets: [Socket; 2],
}

impl Member {
    async fn enter(tollgate: &Tollgate, far: &Far) -> anyhow::Result<Self> {
        let (user, key) = tollgate.user("ann", "reader").await?;
        let record = json!({ "id": "acme" });
        let create = json!({ "operation": "create-workspace", "workspace_record": record });
        tollgate.iam(create).await?;
        let near = Socket::authenticated(tollgate.address, &key).await?;
        let sockets = [near, Socket::authenticated(far.address, &key).await?];
        Ok(Self { user, key, sockets })
    }

    /// A change of what she may do in the other workspace.
    fn change(&self, operation: &str) -> Value {
        let grant = json!({ "role": "reader", "workspace": "acme" });
        json!({ "operation": operation, "user_id": self.user, "grant": grant })
    }

    /// Whether she is allowed there, by each gateway, over its socket and over HTTP.
    async fn may(&mut self, addresses: [SocketAddr; 2]) -> anyhow::Result<[bool; 4]> {
        let mut all = [false; 4];
        for (n, (socket, address)) in self.sockets.iter_mut().zip(addresses).enumerate() {
            let request = json!({ "prompt": "hello" });
            let mut call = json!({ "id": 1, "service": "text-completion", "flow": "default" });
            (call["workspace"], call["request"]) = (json!("acme"), request.clone());
            socket.send(&call).await?;
            let frame = socket.frame().await?;
            all[n * 2] = match frame["error"]["type"].as_str() {
                None => true,
                Some("access-denied") => false,
                Some(_) => anyhow::bail!("{frame}"),
            };
            let path = "/api/v1/flow/default/service/text-completion";
            let mut body = request;
            body["workspace"] = json!("acme");
            let body = body.to_string();
            let answer = raw::post(address, path, Some(&self.key), body.as_bytes()).await?;
            ensure!(answer.0 == 200 || answer.0 == 403, "{answer:?}");
            all[n * 2 + 1] = answer.0 == 200;
        }
        Ok(all)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_what_was_given() -> anyhow::Result<()> {
    let (tollgate, ticker) = (Tollgate::start().await?, Ticker::start().await?);
    let far = Far::start(&tollgate.road()?, &ticker.registry(), &[]).await?;
    let mut member = Member::enter(&tollgate, &far).await?;
    let addresses = [tollgate.address, far.address];
    let promotions = count("TOLLGATE_PROMOTIONS", 5)?;
    let (mut given, mut taken) = (Vec::new(), Vec::new());
    for number in 0..promotions {
        // Twice: the second refusal is one that was kept.
        for _ in 0..2 {
            let may = member.may(addresses).await?;
            ensure!(may == [false; 4], "{number}: allowed before: {may:?}");
        }
        for (operation, expected, times) in
            [("add-user-grant", true, &mut given), ("remove-user-grant", false, &mut taken)]
        {
            let changed = Instant::now();
            tollgate.iam(member.change(operation)).await?;
            let answered = changed.elapsed();
            let may = member.may(addresses).await?;
            ensure!(may == [expected; 4], "{number}: {operation}, and then {may:?}");
            times.push((answered, changed.elapsed()));
        }
    }
    for (what, times) in [("given", given), ("taken away", taken)] {
        print(what, times)?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "figures of a run that somebody asked for")]
fn print(what: &str, times: Vec<(Duration, Duration)>) -> anyhow::Result<()> {
    let (answers, effects): (Vec<_>, Vec<_>) = times.into_iter().unzip();
    for (until, mut times) in [("answer", answers), ("fourth call decided so", effects)] {
        times.sort_unstable();
        let last = times.len().checked_sub(1).context("nothing was measured")?;
        let [median, p99, most] = [50, 99, 100].map(|percent| times[last * percent / 100]);
        eprintln!("{what}: change to {until}: p50 {median:?}, p99 {p99:?}, max {most:?}");
    }
    Ok(())
}
