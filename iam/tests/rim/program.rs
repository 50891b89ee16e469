//! The program itself, as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tollgate_runtime::clock::ManualClock;
use tollgate_runtime::lifecycle::Lifecycle;

use super::harness::{Iam, NOW_MS, Person};

pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-iam"));
    command
        .current_dir(folder)
        .env("TOLLGATE_IAM__ADMIN_LISTEN", "127.0.0.1:0")
        .env("TOLLGATE_LOG__FORMAT", "json")
        .args(["--listen", "127.0.0.1:0", "--data-dir", "data"])
        .stderr(Stdio::piped());
    command
}

/// Starts the program and waits until it says where it listens.
pub(crate) fn start(folder: &Path, more: &[(&str, &str)]) -> (Child, SocketAddr) {
    let mut child = program(folder)
        .env("TOLLGATE_LINK__SECRET_FILE", "secret")
        .args(["--bootstrap-mode", "bootstrap"])
        .envs(more.iter().copied())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().contains("iam is listening"));
    let line: serde_json::Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
    // Whatever it says later must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, line["address"].as_str().unwrap().parse().unwrap())
}

pub(crate) fn at(address: SocketAddr, folder: &Arc<tempfile::TempDir>) -> Iam {
    let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
    Iam { address, clock, life, folder: Arc::clone(folder) }
}

/// Makes workspaces as long as somebody answers; gives those that were answered.
pub(crate) async fn write_until_gone(
    iam: Arc<Iam>,
    admin: Arc<Person>,
    prefix: String,
) -> Vec<String> {
    let mut answered = Vec::new();
    for n in 0.. {
        let id = format!("{prefix}-{n}");
        if !iam.try_workspace(&admin, &id).await {
            break;
        }
        answered.push(id);
    }
    answered
}

/// SIGKILL.
pub(crate) fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
