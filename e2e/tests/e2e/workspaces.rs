//! No path leads into a workspace that a caller has no right in: every entry of the registry is
//! asked for by everybody, in every workspace, in every place where a workspace can be named, over
//! a socket, over HTTP, and as a socket of its own.
//!
//! What must come out is worked out from the table in [`law`], which knows nothing of the server;
//! what reaches a service must carry the workspace that was authorised, and no other. Operations
//! of IAM itself are in `permissions`.

mod law;
mod ask;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use tollgate_proto::iam::known_operations;

use ask::{Asked, spellings};
use law::{Caller, Outcome};
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
                // Any name fits.
                let service = service.replace('*', "any/thing");
                let capability = capability.as_str().context("no text")?.to_owned();
                entries.push(Entry { way, service, capability });
                anyhow::Ok(())
            };
            match (table.as_str(), &**service) {
                ("flow-service", _) => put(Way::Flow, &stanza["capability"])?,
                ("flow-import", _) => put(Way::Data("import"), &stanza["capability"])?,
                ("flow-export", _) => put(Way::Data("export"), &stanza["capability"])?,
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
    let mut seen: BTreeSet<(Entry, bool)> = BTreeSet::new();
    for caller in Caller::ALL {
        let asked: Vec<Asked> = entries
            .iter()
            .flat_map(|entry| {
                spellings(&entry.way).iter().map(move |how| Asked { entry, how: *how })
            })
            .collect();
        let answers = stage.ask_all(*caller, &asked).await?;
        for (asked, answer) in asked.iter().zip(answers) {
            let expect = law::outcome(*caller, &asked.entry.capability, asked.how.meant());
            if answer != expect {
                wrong.push(format!("{caller:?} {asked:?}: {answer:?}, and not {expect:?}"));
            }
            let is_allowed = matches!(answer, Outcome::Runs { .. });
            ran += usize::from(is_allowed);
            seen.insert((asked.entry.clone(), is_allowed));
        }
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(stage.posted(), ran, "what is refused reaches no service");
    for entry in entries {
        for is_allowed in [true, false] {
            let cell = (entry.clone(), is_allowed);
            assert!(seen.contains(&cell), "{entry:?} is never seen with allowed: {is_allowed}");
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
    // `streams` asks for each of these, as the same kinds of callers.
    let streams = ["document-stream", "export-core", "import-core"].map(str::to_owned);
    assert_eq!(others.remove("stream"), Some(BTreeSet::from(streams)));
    assert!(others.remove("metrics").is_some());
    assert!(others.is_empty(), "{others:?} must be asked for");
    let file: toml::Table = toml::from_str(include_str!("../../../gateway/default.toml"))?;
    let operations = file["service"]["iam"]["operations"].as_table().context("no operations")?;
    let operations: BTreeSet<&str> = operations.keys().map(String::as_str).collect();
    // `permissions` has lines for each of these.
    assert_eq!(operations, known_operations().iter().copied().collect());
    Ok(())
}
