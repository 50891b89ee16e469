//! A script in another language that tells what it saw: a JSON line `{"check":…,"seen":…}` for each
//! check. What it should have seen stands in the test, so that a check that is missing fails too.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// No script is silent for longer.
const PATIENCE: Duration = Duration::from_mins(2);

/// A script that runs. It ends with the value.
pub struct Script {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    stderr: NamedTempFile,
    seen: Vec<(String, Value)>,
}

/// What a script told, as a text with a line for each check.
pub fn text(told: &[(String, Value)]) -> String {
    let lines: Vec<_> = told.iter().map(|(check, seen)| format!("{check}: {seen}\n")).collect();
    lines.concat()
}

impl Script {
    /// One of `e2e/python`.
    pub fn python(python: &Path, name: &str) -> Command {
        let mut command = Command::new(python);
        command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name));
        command
    }

    /// One of `e2e/node`, behind what all of them begin with. It finds the packages of this folder.
    pub fn node(packages: &Path, name: &str) -> anyhow::Result<Command> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).context(name.to_owned());
        // A module in a file finds only the packages beside it; one in an argument, those of the
        // working directory.
        let script = read("checks.mjs")? + &read(name)?;
        let mut command = Command::new("node");
        command.args(["--input-type=module", "--eval", &script]).current_dir(packages);
        Ok(command)
    }

    /// Starts it.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let stderr = NamedTempFile::new()?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr.reopen()?);
        let mut child = command.kill_on_drop(true).spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        Ok(Self { child, stdin, lines, stderr, seen: Vec::new() })
    }

    /// Waits until it tells this, and gives what it saw.
    pub async fn tells(&mut self, check: &str) -> anyhow::Result<Value> {
        loop {
            if let Some(at) = self.seen.iter().position(|(name, _)| name == check) {
                return Ok(self.seen.remove(at).1);
            }
            if !self.read().await? {
                bail!("it ended without {check:?}: {:?}{}", self.seen, self.errors()?);
            }
        }
    }

    /// Says a line to it.
    pub async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(self.stdin.write_all(format!("{line}\n").as_bytes()).await?)
    }

    /// Waits for its end, and gives what it told; fails unless it succeeded.
    pub async fn finish(mut self) -> anyhow::Result<Vec<(String, Value)>> {
        while self.read().await? {}
        let status = self.child.wait().await?;
        ensure!(status.success(), "{status}\n{:?}\n{}", self.seen, self.errors()?);
        Ok(self.seen)
    }

    async fn read(&mut self) -> anyhow::Result<bool> {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        let Some(line) = line.with_context(|| format!("it hangs after {:?}", self.seen))?? else {
            return Ok(false);
        };
        let mut line: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        let name = line["check"].as_str().context("no name")?.to_owned();
        let twice = self.seen.iter().any(|(told, _)| *told == name);
        ensure!(!twice, "{name}: told twice");
        self.seen.push((name, line["seen"].take()));
        Ok(true)
    }

    fn errors(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        File::open(self.stderr.path())?.read_to_string(&mut text)?;
        Ok(text)
    }
}
