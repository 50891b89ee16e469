//! What is tried: `tollgate` alone, or several gateways and one IAM, each a process of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::claim::claim;
use crate::server::{Placement, Process, beside_us, on_ports_of_its_own, tollgate};

/// The fewest that IAM takes: most of the time of a run is that of making users.
const ROUNDS: (&str, &str) = ("TOLLGATE_IAM__PASSWORD__ROUNDS", "100000");

/// It ends with the value.
pub(crate) struct Deployment {
    /// Where clients come in.
    pub(crate) gateways: Vec<SocketAddr>,
    /// The API key of the admin.
    pub(crate) admin_key: String,
    /// The processes.
    pub(crate) pids: Vec<u32>,
    /// IAM's audit file.
    pub(crate) audit: PathBuf,
    _processes: Vec<Process>,
    _folder: TempDir,
}

impl Deployment {
    /// Starts and claims one. `program` is `tollgate`, if it is not the one beside ours.
    pub(crate) async fn start(gateways: usize, program: Option<&Path>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut processes = Vec::new();
        let addresses: Vec<_> = if gateways == 1 {
            let mut command = tollgate(program, Placement::Free, folder.path(), "")?;
            command.env(ROUNDS.0, ROUNDS.1).env("TOLLGATE_LOG__LEVEL", "warn");
            processes.push(Process::start(command).await?);
            processes.iter().map(|process| process.address).collect()
        } else {
            let tollgate = program.map_or_else(beside_us, |path| Ok(path.to_owned()))?;
            let secret = folder.path().join("link.secret");
            write_secret(&secret)?;
            let command = |name: &str| -> anyhow::Result<Command> {
                let program = tollgate.with_file_name(name);
                let mut command = on_ports_of_its_own(Placement::Free, &program, folder.path())?;
                command.args(["--log", "info"]).env("TOLLGATE_LINK__SECRET_FILE", &secret);
                Ok(command)
            };
            let mut iam = command("tollgate-iam")?;
            iam.arg("--data-dir").arg(folder.path().join("data")).env(ROUNDS.0, ROUNDS.1);
            iam.env("TOLLGATE_IAM__BOOTSTRAP_MODE", "bootstrap");
            let iam = Process::start(iam).await?;
            let iam_url = format!("http://{}", iam.address);
            processes.push(iam);
            for _ in 0..gateways {
                let mut gateway = command("tollgate-gateway")?;
                gateway.env("TOLLGATE_GATEWAY__IAM_URL", &iam_url);
                processes.push(Process::start(gateway).await?);
            }
            processes.iter().skip(1).map(|process| process.address).collect()
        };
        let mut admin_key = String::new();
        if let Some(gateway) = addresses.first() {
            admin_key = claim(*gateway).await?;
        }
        Ok(Self {
            gateways: addresses,
            admin_key,
            pids: processes.iter().map(|process| process.pid).collect(),
            audit: folder.path().join("data/audit.jsonl"),
            _processes: processes,
            _folder: folder,
        })
    }
}

/// It guards nothing but this run.
fn write_secret(path: &Path) -> anyhow::Result<()> {
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(writeln!(file, "{}", "5a".repeat(32))?)
}
