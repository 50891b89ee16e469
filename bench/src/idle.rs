//! Memory of idle sockets: the difference that they make to a process, by their number.

use std::path::PathBuf;

use crate::frame::Frames;
use crate::measure::{allow_sockets, at_least_one, quiet_memory};
use crate::quartiles::Quartiles;
use crate::report::{self, Output};
use crate::server::{Arm, Placement, Server};
use crate::socket;

/// The frame of the one call that each socket makes.
const BYTES: usize = 4 << 10;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many sockets are open at once.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = at_least_one)]
    sockets: usize,
    /// How often, with fresh servers each time.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one)]
    rounds: usize,
    /// The tollgate binary, if it is not the one beside this one.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Bytes a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Authenticated where that is asked, and silent since.
    pub(crate) idle: f64,
    /// After one call of 4 KiB on each.
    pub(crate) used: f64,
}

/// The memory of both servers in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// The yardstick's.
    pub(crate) bare: Memory,
    /// Tollgate's.
    pub(crate) tollgate: Memory,
}

/// Measures and prints.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    allow_sockets(args.sockets)?;
    let mut rounds = Vec::with_capacity(args.rounds);
    for _ in 0..args.rounds {
        let bare = measure(Arm::Bare, args).await?;
        let tollgate = measure(Arm::Tollgate, args).await?;
        rounds.push(Round { bare, tollgate });
    }
    let of = |figure: fn(&Round) -> f64| Quartiles::of(rounds.iter().map(figure));
    let rows = [
        ("idle", of(|r| r.bare.idle), of(|r| r.tollgate.idle), {
            of(|r| r.tollgate.idle / r.bare.idle)
        }),
        ("after a 4-KiB call", of(|r| r.bare.used), of(|r| r.tollgate.used), {
            of(|r| r.tollgate.used / r.bare.used)
        }),
    ];
    let output = Output::new(args.json);
    report::idle(output, args.sockets, args.rounds, &rows)
}

async fn measure(arm: Arm, args: &Args) -> anyhow::Result<Memory> {
    let server = Server::start(arm, args.server.as_deref(), Placement::Free).await?;
    let frames = Frames::new(arm, BYTES);
    // What is made once, with the first socket and the first call, is no socket's.
    let mut first = socket::open(&server).await?;
    socket::call(&mut first, &frames).await?;
    let empty = quiet_memory(server.pid).await?;
    let mut sockets = Vec::with_capacity(args.sockets);
    for _ in 0..args.sockets {
        sockets.push(socket::open(&server).await?);
    }
    let idle = quiet_memory(server.pid).await?;
    for socket in &mut sockets {
        socket::call(socket, &frames).await?;
    }
    let used = quiet_memory(server.pid).await?;
    Ok(Memory { idle: each(idle, empty, args.sockets), used: each(used, empty, args.sockets) })
}

#[expect(clippy::cast_precision_loss, reason = "bytes far below 2^52")]
fn each(after: u64, before: u64, sockets: usize) -> f64 {
    after.saturating_sub(before) as f64 / sockets as f64
}
