//! The chain: how a line is sealed behind another, and what is wrong with a file.

use std::fmt;
use std::io::{self, BufRead, ErrorKind};

use hmac::Hmac;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Head, Line};
use crate::ids::Seq;
use crate::seal_key::{Mac, SealKey, tag};

/// The most bytes of a line; IAM's own are far below.
pub const MAX_LINE: usize = 16 * 1_024;

const FIELD: &[u8] = b",\"mac\":\"";
const END: &[u8] = b"\"}";
/// The bytes of a sealed text behind those that are sealed.
const SEAL: usize = FIELD.len() + 64 + END.len();

/// The keys of the audit file, one for each purpose.
#[derive(Clone)]
pub struct AuditKey {
    lines: Hmac<Sha256>,
    heads: Hmac<Sha256>,
    names: Hmac<Sha256>,
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[audit key]")
    }
}

/// What chains a line that is as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its own `mac`.
    pub mac: Mac,
    /// The `mac` of the line before; none, if it began a chain.
    pub prev: Option<Mac>,
    /// The journal's entry.
    pub seq: Option<Seq>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It has no end.
    #[error("is cut off")]
    Cut,
    /// It is not what was written under this key.
    #[error("was changed, or written under another seal key")]
    Changed,
    /// It is as it was written, and not in its place.
    #[error("does not follow on the line before: lines were removed, inserted or moved there")]
    Displaced,
}

/// The first line that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{} {fault}", seq.map_or_else(String::new, |seq| format!(" (seq {seq})")))]
pub struct Broken {
    /// Its number in its file, from 1.
    pub line: u64,
    /// The journal's entry that it names, as far as that can be read.
    pub seq: Option<Seq>,
    /// What is wrong.
    pub fault: Fault,
}

impl AuditKey {
    /// The keys that come from a seal key.
    pub fn of(key: &SealKey) -> Self {
        Self {
            lines: key.mac("tollgate audit chain"),
            heads: key.mac("tollgate audit head"),
            names: key.mac("tollgate audit names"),
        }
    }

    /// A name as it stands in the file: the same one again is known again, and no more.
    pub fn name(&self, name: &str) -> String {
        tag(self.names.clone(), &[name.as_bytes()]).to_string()
    }

    /// Writes a line behind another: its text with the end of line, and its `mac`.
    pub fn seal(&self, line: &Line, prev: Option<Mac>) -> serde_json::Result<(Vec<u8>, Mac)> {
        #[derive(Serialize)]
        struct Chained<'a> {
            #[serde(flatten)]
            line: &'a Line,
            prev: Option<Mac>,
        }
        seal(&self.lines, &Chained { line, prev })
    }

    /// Reads what chains a line, given with its end of line, if it is as it was written.
    pub fn open(&self, text: &[u8]) -> Result<Link, Fault> {
        let mac = open(&self.lines, text)?;
        let Chained { seq, prev } = serde_json::from_slice(text).map_err(|_| Fault::Changed)?;
        Ok(Link { mac, prev, seq })
    }

    /// Writes the head of a file.
    pub fn seal_head(&self, head: &Head) -> serde_json::Result<Vec<u8>> {
        Ok(seal(&self.heads, head)?.0)
    }

    /// Reads the head of a file, if it is as it was written.
    pub fn open_head(&self, text: &[u8]) -> Option<Head> {
        open(&self.heads, text).ok()?;
        serde_json::from_slice(text).ok()
    }
}

/// What chains a line, as it stands there. Without belief.
#[derive(Deserialize)]
struct Chained {
    seq: Option<Seq>,
    prev: Option<Mac>,
}

fn seal(key: &Hmac<Sha256>, content: &impl Serialize) -> serde_json::Result<(Vec<u8>, Mac)> {
    let mut text = serde_json::to_vec(content)?;
    // Its closing brace moves behind the seal.
    text.pop();
    let mac = tag(key.clone(), &[&text]);
    for part in [FIELD, mac.to_string().as_bytes(), END, b"\n"] {
        text.extend_from_slice(part);
    }
    Ok((text, mac))
}

fn open(key: &Hmac<Sha256>, text: &[u8]) -> Result<Mac, Fault> {
    let text = text.strip_suffix(b"\n").ok_or(Fault::Cut)?;
    let sealed = text.len().checked_sub(SEAL).ok_or(Fault::Changed)?;
    let (content, written) = text.split_at(sealed);
    let mac = tag(key.clone(), &[content]);
    // Byte for byte: a digit in capitals is a change too. Nobody can guess here, so the time that
    // it takes tells nobody anything.
    if written != [FIELD, mac.to_string().as_bytes(), END].concat() {
        return Err(Fault::Changed);
    }
    Ok(mac)
}

/// Takes the next line with its end of line, if it has one, and tells how many bytes it had; none
/// are left at 0. What is longer than [`MAX_LINE`] is no line and is not kept whole.
pub fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let mut size = 0;
    loop {
        let there = match from.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            there => there?,
        };
        let end = memchr::memchr(b'\n', there);
        let taken = end.map_or(there.len(), |at| at + 1);
        let room = MAX_LINE - line.len();
        line.extend(there.iter().take(taken.min(room)));
        from.consume(taken);
        size += taken as u64;
        if end.is_some() && taken > room {
            line.pop();
            line.push(b'\n');
        }
        if end.is_some() || taken == 0 {
            return Ok(size);
        }
    }
}

/// Follows the chain through the lines of one file, or of several in the order in which they were
/// written.
#[derive(Debug, Default)]
pub struct Verifier {
    line: u64,
    lines: u64,
    begins: Option<Mac>,
    last: Option<Mac>,
    seqs: Option<(Seq, Seq)>,
}

impl Verifier {
    /// Takes the next line, as [`AuditKey::open`] read it from `text`.
    pub fn take(&mut self, text: &[u8], opened: &Result<Link, Fault>) -> Result<(), Broken> {
        self.line += 1;
        let broken = |seq, fault| Broken { line: self.line, seq, fault };
        let Link { mac, prev, seq } = *opened.as_ref().map_err(|fault| {
            let seq = serde_json::from_slice(text).ok().and_then(|Chained { seq, .. }| seq);
            broken(seq, *fault)
        })?;
        let displaced = broken(seq, Fault::Displaced);
        let before = self.last.replace(mac);
        self.lines += 1;
        if let Some(seq) = seq {
            self.seqs = Some((self.seqs.map_or(seq, |(first, _)| first), seq));
        }
        if self.lines == 1 {
            self.begins = prev;
        } else if prev != before {
            return Err(displaced);
        }
        Ok(())
    }

    /// The lines that follow stand in another file.
    pub fn next_file(&mut self) {
        self.line = 0;
    }

    /// How many lines there were that are as they were written.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The line before the first one; none, if the chain begins there.
    pub fn begins(&self) -> Option<Mac> {
        self.begins
    }

    /// The last line that is as it was written.
    pub fn last(&self) -> Option<Mac> {
        self.last
    }

    /// The first and the last entry of the journal that have a line.
    pub fn seqs(&self) -> Option<(Seq, Seq)> {
        self.seqs
    }
}

#[cfg(test)]
mod tests;
