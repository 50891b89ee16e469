//! The pass itself: proves, byte by byte, that a text is JSON within its limits.
//!
//! In: text. Out: where its values begin and end. It accepts what `serde_json` accepts as a raw
//! value, and counts depth and tokens on the way, so that nothing is read twice.
//! Never: recursion, or memory that grows with the depth of the text.

use std::ops::Range;

use super::{Json, Limits, ObjectError};

/// Deeper than this nothing is followed, whatever the limits say: one bit a level.
const DEEPEST: usize = u64::BITS as usize;

/// Digits of one number: more than any reader needs, and what makes some of them slow.
const MAX_DIGITS: usize = 64;

/// One pass over one text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    /// What is not read yet: always the end of `text`.
    rest: &'a [u8],
    depth: usize,
    tokens: usize,
    limits: Limits,
}

/// A key of an object.
pub(crate) struct Key<'a> {
    /// Where it stands in the text, between its quotes.
    pub(crate) place: Range<usize>,
    /// What stands there.
    spelling: &'a str,
    /// What it means, where that is something else.
    pub(crate) decoded: Option<Box<str>>,
}

impl Key<'_> {
    pub(crate) fn as_str(&self) -> &str {
        self.decoded.as_deref().unwrap_or(self.spelling)
    }
}

/// What is open around a value, inside the value that is passed over: the innermost in the lowest
/// bit, which is 1 for an object.
struct Open {
    levels: usize,
    kinds: u64,
}

