//! SIGKILL at a moment that nobody chose: whatever was acknowledged is there afterwards.
//!
//! `TOLLGATE_KILLS` says how often; a few times without it.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Folder, Server, Started, post};

const WRITERS: u64 = 4;

/// What the server said it had done.
enum Acknowledged {
    User { id: String },
    Key { user: String, key: String },
    Revoked { key: String },
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
                tell(Acknowledged::Key { user: user.clone(), key });
            } else {
                ask(json!({ "operation": "revoke-api-key", "key_id": id }))?;
                tell(Acknowledged::Revoked { key });
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
            Acknowledged::Key { user, key } => {
                assert_eq!(server.whoami(key).as_ref(), Some(user), "a key of {user} is lost");
            }
            Acknowledged::Revoked { key } => {
                assert_eq!(server.whoami(key), None, "a revocation is lost");
            }
        }
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
