//! The cost of a call: both servers under the same load, one after the other within a round, each
//! a fresh process, in an order that changes from round to round.

use std::path::PathBuf;
use std::time::Duration;

use crate::frame::Frames;
use crate::load::{self, Sample, Shape};
use crate::measure::{allow_sockets, at_least_one};
use crate::quartiles::Quartiles;
use crate::report::{self, EchoRow, Output};
use crate::server::{Arm, Placement, Server};

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
    /// How often each server is measured.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = at_least_one)]
    rounds: usize,
    /// How long each measurement takes.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How long the frame of a call is.
    #[arg(long, value_name = "N", default_value_t = 256)]
    bytes: usize,
    /// The tollgate binary, if it is not the one beside this one.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Both servers in one round.
struct Round {
    bare: Sample,
    tollgate: Sample,
}

/// Measures and prints.
pub(crate) async fn run(args: &Args, placement: &Placement) -> anyhow::Result<()> {
    allow_sockets(args.connections)?;
    let mut rounds: Vec<(u64, Vec<Round>)> =
        args.depth.iter().map(|depth| (*depth, Vec::with_capacity(args.rounds))).collect();
    for number in 0..args.rounds {
        // Every depth in every round, so that a noisy minute touches all alike.
        for (place, (depth, seen)) in rounds.iter_mut().enumerate() {
            let shape = Shape {
                connections: args.connections,
                depth: *depth,
                time: Duration::from_secs(args.seconds),
            };
            let bare_first = (number + place).is_multiple_of(2);
            seen.push(measure_both(args, *placement, shape, bare_first).await?);
        }
    }
    let rows: Vec<EchoRow> =
        rounds.iter().map(|(depth, rounds)| summarise(*depth, rounds)).collect();
    let head = format!(
        "{} connections, frames of {} bytes, {} rounds of {} s; {placement}",
        args.connections, args.bytes, args.rounds, args.seconds
    );
    report::echo(Output::new(args.json), &head, &rows)
}

async fn measure_both(
    args: &Args,
    placement: Placement,
    shape: Shape,
    bare_first: bool,
) -> anyhow::Result<Round> {
    let sample = async |arm| {
        let server = Server::start(arm, args.server.as_deref(), placement).await?;
        load::run(&server, &Frames::new(arm, args.bytes), shape).await
    };
    if bare_first {
        let bare = sample(Arm::Bare).await?;
        Ok(Round { bare, tollgate: sample(Arm::Tollgate).await? })
    } else {
        let tollgate = sample(Arm::Tollgate).await?;
        Ok(Round { bare: sample(Arm::Bare).await?, tollgate })
    }
}

fn summarise(depth: u64, rounds: &[Round]) -> EchoRow {
    let of = |figure: fn(&Round) -> f64| Quartiles::of(rounds.iter().map(figure));
    EchoRow {
        depth,
        cpu: [of(|r| r.bare.cpu), of(|r| r.tollgate.cpu), of(|r| r.tollgate.cpu / r.bare.cpu)],
        rate: [of(|r| r.bare.rate), of(|r| r.tollgate.rate), of(|r| r.tollgate.rate / r.bare.rate)],
        busy: [of(|r| r.bare.busy), of(|r| r.tollgate.busy)],
    }
}
