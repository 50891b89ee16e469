//! The published command line `trustgraph-cli`, unchanged, against Tollgate. It holds the same table
//! as our own `tg` does (`cli/tests/cli/real.rs`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::task::spawn_blocking;
use tollgate_e2e::{commands, packages};

/// The newest one on `PyPI`.
const PACKAGE: &str = "trustgraph-cli";

#[tokio::test]
async fn every_iam_command_works_unchanged() -> anyhow::Result<()> {
    let python = python().await?;
    let folder = python.parent().context("no folder")?;
    let offered = iam_commands(&python)?;
    assert_eq!(offered, commands::names()?.into_iter().map(str::to_owned).collect());
    commands::check(folder).await
}

async fn python() -> anyhow::Result<PathBuf> {
    spawn_blocking(|| packages::python(env!("CARGO_TARGET_TMPDIR"), PACKAGE, None)).await?
}

/// The commands of the package that ask IAM: their modules import what it has for that.
fn iam_commands(python: &Path) -> anyhow::Result<BTreeSet<String>> {
    let print = "import pathlib, trustgraph.cli as cli; print(pathlib.Path(cli.__file__).parent)";
    let modules = packages::run(PACKAGE, std::process::Command::new(python).args(["-c", print]))?;
    let mut names = BTreeSet::new();
    for module in std::fs::read_dir(String::from_utf8(modules)?.trim())? {
        let path = module?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".py"))
        else {
            continue;
        };
        let asks_iam = std::fs::read_to_string(&path)?.contains("from ._iam import");
        if asks_iam || name == "bootstrap_iam" {
            names.insert(format!("tg-{}", name.replace('_', "-")));
        }
    }
    Ok(names)
}
