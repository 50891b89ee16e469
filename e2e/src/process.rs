//! A binary of ours as a child process, in a folder and on ports of its own, and HTTP by hand.
//!
//! In: where the binary is, which only the tests of its own crate know. Whatever goes wrong here
//! fails the test at once.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing that a process says takes longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A folder in which processes run and keep their data.
pub struct Folder {
    binary: PathBuf,
    folder: TempDir,
}

/// A process that was started.
pub struct Started {
    child: Child,
    /// What it says on stderr, line by line, until it has ended.
    lines: Receiver<String>,
}

/// A process that has greeted.
pub struct Server {
    /// Where clients connect.
    pub address: SocketAddr,
    /// What it said until it was ready.
    pub greeting: Vec<String>,
    started: Started,
}

impl Folder {
    /// One for this binary.
    pub fn new(binary: &str) -> Self {
        Self { binary: binary.into(), folder: tempfile::tempdir().unwrap() }
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The binary, without any setting.
    pub fn bare(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// The binary on this folder's data, on ports that the system picks.
    pub fn command(&self) -> Command {
        self.command_on(&self.data())
    }

    /// The binary on other data.
    pub fn command_on(&self, data: &Path) -> Command {
        let mut command = self.bare();
        command.arg("--data-dir").arg(data).env("TOLLGATE_IAM__PASSWORD__ROUNDS", "100000");
        for setting in ["GATEWAY__LISTEN", "GATEWAY__ADMIN_LISTEN", "IAM__LISTEN"] {
            command.env(format!("TOLLGATE_{setting}"), "127.0.0.1:0");
        }
        // Nothing to warn of: whatever it says is what it has to say.
        command.env("TOLLGATE_LOG__LEVEL", "warn");
        command
    }

    /// A server on this folder's data.
    pub fn serve(&self) -> Server {
        Server::start(&mut self.command())
    }
}

impl Started {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// What it says up to the first line that holds `end`.
    pub fn said_until(&self, end: &str) -> Vec<String> {
        let mut said = Vec::new();
        while said.last().is_none_or(|line: &String| !line.contains(end)) {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => said.push(line),
                Err(error) => panic!("no {end:?} ({error}): {said:?}"),
            }
        }
        said
    }

    /// The status and the rest of stderr; killed if it has not ended after `patience`.
    pub fn wait(mut self, patience: Duration) -> (Option<i32>, Vec<String>) {
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(patience) {
                Ok(line) => said.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    said.push(format!("(killed after {patience:?})"));
                    self.child.kill().unwrap();
                    break;
                }
            }
        }
        (self.child.wait().unwrap().code(), said)
    }

    /// SIGKILL after a while.
    pub fn kill_after(mut self, pause: Duration) {
        let _ = self.lines.recv_timeout(pause);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Server {
    /// Starts one and waits until it has greeted. What its log says before is passed over.
    pub fn start(command: &mut Command) -> Self {
        let started = Started::start(command);
        let mut greeting = Vec::new();
        while greeting.len() < 3 {
            match started.lines.recv_timeout(PATIENCE) {
                Ok(line) if greeting.is_empty() && !line.starts_with("Tollgate ") => {}
                Ok(line) => greeting.push(line),
                Err(error) => panic!("it did not start ({error}): {greeting:?}"),
            }
        }
        let address = greeting[1].split(['/', ' ']).find_map(|word| word.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {greeting:?}"));
        Self { address, greeting, started }
    }

    /// One HTTP request: status and JSON.
    pub fn post(&self, path: &str, token: &str, body: &Value) -> io::Result<(u16, Value)> {
        post(self.address, path, token, body)
    }

    /// Claims it: the admin's API key.
    pub fn claim(&self) -> String {
        let (status, reply) = self.post("/api/v1/auth/bootstrap", "", &json!({})).unwrap();
        assert_eq!(status, 200, "{reply}");
        reply["bootstrap_admin_api_key"].as_str().unwrap().to_owned()
    }

    /// The id of the user that a key stands for.
    pub fn whoami(&self, key: &str) -> Option<String> {
        let body = json!({ "operation": "whoami" });
        let (status, reply) = self.post("/api/v1/iam", key, &body).unwrap();
        assert!(status == 200 || status == 401, "{status} {reply}");
        reply["user"]["id"].as_str().map(str::to_owned)
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.started.kill_after(Duration::ZERO);
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.started.child.id()
    }

    /// A signal, by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.started.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// What it says up to the first line that holds `end`.
    pub fn said_until(&self, end: &str) -> Vec<String> {
        self.started.said_until(end)
    }

    /// SIGTERM: the status, and what it said from then on.
    pub fn terminate(self, patience: Duration) -> (Option<i32>, Vec<String>) {
        self.signal("TERM");
        self.wait(patience)
    }

    /// The status, and the rest of what it says.
    pub fn wait(self, patience: Duration) -> (Option<i32>, Vec<String>) {
        self.started.wait(patience)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind; one that has ended is not there any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One HTTP/1.1 request on a connection of its own: status and JSON.
pub fn post(
    address: SocketAddr,
    path: &str,
    token: &str,
    body: &Value,
) -> io::Result<(u16, Value)> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let parts = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).ok()?))
    });
    // A process that was killed may have said half of it.
    parts.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
