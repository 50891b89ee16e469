//! An IAM that is stopped as a debugger or a host under pressure stops a process: its connections stay,
//! and nothing comes. What a gateway of another process makes of it.
//!
//! `TOLLGATE_FREEZES` says how often; once without it.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::{Instant, sleep_until};
use tollgate_e2e::far::crowd::Crowd;
use tollgate_e2e::far::{Far, Road, Ticker, count};
use tollgate_e2e::process::Server;
use tollgate_runtime::clock::SystemClock;

use crate::{folder, free_address};

const LEASE: Duration = Duration::from_secs(1);
/// What is asked of the gateway: beyond the lease, and when IAM goes on.
const LATE: Duration = Duration::from_millis(500);
const HEALED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_frozen_iam_said_is_used_for_the_lease() -> anyhow::Result<()> {
    let (folder, iam) = (folder(), free_address(30_000..32_000));
    let mut command = folder.command();
    command.env("TOLLGATE_IAM__LISTEN", &iam).env("TOLLGATE_LINK__LEASE", "1s");
    let server = Server::start(&mut command);
    let key = server.claim();
    let secret = std::fs::read_to_string(folder.data().join("link.secret"))?;
    let (secret, clock) = (secret.trim().into(), SystemClock::shared());
    let road = Road { iam: iam.parse()?, secret, clock };
    let ticker = Ticker::start().await?;
    let far = Far::start(&road, &ticker.registry(), &[("link.lease", "1s")]).await?;
    let mut crowd = Crowd::gather(far.address, &key).await?;
    for _ in 0..count("TOLLGATE_FREEZES", 1)? {
        server.signal("STOP");
        let frozen = Instant::now();
        crowd.until_held().await?;
        sleep_until(frozen + LEASE + LATE * 2).await;
        for (manner, seen) in crowd.seen().await? {
            let late = seen.last.context("nothing")?.saturating_duration_since(frozen);
            ensure!(late <= LEASE + LATE, "{manner:?} got something {late:?} after the freeze");
        }
        server.signal("CONT");
        let thawed = Instant::now();
        crowd.until(|_, seen| seen.last.is_some_and(|last| last > thawed)).await?;
        ensure!(thawed.elapsed() <= HEALED, "it took {:?} until all was well", thawed.elapsed());
    }
    Ok(())
}
