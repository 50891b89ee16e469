//! The published command line `trustgraph-cli`, unchanged, against Tollgate.
//!
//! What asks IAM holds the same table as our own `tg` does (`cli/tests/cli/real.rs`). What asks the
//! services behind the gateway is run from transcripts, with services that the test plays. A newer
//! package may bring commands: each must be in one of the two, or be named here with the reason.

mod transcript;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use expect_test::expect_file;
use tokio::task::spawn_blocking;
use tollgate_e2e::services::Services;
use tollgate_e2e::{Tollgate, commands, packages};

use transcript::Shell;

/// The newest one on `PyPI`.
const PACKAGE: &str = "trustgraph-cli";

/// Commands that are not run here, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("tg-dump-queues", "speaks to the message bus itself"),
    ("tg-monitor-prompts", "speaks to the message bus itself"),
    ("tg-save-doc-embeds", "sends no token to any server, and hangs when it is refused"),
];

#[tokio::test]
async fn every_iam_command_works_unchanged() -> anyhow::Result<()> {
    commands::check(&programs().await?).await
}

#[tokio::test]
async fn every_command_of_the_package_is_accounted_for() -> anyhow::Result<()> {
    let mut known: BTreeSet<&str> = commands::names()?;
    known.extend(TRANSCRIPTS.iter().copied().flat_map(transcript::commands));
    for (command, reason) in NOT_RUN {
        assert!(known.insert(command), "{command} is run, and {reason}");
    }
    let offered = offered(&programs().await?)?;
    assert_eq!(offered.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
    Ok(())
}

/// A test for each transcript, so that they run side by side.
macro_rules! transcripts {
    ($($name:ident: $file:literal;)*) => {
        const TRANSCRIPTS: &[&str] =
            &[$(include_str!(concat!("../../transcripts/cli/", $file))),*];
        $(
        #[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            let text = include_str!(concat!("../../transcripts/cli/", $file));
            let came = run(text).await?;
            expect_file![concat!("../../transcripts/cli/", $file)].assert_eq(&came);
            Ok(())
        }
    )*};
}

transcripts! {
    commands_for_configuration: "config.txt";
    commands_for_flows: "flows.txt";
    commands_for_documents: "library.txt";
    commands_for_cores: "knowledge.txt";
    commands_that_call_a_flow: "calls.txt";
    commands_that_read_the_graph: "graph.txt";
    commands_that_import: "imports.txt";
    commands_that_watch: "watching.txt";
}

/// Runs a transcript as an admin of a workspace that is not the default one.
async fn run(text: &str) -> anyhow::Result<String> {
    let programs = programs().await?;
    let services = Services::start().await?;
    let tollgate = Tollgate::start_with_registry(&services.registry()).await?;
    let (_, token) = tollgate.user_in("acme", "ada", "admin").await?;
    let folder = tempfile::tempdir()?;
    let shell = Shell {
        programs: &programs,
        folder: folder.path(),
        url: &tollgate.url(),
        token: &token,
        workspace: "acme",
    };
    shell.run(&services, text).await
}

/// The folder of the package's commands.
async fn programs() -> anyhow::Result<PathBuf> {
    let cache = env!("CARGO_TARGET_TMPDIR");
    let python = spawn_blocking(|| packages::python(cache, PACKAGE, None)).await??;
    Ok(python.parent().context("no folder")?.to_owned())
}

/// The commands that the package says it has.
fn offered(programs: &Path) -> anyhow::Result<BTreeSet<String>> {
    let print = "from importlib.metadata import distribution as d\n\
                 print(*(e.name for e in d('trustgraph-cli').entry_points))";
    let mut python = std::process::Command::new(programs.join("python"));
    let names = packages::run(PACKAGE, python.args(["-c", print]))?;
    Ok(String::from_utf8(names)?.split_whitespace().map(str::to_owned).collect())
}
