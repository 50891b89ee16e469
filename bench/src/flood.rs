//! What is left for calls while a flood of sign-ins, each with a token of its own, takes a part of
//! the server's core.
//!
//! What a sign-in costs is measured first, on the same server; then as many are let go as come to
//! the part, of the time that the server is on a core: other processes may want it too. The calls are those
//! of `echo`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::common::{Calls, Common};
use crate::frame::{Content, Frames};
use crate::load::{self, Shape, Shared, WARM_UP};
use crate::measure::{allow_sockets, at_least_one, cpu_time, quiet_memory};
use crate::report::{Report, Row};
use crate::rounds::Rounds;
use crate::server::{Arm, Placement, Server};
use crate::sign_ins::{self, SLOTS, Tokens, Work};
use crate::socket;

/// Sign-ins that tell what one costs.
const TRIED: usize = 2_000;
/// Sockets that sign in beside the calls: as many as it takes when each waits for its turn.
const FLOODING: usize = 256;
/// Between two looks at the server's time.
const PACE: Duration = Duration::from_millis(2);

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sockets carry calls.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    connections: usize,
    /// How many calls are outstanding on each socket.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=64))]
    depth: u64,
    /// The part of the server's time that sign-ins shall take, in hundredths.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u8).range(1..=90))]
    share: u8,
    #[command(flatten)]
    calls: Calls,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Alone,
    Flooded,
}

const PARTS: [(Part, &str); 2] = [(Part::Alone, "alone"), (Part::Flooded, "with sign-ins")];

#[derive(Debug, Clone, Copy)]
struct Sample {
    calls: load::Sample,
    /// The part of the server's time that sign-ins took, by their number and what one costs.
    share: f64,
}

impl Sample {
    fn p99(self) -> f64 {
        self.calls.p50 * self.calls.spread
    }
}

/// Measures and prints.
pub(crate) async fn run(args: &Args, placement: Placement) -> anyhow::Result<()> {
    allow_sockets(args.connections + SLOTS + FLOODING)?;
    let measure = async |(part, _)| {
        let server = Server::start(Arm::Tollgate, args.common.server(), placement).await?;
        match part {
            Part::Alone => alone(&server, args).await,
            Part::Flooded => flooded(&server, args).await,
        }
    };
    let rounds = Rounds::run(args.calls.rounds, &PARTS, measure).await?;
    let row = |name: &str, of: fn(Sample) -> f64, is_compared: bool| {
        let ratio = rounds.within(|[alone, flooded]| of(flooded) / of(alone));
        Row {
            name: name.to_owned(),
            figures: (0..).zip(PARTS).map(|(n, (_, name))| (name, rounds.figure(n, of))).collect(),
            ratios: is_compared.then_some(("with sign-ins / alone", ratio)).into_iter().collect(),
        }
    };
    let rows = vec![
        row("replies a second", |s| s.calls.rate, true),
        // The rate without those who want the core too.
        row("replies a second of the server's time on a core", |s| 1e6 / s.calls.cpu, true),
        row("p99 of the time of a call, us", Sample::p99, true),
        row("part of the server's time that sign-ins took", |s| s.share, false),
        // Near 1 the generator is the limit, and rates say little.
        row("part of its time that the generator ran", |s| s.calls.busy, false),
    ];
    let Args { connections, depth, share, calls: Calls { rounds, seconds, bytes }, .. } = args;
    let head = format!(
        "{connections} connections, depth {depth}, frames of {bytes} bytes, sign-ins for {share} % of its time, \
         {rounds} rounds of {seconds} s; {placement}"
    );
    Report { head, rows }.print(args.common.json)
}

fn calls(args: &Args) -> (Frames, Shape) {
    let time = args.calls.time();
    let shape = Shape { connections: args.connections, depth: args.depth, time };
    (Frames::new(Arm::Tollgate, args.calls.bytes, Content::Text), shape)
}

async fn alone(server: &Server, args: &Args) -> anyhow::Result<Sample> {
    let (frames, shape) = calls(args);
    Ok(Sample { calls: load::run(server, &frames, shape).await?, share: 0.0 })
}

async fn flooded(server: &Server, args: &Args) -> anyhow::Result<Sample> {
    let (frames, shape) = calls(args);
    let tried = Arc::new(Tokens::mint(&server.entrance, TRIED).await?);
    let one = sign_ins::measure(server, &tried, Work::OpenSockets).await?.cpu;
    let each = f64::from(args.share) / 100.0 * 1e6 / one;
    let tokens = tokens_for(each, WARM_UP + shape.time);
    let tokens = Arc::new(Tokens::mint(&server.entrance, tokens).await?);

    let mut flood = Vec::with_capacity(FLOODING);
    for _ in 0..FLOODING {
        flood.push(socket::open(&server.entrance).await?);
    }
    // What signing the tokens left to be done is done.
    quiet_memory(server.pid).await?;

    let (shared, due) = (Arc::new(Shared::default()), Arc::new(Semaphore::new(0)));
    let mut load = load::begin(server, &frames, shape, &shared).await?;
    let begun = cpu_time(server.pid)?;
    for socket in flood {
        load.spawn(sign_in_when_due(socket, Arc::clone(&tokens), Arc::clone(&due)));
    }
    load.spawn(pace(server.pid, each, Arc::clone(&due), Arc::clone(&shared)));
    let calls = load::measure(server, shape.time, &shared, load).await?;
    let spent = cpu_time(server.pid)?.saturating_sub(begun).as_secs_f64();
    Ok(Sample { calls, share: count(tokens.shown()) * one / 1e6 / spent })
}

/// Half as many again as a whole core could ask for: none must be lacking.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of tokens")]
fn tokens_for(each: f64, time: Duration) -> usize {
    (each * time.as_secs_f64() * 1.5) as usize + FLOODING
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

/// Lets sign-ins go: `each` for a second of the server's time.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of sign-ins")]
async fn pace(
    server: u32,
    each: f64,
    due: Arc<Semaphore>,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    let begun = cpu_time(server)?;
    let mut let_go = 0;
    while !shared.stopped.load(Ordering::Relaxed) {
        sleep(PACE).await;
        let spent = cpu_time(server)?.saturating_sub(begun).as_secs_f64();
        let more = ((spent * each) as usize).saturating_sub(let_go);
        due.add_permits(more);
        let_go += more;
    }
    due.close();
    Ok(())
}

/// Sign-ins on one socket, until there are no more.
async fn sign_in_when_due(
    mut socket: socket::Socket,
    tokens: Arc<Tokens>,
    due: Arc<Semaphore>,
) -> anyhow::Result<()> {
    while let Ok(turn) = due.acquire().await {
        turn.forget();
        let frame = tokens.take().context("too few tokens")?;
        socket::sign_in(&mut socket, frame).await?;
    }
    Ok(())
}
