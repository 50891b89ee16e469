//! The cost of a service behind Tollgate, over HTTP, beside the two things that it takes at
//! least: a bare WebSocket echo, and a bare HTTP client of the same service.
//!
//! Many sockets show the CPU a call, one socket with one call the time that the gateway adds.

use std::path::PathBuf;
use std::time::Duration;

use crate::frame::Frames;
use crate::load::{self, Sample, Shape};
use crate::measure::{allow_sockets, at_least_one};
use crate::quartiles::Quartiles;
use crate::report::{self, HopRow, Output};
use crate::server::{Arm, Placement, Server};
use crate::upstream;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sockets carry calls when CPU is measured.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    connections: usize,
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

/// What the three came to in one round.
struct Round {
    echo: Sample,
    client: Sample,
    hop: Sample,
}

/// Measures and prints.
pub(crate) async fn run(args: &Args, placement: Placement) -> anyhow::Result<()> {
    allow_sockets(2 * args.connections)?;
    let shape =
        |connections| Shape { connections, depth: 1, time: Duration::from_secs(args.seconds) };
    let (mut many, mut one) = (Vec::new(), Vec::new());
    for number in 0..args.rounds {
        many.push(round(args, placement, shape(args.connections), number).await?);
        one.push(round(args, placement, shape(1), number).await?);
    }
    let cpu = |of: fn(&Round) -> f64| Quartiles::of(many.iter().map(of));
    let time = |of: fn(&Round) -> f64| Quartiles::of(one.iter().map(of));
    let rows = [
        HopRow {
            name: "gateway CPU, us a call",
            figures: [cpu(|r| r.echo.cpu), cpu(|r| r.client.cpu), cpu(|r| r.hop.cpu)],
            ratio: cpu(|r| r.hop.cpu / (r.echo.cpu + r.client.cpu)),
            meaning: "tollgate / (echo + client)",
        },
        HopRow {
            name: "one call at a time, us",
            figures: [time(|r| us(r.echo)), time(|r| us(r.client)), time(|r| us(r.hop))],
            ratio: time(|r| (us(r.hop) - us(r.client)) / us(r.echo)),
            meaning: "(tollgate - client) / echo",
        },
    ];
    let head = format!(
        "{} connections, frames of {} bytes, {} rounds of {} s; {placement}",
        args.connections, args.bytes, args.rounds, args.seconds
    );
    report::hop(Output::new(args.json), &head, &rows)
}

/// The mean time of a call, where one is outstanding.
fn us(sample: Sample) -> f64 {
    1e6 / sample.rate
}

async fn round(
    args: &Args,
    placement: Placement,
    shape: Shape,
    number: usize,
) -> anyhow::Result<Round> {
    let echo = async {
        let server = Server::start(Arm::Bare, None, placement).await?;
        load::run(&server, &Frames::new(Arm::Bare, args.bytes), shape).await
    };
    let client = async {
        let service = Server::start(Arm::Upstream, None, placement).await?;
        upstream::ask(&service, args.bytes, shape).await
    };
    let hop = async {
        // On the generator's core, with the generator: the gateway has its own.
        let service = Server::start(Arm::Upstream, None, Placement::Free).await?;
        let arm = Arm::Hop(service.address);
        let server = Server::start(arm, args.server.as_deref(), placement).await?;
        load::run(&server, &Frames::new(arm, args.bytes), shape).await
    };
    if number.is_multiple_of(2) {
        let (echo, client) = (echo.await?, client.await?);
        Ok(Round { echo, client, hop: hop.await? })
    } else {
        let (hop, client) = (hop.await?, client.await?);
        Ok(Round { echo: echo.await?, client, hop })
    }
}
