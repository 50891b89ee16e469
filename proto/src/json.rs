//! One careful pass over JSON that is not ours.
//!
//! In: text from a client. Out: proof that it is an object within its limits, and its top-level
//! members by place, so that everything else can be passed on byte for byte.
//! Never: a value tree, or a second pass. Duplicate keys are refused, because two readers of
//! `{"operation":"get","operation":"put"}` may disagree on what was authorised.

mod scan;

use std::borrow::Cow;
use std::collections::HashSet;
use std::mem::take;
use std::ops::Range;

use serde_json::value::RawValue;

pub(crate) use scan::Scanner;

/// Room for the members of most objects.
const FEW: usize = 4;

/// How deep and how large JSON may be. No number has more than 64 digits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Levels of nesting.
    pub depth: usize,
    /// Values and keys altogether, counted by their separators.
    pub tokens: usize,
}

impl Limits {
    /// For a peer that has not authenticated.
    pub const STRANGER: Self = Self { depth: 32, tokens: 2_000 };
    /// For an authenticated peer.
    pub const FRIEND: Self = Self { depth: 64, tokens: 100_000 };
    /// For the answer of a backend, whose size is bounded by its bytes: embeddings are long lists.
    pub const BACKEND: Self = Self { depth: 64, tokens: usize::MAX };
}

/// Why a text is not a usable JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// It is not JSON.
    #[error("not JSON")]
    NotJson,
    /// It is JSON and not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A key stands twice at the top level.
    #[error("a key is repeated")]
    DuplicateKey,
    /// It is nested too deep, or has too many members or too long a number.
    #[error("nested too deep, too many members or a number too long")]
    BeyondLimits,
}

/// Checks that a text is one JSON value within limits.
pub fn check(text: &str, limits: Limits) -> Result<(), ObjectError> {
    let mut scanner = Scanner::new(text, limits);
    scanner.value()?;
    scanner.end()
}

/// The text of one value that is known to be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The text.
    pub fn get(self) -> &'a str {
        self.0
    }

    /// The value, if it is a string.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if memchr::memchr(b'\\', inner.as_bytes()).is_some() {
            return serde_json::from_str(self.0).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(inner))
    }
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self(value.get())
    }
}

/// What a caller asks of a service: JSON, and usable if it is an object.
#[derive(Debug)]
pub struct Body<'a> {
    /// As it came.
    pub text: Json<'a>,
    /// The object, or why it is none that a service takes.
    pub object: Result<Object<'a>, ObjectError>,
}

impl<'a> Body<'a> {
    /// Parses a text that is JSON.
    pub fn parse(text: &'a str, limits: Limits) -> Result<Self, ObjectError> {
        let mut scanner = Scanner::new(text, limits);
        let body = Self::read(&mut scanner)?;
        scanner.end()?;
        Ok(body)
    }

    /// Reads the value that comes next.
    pub(crate) fn read(scanner: &mut Scanner<'a>) -> Result<Self, ObjectError> {
        if scanner.peek() != Some(b'{') {
            return Ok(Self { text: scanner.value()?, object: Err(ObjectError::NotAnObject) });
        }
        let start = scanner.position();
        let object = Object::read(scanner)?;
        let text = Json(scanner.since(start));
        let is_ambiguous = object.has_duplicate();
        let object = if is_ambiguous { Err(ObjectError::DuplicateKey) } else { Ok(object) };
        Ok(Self { text, object })
    }
}

/// A value that is put into an object.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A string.
    Text(&'a str),
    /// Whatever this JSON is.
    Json(&'a str),
}

impl Value<'_> {
    fn room(self) -> usize {
        let (Self::Text(text) | Self::Json(text)) = self;
        text.len() + 2
    }

    fn push(self, out: &mut String) {
        match self {
            Self::Text(text) => push_string(out, text),
            Self::Json(text) => out.push_str(text),
        }
    }
}

/// An object and its top level: keys decoded, values as they came.
#[derive(Debug)]
pub struct Object<'a> {
    text: Cow<'a, str>,
    members: Vec<Member>,
}

