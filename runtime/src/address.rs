//! Where a server is: `http://host[:port][/path]`, or `https://` where it is said whose certificates
//! to trust.

use axum::http::Uri;
use axum::http::header::HeaderValue;
use axum::http::uri::PathAndQuery;
use tokio::net::TcpStream;

use crate::stream::Stream;
use crate::tls::{Connector, HandshakeError};

/// An address that requests can be posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Does the handshake; none: in clear.
    tls: Option<Connector>,
    host: String,
    port: u16,
    authority: HeaderValue,
    path: PathAndQuery,
}

/// Where at a server, beyond its address; both as they stand in a URL.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Behind the path of the address.
    pub below: &'a str,
    /// Behind its query.
    pub query: &'a str,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// No scheme, no host, no port that there is.
    #[error("is not a URL like \"http://127.0.0.1:9000/\"")]
    NotAUrl,
    /// Another scheme.
    #[error("is neither http:// nor https://, and nothing else is spoken to servers")]
    NotHttp,
    /// TLS without a way to know the server.
    #[error("is https://, and no ca_file says whose certificates to trust")]
    NobodyTrusted,
    /// Would be shown wherever the address is.
    #[error("must not hold a user or password: secrets stand in files")]
    Credential,
}

impl Address {
    /// A connection, under TLS if that is what is spoken there. The caller says how long it may
    /// take.
    pub async fn connect(&self) -> Result<Stream, HandshakeError> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        // Requests are small and awaited: they must not wait for more to send.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            Some(tls) => tls.connect(&self.host, stream).await,
            None => Ok(Stream::Plain(stream)),
        }
    }

    /// What a request says in `Host`.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The target of a request, in origin form. `None`: no URL may hold that.
    pub fn target(&self, place: Place<'_>) -> Option<Uri> {
        if place == Place::default() {
            return Some(self.path.clone().into());
        }
        let mut target = self.path.path().to_owned();
        if !place.below.is_empty() {
            target.truncate(target.trim_end_matches('/').len());
            target.push('/');
            target.push_str(place.below);
        }
        let queries = [self.path.query().unwrap_or_default(), place.query];
        for (before, query) in ["?", "&"].iter().zip(queries.iter().filter(|it| !it.is_empty())) {
            target.push_str(before);
            target.push_str(query);
        }
        target.parse().ok()
    }

    /// Reads an address; `trusted` serves those under TLS.
    pub fn parse(text: &str, trusted: Option<&Connector>) -> Result<Self, InvalidAddress> {
        let url: Uri = text.parse().map_err(|_| InvalidAddress::NotAUrl)?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(InvalidAddress::NotAUrl);
        };
        let (tls, default_port) = match (scheme, trusted) {
            ("http", _) => (None, 80),
            ("https", Some(trusted)) => (Some(trusted.clone()), 443),
            ("https", None) => return Err(InvalidAddress::NobodyTrusted),
            _ => return Err(InvalidAddress::NotHttp),
        };
        if authority.as_str().contains('@') {
            return Err(InvalidAddress::Credential);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = match (authority.port_u16(), authority.port()) {
            (Some(port), _) if port > 0 => port,
            (None, None) => default_port,
            (Some(_) | None, _) => return Err(InvalidAddress::NotAUrl),
        };
        // The parser takes a colon without a port behind it.
        if host.is_empty() || authority.as_str().ends_with(':') {
            return Err(InvalidAddress::NotAUrl);
        }
        let path = url.path_and_query().cloned();
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            authority: HeaderValue::from_str(authority.as_str())
                .map_err(|_| InvalidAddress::NotAUrl)?,
            path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_whole_or_refused() {
        let check = |text: &str, host, port, target: &str| {
            let address = Address::parse(text, None).unwrap();
            assert_eq!((&*address.host, address.port), (host, port));
            assert_eq!(address.target(Place::default()).unwrap().to_string(), target);
        };
        check("http://localhost", "localhost", 80, "/");
        check("http://10.0.0.1:9000/a/b?c=d", "10.0.0.1", 9000, "/a/b?c=d");
        check("http://[::1]:9000", "::1", 9000, "/");
        let check = |text: &str, expect| {
            assert_eq!(Address::parse(text, None).unwrap_err(), expect, "{text}");
        };
        for text in ["", "localhost:9000", "/path", "http://", "http://a:0/", "http://a:/", "a b"] {
            check(text, InvalidAddress::NotAUrl);
        }
        check("ftp://localhost/", InvalidAddress::NotHttp);
        check("https://localhost/", InvalidAddress::NobodyTrusted);
        check("http://user:pass@localhost/", InvalidAddress::Credential);
    }

    #[test]
    fn a_place_is_behind_the_address() {
        let check = |address: &str, below, query, expect: &str| {
            let address = Address::parse(address, None).unwrap();
            let target = address.target(Place { below, query });
            assert_eq!(target.unwrap().to_string(), expect);
        };
        check("http://h", "query", "", "/query");
        check("http://h/api/v1/", "query", "a=b&c", "/api/v1/query?a=b&c");
        check("http://h/p?x=1", "", "a=%20", "/p?x=1&a=%20");
        let address = Address::parse("http://h/", None).unwrap();
        assert_eq!(address.target(Place { below: "a b", query: "" }), None);
    }
}
