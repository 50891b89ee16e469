//! One careful pass over JSON that is not ours.
//!
//! In: text from a client. Out: proof that it is an object within its limits, and its top-level
//! members by span, so that everything else can be passed on byte for byte.
//! Never: a value tree. Duplicate keys are refused, because two readers of
//! `{"operation":"get","operation":"put"}` may disagree on what was authorised.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How deep and how large JSON may be.
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
    /// It is nested too deep or has too many members.
    #[error("nested too deep or too many members")]
    BeyondLimits,
}

/// Checks depth and number of tokens without parsing.
///
/// `serde_json` skips a raw value whatever its depth, so this stands in front of every reader of the
/// value itself. Text that is no JSON may pass here; the parser refuses it.
pub fn check_limits(text: &str, limits: Limits) -> Result<(), ObjectError> {
    let (mut depth, mut tokens) = (0_usize, 0_usize);
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'"' => rest = after_string(tail),
            b'{' | b'[' => {
                depth += 1;
                tokens += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' | b':' => tokens += 1,
            _ => continue,
        }
        if depth > limits.depth || tokens > limits.tokens {
            return Err(ObjectError::BeyondLimits);
        }
    }
    Ok(())
}

/// What follows a string whose opening quote has been read.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        if rest[at] == b'"' {
            return &rest[at + 1..];
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    &[]
}

/// The top level of a JSON object: keys decoded, values as they came.
#[derive(Debug)]
pub struct Object<'a> {
    text: &'a str,
    members: Vec<Member<'a>>,
}

#[derive(Debug)]
struct Member<'a> {
    key: Cow<'a, str>,
    value: &'a RawValue,
    /// Where the value ends in the text.
    end: usize,
}

impl<'a> Object<'a> {
    /// Parses the top level of `text`.
    pub fn parse(text: &'a str) -> Result<Self, ObjectError> {
        let Entries(entries) = match serde_json::from_str(text) {
            Ok(entries) => entries,
            Err(error) if error.is_data() => return Err(ObjectError::NotAnObject),
            Err(_) => return Err(ObjectError::NotJson),
        };
        if has_duplicate(&entries) {
            return Err(ObjectError::DuplicateKey);
        }
        let base = text.as_ptr() as usize;
        let members = entries
            .into_iter()
            .map(|(key, value)| {
                let end = value.get().as_ptr() as usize - base + value.get().len();
                Member { key, value, end }
            })
            .collect();
        Ok(Self { text, members })
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|m| m.key == key).map(|m| m.value)
    }

    /// The value of a key, if it is a string that is not empty.
    pub fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).and_then(text_of).filter(|text| !text.is_empty())
    }

    /// The object again, with the members of `set` (key and JSON text) in front in place of any of
    /// the same key, and without the keys in `strip`. All other bytes are those that came.
    pub fn rewrite(&self, set: &[(&str, &str)], strip: &[&str]) -> String {
        let added: usize = set.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        let mut out = String::with_capacity(self.text.len() + added + 2);
        out.push('{');
        for (key, value) in set {
            push_separator(&mut out);
            push_string(&mut out, key);
            out.push(':');
            out.push_str(value);
        }
        let mut from = self.text.find('{').map_or(0, |at| at + 1);
        for member in &self.members {
            let span = &self.text[from..member.end];
            from = member.end;
            let key = &*member.key;
            if strip.contains(&key) || set.iter().any(|(name, _)| *name == key) {
                continue;
            }
            push_separator(&mut out);
            out.push_str(span.trim_start_matches([',', ' ', '\t', '\r', '\n']));
        }
        out.push('}');
        out
    }
}

/// A raw value as a string, if it is one.
pub fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get();
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(text).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
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

fn has_duplicate(entries: &[(Cow<'_, str>, &RawValue)]) -> bool {
    // A few keys, the usual case, are compared in pairs; many go through a set.
    if entries.len() <= 16 {
        return entries
            .iter()
            .enumerate()
            .any(|(n, (key, _))| entries[..n].iter().any(|(earlier, _)| earlier == key));
    }
    let mut seen = HashSet::with_capacity(entries.len());
    !entries.iter().all(|(key, _)| seen.insert(key))
}

struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::with_capacity(8);
                while let Some(Key(key)) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A key, borrowed unless it holds escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_rewrite(input: &str, expect: &str) {
        let object = Object::parse(input).unwrap();
        assert_eq!(object.rewrite(&[("workspace", "\"w\"")], &["user-context"]), expect);
    }

    #[test]
    fn members_are_replaced_and_stripped_and_the_rest_kept_byte_for_byte() {
        check_rewrite("{}", r#"{"workspace":"w"}"#);
        check_rewrite(r#"{"a":1}"#, r#"{"workspace":"w","a":1}"#);
        check_rewrite(
            r#" { "a" : 1.50 , "workspace":"evil" , "b" : [ 1, 2 ] } "#,
            r#"{"workspace":"w","a" : 1.50,"b" : [ 1, 2 ]}"#,
        );
        check_rewrite(
            r#"{"user-context":{"x":1},"a":"\u00e9"}"#,
            r#"{"workspace":"w","a":"\u00e9"}"#,
        );
        check_rewrite(r#"{"work\u0073pace":"evil","user\u002dcontext":1}"#, r#"{"workspace":"w"}"#);
    }

    #[test]
    fn objects_that_two_readers_could_read_differently_are_refused() {
        let check =
            |text: &str, expect| assert_eq!(Object::parse(text).unwrap_err(), expect, "{text}");
        check(r#"{"operation":"get","operation":"put"}"#, ObjectError::DuplicateKey);
        check(r#"{"operation":"get","\u006fperation":"put"}"#, ObjectError::DuplicateKey);
        check("[]", ObjectError::NotAnObject);
        check("7", ObjectError::NotAnObject);
        check("{", ObjectError::NotJson);
        check("{} x", ObjectError::NotJson);
        check("", ObjectError::NotJson);
    }

    #[test]
    fn depth_and_size_are_limited_outside_strings() {
        let deep = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(check_limits(&deep(32), Limits::STRANGER).is_ok());
        assert_eq!(check_limits(&deep(33), Limits::STRANGER), Err(ObjectError::BeyondLimits));
        assert!(check_limits(&format!("\"{}\\\"[\"", "[".repeat(99)), Limits::STRANGER).is_ok());
        let wide = format!("[{}0]", "0,".repeat(2_000));
        assert_eq!(check_limits(&wide, Limits::STRANGER), Err(ObjectError::BeyondLimits));
    }

    proptest! {
        #[test]
        fn a_rewritten_object_says_the_same(
            members in proptest::collection::btree_map("[a-z\"\\\\é]{1,6}", any::<i32>(), 0..24),
        ) {
            let text = serde_json::to_string(&members).unwrap();
            let rewritten = Object::parse(&text).unwrap().rewrite(&[("workspace", "\"w\"")], &[]);
            let mut value: serde_json::Value = serde_json::from_str(&rewritten).unwrap();
            prop_assert_eq!(value.as_object_mut().unwrap().remove("workspace").unwrap(), "w");
            prop_assert_eq!(value, serde_json::to_value(&members).unwrap());
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\a0 ]{0,40}") {
            let _ = check_limits(&text, Limits::STRANGER);
            if let Ok(object) = Object::parse(&text) {
                let again = object.rewrite(&[], &[]);
                prop_assert!(Object::parse(&again).is_ok());
            }
        }
    }
}
