//! Those who change things until the server is gone, and tell what it said it had done.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tollgate_e2e::process::{Server, post};

const WRITERS: u64 = 4;

/// What the server said it had done, and what it was asked and may have done.
pub(super) enum Told {
    User {
        id: String,
    },
    Key {
        user: String,
        id: String,
        key: String,
    },
    /// About to be revoked: it may be dead from now on.
    Revoking {
        key: String,
    },
    Revoked {
        id: String,
        key: String,
    },
    /// A user is about to be disabled or deleted: its keys may be dead from now on.
    Ending {
        user: String,
    },
    /// Disabled and enabled again: its keys stay dead.
    Disabled {
        user: String,
    },
    Deleted {
        user: String,
    },
}

pub(super) struct Writers {
    threads: Vec<JoinHandle<()>>,
    told: Receiver<Told>,
}

impl Writers {
    pub(super) fn start(server: &Server, admin: &str, round: u32) -> Self {
        let (sender, told) = mpsc::channel();
        let threads = (0..WRITERS).map(|writer| {
            let name = format!("{round}-{writer}");
            let (address, admin, sender) = (server.address, admin.to_owned(), sender.clone());
            std::thread::spawn(move || Writer { address, admin, sender }.write(&name))
        });
        Self { threads: threads.collect(), told }
    }

    /// What they tell, as long as they go on.
    pub(super) fn told(&self) -> impl Iterator<Item = Told> {
        self.told.iter()
    }

    /// Waits until all have ended. What they told meanwhile.
    pub(super) fn join(self) -> Vec<Told> {
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.told.iter().collect()
    }
}

struct Writer {
    address: SocketAddr,
    admin: String,
    sender: Sender<Told>,
}

impl Writer {
    /// Goes on until the server is gone.
    fn write(&self, name: &str) {
        let _ = (0..).try_for_each(|number| self.turn(name, number));
    }

    /// A user with keys, one of them revoked; every third user is disabled for a moment, and
    /// another third deleted.
    fn turn(&self, name: &str, number: u32) -> Option<()> {
        let password = format!("nine violet kettles {number}");
        let user = json!({ "username": format!("{name}-{number}"), "password": password });
        let request = json!({ "operation": "create-user", "workspace": "default", "user": user });
        let user = text(&self.ask(&request)?["user"]["id"]);
        self.tell(Told::User { id: user.clone() });
        for is_kept in [true, false, true] {
            let key = json!({ "user_id": user, "name": "kill" });
            let made = self.ask(&json!({ "operation": "create-api-key", "key": key }))?;
            let (id, key) = (text(&made["api_key"]["id"]), text(&made["api_key_plaintext"]));
            self.tell(Told::Key { user: user.clone(), id: id.clone(), key: key.clone() });
            if !is_kept {
                self.tell(Told::Revoking { key: key.clone() });
                self.ask(&json!({ "operation": "revoke-api-key", "key_id": id }))?;
                self.tell(Told::Revoked { id, key });
            }
        }
        let over = |operation: &str| json!({ "operation": operation, "user_id": user });
        match number % 3 {
            1 => {
                self.tell(Told::Ending { user: user.clone() });
                self.ask(&over("disable-user"))?;
                self.tell(Told::Disabled { user: user.clone() });
                self.ask(&over("enable-user"))?;
            }
            2 => {
                self.tell(Told::Ending { user: user.clone() });
                self.ask(&over("delete-user"))?;
                self.tell(Told::Deleted { user: user.clone() });
            }
            _ => {}
        }
        Some(())
    }

    /// One operation; none, if the server is gone.
    fn ask(&self, request: &Value) -> Option<Value> {
        let (status, reply) = post(self.address, "/api/v1/iam", &self.admin, request).ok()?;
        assert!(status == 200 && reply.get("error").is_none(), "{status} {reply}");
        Some(reply)
    }

    fn tell(&self, told: Told) {
        self.sender.send(told).unwrap();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
