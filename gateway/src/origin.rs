//! The Origins that may open a socket.
//!
//! A credential in the first frame is not ambient, so the default is to take every Origin. With
//! a list, a browser page of another Origin is closed right after the upgrade; a client that
//! sends no Origin is no browser and passes.

/// The setting `gateway.origins`, parsed.
#[derive(Debug)]
pub(crate) struct Origins(Option<Vec<Origin>>);

/// Scheme, host and port: what RFC 6454 compares.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// An entry of `gateway.origins` that is no Origin.
#[derive(Debug, thiserror::Error)]
#[error("gateway.origins: {0:?} is not an Origin like \"https://app.example.com\" and not \"*\"")]
pub(crate) struct InvalidOrigin(String);

impl Origins {
    pub(crate) fn parse(list: &[String]) -> Result<Self, InvalidOrigin> {
        if list.iter().any(|entry| entry == "*") {
            return Ok(Self(None));
        }
        let parse = |entry: &String| Origin::parse(entry).ok_or(InvalidOrigin(entry.clone()));
        list.iter().map(parse).collect::<Result<_, _>>().map(|list| Self(Some(list)))
    }

    /// Whether a page of this Origin may use the socket.
    pub(crate) fn allow(&self, origin: Option<&str>) -> bool {
        match (&self.0, origin) {
            (None, _) | (_, None) => true,
            (Some(list), Some(text)) => Origin::parse(text).is_some_and(|o| list.contains(&o)),
        }
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" | "wss" => 443,
            "http" | "ws" => 80,
            _ => return None,
        };
        let (host, port) = match rest.rsplit_once(':') {
            // The last colon of `[::1]` is inside the brackets.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (rest, default_port),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
        (!host.is_empty() && host.bytes().all(plain)).then(|| Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_parsed() {
        let list = ["https://app.example.com".to_owned(), "http://[::1]:3000".to_owned()];
        let origins = Origins::parse(&list).unwrap();
        for good in ["https://app.example.com", "https://APP.example.com:443", "http://[::1]:3000"]
        {
            assert!(origins.allow(Some(good)), "{good}");
        }
        for bad in [
            "http://app.example.com",
            "https://app.example.com:444",
            "https://app.example.com.evil.org",
            "https://evil.org/https://app.example.com",
            "null",
            "",
        ] {
            assert!(!origins.allow(Some(bad)), "{bad}");
        }
        assert!(origins.allow(None));
        assert!(Origins::parse(&["*".to_owned()]).unwrap().allow(Some("null")));
        assert!(Origins::parse(&["example.com".to_owned()]).is_err());
    }
}
