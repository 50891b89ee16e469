//! What must be so, from what writers told, and whether it is.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use secrecy::SecretString;
use serde_json::json;
use tollgate_e2e::process::Server;
use tollgate_proto::audit::{AuditKey, Event, Line, Verifier, read_line};
use tollgate_proto::seal_key::SealKey;

use super::random;
use super::writers::Told;

/// All that was told.
#[derive(Default)]
pub(super) struct Facts {
    /// Those who must be there.
    users: HashSet<String>,
    /// Those who must not.
    deleted: HashSet<String>,
    /// By plaintext: the owner, and what must be so.
    keys: Vec<(String, String, Fate)>,
    /// The lines that the audit file must have, once each.
    lines: Vec<(Event, String)>,
}

/// What must be so of a key.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Opens,
    Dead,
    /// Its end was asked for and not answered.
    Unknown,
}

impl Facts {
    pub(super) fn note(&mut self, told: Vec<Told>) {
        for told in told {
            match told {
                Told::User { id } => {
                    self.lines.push((Event::UserCreate, id.clone()));
                    self.users.insert(id);
                }
                Told::Key { user, id, key } => {
                    self.lines.push((Event::KeyCreate, id));
                    self.keys.push((key, user, Fate::Opens));
                }
                Told::Revoking { key } => self.move_keys(|of, _| of == key, Fate::Unknown),
                Told::Revoked { id, key } => {
                    self.lines.push((Event::KeyRevoke, id));
                    self.move_keys(|of, _| of == key, Fate::Dead);
                }
                Told::Ending { user } => {
                    self.move_keys(|_, of| of == user, Fate::Unknown);
                    self.users.remove(&user);
                }
                Told::Disabled { user } => {
                    self.lines.push((Event::UserDisable, user.clone()));
                    self.move_keys(|_, of| of == user, Fate::Dead);
                    self.users.insert(user);
                }
                Told::Deleted { user } => {
                    self.lines.push((Event::UserDelete, user.clone()));
                    self.move_keys(|_, of| of == user, Fate::Dead);
                    self.deleted.insert(user);
                }
            }
        }
    }

    /// Whatever may have ended does not become alive by being asked for again.
    fn move_keys(&mut self, is: impl Fn(&str, &str) -> bool, to: Fate) {
        let moved = self.keys.iter_mut().filter(|(key, user, _)| is(key, user));
        for (_, _, fate) in moved.filter(|(_, _, fate)| *fate != Fate::Dead) {
            *fate = to;
        }
    }

    /// All users, and the newest keys with as many of the others.
    pub(super) fn check(&self, server: &Server, admin: &str, sample: usize) {
        let request = json!({ "operation": "list-users" });
        let (_, reply) = server.post("/api/v1/iam", admin, &request).unwrap();
        let users = reply["users"].as_array().unwrap_or_else(|| panic!("users are lost: {reply}"));
        let there: HashSet<_> = users.iter().filter_map(|user| user["id"].as_str()).collect();
        for id in &self.users {
            assert!(there.contains(&**id), "user {id} is lost");
        }
        for id in &self.deleted {
            assert!(!there.contains(&**id), "user {id} is back");
        }
        let (older, newest) = self.keys.split_at(self.keys.len().saturating_sub(sample));
        let others = older.len().min(sample);
        let random = |_| &older[usize::try_from(random(older.len() as u64)).unwrap()];
        for (key, user, fate) in (0..others).map(random).chain(newest) {
            match (fate, server.whoami(key)) {
                (Fate::Opens, found) => assert_eq!(found.as_ref(), Some(user), "a key is lost"),
                (Fate::Dead, found) => assert_eq!(found, None, "a dead key of {user} is alive"),
                (Fate::Unknown, _) => {}
            }
        }
    }

    /// The chain of the audit file is whole, and whatever was acknowledged has one line in it.
    pub(super) fn check_audit(&self, data: &Path) {
        let key = std::fs::read_to_string(data.join("seal.key")).unwrap();
        let key = SealKey::parse(&SecretString::from(key.trim())).unwrap();
        let key = AuditKey::of(&key);
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
        for (event, id) in &self.lines {
            assert_eq!(lines.get(&(*event, id.clone())), Some(&1), "lines of {event} {id}");
        }
    }
}