type Scan<T> = Result<T, ObjectError>;

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, limits: Limits) -> Self {
        Self { text, rest: text.as_bytes(), depth: 0, tokens: 0, limits }
    }

    /// How much has been read.
    pub(crate) fn position(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// What was read from there on.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.position()).unwrap_or_default()
    }

    /// The next byte that is no blank, left where it is.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied()
    }

    /// Nothing but blanks is left.
    pub(crate) fn end(&mut self) -> Scan<()> {
        self.peek().map_or(Ok(()), |_| Err(ObjectError::NotJson))
    }

    /// Reads an object. `member` is given each key and must read the value.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Key<'a>) -> Scan<()>,
    ) -> Scan<()> {
        self.expect(b'{')?;
        self.enter()?;
        let mut is_over = self.peek() == Some(b'}') && self.take().is_ok();
        while !is_over {
            let key = self.key()?;
            member(self, key)?;
            is_over = match self.take()? {
                b'}' => true,
                b',' => self.count().map(|()| false)?,
                _ => return Err(ObjectError::NotJson),
            };
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes over one value, whatever is nested in it.
    pub(crate) fn value(&mut self) -> Scan<Json<'a>> {
        self.peek();
        let start = self.position();
        let mut open = Open { levels: 0, kinds: 0 };
        loop {
            let first = self.take()?;
            match first {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    self.enter()?;
                    let is_object = first == b'{';
                    open.push(is_object);
                    // The brackets are two bytes apart in ASCII.
                    if self.peek() != Some(first + 2) {
                        if is_object {
                            self.skip_key()?;
                        }
                        continue;
                    }
                    self.take()?;
                    self.leave(&mut open);
                }
                b'-' | b'0'..=b'9' => self.number(first)?,
                b't' => self.literal(b"rue")?,
                b'f' => self.literal(b"alse")?,
                b'n' => self.literal(b"ull")?,
                _ => return Err(ObjectError::NotJson),
            }
            if !self.after_value(&mut open)? {
                return Ok(Json(self.since(start)));
            }
        }
    }

    /// Closes what ends behind a value. Says whether another value follows in what is open.
    fn after_value(&mut self, open: &mut Open) -> Scan<bool> {
        while let Some(in_object) = open.innermost() {
            match (self.take()?, in_object) {
                (b',', _) => {
                    self.count()?;
                    if in_object {
                        self.skip_key()?;
                    }
                    return Ok(true);
                }
                (b'}', true) | (b']', false) => self.leave(open),
                _ => return Err(ObjectError::NotJson),
            }
        }
        Ok(false)
    }

    /// The next byte that is no blank.
    fn take(&mut self) -> Scan<u8> {
        let byte = self.peek().ok_or(ObjectError::NotJson)?;
        self.rest = self.rest.get(1..).unwrap_or_default();
        Ok(byte)
    }

    fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.take()? == byte { Ok(()) } else { Err(ObjectError::NotJson) }
    }

    fn enter(&mut self) -> Scan<()> {
        self.depth += 1;
        if self.depth > self.limits.depth.min(DEEPEST) {
            return Err(ObjectError::BeyondLimits);
        }
        self.count()
    }

    fn leave(&mut self, open: &mut Open) {
        open.pop();
        self.depth -= 1;
    }

    fn count(&mut self) -> Scan<()> {
        self.tokens += 1;
        if self.tokens > self.limits.tokens {
            return Err(ObjectError::BeyondLimits);
        }
        Ok(())
    }

    /// A key and the colon behind it.
    fn key(&mut self) -> Scan<Key<'a>> {
        self.expect(b'"')?;
        let start = self.position();
        let has_escapes = self.string()?;
        let place = start..self.position() - 1;
        let spelling = self.text.get(place.clone()).unwrap_or_default();
        let decoded = if has_escapes {
            let quoted = self.since(start - 1);
            Some(serde_json::from_str(quoted).map_err(|_| ObjectError::NotJson)?)
        } else {
            None
        };
        self.expect(b':')?;
        self.count()?;
        Ok(Key { place, spelling, decoded })
    }

    fn skip_key(&mut self) -> Scan<()> {
        self.expect(b'"')?;
        self.string()?;
        self.expect(b':')?;
        self.count()
    }

    /// The rest of a string whose opening quote has been read. Says whether it holds escapes.
    fn string(&mut self) -> Scan<bool> {
        let mut has_escapes = false;
        loop {
            self.rest = after_plain(self.rest);
            self.rest = match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(has_escapes);
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => rest,
                [b'\\', b'u', a, b, c, d, rest @ ..]
                    if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) =>
                {
                    rest
                }
                _ => return Err(ObjectError::NotJson),
            };
            has_escapes = true;
        }
    }

    /// The rest of a number whose first byte has been read.
    fn number(&mut self, first: u8) -> Scan<()> {
        let start = self.position() - 1;
        let rest = match (first, self.rest) {
            (b'-', [b'0', rest @ ..]) | (b'0', rest) => rest,
            (b'-', [b'1'..=b'9', rest @ ..]) | (b'1'..=b'9', rest) => after_digits(rest),
            _ => return Err(ObjectError::NotJson),
        };
        let rest = match rest {
            [b'.', b'0'..=b'9', rest @ ..] => after_digits(rest),
            [b'.', ..] => return Err(ObjectError::NotJson),
            _ => rest,
        };
        self.rest = match rest {
            [b'e' | b'E', b'+' | b'-', b'0'..=b'9', rest @ ..]
            | [b'e' | b'E', b'0'..=b'9', rest @ ..] => after_digits(rest),
            [b'e' | b'E', ..] => return Err(ObjectError::NotJson),
            _ => rest,
        };
        let number = self.since(start).as_bytes();
        let digits = || number.iter().filter(|byte| byte.is_ascii_digit()).count();
        // What is short needs no count.
        if number.len() > MAX_DIGITS && digits() > MAX_DIGITS {
            return Err(ObjectError::BeyondLimits);
        }
        Ok(())
    }

    fn literal(&mut self, letters: &[u8]) -> Scan<()> {
        self.rest = self.rest.strip_prefix(letters).ok_or(ObjectError::NotJson)?;
        Ok(())
    }
}

impl Open {
    fn push(&mut self, is_object: bool) {
        self.kinds = self.kinds << 1 | u64::from(is_object);
        self.levels += 1;
    }

    fn pop(&mut self) {
        self.kinds >>= 1;
        self.levels -= 1;
    }

    /// Whether the innermost is an object, if anything is open.
    fn innermost(&self) -> Option<bool> {
        (self.levels > 0).then_some(self.kinds & 1 == 1)
    }
}

/// What follows the bytes that stand for themselves in a string.
fn after_plain(mut rest: &[u8]) -> &[u8] {
    let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    // A block without a branch inside, which the compiler makes a few instructions of.
    while let Some((block, tail)) = rest.split_first_chunk::<16>() {
        if block.iter().fold(false, |found, byte| found | is_special(byte)) {
            break;
        }
        rest = tail;
    }
    let plain = rest.iter().position(is_special).unwrap_or(rest.len());
    rest.get(plain..).unwrap_or_default()
}

fn after_digits(mut rest: &[u8]) -> &[u8] {
    while let [b'0'..=b'9', tail @ ..] = rest {
        rest = tail;
    }
    rest
}

#[cfg(test)]
mod tests;
