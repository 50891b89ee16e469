//! Where to connect, as whom, and the bounds of one socket.
//!
//! In: a URL as people write it. Out: the endpoint to dial, or why there is none.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use tokio_tungstenite::tungstenite::http::Uri;

use crate::error::ConnectError;

const SOCKET_PATH: &str = "/api/v1/socket";

/// How to connect.
#[derive(Debug, Clone)]
pub struct Config {
    /// The gateway: `http://host:port/` or `ws://host:port/`, `https` or `wss` under TLS, with or
    /// without `/api/v1/socket`.
    pub url: String,
    /// Under TLS, the certificates to trust, PEM. Without it, those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// An API key or a JWT for the first frame. Without one the socket opens unauthenticated.
    pub token: Option<SecretString>,
    /// Features of the protocol to ask for in every `auth` frame.
    pub features: Vec<String>,
    /// How long opening the socket may take.
    pub connect_timeout: Duration,
    /// How long the answer to a credential may take.
    pub auth_timeout: Duration,
    /// How long a [`LastingClient`](crate::LastingClient) pauses at most after a first failure. The
    /// pause is drawn anew each time, and doubles.
    pub first_pause: Duration,
    /// How long it pauses at most.
    pub longest_pause: Duration,
    /// How long a call without a deadline waits for its socket.
    pub patience: Duration,
    /// After this much silence the server is asked whether it is there, after twice as much the
    /// connection counts as lost. `None` waits for ever.
    pub heartbeat: Option<Duration>,
    /// Calls that wait to be written; one more waits in its own [`call`](crate::Client::call).
    pub call_queue: usize,
    /// Frames of one stream that wait to be read. One more, and that stream ends with
    /// [`SlowConsumer`](crate::CallError::SlowConsumer): waiting for it would hold up every other
    /// call of the socket.
    pub stream_queue: usize,
    /// The largest message that is taken from the server, in bytes.
    pub max_message: usize,
}

impl Config {
    /// The defaults for a gateway.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            token: None,
            features: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(15),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            patience: Duration::from_secs(30),
            heartbeat: Some(Duration::from_secs(20)),
            call_queue: 256,
            stream_queue: 1024,
            max_message: 64 << 20,
        }
    }

    /// With a credential for the first frame.
    #[must_use]
    pub fn token(mut self, token: impl Into<SecretString>) -> Self {
        self.token = Some(token.into());
        self
    }
}

/// What a URL comes to: a host to dial and a path to ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Without the brackets of IPv6.
    pub host: String,
    pub port: u16,
    /// The whole `ws://` or `wss://` URL, for the request line and the `Host` header.
    pub url: String,
    /// Whether TLS comes first.
    pub secure: bool,
}

impl Endpoint {
    /// `host:port`, for people.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn parse(url: &str) -> Result<Self, ConnectError> {
        let refuse =
            |reason: &str| ConnectError::Url { url: url.to_owned(), reason: reason.to_owned() };
        let uri: Uri = url.trim().parse().map_err(|_| refuse("it is not a url"))?;
        let (secure, scheme, default_port) = match uri.scheme_str() {
            Some("http" | "ws") => (false, "ws", 80),
            Some("https" | "wss") => (true, "wss", 443),
            Some(_) | None => {
                return Err(refuse("it must begin with https://, wss://, http:// or ws://"));
            }
        };
        let Some(authority) = uri.authority() else { return Err(refuse("it names no host")) };
        if authority.as_str().contains('@') {
            return Err(refuse("it must not hold a credential"));
        }
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix(SOCKET_PATH).unwrap_or(path);
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(default_port),
            url: format!("{scheme}://{authority}{path}{SOCKET_PATH}{query}"),
            secure,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_gateway_leads_to_its_socket() {
        let check = |url: &str, address: &str, socket: &str| {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!((endpoint.address().as_str(), endpoint.url.as_str()), (address, socket));
        };
        let socket = "ws://localhost:8088/api/v1/socket";
        for url in [
            "http://localhost:8088",
            "http://localhost:8088/",
            "ws://localhost:8088/",
            "ws://localhost:8088/api/v1/socket",
            " http://localhost:8088/api/v1/socket/ ",
        ] {
            check(url, "localhost:8088", socket);
        }
        check("http://gw", "gw:80", "ws://gw/api/v1/socket");
        check("http://[::1]:9/", "[::1]:9", "ws://[::1]:9/api/v1/socket");
        check("http://gw/tollgate/", "gw:80", "ws://gw/tollgate/api/v1/socket");
        check("ws://gw/?a=b", "gw:80", "ws://gw/api/v1/socket?a=b");
        check("https://gw", "gw:443", "wss://gw/api/v1/socket");
        check("wss://gw:8443/", "gw:8443", "wss://gw:8443/api/v1/socket");
    }

    #[test]
    fn what_cannot_be_dialled_says_why() {
        let check = |url: &str, expect: &str| {
            assert_eq!(Endpoint::parse(url).unwrap_err().to_string(), expect);
        };
        check("", r#""" is no url of a gateway: it is not a url"#);
        check(
            "localhost:8088",
            r#""localhost:8088" is no url of a gateway: it must begin with https://, wss://, http:// or ws://"#,
        );
        check(
            "ftp://gw",
            r#""ftp://gw" is no url of a gateway: it must begin with https://, wss://, http:// or ws://"#,
        );
        let with_password = "http://ann:secret@gw/";
        assert!(matches!(Endpoint::parse(with_password), Err(ConnectError::Url { .. })));
    }
}
