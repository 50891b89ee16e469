//! A text of commands as they are typed, with what the services behind the gateway are asked and
//! answer meanwhile, and what the commands print.
//!
//! ```text
//! # A comment.
//! $ tg-invoke-llm 'be brief' 'who are you'
//! > text-completion default {"prompt":"who are you"}
//! < {"response":"A service.","end_of_stream":true}
//! | A service.
//! ```
//!
//! Behind `|` stands stdout, behind `!` stderr, behind `=` an exit code that is not 0. These are
//! written anew when the text is run, so that comparing texts compares them; the rest is script.

use std::fmt::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::process::Command;
use tollgate_e2e::services::{Exchange, Services};

/// No command takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where commands are typed.
pub(super) struct Shell<'a> {
    /// Where their programs are.
    pub(super) programs: &'a Path,
    /// Where they read and write files.
    pub(super) folder: &'a Path,
    pub(super) url: &'a str,
    pub(super) token: &'a str,
    pub(super) workspace: &'a str,
}

/// The commands of a text.
pub(super) fn commands(text: &str) -> impl Iterator<Item = &str> {
    let typed = text.lines().filter_map(|line| line.strip_prefix("$ "));
    typed.flat_map(|line| line.split(' ').filter(|word| word.starts_with("tg-")))
}

impl Shell<'_> {
    /// The text as it comes out when it is run.
    pub(super) async fn run(&self, services: &Services, text: &str) -> anyhow::Result<String> {
        let mut lines = text.lines().peekable();
        let (mut came, mut failures) = (String::new(), Vec::new());
        while let Some(line) = lines.next() {
            if matches!(line.as_bytes(), [b'|' | b'!' | b'=', ..]) {
                continue;
            }
            writeln!(came, "{line}")?;
            let Some(typed) = line.strip_prefix("$ ") else { continue };
            let mut script = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with(['>', '*', '<'])) {
                writeln!(script, "{line}")?;
            }
            came += &script;
            services.expect(self.workspace, Exchange::read(&script).context(typed.to_owned())?);
            let output = self.run_one(typed).await.with_context(|| typed.to_owned())?;
            write_output(&mut came, &output)?;
            if let Err(error) = services.finish().await {
                let said = String::from_utf8_lossy(&output.stdout);
                failures.push(format!("$ {typed}\n{said}{error:#}"));
            }
        }
        ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
        Ok(came)
    }

    async fn run_one(&self, typed: &str) -> anyhow::Result<Output> {
        let mut command = Command::new("sh");
        command.args(["-c", typed]).current_dir(self.folder).env_clear();
        command
            .env("PATH", format!("{}:/usr/bin:/bin", self.programs.display()))
            .env("HOME", self.folder)
            .env("TZ", "UTC")
            .env("LANG", "C.UTF-8")
            .env("TRUSTGRAPH_URL", self.url)
            .env("TRUSTGRAPH_TOKEN", self.token)
            .env("TRUSTGRAPH_WORKSPACE", self.workspace);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        Ok(tokio::time::timeout(PATIENCE, output).await.context("it hangs")??)
    }
}

fn write_output(came: &mut String, output: &Output) -> anyhow::Result<()> {
    for (mark, stream) in [('|', &output.stdout), ('!', &output.stderr)] {
        for line in std::str::from_utf8(stream)?.lines() {
            writeln!(came, "{}", format!("{mark} {line}").trim_end())?;
        }
    }
    match output.status.code() {
        Some(0) => {}
        code => writeln!(came, "= {}", code.context("it was killed")?)?,
    }
    Ok(())
}
