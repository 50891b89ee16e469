//! What an audit file holds when it is opened: where its chain ends, and what of the journal has
//! its lines.

use std::io::{self, BufRead};

use tollgate_proto::audit::{AuditKey, Broken, Event, Head, Line, Next, Verifier, read_line};
use tollgate_proto::ids::{JournalId, Seq};
use tollgate_proto::seal_key::Mac;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The bytes of whole lines.
    pub(super) length: u64,
    /// Whether a line without an end follows them.
    pub(super) is_cut: bool,
    /// The first line that is not as it should be.
    pub(super) broken: Option<Broken>,
    /// The last line that is as it was written.
    pub(super) last: Option<Mac>,
    /// What of the journal is to be written next, as far as the lines tell.
    pub(super) next: Option<Next>,
    /// Whether the lines that follow are of another journal.
    is_foreign: bool,
    /// Whether the lines reach as far as the head says.
    pub(super) meets_head: bool,
}

impl Scan {
    /// Reads a file to its end.
    pub(super) fn read(
        mut from: impl BufRead,
        key: &AuditKey,
        journal: JournalId,
        head: Option<&Head>,
    ) -> io::Result<Self> {
        let (mut scan, mut verifier) = (Self::default(), Verifier::default());
        let (mut text, mut has_last) = (Vec::new(), false);
        loop {
            let size = read_line(&mut from, &mut text)?;
            if !text.ends_with(b"\n") {
                scan.is_cut = size > 0;
                break;
            }
            scan.length += size;
            let opened = key.open(&text);
            let taken = verifier.take(&text, &opened);
            scan.broken = scan.broken.or(taken.err());
            if let Ok(link) = opened {
                has_last |= head.is_some_and(|head| head.last == Some(link.mac));
                scan.follow(&text, journal);
            }
        }
        scan.last = verifier.last();
        scan.meets_head = head.is_some_and(|head| head.is_met(verifier.begins(), |_| has_last));
        Ok(scan)
    }

    /// A line is only of use here if it can be read; it is whole, so another version wrote it
    /// otherwise.
    fn follow(&mut self, text: &[u8], journal: JournalId) {
        let Ok(line) = serde_json::from_slice::<Line>(text) else { return };
        if line.event == Event::AuditOpened {
            // Numbers of another journal mean nothing here.
            let id = line.target.and_then(|target| target.id);
            self.is_foreign = id.is_some_and(|id| id.as_str() != journal.to_string());
        }
        if let Some(seq) = line.seq.filter(|_| !self.is_foreign) {
            let act = match self.next {
                Some(next) if next.seq == seq => next.act + 1,
                Some(_) | None => 1,
            };
            self.next = Some(Next { seq, act });
        }
    }
}

/// Whether a place in the journal lies behind its newest entry's end.
pub(super) fn is_beyond(next: Next, newest: Seq) -> bool {
    next.seq.0 > newest.0 + 1 || (next.seq.0 == newest.0 + 1 && next.act > 0)
}
