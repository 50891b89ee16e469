//! How a change is made: as usual, with a wait until every gateway has heard of it, or not at all.
//!
//! In: flags, and what the reply says of it. Out: words. A reply that says nothing of what was
//! asked for is a failure: servers of other versions know no manners.

use anyhow::bail;
use tollgate_proto::iam::{Manner, Receipt, Rehearsal, Rehearsed, Reply, Survey};

use crate::output::cell;

/// The flags of a command that moves authority.
#[derive(clap::Args)]
#[group(multiple = false)]
pub(crate) struct MannerArgs {
    /// Wait until every gateway has heard of it
    #[arg(long, display_order = BEFORE_LAST)]
    wait: bool,
    /// Say what would change, and change nothing
    #[arg(long, display_order = BEFORE_LAST)]
    dry_run: bool,
}

/// Behind the flags that a command has of its own, and before those of all.
const BEFORE_LAST: usize = 99;

impl From<MannerArgs> for Manner {
    fn from(args: MannerArgs) -> Self {
        match args {
            MannerArgs { dry_run: true, .. } => Self::DryRun,
            MannerArgs { wait: true, .. } => Self::Wait,
            MannerArgs { .. } => Self::Usual,
        }
    }
}

/// What a reply tells of the manner.
pub(crate) enum Told {
    /// It was done, and there is nothing more to say.
    Done,
    /// It was done, and has come so far.
    Heard(String),
    /// It was not done, and would have been this.
    Rehearsed(String),
}

/// What to tell of a reply to a change that was asked for in this manner.
pub(crate) fn told(manner: Manner, reply: &Reply) -> anyhow::Result<Told> {
    match (manner, &reply.receipt, &reply.dry_run) {
        (Manner::Usual, ..) => Ok(Told::Done),
        (Manner::Wait, Some(receipt), _) => Ok(Told::Heard(heard(receipt))),
        (Manner::Wait, None, _) => bail!("it was done, and the reply does not say who has heard"),
        (Manner::DryRun, _, Some(rehearsal)) => Ok(Told::Rehearsed(rehearsed(rehearsal))),
        (Manner::DryRun, _, None) => bail!("this server knows no dry run: it was done"),
    }
}

fn heard(receipt: &Receipt) -> String {
    let heard = format!(
        "Heard by {} after {} ms: {} closed, {} cancelled.",
        count(receipt.gateways_marked, "gateway"),
        receipt.took_ms,
        count(receipt.sockets_closed, "socket"),
        count(receipt.calls_cancelled, "call"),
    );
    if receipt.gateways_silent == 0 {
        return heard;
    }
    let silent = count(receipt.gateways_silent, "gateway");
    format!("{heard}\nNot heard by {silent}: nothing is served there before it is.")
}

fn rehearsed(rehearsal: &Rehearsal) -> String {
    if rehearsal.changes.is_empty() {
        return "Nothing would change.".to_owned();
    }
    let line = |change: &Rehearsed| {
        let about = [("user", &change.user_id), ("workspace", &change.workspace)];
        let more = about.iter().filter(|(_, id)| !id.is_empty() && **id != change.id);
        let what = format!("Would be: {} {}", change.event, change.id).trim_end().to_owned();
        let words: Vec<_> =
            [what].into_iter().chain(more.map(|(what, id)| format!("{what} {id}"))).collect();
        cell(&words.join(", "))
    };
    let Rehearsal { changes, sockets, survey } = rehearsal;
    let mut lines: Vec<_> = changes.iter().map(line).collect();
    let heard = survey.gateways_heard;
    if heard + survey.gateways_silent > 0 {
        let (sockets, gateways) = (count(*sockets, "socket"), count(heard, "gateway"));
        lines.push(format!("It would concern {sockets} on {gateways}."));
    }
    lines.extend(missing(survey));
    lines.join("\n")
}

/// Whose sockets a survey lacks, if it does.
pub(crate) fn missing(survey: &Survey) -> Option<String> {
    let gateways = count(survey.gateways_silent, "gateway");
    let beyond = format!("the gateways of {} of IAM", count(survey.nodes_silent, "node"));
    let silent = match (survey.gateways_silent, survey.nodes_silent) {
        (0, 0) => return None,
        (_, 0) => gateways,
        (0, _) => beyond,
        (_, _) => format!("{gateways} and {beyond}"),
    };
    Some(format!("Without those of {silent}: no answer."))
}

/// A number of things.
pub(crate) fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
