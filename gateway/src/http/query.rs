//! The query of a URL: the few parameters that a path has, each at most once.
//!
//! Never: into a log. A query may hold a credential.

use std::borrow::Cow;
use std::fmt::Write;

use axum::http::Uri;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::secret::SecretString;

/// The query of a request.
#[derive(Clone, Copy)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    /// A parameter, decoded. One that is empty is none.
    pub(super) fn get(self, name: &str) -> Result<Option<String>, WireError> {
        let mut named = self.named(name);
        let value = match (named.next(), named.next()) {
            (None, _) => return Ok(None),
            (Some(value), None) => value.replace('+', " "),
            // Of two workspaces the wrong one might be checked.
            (Some(_), Some(_)) => return Err(invalid("a parameter is repeated")),
        };
        let value = String::from_utf8(decode_percent(&value))
            .map_err(|_| invalid("a parameter is not UTF-8"))?;
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    /// The credential in it. Clients of old send theirs as it is: a plus sign is one.
    pub(super) fn token(self) -> Option<SecretString> {
        let mut named = self.named("token");
        let (Some(value), None) = (named.next(), named.next()) else { return None };
        let token = String::from_utf8(decode_percent(value)).ok()?;
        Some(SecretString::from(token)).filter(|_| !value.is_empty())
    }

    /// The values of a parameter, however its name is spelled.
    fn named(self, name: &str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(move |(key, _)| decode_percent(key) == name.as_bytes()).map(|(_, value)| value)
    }
}

fn invalid(message: &'static str) -> WireError {
    WireError::with_message(ErrorKind::InvalidRequest, message)
}

/// Undoes percent-encoding. Clients also send tokens as they are: a lone `%` stays.
pub(super) fn decode_percent(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = match tail {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        out.push(decoded.map_or(*first, |(high, low)| high << 4 | low));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    out
}

/// A value as it stands in a query.
pub(super) fn encode(value: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if value.bytes().all(plain) {
        return Cow::Borrowed(value);
    }
    let mut encoded = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn tokens_in_urls_are_read_escaped_or_not() {
        let check = |query: &str, expect: Option<&str>| {
            let token = Query(query).token();
            assert_eq!(token.as_ref().map(ExposeSecret::expose_secret), expect, "{query}");
        };
        check("token=tg_a-b_c", Some("tg_a-b_c"));
        check("x=1&token=a%2Eb%2ec%", Some("a.b.c%"));
        check("token=%zz%+1", Some("%zz%+1"));
        check("t%6Fken=a", Some("a"));
        check("token=a&token=a", None);
        check("token=", None);
        check("token", None);
        check("", None);
    }

    #[test]
    fn a_parameter_has_one_value_however_it_is_spelled() {
        let get = |query: &'static str| Query(query).get("workspace").map_err(|error| error.kind);
        assert_eq!(get("workspace=a&token=b"), Ok(Some("a".to_owned())));
        assert_eq!(get("%77orkspac%65=%61+b"), Ok(Some("a b".to_owned())));
        assert_eq!(get("workspace="), Ok(None));
        assert_eq!(get("Workspace=a&workspaces=b&workspace"), Ok(None));
        assert!(get("workspace=a&workspace=a").is_err());
        assert!(get("workspace=a&%77orkspace=b").is_err());
        assert!(get("workspace=%ff").is_err());
    }

    #[test]
    fn a_value_comes_out_as_it_went_in() {
        for value in ["", "plain", "urn:a b/ä&=%+?#", "\r\n"] {
            let query = format!("v={}", encode(value));
            assert_eq!(Query(&query).get("v").unwrap().unwrap_or_default(), value, "{query}");
        }
    }
}
