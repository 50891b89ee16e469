//! The servers that are measured, as child processes, and the cores they run on.
//!
//! In: which one. Out: its address and process id once it listens, and for Tollgate the admin's
//! key. It is killed with the value. Ports are the system's choice, so a server that somebody
//! left behind is never measured by mistake.

use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::claim::claim;

const PATIENCE: Duration = Duration::from_secs(30);
const SERVER_CORE: &str = "0";
const GENERATOR_CORE: &str = "1";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arm {
    /// The yardstick.
    Bare,
    /// The same as its libraries come: their buffers, and a flush for each reply.
    Stock,
    /// Gateway and IAM in one process.
    Tollgate,
    /// The same, with a service at this address behind it.
    Hop(SocketAddr),
    /// That service, which is measured alone too.
    Upstream,
}

/// Which cores server and generator have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// One core each.
    Pinned,
    /// Wherever the system puts them.
    Free,
}

/// How to get in.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What to authenticate with, if it asks.
    pub(crate) token: Option<String>,
}

/// A running server.
pub(crate) struct Server {
    /// Where its clients come in.
    pub(crate) entrance: Entrance,
    /// Its process.
    pub(crate) pid: u32,
    _process: Process,
    _data: TempDir,
}

/// A child process that listens.
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: u32,
    /// Where it said that it listens.
    pub(crate) address: SocketAddr,
    _child: Child,
    _words: JoinSet<()>,
}

impl Placement {
    /// Takes the generator's core for this process, which must not have other threads yet.
    pub(crate) fn take() -> Self {
        let taken = std::process::Command::new("taskset")
            .args(["-c", "-p", GENERATOR_CORE, &std::process::id().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if taken.is_ok_and(|status| status.success()) { Self::Pinned } else { Self::Free }
    }

    fn command(self, program: &Path) -> Command {
        match self {
            Self::Pinned => {
                let mut command = Command::new("taskset");
                command.args(["-c", SERVER_CORE]).arg(program);
                command
            }
            Self::Free => Command::new(program),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => {
                write!(f, "server on core {SERVER_CORE}, generator on core {GENERATOR_CORE}")
            }
            Self::Free => f.write_str("not pinned to cores"),
        }
    }
}

impl Server {
    /// Starts one and waits until it listens; Tollgate is claimed too. `program` is Tollgate's
    /// binary, if it is not the one beside ours.
    pub(crate) async fn start(
        arm: Arm,
        program: Option<&Path>,
        placement: Placement,
    ) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let command = match arm {
            Arm::Bare => ourselves(placement, "bare-echo")?,
            Arm::Stock => ourselves(placement, "stock-echo")?,
            Arm::Upstream => ourselves(placement, "bare-upstream")?,
            Arm::Tollgate => tollgate(program, placement, data.path(), "")?,
            Arm::Hop(service) => {
                let url = format!("http://{service}/");
                let stanza = format!("[flow-service.embeddings]\nbackend = \"{url}\"\n");
                tollgate(program, placement, data.path(), &stanza)?
            }
        };
        let process = Process::start(command).await?;
        let address = process.address;
        let token = match arm {
            Arm::Bare | Arm::Stock | Arm::Upstream => None,
            Arm::Tollgate | Arm::Hop(_) => Some(timeout(PATIENCE, claim(address)).await??),
        };
        let entrance = Entrance { address, token };
        Ok(Self { entrance, pid: process.pid, _process: process, _data: data })
    }
}

impl Process {
    /// Starts it and waits until it listens. It is killed with the value.
    pub(crate) async fn start(mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().context("the server did not start")?;
        let pid = child.id().context("the server has ended")?;
        let stderr = child.stderr.take().context("the server has no stderr")?;
        let mut lines = BufReader::new(stderr).lines();
        let address =
            timeout(PATIENCE, greeting(&mut lines)).await.context("the server is silent")??;
        let mut words = JoinSet::new();
        words.spawn(pass_on(lines));
        Ok(Self { pid, address, _child: child, _words: words })
    }
}

fn ourselves(placement: Placement, what: &str) -> anyhow::Result<Command> {
    let mut command = placement.command(&std::env::current_exe()?);
    command.arg(what);
    Ok(command)
}

/// Gateway and IAM in one process, on this folder; `program` is the binary, if it is not the one
/// beside ours.
pub(crate) fn tollgate(
    program: Option<&Path>,
    placement: Placement,
    data: &Path,
    registry: &str,
) -> anyhow::Result<Command> {
    let program = program.map_or_else(beside_us, |path| Ok(path.to_owned()))?;
    let services = data.join("registry.toml");
    std::fs::write(&services, registry)?;
    let mut command = on_ports_of_its_own(placement, &program, data)?;
    command.env("TOLLGATE_GATEWAY__REGISTRY_FILE", services);
    command.args(["--log", "error"]).arg("--data-dir").arg(data.join("data"));
    Ok(command)
}

/// One of our servers, with its defaults but for the ports.
pub(crate) fn on_ports_of_its_own(
    placement: Placement,
    program: &Path,
    folder: &Path,
) -> anyhow::Result<Command> {
    // No file: the settings are the defaults, whatever lies where it is started.
    let settings = folder.join("tollgate.toml");
    std::fs::write(&settings, "")?;
    let mut command = placement.command(program);
    command.arg("--config").arg(settings);
    for listener in ["GATEWAY__LISTEN", "GATEWAY__ADMIN_LISTEN", "IAM__LISTEN", "IAM__ADMIN_LISTEN"]
    {
        command.env(format!("TOLLGATE_{listener}"), "127.0.0.1:0");
    }
    Ok(command)
}

/// The binary `tollgate` that was built with us.
pub(crate) fn beside_us() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("tollgate");
    if !program.exists() {
        bail!(
            "{} is not there: build it in the same profile, or name it with --server",
            program.display()
        );
    }
    Ok(program)
}

/// Reads up to the line that says where clients connect.
async fn greeting(lines: &mut Lines<BufReader<ChildStderr>>) -> anyhow::Result<SocketAddr> {
    let mut said = String::new();
    while let Some(line) = lines.next_line().await? {
        if let Some(address) = address_in(&line) {
            return Ok(address);
        }
        said = line;
    }
    bail!("the server ended before it listened: {said}")
}

/// In the greeting of `tollgate`, or in the line of a log.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, behind) = line.split_once("://").or_else(|| line.split_once("address="))?;
    behind.split(['/', ' ']).next()?.parse().ok()
}

/// Whatever else the server says goes to our stderr, and never fills its pipe.
async fn pass_on(mut lines: Lines<BufReader<ChildStderr>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        if !is_greeting(&line) {
            let _ = writeln!(std::io::stderr(), "server: {line}");
        }
    }
}

/// What it says when all is well.
fn is_greeting(line: &str) -> bool {
    line.starts_with("Nobody owns it yet") || line.contains(" INFO ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_greeting() {
        let line = "Clients connect to ws://127.0.0.1:81/api/v1/socket and http://127.0.0.1:81";
        assert_eq!(address_in(line), Some("127.0.0.1:81".parse().unwrap()));
        let line = "2026-01-01T00:00:00Z  INFO iam is listening address=127.0.0.1:82 journal=x";
        assert_eq!(address_in(line), Some("127.0.0.1:82".parse().unwrap()));
        assert_eq!(address_in("Tollgate 0.1.0"), None);
    }
}
