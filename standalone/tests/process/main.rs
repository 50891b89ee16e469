//! The real binary, as a process: what it says, what it keeps, how it refuses and how it ends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod kill;
mod logs;
mod drain;
mod flood;
mod frozen;
mod readers;
mod reload;
mod restart;
mod supervisor;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message};
use tollgate_e2e::process::{Folder, PATIENCE, Server, Started};

/// A server with nothing to do ends at once; this is for a machine that is busy.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn the_first_start_offers_the_claim_and_the_second_keeps_everything() {
    let folder = folder();
    let greeting = |server: &Server, next: &str| {
        let (address, data) = (server.address, folder.data());
        let version = env!("CARGO_PKG_VERSION");
        vec![
            format!("Tollgate {version}: WebSocket gateway and IAM in one process."),
            format!(
                "Clients connect to ws://{address}/api/v1/socket and http://{address}; \
                 data is in {}.",
                data.display()
            ),
            next.to_owned(),
        ]
    };

    let server = folder.serve();
    let offer = "Nobody owns it yet: `tg bootstrap-iam` prints the admin's API key, once.";
    assert_eq!(server.greeting, greeting(&server, offer));
    let key = server.claim();
    let admin = server.whoami(&key).unwrap();
    let (status, said) = server.terminate(SOON);
    assert_eq!(status, Some(0));
    // Nobody reads it on a terminal, so it comes without colours.
    let claimed = format!(" WARN the deployment was claimed user={admin}");
    assert!(matches!(said.as_slice(), [line] if line.ends_with(&claimed)), "{said:?}");

    let server = folder.serve();
    let next = "`tg whoami` with an API key or a login tells who you are.";
    assert_eq!(server.greeting, greeting(&server, next));
    assert_eq!(server.whoami(&key), Some(admin));
    let again = server.post("/api/v1/auth/bootstrap", "", &json!({})).unwrap();
    assert_eq!(again, (401, json!({ "error": "auth failure" })));
    assert_eq!(server.terminate(SOON), (Some(0), vec![]));
}

#[test]
fn a_taken_port_is_one_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (variable, setting) in [
        ("TOLLGATE_GATEWAY__LISTEN", "gateway.listen"),
        ("TOLLGATE_GATEWAY__ADMIN_LISTEN", "gateway.admin_listen"),
        ("TOLLGATE_IAM__LISTEN", "iam.listen"),
    ] {
        refuses(
            folder().command().env(variable, address.to_string()),
            &format!("{address} is already in use; stop what listens there or set {setting}"),
        );
    }
}

#[test]
fn a_data_folder_that_cannot_be_used_is_one_sentence() {
    let folder = folder();
    std::fs::write(folder.path("file"), "").unwrap();
    let below = folder.path("file").join("data");
    for (path, why) in [
        (below.as_path(), "Not a directory (os error 20)"),
        (&folder.path("file"), "File exists (os error 17)"),
        // The kernel lets nobody write here, not even root.
        (Path::new("/proc/data"), "No such file or directory (os error 2)"),
    ] {
        refuses(&mut folder.command_on(path), &format!("iam.data_dir: {}: {why}", path.display()));
    }
}

#[test]
fn a_second_process_on_the_same_data_is_one_sentence() {
    let folder = folder();
    let server = folder.serve();
    let data = folder.data();
    refuses(
        &mut folder.command(),
        &format!("{} is in use by another process; stop it or set iam.data_dir", data.display()),
    );
    // The first one does not mind.
    assert!(server.whoami(&server.claim()).is_some());
}

#[test]
fn an_unknown_setting_is_named_with_its_file_and_the_valid_ones() {
    let folder = folder();
    std::fs::write(folder.path("tollgate.toml"), "[gateway]\nlisten_on = \"127.0.0.1:1\"\n")
        .unwrap();
    refuses(
        &mut folder.command(),
        "tollgate.toml: gateway.listen_on: unknown field `listen_on`, expected one of `listen`, \
         `admin_listen`, `iam_url`, `registry_file`, `origins`, `allow_plaintext`, `require_tls`, `proxies`, `tls`, `drain`, \
         `auth`, `compat`, `limits`",
    );
    assert!(!folder.data().exists());
}

#[test]
fn the_configuration_is_checked_and_printed_without_a_start() {
    let folder = folder();
    assert_eq!(printed(folder.command().arg("--check-config")), "ok\n");
    let shown = printed(folder.command().arg("--print-config"));
    assert!(shown.contains("rounds = 100000\n"), "{shown}");
    std::fs::write(folder.path("shown.toml"), &shown).unwrap();
    let with = |flag: &str| printed(folder.bare().args(["--config", "shown.toml", flag]));
    assert_eq!(with("--check-config"), "ok\n");
    assert_eq!(with("--print-config"), shown);
    assert!(!folder.data().exists());

    let server = Server::start(folder.bare().args(["--config", "shown.toml"]));
    assert_eq!(server.terminate(SOON), (Some(0), vec![]));
}

