//! What people and scripts see: data on stdout, words on stderr.
//!
//! In: text. Out: lines, written at once. A reader that is gone becomes [`PipeClosed`], which
//! `main` counts as success. Never: control characters of others on a terminal.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};

/// Nobody reads stdout any more.
#[derive(Debug)]
pub(crate) struct PipeClosed;

impl fmt::Display for PipeClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for PipeClosed {}

/// The process's two streams.
pub(crate) struct Output;

impl Output {
    /// A line of data.
    pub(crate) fn line(&self, text: &str) -> anyhow::Result<()> {
        self.text(&format!("{text}\n"))
    }

    /// Data without an end of line.
    #[expect(clippy::unused_self, reason = "an output is passed to whoever may write")]
    pub(crate) fn text(&self, text: &str) -> anyhow::Result<()> {
        let mut stdout = io::stdout().lock();
        let text = if stdout.is_terminal() { printable(text) } else { Cow::Borrowed(text) };
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(PipeClosed.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// A line of words. That it cannot be written is not worth failing for.
    #[expect(clippy::unused_self, reason = "an output is passed to whoever may write")]
    pub(crate) fn note(&self, text: &str) {
        drop(writeln!(io::stderr().lock(), "{}", printable(text)));
    }
}

/// Text of others as part of one line of a table.
pub(crate) fn cell(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

/// Text of others without what would move the cursor or write to the clipboard of a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(harmful) {
        return Cow::Owned(text.replace(harmful, "\u{fffd}"));
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable("Ann\tB\n"), "Ann\tB\n");
        assert_eq!(cell("Ann\tB\nC\r"), "Ann B C\u{fffd}");
        assert_eq!(printable("\u{1b}[2JAnn\r\u{9b}"), "\u{fffd}[2JAnn\u{fffd}\u{fffd}");
    }
}
