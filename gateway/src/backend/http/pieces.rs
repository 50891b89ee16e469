//! A stream of bytes is cut into JSON texts: the lines of NDJSON, or the data of server-sent
//! events (HTML Living Standard, 9.2.6).
//!
//! Of the events only `data` is read. A last line or event that is not ended counts all the same:
//! it is JSON, and half of it would not parse. `data: [DONE]`, with which many services end a
//! stream, is passed over.

use std::mem::take;

use memchr::{memchr, memchr2};

const DONE: &[u8] = b"[DONE]";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// How a stream is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A text a line.
    Lines,
    /// The data of an event.
    Events,
}

/// Bytes that have come and are not cut yet: less than one text and one piece of the body.
#[derive(Debug)]
pub(super) struct Pieces {
    format: Format,
    max: usize,
    buffer: Vec<u8>,
    /// Where the first line that is not read begins.
    start: usize,
    /// Up to where it is known to hold no end of a line.
    searched: usize,
    /// The data of an event whose end has not come.
    data: Vec<u8>,
    has_data: bool,
    at_beginning: bool,
    ended: bool,
}

/// A text is larger than allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Pieces {
    pub(super) fn new(format: Format, max: usize) -> Self {
        Self {
            format,
            max,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            data: Vec::new(),
            has_data: false,
            at_beginning: true,
            ended: false,
        }
    }

    /// The size that a text may have.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// More has come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Nothing more will come.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The next whole text, if it has come.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, TooLarge> {
        while let Some(line) = self.line()? {
            match self.format {
                Format::Lines if line.trim_ascii().is_empty() => {}
                Format::Lines => return Ok(Some(line)),
                Format::Events => {
                    if let Some(data) = self.event(&line)? {
                        return Ok(Some(data));
                    }
                }
            }
        }
        Ok(if self.ended { self.take_data() } else { None })
    }

    /// Takes a line of an event; an empty one ends it.
    fn event(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, TooLarge> {
        if line.is_empty() {
            return Ok(self.take_data());
        }
        let Some(value) = line.strip_prefix(b"data") else { return Ok(None) };
        let value = match value {
            [] => value,
            [b':', value @ ..] => value.strip_prefix(b" ").unwrap_or(value),
            // A field whose name only begins so.
            _ => return Ok(None),
        };
        if value.len() + self.data.len() >= self.max {
            return Err(TooLarge);
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
        Ok(None)
    }

    fn take_data(&mut self) -> Option<Vec<u8>> {
        self.has_data = false;
        let data = take(&mut self.data);
        (!data.is_empty() && data != DONE).then_some(data)
    }

    /// The next line without its end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, TooLarge> {
        let unsearched = &self.buffer[self.searched..];
        let found = match self.format {
            Format::Lines => memchr(b'\n', unsearched),
            Format::Events => memchr2(b'\n', b'\r', unsearched),
        };
        let end = match found {
            Some(at) => self.searched + at,
            None => self.buffer.len(),
        };
        if end - self.start > self.max {
            return Err(TooLarge);
        }
        let next = match (found, self.buffer.get(end), self.buffer.get(end + 1)) {
            (Some(_), Some(b'\r'), Some(b'\n')) => end + 2,
            // The rest of this end of a line may be under way.
            (Some(_), Some(b'\r'), None) if !self.ended => {
                self.searched = end;
                return Ok(None);
            }
            (Some(_), _, _) => end + 1,
            (None, _, _) if self.ended && end > self.start => end,
            (None, _, _) => {
                self.searched = end;
                return Ok(None);
            }
        };
        let mut line = &self.buffer[self.start..end];
        if take(&mut self.at_beginning) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        let line = line.to_vec();
        (self.start, self.searched) = (next, next);
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Cuts a stream that comes in parts of this size.
    fn cut(format: Format, stream: &[u8], size: usize) -> Result<Vec<String>, TooLarge> {
        let mut pieces = Pieces::new(format, 64);
        let mut texts = Vec::new();
        for part in stream.chunks(size.max(1)) {
            pieces.push(part);
            while let Some(text) = pieces.next()? {
                texts.push(String::from_utf8(text).unwrap());
            }
        }
        pieces.end();
        while let Some(text) = pieces.next()? {
            texts.push(String::from_utf8(text).unwrap());
        }
        Ok(texts)
    }

    #[track_caller]
    fn check(format: Format, stream: &str, expect: &[&str]) {
        for size in 1..=stream.len().max(1) {
            assert_eq!(cut(format, stream.as_bytes(), size).unwrap(), expect, "by {size}");
        }
    }

    #[test]
    fn lines_are_cut_however_they_come() {
        check(Format::Lines, "", &[]);
        check(Format::Lines, "{\"a\":1}\n{\"b\":2}\n", &["{\"a\":1}", "{\"b\":2}"]);
        check(Format::Lines, "\n \n{}\n\n", &["{}"]);
        check(Format::Lines, "{}\n{\"last\":1}", &["{}", "{\"last\":1}"]);
        // White space of JSON.
        check(Format::Lines, "{}\r\n", &["{}\r"]);
        check(Format::Lines, "\u{feff}{}\n", &["{}"]);
    }

    #[test]
    fn events_are_cut_however_they_come() {
        check(Format::Events, "", &[]);
        check(Format::Events, "data: {}\n\n", &["{}"]);
        check(Format::Events, "data:{}\r\n\r\ndata: 2\r\rdata: 3\n\n", &["{}", "2", "3"]);
        check(Format::Events, ": a comment\n\ndata: {}\n\n: ping\n\n", &["{}"]);
        check(Format::Events, "event: x\nid: 7\nretry: 1\ndata: {}\n\n", &["{}"]);
        check(Format::Events, "data: {\ndata: \"a\":1}\n\n", &["{\n\"a\":1}"]);
        check(Format::Events, "data\ndata: {}\n\n", &["\n{}"]);
        check(Format::Events, "database: 1\n\ndata:  2\n\n", &[" 2"]);
        check(Format::Events, "data: {}\n\ndata: [DONE]\n\n", &["{}"]);
        check(Format::Events, "data: {}", &["{}"]);
        check(Format::Events, "\u{feff}data: {}\n\n", &["{}"]);
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let long = "x".repeat(65);
        for size in [1, 64, 1_000] {
            assert_eq!(cut(Format::Lines, long.as_bytes(), size), Err(TooLarge));
            let one = format!("data: {long}\n\n");
            assert_eq!(cut(Format::Events, one.as_bytes(), size), Err(TooLarge));
            let many = "data: 1234567890\n".repeat(9);
            assert_eq!(cut(Format::Events, many.as_bytes(), size), Err(TooLarge));
        }
    }

    proptest! {
        #[test]
        fn the_cut_does_not_depend_on_the_parts(
            stream in "([a-z\\r\\n: ]|data:|\\n\\n){0,60}", size in 1..20_usize, events: bool,
        ) {
            let format = if events { Format::Events } else { Format::Lines };
            let whole = cut(format, stream.as_bytes(), stream.len());
            prop_assert_eq!(cut(format, stream.as_bytes(), size), whole);
        }
    }
}
