//! Authority is taken away from live sockets in calls, by an admin who notes when the answer comes.
//!
//! What must be shown: not one success arrives on a victim's socket after the answer. Everybody else
//! goes on without an error.
//! In: how many sockets and revocations. Out: times, by kind, and status 1 if the rule was broken.

mod audit;
mod crowd;
mod deployment;
mod line;
mod people;
mod summary;
mod victim;
mod watch;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use crate::measure::{allow_sockets, at_least_one, cpu_time, own_cpu_time};
use crowd::{Crowd, Handle};
use deployment::Deployment;
use line::Line;
use people::People;
use summary::{Conditions, Summary};
use victim::Victim;
use watch::Sighting;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sockets are open at first; each victim has one of them.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = at_least_one)]
    sockets: usize,
    /// How often something is taken away, in six ways by turns.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = at_least_one)]
    revocations: usize,
    /// Calls a second of all sockets together. They are sent whether or not answers come.
    #[arg(long, value_name = "N", default_value_t = 2_500, value_parser = at_least_one)]
    rate: usize,
    /// Admins who take away at the same time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = at_least_one)]
    admins: usize,
    /// 1: `tollgate` alone. More: so many gateways and one IAM, each a process.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    gateways: usize,
    /// The tollgate binary, if it is not the one beside this one. tollgate-gateway and
    /// tollgate-iam are beside it.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Victims that still have what they had.
type Left = Mutex<VecDeque<(Victim, Handle)>>;

/// Does it and prints. An error if the rule was broken.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(args.revocations < args.sockets, "some sockets must stay: fewer revocations");
    // The server takes no more than three quarters of its files for clients.
    allow_sockets(args.sockets * 2)?;
    let deployment = Deployment::start(args.gateways, args.server.as_deref()).await?;
    let (gateways, key) = (deployment.gateways.clone(), deployment.admin_key.clone());
    let count = args.revocations;
    let People { victims, keys } =
        spawn_blocking(move || People::make(&gateways, &key, count)).await??;
    let (crowd, handles) = Crowd::open(args, &deployment, &victims, &keys).await?;
    let left: VecDeque<_> = victims.into_iter().zip(handles).collect();

    let before = (Instant::now(), cpu(&deployment)?);
    let sightings = take_away(args.admins, &deployment, left).await?;
    let elapsed = before.0.elapsed().as_secs_f64();
    let cpu = (cpu(&deployment)? - before.1) / elapsed;
    let bystanders = crowd.end().await?;
    let commits = audit::commits(&deployment.audit, &sightings).await?;

    let conditions = Conditions::now(args, cpu, elapsed)?;
    let summary = Summary::of(&conditions, &sightings, &commits, &bystanders);
    summary.print(args.json)?;
    summary.verdict()
}

/// Takes away from one after the other, as so many admins.
async fn take_away(
    admins: usize,
    deployment: &Deployment,
    left: VecDeque<(Victim, Handle)>,
) -> anyhow::Result<Vec<Sighting>> {
    let left = Arc::new(Left::new(left));
    let mut threads = JoinSet::new();
    for admin in 0..admins {
        let mut lines = Vec::new();
        for gateway in &deployment.gateways {
            lines.push(Line::connect(*gateway, &deployment.admin_key)?);
        }
        // Each begins at another gateway.
        let at = admin % lines.len();
        lines.rotate_left(at);
        let left = Arc::clone(&left);
        threads.spawn_blocking(move || be_admin(&mut lines, &left));
    }
    let mut sightings = Vec::new();
    while let Some(seen) = threads.join_next().await {
        sightings.extend(seen??);
    }
    Ok(sightings)
}

fn be_admin(lines: &mut [Line], left: &Left) -> anyhow::Result<Vec<Sighting>> {
    let mut sightings = Vec::new();
    loop {
        let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let (Some((victim, handle)), Some(line)) = (next, lines.first_mut()) else {
            return Ok(sightings);
        };
        sightings.push(watch::take_away(victim, handle.take()?, line)?);
        lines.rotate_left(1);
    }
}

/// Seconds that we and the servers have been on a core.
fn cpu(deployment: &Deployment) -> anyhow::Result<f64> {
    let mut sum = own_cpu_time()?;
    for pid in &deployment.pids {
        sum += cpu_time(*pid)?;
    }
    Ok(sum.as_secs_f64())
}
