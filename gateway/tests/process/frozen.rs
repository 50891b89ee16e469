//! A gateway that is stopped as a debugger or a host under pressure stops a process, for longer than
//! the lease. What was taken away meanwhile it knows nothing of when it goes on.
//!
//! `TOLLGATE_FREEZES` says how often; once without it.

use std::time::Duration;

use anyhow::{Context, ensure};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tollgate_e2e::Tollgate;
use tollgate_e2e::far::crowd::Crowd;
use tollgate_e2e::far::{Ticker, count};

use crate::Gateway;

/// What left before the freeze has arrived after this.
const UNDER_WAY: Duration = Duration::from_millis(500);
/// What is asked of it when it goes on.
const HEALED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_a_gateway_that_goes_on_under_what_has_ended() -> anyhow::Result<()> {
    let (ticker, folder) = (Ticker::start().await?, tempfile::tempdir()?);
    let tollgate = Tollgate::start_with(&[("link.lease", "1s")]).await?;
    std::fs::write(folder.path().join("registry.toml"), ticker.registry())?;
    let road = tollgate.road()?;
    let (iam, secret) = (format!("http://{}", road.iam), road.secret.expose_secret());
    let settings = [("LINK__LEASE", "1s"), ("GATEWAY__IAM_URL", &iam)];
    let gateway = Gateway::start(folder.path(), secret, &settings);
    let (_, key) = tollgate.user("bystander", "writer").await?;
    let mut bystander = Crowd::gather(gateway.address, &key).await?;
    for number in 0..count("TOLLGATE_FREEZES", 1)? {
        let (user, key) = tollgate.user(&format!("victim-{number}"), "writer").await?;
        let mut victim = Crowd::gather(gateway.address, &key).await?;
        gateway.signal("STOP");
        sleep(UNDER_WAY).await;
        let frozen = Instant::now();
        // Answered when what the gateway was told is out of date.
        let disable = json!({ "operation": "disable-user", "user_id": user, "wait": true });
        let receipt = &tollgate.iam(disable).await?["receipt"];
        ensure!(receipt["gateways_silent"] == 1, "{receipt}");
        gateway.signal("CONT");
        let thawed = Instant::now();
        for (manner, seen) in victim.until(|_, seen| seen.end.is_some()).await? {
            let late = seen.last.context("nothing")?.saturating_duration_since(frozen);
            ensure!(late.is_zero(), "{manner:?} got something {late:?} after the freeze");
        }
        bystander.until(|_, seen| seen.last.is_some_and(|last| last > thawed)).await?;
        ensure!(thawed.elapsed() <= HEALED, "it took {:?} until all was well", thawed.elapsed());
    }
    Ok(())
}
