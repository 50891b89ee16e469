//! The users, keys, sessions and workspaces of a run, made through IAM as an admin makes them.
//!
//! Bystanders are close to what ends: they hold other keys of users whose key is revoked, and keys of
//! users whose password is reset.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use serde_json::{Value, json};

use super::line::{IAM, Line};
use super::victim::{KINDS, Kind, Victim};

/// Requests under way: IAM lets 32 wait for a hash, and no more.
const HANDS: usize = 12;
/// Users who share the keys that are revoked.
const OWNERS: usize = 24;
const PASSWORD: &str = "eleven green kettles sing";

/// Everybody.
pub(crate) struct People {
    /// In the order of their end.
    pub(crate) victims: Vec<Victim>,
    /// API keys that nobody touches.
    pub(crate) keys: Vec<String>,
}

/// A user, and a key of it.
struct User {
    id: String,
    key: String,
}

impl People {
    /// Makes them, over all gateways.
    pub(crate) fn make(
        gateways: &[SocketAddr],
        admin_key: &str,
        victims: usize,
    ) -> anyhow::Result<Self> {
        let owners = in_parallel(gateways, admin_key, OWNERS, |line, number| {
            user(line, &format!("owner-{number}"), "default")
        })?;
        let made = in_parallel(gateways, admin_key, victims, |line, number| {
            victim(line, number, &owners)
        })?;
        let mut keys: Vec<_> = owners.into_iter().map(|owner| owner.key).collect();
        let (victims, kept): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        keys.extend(kept.into_iter().flatten());
        Ok(Self { victims, keys })
    }
}

/// One victim, and a key of the same user that outlives it.
fn victim(
    line: &mut Line,
    number: usize,
    owners: &[User],
) -> anyhow::Result<(Victim, Option<String>)> {
    let kind = *KINDS.get(number % KINDS.len()).context("no kind")?;
    let name = format!("victim-{number}");
    let victim = |id: String, token: String| Victim { kind, id, token };
    Ok(match kind {
        Kind::Key => {
            let owner = owners.get(number / KINDS.len() % OWNERS).context("no owner")?;
            let (id, key) = key(line, &owner.id)?;
            (victim(id, key), None)
        }
        Kind::Disabled | Kind::Deleted | Kind::Role => {
            let User { id, key } = user(line, &name, "default")?;
            (victim(id, key), None)
        }
        Kind::Workspace => {
            let record = json!({ "id": name });
            let made = json!({ "operation": "create-workspace", "workspace_record": record });
            line.call(IAM, &made)?;
            let User { id: _, key } = user(line, &name, &name)?;
            (victim(name, key), None)
        }
        Kind::Password => {
            let User { id, key } = user(line, &name, "default")?;
            let login = json!({ "username": name, "password": PASSWORD });
            let session = text(&line.call("/api/v1/auth/login", &login)?, "/jwt")?;
            (victim(id, session), Some(key))
        }
    })
}

fn user(line: &mut Line, name: &str, workspace: &str) -> anyhow::Result<User> {
    let user = json!({ "username": name, "password": PASSWORD, "roles": ["reader"] });
    let made = json!({ "operation": "create-user", "workspace": workspace, "user": user });
    let id = text(&line.call(IAM, &made)?, "/user/id")?;
    let (_, key) = key(line, &id)?;
    Ok(User { id, key })
}

/// A key for a user: its id, and itself.
fn key(line: &mut Line, user: &str) -> anyhow::Result<(String, String)> {
    let key = json!({ "user_id": user, "name": "bench" });
    let made = line.call(IAM, &json!({ "operation": "create-api-key", "key": key }))?;
    Ok((text(&made, "/api_key/id")?, text(&made, "/api_key_plaintext")?))
}

fn text(answer: &Value, at: &str) -> anyhow::Result<String> {
    let text = answer.pointer(at).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {at} in {answer}"))?.to_owned())
}

/// Makes so many, with several hands, in their order.
fn in_parallel<T: Send>(
    gateways: &[SocketAddr],
    admin_key: &str,
    count: usize,
    make: impl Fn(&mut Line, usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let work = |gateway: SocketAddr| {
        let (mut line, mut done) = (Line::connect(gateway, admin_key)?, Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return anyhow::Ok(done);
            }
            done.push((number, make(&mut line, number)?));
        }
    };
    let mut all = Vec::with_capacity(count);
    std::thread::scope(|scope| {
        let hands: Vec<_> =
            gateways.iter().cycle().take(HANDS).map(|at| scope.spawn(|| work(*at))).collect();
        for hand in hands {
            let done = hand.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?;
            all.extend(done?);
        }
        anyhow::Ok(())
    })?;
    all.sort_unstable_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, done)| done).collect())
}
