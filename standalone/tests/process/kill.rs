//! SIGKILL at a moment that nobody chose: whatever was acknowledged is there afterwards, and has its
//! line in the audit file.
//!
//! `TOLLGATE_KILLS` says how often; a few times without it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use tollgate_proto::audit::{AuditKey, Event, Line, Verifier, read_line};
use tollgate_proto::seal_key::SealKey;

use crate::server::{Folder, PATIENCE, Server, Started, post};

const WRITERS: u64 = 4;

/// What the server said it had done.
enum Acknowledged {
    User { id: String },
    Key { user: String, id: String, key: String },
    Revoked { id: String, key: String },
}

#[test]
fn what_was_acknowledged_outlives_kills() {
    let folder = Folder::new();
    let mut server = folder.serve();
    let admin = server.claim();
    let mut acknowledged = Vec::new();
    for round in 0..kills() {
        let (sender, receiver) = mpsc::channel();
        let address = server.address;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (admin, sender) = (admin.clone(), sender.clone());
                let name = format!("{round}-{writer}");
                std::thread::spawn(move || write(address, &admin, &name, &sender))
            })
            .collect();
        drop(sender);
        // The writers do not wait: the kill comes in the middle of what they have begun by now.
        let enough = 1 + usize::try_from(random(100)).unwrap();
        acknowledged.extend(receiver.iter().take(enough));
        server.kill();
        acknowledged.extend(receiver);
        for writer in writers {
            writer.join().unwrap();
        }
        server = folder.serve();
        check(&server, &admin, &acknowledged);
    }
    let (status, said) = server.terminate(PATIENCE);
    assert_eq!(status, Some(0), "{said:?}");
    check_audit(&folder.data(), &acknowledged);
}

#[test]
fn a_kill_during_the_first_start_leaves_a_folder_that_starts() {
    for _ in 0..kills() * 4 {
        let folder = Folder::new();
        let pause = Duration::from_micros(random(60_000));
        Started::start(&mut folder.command()).kill_after(pause);
        let server = folder.serve();
        assert!(server.whoami(&server.claim()).is_some(), "killed after {pause:?}");
    }
}

/// Makes users and keys, and revokes some, until the server is gone.
fn write(address: SocketAddr, admin: &str, name: &str, sender: &Sender<Acknowledged>) {
    let ask = |request: Value| {
        let (status, reply) = post(address, "/api/v1/iam", admin, &request).ok()?;
        assert!(status == 200 && reply.get("error").is_none(), "{status} {reply}");
        Some(reply)
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tell = |acknowledged| sender.send(acknowledged).unwrap();
    let turn = |number: u32| {
        let password = format!("nine violet kettles {number}");
        let user = json!({ "username": format!("{name}-{number}"), "password": password });
        let request = json!({ "operation": "create-user", "workspace": "default", "user": user });
        let user = text(&ask(request)?["user"]["id"]);
        tell(Acknowledged::User { id: user.clone() });
        for is_kept in [true, false, true] {
            let key = json!({ "user_id": user, "name": "kill" });
            let made = ask(json!({ "operation": "create-api-key", "key": key }))?;
            let (id, key) = (text(&made["api_key"]["id"]), text(&made["api_key_plaintext"]));
            if is_kept {
                tell(Acknowledged::Key { user: user.clone(), id, key });
            } else {
                ask(json!({ "operation": "revoke-api-key", "key_id": id }))?;
                tell(Acknowledged::Revoked { id, key });
            }
        }
        Some(())
    };
    let _ = (0..).try_for_each(turn);
}

fn check(server: &Server, admin: &str, acknowledged: &[Acknowledged]) {
    let request = json!({ "operation": "list-users" });
    let (_, reply) = server.post("/api/v1/iam", admin, &request).unwrap();
    let users = reply["users"].as_array().unwrap_or_else(|| panic!("the users are lost: {reply}"));
    for acknowledged in acknowledged {
        match acknowledged {
            Acknowledged::User { id } => {
                assert!(users.iter().any(|user| user["id"] == **id), "user {id} is lost");
            }
            Acknowledged::Key { user, id: _, key } => {
                assert_eq!(server.whoami(key).as_ref(), Some(user), "a key of {user} is lost");
            }
            Acknowledged::Revoked { id: _, key } => {
                assert_eq!(server.whoami(key), None, "a revocation is lost");
            }
        }
    }
}

/// The chain of the audit file is whole, and whatever was acknowledged has one line in it.
fn check_audit(data: &Path, acknowledged: &[Acknowledged]) {
    let key = SecretString::from(std::fs::read_to_string(data.join("seal.key")).unwrap().trim());
    let key = AuditKey::of(&SealKey::parse(&key).unwrap());
    let bytes = std::fs::read(data.join("audit.jsonl")).unwrap();
    let (mut from, mut text, mut verifier) = (&*bytes, Vec::new(), Verifier::default());
    let mut lines: HashMap<(Event, String), u32> = HashMap::new();
    while read_line(&mut from, &mut text).unwrap() > 0 {
        verifier.take(&text, &key.open(&text)).unwrap();
        let line: Line = serde_json::from_slice(&text).unwrap();
        assert_ne!(line.event, Event::AuditBroken, "{line:?}");
        if let Some(id) = line.target.and_then(|target| target.id) {
            *lines.entry((line.event, id.to_string())).or_default() += 1;
        }
    }
    for acknowledged in acknowledged {
        let (event, id) = match acknowledged {
            Acknowledged::User { id } => (Event::UserCreate, id),
            Acknowledged::Key { id, .. } => (Event::KeyCreate, id),
            Acknowledged::Revoked { id, .. } => (Event::KeyRevoke, id),
        };
        assert_eq!(lines.get(&(event, id.clone())), Some(&1), "lines of {event} {id}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no other configuration")]
fn kills() -> u32 {
    std::env::var("TOLLGATE_KILLS").map_or(5, |kills| kills.parse().unwrap())
}

/// Below `end`, and another one each time: that is what the test is about.
fn random(end: u64) -> u64 {
    RandomState::new().hash_one(()) % end
}
