//! `tg audit verify`: whether an audit file is what IAM wrote.
//!
//! Of several files, each must follow on the one before. What stands beside the last one, its
//! head, tells where it ended when IAM last made it durable. A whole chain may still tell of what
//! should not be: a journal that went back to an earlier entry, or a break that IAM has found.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use tollgate_proto::audit::{AuditKey, Event, Head, Line, Verifier, head_path, read_line};
use tollgate_proto::ids::Seq;
use tollgate_proto::seal_key::SealKey;

use crate::context::Context;

/// More problems than this are not named.
const MAX_PROBLEMS: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The audit file; or several, the oldest first
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The seal key of the deployment: seal.key in IAM's data folder
    #[arg(long, value_name = "FILE")]
    seal_key_file: PathBuf,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context<'_>) -> anyhow::Result<()> {
    let key = read_key(&args.seal_key_file)?;
    let last = args.files.last().context("no file")?;
    // Read first: the file may grow meanwhile, and never shrinks.
    let head = read_head(last, &key)?;
    let (verifier, course) = verify(&args.files, &key, head.as_ref())?;
    if !course.problems.is_empty() {
        course.problems.iter().for_each(|problem| context.output.note(problem));
        bail!("the chain is whole, and what its lines tell is not: see above");
    }
    let (lines, seqs) = (verifier.lines(), verifier.seqs());
    if args.json {
        let (first, newest) = seqs.unzip();
        let verdict = serde_json::json!({
            "lines": lines,
            "first_seq": first,
            "last_seq": newest,
            "is_begin_included": verifier.begins().is_none(),
            "is_end_known": head.is_some(),
        });
        return context.output.line(&verdict.to_string());
    }
    let range = match seqs {
        Some((first, newest)) => format!("from seq {first} to {newest}"),
        None => "without a change".to_owned(),
    };
    context.output.line(&format!("{lines} lines, chain whole, {range}"))?;
    if let Some(begins) = verifier.begins() {
        context.output.note(&format!(
            "The first line follows on another file, whose last line has the mac {begins}; give \
             that file too to prove that nothing is missing between them."
        ));
    }
    if head.is_none() {
        context.output.note(&format!(
            "There is no {}: lines that were removed at the end would not be missed.",
            head_path(last).display()
        ));
    }
    Ok(())
}

fn read_key(path: &Path) -> anyhow::Result<AuditKey> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let key = SealKey::parse(&SecretString::from(text.trim()));
    Ok(AuditKey::of(&key.with_context(|| path.display().to_string())?))
}

fn read_head(file: &Path, key: &AuditKey) -> anyhow::Result<Option<Head>> {
    let path = head_path(file);
    match fs::read(&path) {
        Ok(text) => match key.open_head(&text) {
            Some(head) => Ok(Some(head)),
            None => bail!("{} was changed, or written under another seal key", path.display()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Follows the chain through the files, as far as their head says or further.
fn verify(
    files: &[PathBuf],
    key: &AuditKey,
    head: Option<&Head>,
) -> anyhow::Result<(Verifier, Course)> {
    let (mut verifier, mut course) = (Verifier::default(), Course::default());
    let (mut text, mut has_last) = (Vec::new(), false);
    for path in files {
        let at = || path.display().to_string();
        let mut from = BufReader::new(File::open(path).with_context(at)?);
        verifier.next_file();
        let mut number = 0;
        while read_line(&mut from, &mut text).with_context(at)? > 0 {
            let opened = key.open(&text);
            verifier.take(&text, &opened).with_context(at)?;
            number += 1;
            course.follow(&text, || format!("{}: line {number}", path.display()));
            has_last |= head.is_some_and(|head| opened.is_ok_and(|l| head.last == Some(l.mac)));
        }
    }
    if let Some(head) = head.filter(|head| !head.is_met(verifier.begins(), |_| has_last)) {
        bail!(
            "lines were removed at the end: of {}, the last one that IAM noted is missing",
            head.time
        );
    }
    Ok((verifier, course))
}

/// What the lines tell, beside that they are as they were written.
#[derive(Default)]
struct Course {
    /// The journal that changes are of, as far as a line has named it.
    journal: Option<String>,
    /// The last change of each journal.
    last: BTreeMap<Option<String>, Seq>,
    problems: Vec<String>,
}

impl Course {
    /// Takes a line whose place in the chain is proved. One that another version wrote otherwise
    /// tells nothing here.
    fn follow(&mut self, text: &[u8], at: impl Fn() -> String) {
        let Ok(line) = serde_json::from_slice::<Line>(text) else { return };
        if line.event == Event::AuditOpened {
            self.journal = line.target.and_then(|target| target.id).map(|id| id.to_string());
        }
        if line.event == Event::AuditBroken {
            let reason = line.reason.map_or_else(String::new, |reason| reason.to_string());
            self.note(format!("{}: IAM found the file broken: {reason}", at()));
        }
        let Some(seq) = line.seq else { return };
        let last = self.last.insert(self.journal.clone(), seq);
        if let Some(last) = last.filter(|last| *last > seq) {
            self.note(format!(
                "{}: seq {seq} comes after seq {last} of the same journal: an older copy of the \
                 journal was put back",
                at()
            ));
        }
    }

    fn note(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}