#[test]
fn sigterm_ends_it_soon_while_a_socket_is_idle() {
    let folder = folder();
    let server = folder.serve();
    let key = server.claim();
    let (mut socket, _) =
        tungstenite::connect(format!("ws://{}/api/v1/socket", server.address)).unwrap();
    let auth = json!({ "type": "auth", "token": key });
    socket.send(Message::text(auth.to_string())).unwrap();
    let answer: Value = serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(answer["type"], "auth-ok", "{answer}");
    // Frames until the close, which is the last.
    let client = std::thread::spawn(move || {
        std::iter::from_fn(|| socket.read().ok()).collect::<Vec<Message>>()
    });
    assert_eq!(server.terminate(SOON).0, Some(0));
    let received = client.join().unwrap();
    let Some(Message::Close(Some(close))) = received.last() else { panic!("{received:?}") };
    assert_eq!(u16::from(close.code), 1012, "{received:?}");
}

#[test]
fn the_healthcheck_tells_a_running_server_from_none() {
    let folder = folder();
    let free = free_address(20_000..30_000);
    let with_port = || {
        let mut command = folder.command();
        command.env("TOLLGATE_GATEWAY__ADMIN_LISTEN", &free);
        command
    };
    let check = || Started::start(with_port().arg("healthcheck")).wait(PATIENCE).0;
    assert_eq!(check(), Some(1));
    let server = Server::start(&mut with_port());
    assert_eq!(check(), Some(0));
    assert_eq!(server.terminate(SOON).0, Some(0));
    assert_eq!(check(), Some(1));
}

/// redb takes no more writes after one has failed, so the process says that it is of no use; the
/// next one has whatever was acknowledged.
#[test]
fn a_full_disk_ends_readiness_and_a_restart_heals_it() {
    let folder = folder();
    let server = folder.serve();
    let admin = server.claim();
    assert_eq!(server.terminate(SOON).0, Some(0));
    let free = free_address(10_000..20_000);
    let status = || {
        let mut command = folder.command();
        command.env("TOLLGATE_GATEWAY__ADMIN_LISTEN", &free).arg("healthcheck");
        Started::start(&mut command).wait(PATIENCE).0
    };
    // No file may grow beyond what the journal has now, in blocks of 512 bytes; a write beyond fails,
    // and does not kill.
    let blocks = folder.data().join("iam.redb").metadata().unwrap().len() / 512;
    let mut command = folder.command();
    command.env("TOLLGATE_GATEWAY__ADMIN_LISTEN", &free);
    let server =
        Server::start(&mut limited(&command, &format!("trap '' XFSZ; ulimit -f {blocks}")));
    assert_eq!(status(), Some(0));
    let make = |server: &Server, number: u32| {
        let name = "n".repeat(200);
        let workspace = json!({ "id": format!("w{number}"), "name": name });
        let request = json!({ "operation": "create-workspace", "workspace_record": workspace });
        let (status, reply) = server.post("/api/v1/iam", &admin, &request).unwrap();
        status == 200 && reply.get("error").is_none()
    };
    let count = (0..5_000).take_while(|number| make(&server, *number)).count();
    assert!(count < 5_000, "the disk was never full");
    assert_eq!(status(), Some(1), "after {count}");
    assert!(!make(&server, 5_000));
    let (_, said) = server.terminate(SOON);
    let told = said.iter().filter(|line| line.contains("restart this process")).count();
    assert_eq!(told, 1, "{said:?}");

    let server = folder.serve();
    let request = json!({ "operation": "list-workspaces" });
    let (_, reply) = server.post("/api/v1/iam", &admin, &request).unwrap();
    let there = reply["workspaces"].as_array().unwrap();
    for number in 0..count {
        let id = format!("w{number}");
        assert!(there.iter().any(|workspace| workspace["id"] == *id), "{id} is lost");
    }
    assert!(make(&server, 5_000));
}

/// The same, behind these words of the shell.
fn limited(command: &Command, words: &str) -> Command {
    let mut shell = Command::new("sh");
    let limit = format!("{words}; exec \"$0\" \"$@\"");
    shell.args(["-c", &limit]).arg(command.get_program()).args(command.get_args());
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().unwrap());
    shell
}

/// Of ports below those that the system hands out, of which other tests take many meanwhile.
fn free_address(mut ports: std::ops::Range<u16>) -> String {
    let free =
        ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()?.local_addr().ok());
    free.unwrap().to_string()
}

/// A folder for the binary of this crate.
fn folder() -> Folder {
    Folder::new(env!("CARGO_BIN_EXE_tollgate"))
}

/// Expects a process that ends with status 2 and nothing but this sentence.
fn refuses(command: &mut Command, sentence: &str) {
    let ended = Started::start(command).wait(PATIENCE);
    assert_eq!(ended, (Some(2), vec![format!("tollgate: {sentence}")]));
}

/// What a process that ends well prints.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
