//! The files that start Tollgate in containers and under systemd name what there is, and publish
//! nothing but gateways, to this machine.

use std::fs::read_to_string;
use std::path::Path;
use std::time::Duration;

use tollgate::Settings;
use tollgate_runtime::config::{Flags, load};
use tollgate_runtime::units::Period;

const FILES: [&str; 5] = [
    "Dockerfile",
    "docker-compose.yml",
    "deploy/systemd/tollgate.service",
    "deploy/systemd/tollgate-gateway.service",
    "deploy/systemd/tollgate-iam.service",
];
/// What a stop may take beyond the drain.
const BEYOND_DRAIN: Duration = Duration::from_secs(11);

/// The lines of all files that say something, and where each stands.
fn lines() -> std::io::Result<Vec<(&'static str, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = Vec::new();
    for file in FILES {
        let text = read_to_string(root.join(file))?;
        let said = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        all.extend(said.map(|line| (file, line.to_owned())));
    }
    Ok(all)
}

fn settings(environment: &[(&str, &str)]) -> Result<Settings, String> {
    let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    load(&tollgate::DEFAULTS, &Flags::default(), environment).map_err(|error| error.to_string())
}

#[test]
fn what_is_set_in_a_container_is_a_setting() {
    let mut seen = 0;
    for (file, line) in lines().unwrap() {
        let Some(at) = line.find("TOLLGATE_") else { continue };
        let (name, value) = line[at..].split_once([':', '=']).unwrap();
        // These two are for the command line: services have sections.
        if !name.contains("__") {
            assert!(["TOLLGATE_URL", "TOLLGATE_TOKEN"].contains(&name), "{file}: {line}");
            continue;
        }
        let value = value.trim().trim_matches(['"', '\'']);
        settings(&[(name, value)]).unwrap_or_else(|error| panic!("{file}: {line}: {error}"));
        seen += 1;
    }
    assert!(seen > 8, "only {seen} settings were found");
}

#[test]
fn only_this_machine_reaches_what_is_published() {
    let all = lines().unwrap();
    let published: Vec<_> = all.iter().filter(|(_, line)| line.starts_with("ports:")).collect();
    assert!(!published.is_empty());
    for (file, line) in published {
        assert!(line.starts_with("ports: [\"127.0.0.1:"), "{file}: {line}");
        assert!(line.ends_with(":8088\"]"), "{file}: {line}");
    }
}

#[test]
fn a_stop_is_given_the_time_that_it_takes() {
    let drain = settings(&[]).unwrap().gateway.drain.0;
    let mut seen = 0;
    for (file, line) in lines().unwrap() {
        let given = line.strip_prefix("stop_grace_period: ");
        let Some(given) = given.or(line.strip_prefix("TimeoutStopSec=")) else { continue };
        let Period(given) = given.parse().unwrap();
        assert!(given > drain + BEYOND_DRAIN, "{file}: {line}");
        seen += 1;
    }
    assert!(seen > 3, "only {seen} were found");
}
