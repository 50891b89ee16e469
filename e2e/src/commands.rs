//! The command line for IAM that scripts know, as one table: what is typed, and what must come.
//!
//! In: a folder with programs of those names (`tg-login`, `tg-create-user`, …), whoever wrote
//! them. Out: nothing, or the rows that did not hold. The rows build on each other, and what
//! a command claims to have done is followed up by the next ones.

mod compare;
mod rows;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::{PASSWORD, Tollgate};
use compare::Kept;
use rows::{ROWS, Row};

/// No command takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Every command of the table. Each is seen to succeed and to fail.
pub fn names() -> anyhow::Result<BTreeSet<&'static str>> {
    let tried = |succeeds: bool| -> BTreeSet<_> {
        let rows = ROWS.iter().filter(|row| (row.exit == 0) == succeeds);
        rows.filter_map(|row| row.typed.split(' ').next()).collect()
    };
    let (succeeding, failing) = (tried(true), tried(false));
    ensure!(succeeding == failing, "{succeeding:?} succeed, and {failing:?} fail");
    Ok(succeeding)
}

/// Runs all rows against a Tollgate that nobody has claimed.
pub async fn check(folder: &Path) -> anyhow::Result<()> {
    let tollgate = Tollgate::start_unclaimed(&[]).await?;
    let home = tempfile::tempdir()?;
    let (url, home) = (tollgate.url(), home.path());
    let mut kept = Kept::new([
        ("first", PASSWORD),
        ("second", "twelve brown buckets hum along"),
        ("wrong", "thirteen grey ladders whisper"),
        ("name", "Ann B."),
        ("context", r#"{"tier": "gold"}"#),
        ("nobody", "00000000-0000-4000-8000-000000000000"),
    ]);
    let mut failures = Vec::new();
    for row in ROWS {
        if let Err(error) = (Shell { folder, url: &url, home }).hold(row, &mut kept).await {
            failures.push(format!("as {:?}: {}: {error:#}", row.token, row.typed));
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// Where commands are typed.
struct Shell<'a> {
    folder: &'a Path,
    url: &'a str,
    home: &'a Path,
}

impl Shell<'_> {
    /// Runs one row, and tells what came if it does not hold.
    async fn hold(&self, row: &Row, kept: &mut Kept) -> anyhow::Result<()> {
        let output = self.run(row, kept).await?;
        kept.compare(row, &output).with_context(|| {
            let stdout = String::from_utf8_lossy(&output.stdout);
            let stderr = String::from_utf8_lossy(&output.stderr);
            format!("{}; stdout {stdout:?}; stderr {stderr:?}", output.status)
        })
    }

    async fn run(&self, row: &Row, kept: &Kept) -> anyhow::Result<Output> {
        let mut words = row.typed.split(' ');
        let program = self.folder.join(words.next().context("nothing is typed")?);
        let args = words.map(|word| kept.fill(word)).collect::<Result<Vec<_>, _>>()?;
        let mut command = Command::new(&program);
        command.args(args).env_clear().env("HOME", self.home).env("TRUSTGRAPH_URL", self.url);
        if !row.token.is_empty() {
            command.env("TRUSTGRAPH_TOKEN", kept.fill(row.token)?);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.kill_on_drop(true).spawn();
        let mut child = child.with_context(|| program.display().to_string())?;
        let mut stdin = child.stdin.take().context("no stdin")?;
        // A program that asks nothing does not read it.
        drop(stdin.write_all(row.stdin.as_bytes()).await);
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        Ok(output.context("it hangs")??)
    }
}
