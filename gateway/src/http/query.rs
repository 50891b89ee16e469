//! The query of a URL: the few parameters that a path has, each at most once.
//!
//! Never: into a log. A query may hold a credential.

use std::borrow::Cow;

use axum::http::Uri;
use tollgate_proto::error::{ErrorKind, WireError};
use tollgate_proto::secret::SecretString;

use crate::percent;

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
        let value = String::from_utf8(percent::decode(&value))
            .map_err(|_| invalid("a parameter is not UTF-8"))?;
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    /// The credential in it. Clients of old send theirs as it is: a plus sign is one.
    pub(super) fn token(self) -> Option<SecretString> {
        let mut named = self.named("token");
        let (Some(value), None) = (named.next(), named.next()) else { return None };
        let token = String::from_utf8(percent::decode(value)).ok()?;
        Some(SecretString::from(token)).filter(|_| !value.is_empty())
    }

    /// The values of a parameter, however its name is spelled.
    fn named(self, name: &str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(move |(key, _)| percent::decode(key) == name.as_bytes())
            .map(|(_, value)| value)
    }
}

fn invalid(message: &'static str) -> WireError {
    WireError::with_message(ErrorKind::InvalidRequest, message)
}

/// A value as it stands in a query.
pub(super) fn encode(value: &str) -> Cow<'_, str> {
    percent::encode(value, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
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
