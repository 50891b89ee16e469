//! The cost of a call: Tollgate beside a bare echo server, as it is tuned and as it comes.

use crate::common::{Calls, Common};
use crate::frame::{Content, Frames};
use crate::load::{self, Sample, Shape};
use crate::measure::{allow_sockets, at_least_one};
use crate::report::{Report, Row};
use crate::rounds::Rounds;
use crate::server::{Arm, Placement, Server};

const ARMS: [(Arm, &str); 3] =
    [(Arm::Bare, "bare"), (Arm::Stock, "stock"), (Arm::Tollgate, "tollgate")];

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sockets carry calls.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    connections: usize,
    /// How many calls are outstanding on each socket: one or more figures.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,16",
          value_parser = clap::value_parser!(u64).range(1..=64))]
    depth: Vec<u64>,
    #[command(flatten)]
    calls: Calls,
    /// What the request holds.
    #[arg(long, value_enum, default_value_t = Content::Text)]
    content: Content,
    #[command(flatten)]
    common: Common,
}

/// Measures and prints.
pub(crate) async fn run(args: &Args, placement: Placement) -> anyhow::Result<()> {
    allow_sockets(args.connections)?;
    let mut rows = Vec::new();
    for depth in &args.depth {
        let shape = Shape { connections: args.connections, depth: *depth, time: args.calls.time() };
        let measure = async |(arm, _)| {
            let server = Server::start(arm, args.common.server(), placement).await?;
            load::run(&server, &Frames::new(arm, args.calls.bytes, args.content), shape).await
        };
        rows.extend(reckon(*depth, &Rounds::run(args.calls.rounds, &ARMS, measure).await?));
    }
    let (connections, Calls { rounds, seconds, bytes }) = (args.connections, args.calls);
    let head = format!(
        "{connections} connections, frames of {bytes} bytes, {rounds} rounds of {seconds} s; {placement}"
    );
    Report { head, rows }.print(args.common.json)
}

fn reckon(depth: u64, rounds: &Rounds<Sample>) -> [Row; 4] {
    let row = |name: &str, of: fn(Sample) -> f64, is_compared: bool| {
        let figures = ARMS.iter().enumerate().map(|(n, (_, name))| (*name, rounds.figure(n, of)));
        let ratios = [
            ("tollgate / bare", rounds.within(|[bare, _, tollgate]| of(tollgate) / of(bare))),
            ("tollgate / stock", rounds.within(|[_, stock, tollgate]| of(tollgate) / of(stock))),
        ];
        Row {
            name: format!("depth {depth}: {name}"),
            figures: figures.collect(),
            ratios: if is_compared { ratios.to_vec() } else { Vec::new() },
        }
    };
    [
        row("server CPU, us a reply", |sample| sample.cpu, true),
        row("replies a second", |sample| sample.rate, true),
        // Near 1 the generator is the limit, and rates say little.
        row("part of its time that the generator ran", |sample| sample.busy, false),
        row("p99 over p50 of the time of a call", |sample| sample.spread, false),
    ]
}
