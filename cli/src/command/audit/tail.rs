//! `tg audit tail`: the last lines of an audit file, and those that come.
//!
//! A line of a later version that this one cannot read is printed as it stands. Nothing is
//! verified here.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tollgate_proto::audit::{Line, Target, Text, read_line};
use tollgate_proto::iam::Via;

use crate::context::Context;
use crate::output::cell;

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(250);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The audit file
    #[arg(value_name = "FILE", default_value = "tollgate-data/audit.jsonl")]
    file: PathBuf,
    /// How many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Wait for more, also when the file is moved away and made again
    #[arg(short, long)]
    follow: bool,
    /// Only these events: auth.fail, 'key.*', '*.fail'; may be given again
    #[arg(long, value_name = "GLOB")]
    event: Vec<String>,
    /// Print the lines as they stand in the file
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &Context<'_>) -> anyhow::Result<()> {
    let mut tail = Tail::open(&args.file)?;
    let mut last = VecDeque::new();
    tail.read(|text| {
        if let Some(shown) = show(text, args) {
            last.push_back(shown);
            if last.len() > args.lines {
                last.pop_front();
            }
        }
        Ok(())
    })?;
    for line in last {
        context.output.text(&line)?;
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(PERIOD).await;
        let next = tail.next()?;
        tail.read(|text| show(text, args).map_or(Ok(()), |line| context.output.text(&line)))?;
        // Nothing comes to the old file any more: it was read to its end after this one was there.
        tail = next.unwrap_or(tail);
    }
}

/// A file that may grow and be moved away.
struct Tail<'a> {
    path: &'a Path,
    file: File,
    /// The bytes of lines that were read.
    read: u64,
}

impl<'a> Tail<'a> {
    fn open(path: &'a Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        Ok(Self { path, file, read: 0 })
    }

    /// Hands on every whole line that was not read before.
    fn read(&mut self, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.file.seek(SeekFrom::Start(self.read))?;
        let (mut from, mut text) = (BufReader::new(&self.file), Vec::new());
        loop {
            let size = read_line(&mut from, &mut text)?;
            if !text.ends_with(b"\n") {
                // The rest of it is still to come.
                return Ok(());
            }
            self.read += size;
            take(&text)?;
        }
    }

    /// Another file that has the name now.
    fn next(&self) -> anyhow::Result<Option<Self>> {
        let own = self.file.metadata()?;
        // Between two files there is none for a moment.
        let Ok(there) = fs::metadata(self.path) else { return Ok(None) };
        let is_same = (there.dev(), there.ino()) == (own.dev(), own.ino());
        (!is_same).then(|| Self::open(self.path)).transpose()
    }
}

/// What is printed of a line, if it is asked for.
fn show(text: &[u8], args: &Args) -> Option<String> {
    let as_it_stands = || String::from_utf8_lossy(text).into_owned();
    let Ok(line) = serde_json::from_slice::<Line>(text) else {
        return args.event.is_empty().then(as_it_stands);
    };
    let event = line.event.as_str();
    if !args.event.is_empty() && !args.event.iter().any(|glob| matches(glob, event)) {
        return None;
    }
    Some(if args.json { as_it_stands() } else { format!("{}\n", words(&line)) })
}

/// A line for people.
fn words(line: &Line) -> String {
    // Milliseconds are enough to read.
    let time = line.time.get(..23).unwrap_or(&line.time);
    let outcome = line.outcome.as_str();
    let mut words = vec![format!("{time}Z  {:<18}  {outcome:<7}", line.event.as_str())];
    if let Some(target) = &line.target {
        words.push(thing(target));
    }
    if let Some(who) = &line.actor {
        words.push(format!("by {}", who.id));
    }
    if let Some(client) = &line.client {
        let via = match client.via {
            Via::Http => "http",
            Via::Socket => "socket",
        };
        let addr = client.addr.as_ref().map_or("-", |addr| addr.as_str());
        words.push(format!("from {addr} ({via})"));
    }
    if let Some(capability) = line.capability {
        words.push(format!("[{capability}]"));
    }
    if let Some(reason) = &line.reason {
        words.push(format!("- {reason}"));
    }
    cell(words.join(" ").trim_end())
}

fn thing(target: &Target) -> String {
    let id = target.id.as_ref().map(Text::as_str);
    // As the file has it: `api-key`.
    let kind = serde_json::to_value(target.kind).unwrap_or_default();
    let mut words = vec![kind.as_str().unwrap_or_default().to_owned()];
    words.extend(id.map(str::to_owned));
    if let Some(workspace) = target.workspace.as_ref().filter(|at| Some(at.as_str()) != id) {
        words.push(format!("in {workspace}"));
    }
    if let Some(user) = target.user.map(|user| user.to_string()).filter(|of| Some(&**of) != id) {
        words.push(format!("of {user}"));
    }
    words.join(" ")
}

/// Whether a pattern, in which `*` stands for anything, is all of a text.
fn matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((front, rest)) => text.strip_prefix(front).is_some_and(|behind| {
            behind
                .char_indices()
                .map(|(at, _)| at)
                .chain([behind.len()])
                .any(|at| matches(rest, behind.get(at..).unwrap_or_default()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        let check = |glob: &str, text: &str, expect| {
            assert_eq!(matches(glob, text), expect, "{glob} {text}");
        };
        check("auth.fail", "auth.fail", true);
        check("auth", "auth.fail", false);
        check("auth.*", "auth.fail", true);
        check("*.fail", "auth.fail", true);
        check("*.fail", "auth.failed", false);
        check("*", "", true);
        check("a*h*l", "auth.fail", true);
        check("key.*", "signing-key.create", false);
    }
}