/// A member, by its place in the text.
#[derive(Debug)]
struct Member {
    /// Between the quotes.
    key: Range<usize>,
    /// What the key means, where it is spelled with escapes.
    decoded: Option<Box<str>>,
    value: Range<usize>,
}

impl Member {
    /// From the opening quote of the key to the end of the value.
    fn whole(&self) -> Range<usize> {
        self.key.start - 1..self.value.end
    }

    /// Begins there from now on.
    fn move_to(&mut self, start: usize) {
        let from = self.key.start - 1;
        for range in [&mut self.key, &mut self.value] {
            *range = range.start - from + start..range.end - from + start;
        }
    }
}

impl<'a> Object<'a> {
    /// Parses a text that is an object.
    pub fn parse(text: &'a str, limits: Limits) -> Result<Self, ObjectError> {
        Body::parse(text, limits)?.object
    }

    fn read(scanner: &mut Scanner<'a>) -> Result<Self, ObjectError> {
        let start = scanner.position();
        let mut members = Vec::with_capacity(FEW);
        scanner.object(|scanner, key| {
            let value = scanner.value()?;
            let end = scanner.position() - start;
            members.push(Member {
                key: key.place.start - start..key.place.end - start,
                decoded: key.decoded,
                value: end - value.get().len()..end,
            });
            Ok(())
        })?;
        Ok(Self { text: Cow::Borrowed(scanner.since(start)), members })
    }

    /// The whole object, as it came.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same, to be kept.
    pub fn into_string(self) -> String {
        self.text.into_owned()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Json<'_>> {
        let member = self.members.iter().find(|member| self.key(member) == key)?;
        self.text.get(member.value.clone()).map(Json)
    }

    /// The value of a key, if it is a string that is not empty.
    pub fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key).and_then(Json::text).filter(|text| !text.is_empty())
    }

    /// The object again, with the members of `set` in front in place of any of the same key, and
    /// without the keys in `strip`. The members that stay are as they came. No key of `set` has
    /// escapes.
    pub fn rewrite(mut self, set: &[(&str, Value<'_>)], strip: &[&str]) -> Object<'static> {
        let added: usize = set.iter().map(|(key, value)| key.len() + value.room() + 4).sum();
        let mut text = String::with_capacity(self.text.len() + added);
        let mut members = take(&mut self.members);
        members.retain(|member| {
            let key = self.key(member);
            !strip.contains(&key) && !set.iter().any(|(name, _)| *name == key)
        });
        let kept = members.len();
        text.push('{');
        for (key, value) in set {
            push_separator(&mut text);
            let start = text.len() + 1;
            text.push('"');
            text.push_str(key);
            text.push_str("\":");
            let begin = text.len();
            value.push(&mut text);
            let key = start..start + key.len();
            members.push(Member { key, decoded: None, value: begin..text.len() });
        }
        for member in members.iter_mut().take(kept) {
            push_separator(&mut text);
            let start = text.len();
            text.push_str(self.text.get(member.whole()).unwrap_or_default());
            member.move_to(start);
        }
        text.push('}');
        Object { text: Cow::Owned(text), members }
    }

    fn key<'m>(&'m self, member: &'m Member) -> &'m str {
        let spelling = || self.text.get(member.key.clone()).unwrap_or_default();
        member.decoded.as_deref().unwrap_or_else(spelling)
    }

    fn has_duplicate(&self) -> bool {
        let mut keys = self.members.iter().map(|member| self.key(member));
        // A few keys, the usual case, are compared in pairs; many go through a set.
        if self.members.len() <= 16 {
            return keys
                .clone()
                .enumerate()
                .any(|(n, key)| keys.clone().skip(n + 1).any(|k| k == key));
        }
        let mut seen = HashSet::with_capacity(self.members.len());
        !keys.all(|key| seen.insert(key))
    }
}

/// Appends `text` as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else if let Ok(quoted) = serde_json::to_string(text) {
        out.push_str(&quoted);
    }
}

fn push_separator(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}

#[cfg(test)]
mod tests;
