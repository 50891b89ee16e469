//! `tollgate-gateway`, the real binary: it reads its configuration again on SIGHUP, and stops on
//! SIGTERM; and what it does when it was stopped for a while.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod frozen;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Nothing that it says takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

struct Gateway {
    child: Child,
    lines: Receiver<String>,
    address: SocketAddr,
}

impl Gateway {
    fn start(folder: &Path, secret: &str, settings: &[(&str, &str)]) -> Self {
        let file = folder.join("secret");
        std::fs::write(&file, secret).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-gateway"));
        command.current_dir(folder).stderr(Stdio::piped());
        let own = [
            ("GATEWAY__LISTEN", "127.0.0.1:0"),
            ("GATEWAY__ADMIN_LISTEN", "127.0.0.1:0"),
            ("GATEWAY__REGISTRY_FILE", "registry.toml"),
            ("LINK__SECRET_FILE", "secret"),
        ];
        for (setting, value) in own.iter().chain(settings) {
            command.env(format!("TOLLGATE_{setting}"), value);
        }
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut gateway = Self { child, lines, address: ([0; 4], 0).into() };
        let line = gateway.said("the gateway is listening");
        gateway.address = line.rsplit_once('=').unwrap().1.parse().unwrap();
        gateway
    }

    /// The next line with this text.
    fn said(&self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(_) => {}
                Err(error) => panic!("no {text:?}: {error}"),
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// The status that a call of a service gets without a credential.
    fn status(&self, service: &str) -> u16 {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let path = format!("/api/v1/flow/default/service/{service}");
        write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // One that has ended is not there any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_takes_over_a_registry_on_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let registry = folder.path().join("registry.toml");
    std::fs::write(&registry, "").unwrap();
    let mut gateway = Gateway::start(folder.path(), "0123456789abcdef0123456789abcdef", &[]);
    assert_eq!(gateway.status("mine"), 404);

    let stanza = "[flow-service.mine]\ncapability = \"llm\"\nbackend = \"echo\"\n";
    std::fs::write(&registry, stanza).unwrap();
    gateway.signal("HUP");
    gateway.said("the configuration was read again");
    assert_eq!(gateway.status("mine"), 401);

    std::fs::write(&registry, "[flow-service.mine]\n").unwrap();
    gateway.signal("HUP");
    gateway.said("the configuration cannot be used; the one in force stays");
    assert_eq!(gateway.status("mine"), 401);

    gateway.signal("TERM");
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
}
