//! No path leads into a workspace that a caller has no right in: every entry of the registry is
//! asked for by everybody, in every workspace, in every place where a workspace can be named, over
//! a socket, over HTTP, as a socket of its own and as a stream of bytes.
//!
//! What must come out is worked out from the table in [`law`], which knows nothing of the server;
//! what reaches a service must carry the workspace that was authorised, and no other. Operations
//! of IAM itself are in `permissions`. A route or a stanza that nothing here asks for fails a test.

mod law;
mod ask;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use tollgate_proto::error::ErrorKind;
use tollgate_proto::iam::known_operations;

use ask::{Asked, spellings};
use law::{Caller, Outcome, Place};
use stage::Stage;

/// What callers can name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    way: Way,
    service: String,
    capability: String,
}

/// How it is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// A service of a flow.
    Flow,
    /// A service of the workspace, with this operation.
    Operation(String),
    /// A socket into a flow or out of it: `import` or `export`.
    Data(&'static str),
    /// Bytes from a backend or for it.
    Stream,
    /// What belongs to the deployment, and to no workspace.
    Metrics,
}

impl Entry {
    /// As the router has it.
    fn route(&self) -> String {
        match &self.way {
            Way::Flow => "/api/v1/flow/{flow}/service/{*kind}".to_owned(),
            Way::Operation(_) => "/api/v1/{kind}".to_owned(),
            Way::Data(data) => format!("/api/v1/flow/{{flow}}/{data}/{{kind}}"),
            Way::Stream => format!("/api/v1/{}", self.service),
            Way::Metrics => "/api/metrics/{*path}".to_owned(),
        }
    }
}

/// What came of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Allowed,
    Refused,
    /// By somebody who is at home there.
    WithoutCapability,
}

/// Names, by the table of the registry in which they stand.
type Others = BTreeMap<String, BTreeSet<String>>;

/// The registry as its file has it: what can be called, and what else there is.
fn registry() -> anyhow::Result<(Vec<Entry>, Others)> {
    let file: toml::Table = toml::from_str(include_str!("../../../gateway/default.toml"))?;
    let (mut entries, mut others) = (Vec::new(), Others::new());
    for (table, stanzas) in &file {
        for (service, stanza) in stanzas.as_table().context("no table")? {
            let mut put = |way: Way, capability: &toml::Value| {
                // Any name fits, slashes and all.
                let service = service.replace('*', "any/thing");
                let capability = capability.as_str().context("no text")?.to_owned();
                entries.push(Entry { way, service, capability });
                anyhow::Ok(())
            };
            match (table.as_str(), &**service) {
                ("flow-service", _) => put(Way::Flow, &stanza["capability"])?,
                ("flow-import", _) => put(Way::Data("import"), &stanza["capability"])?,
                ("flow-export", _) => put(Way::Data("export"), &stanza["capability"])?,
                ("stream", _) => put(Way::Stream, &stanza["capability"])?,
                ("metrics", "capability") => entries.push(Entry {
                    way: Way::Metrics,
                    service: table.clone(),
                    capability: stanza.as_str().context("no text")?.to_owned(),
                }),
                ("service", name) if name != "iam" => {
                    for (operation, capability) in
                        stanza["operations"].as_table().context("none")?
                    {
                        put(Way::Operation(operation.clone()), capability)?;
                    }
                }
                (other, _) => {
                    others.entry(other.to_owned()).or_default().insert(service.clone());
                }
            }
        }
    }
    Ok((entries, others))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_is_allowed_and_refused_as_the_law_has_it() -> anyhow::Result<()> {
    let (entries, _) = registry()?;
    let stage = Stage::set(&entries).await?;
    let (mut wrong, mut ran) = (Vec::new(), 0);
    let mut seen: BTreeSet<(Entry, Seen)> = BTreeSet::new();
    for caller in Caller::ALL {
        let asked: Vec<Asked> = entries
            .iter()
            .flat_map(|entry| {
                spellings(&entry.way).iter().map(move |how| Asked { entry, how: *how })
            })
            .collect();
        let answers = stage.ask_all(*caller, &asked).await?;
        for (asked, answer) in asked.iter().zip(answers) {
            let expect =
                law::outcome(*caller, &asked.entry.capability, asked.how.meant(&asked.entry.way));
            if answer != expect {
                wrong.push(format!("{caller:?} {asked:?}: {answer:?}, and not {expect:?}"));
            }
            let is_at_home = asked.how.meant(&asked.entry.way) == Place::Workspace(None);
            let what = match answer {
                Outcome::Runs { .. } => Seen::Allowed,
                Outcome::Refused(ErrorKind::AccessDenied) if is_at_home => Seen::WithoutCapability,
                Outcome::Refused(_) => Seen::Refused,
            };
            ran += usize::from(what == Seen::Allowed);
            seen.insert((asked.entry.clone(), what));
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(stage.posted(), ran, "what is refused reaches no service");
    for entry in entries {
        let is_placed = entry.way != Way::Metrics;
        for what in [Seen::Allowed, Seen::Refused, Seen::WithoutCapability] {
            let cell = (entry.clone(), what);
            let can_be = is_placed || what != Seen::WithoutCapability;
            assert_eq!(seen.contains(&cell), can_be, "{cell:?}");
        }
    }
    Ok(())
}

/// What is in the registry beside those is asked elsewhere.
#[test]
fn what_is_not_asked_here_is_asked_elsewhere() -> anyhow::Result<()> {
    let (_, mut others) = registry()?;
    assert!(others.remove("backend").is_some());
    assert_eq!(others.remove("service"), Some(BTreeSet::from(["iam".to_owned()])));
    assert_eq!(others.remove("metrics"), Some(BTreeSet::from(["timeout".to_owned()])));
    assert!(others.is_empty(), "{others:?} must be asked for");
    let file: toml::Table = toml::from_str(include_str!("../../../gateway/default.toml"))?;
    let operations = file["service"]["iam"]["operations"].as_table().context("no operations")?;
    let operations: BTreeSet<&str> = operations.keys().map(String::as_str).collect();
    // `permissions` has lines for each of these.
    assert_eq!(operations, known_operations().iter().copied().collect());
    Ok(())
}

/// A new route is asked for here, or said to be elsewhere.
#[test]
fn every_route_is_asked_for() -> anyhow::Result<()> {
    let source = include_str!("../../../gateway/src/http.rs");
    let routes = source.split(".route(").skip(1).filter_map(|after| after.split('"').nth(1));
    let served: BTreeSet<String> = routes.map(str::to_owned).collect();
    let (entries, _) = registry()?;
    let mut asked: BTreeSet<String> = entries.iter().map(Entry::route).collect();
    // Sockets, whose frames are asked here too.
    asked.extend(["/api/v1/socket", "/api/socket"].map(str::to_owned));
    // IAM itself: `permissions`. Those who are nobody yet, and whoever changes a password: `auth`.
    let elsewhere =
        ["iam", "auth/bootstrap", "auth/bootstrap-status", "auth/login", "auth/change-password"];
    asked.extend(elsewhere.map(|path| format!("/api/v1/{path}")));
    assert_eq!(served, asked);
    Ok(())
}
