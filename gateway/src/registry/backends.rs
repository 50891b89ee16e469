//! `[backend.NAME]`: what runs calls, read and checked.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::HeaderValue;
use serde::Deserialize;
use tollgate_runtime::files::read_secret;
use tollgate_runtime::tls::Connector;
use tollgate_runtime::units::{Bytes, Period};

use crate::upstream::{Address, Bounds};

const CONNECT_TIMEOUT: Period = Period(Duration::from_secs(1));
/// Shorter than the five seconds after which common servers close, so that they rarely do it just
/// when a request is on its way.
const IDLE_TIMEOUT: Period = Period(Duration::from_secs(4));
const MAX_IDLE: usize = 64;
const MAX_INFLIGHT: usize = 1_024;
const MAX_ANSWER: Bytes = Bytes(8 << 20);

/// A backend, checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BackendSettings {
    /// Answers every request with itself.
    Echo {
        /// The flows that it runs, in every workspace.
        flows: Vec<String>,
    },
    /// A service over HTTP.
    Http(HttpSettings),
}

/// A service over HTTP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpSettings {
    /// Where it is: at least one.
    pub(crate) addresses: Vec<Address>,
    pub(crate) bounds: Bounds,
    /// The largest answer, or chunk of a stream.
    pub(crate) max_answer: usize,
    /// By which it knows the gateway. Marked as sensitive.
    pub(crate) authorization: Option<HeaderValue>,
}

/// `[backend.NAME]` as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum BackendStanza {
    Echo { flows: Vec<String> },
    Http(HttpStanza),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HttpStanza {
    urls: Vec<String>,
    connect_timeout: Option<Period>,
    idle_timeout: Option<Period>,
    max_idle: Option<usize>,
    max_inflight: Option<usize>,
    max_answer: Option<Bytes>,
    secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

/// Checks a stanza, or says what is wrong with it.
pub(super) fn read(stanza: &BackendStanza) -> Result<BackendSettings, String> {
    match stanza {
        BackendStanza::Echo { flows } => Ok(BackendSettings::Echo { flows: flows.clone() }),
        BackendStanza::Http(stanza) => read_http(stanza).map(BackendSettings::Http),
    }
}

/// The backend at a URL, with nothing else said about it.
pub(super) fn at(url: &str) -> Result<BackendSettings, String> {
    let stanza = HttpStanza { urls: vec![url.to_owned()], ..HttpStanza::default() };
    read_http(&stanza).map(BackendSettings::Http)
}

fn read_http(stanza: &HttpStanza) -> Result<HttpSettings, String> {
    let trusted = match &stanza.ca_file {
        Some(path) => Some(Connector::trusting(path).map_err(|error| format!("ca_file: {error}"))?),
        None => None,
    };
    let address = |url: &String| {
        // What may hold a password is not shown.
        let shown = if url.contains('@') { "a url".to_owned() } else { format!("{url:?}") };
        Address::parse(url, trusted.as_ref()).map_err(|error| format!("{shown} {error}"))
    };
    let addresses: Vec<Address> = stanza.urls.iter().map(address).collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        return Err("has no urls".to_owned());
    }
    let bounds = Bounds {
        connect_timeout: stanza.connect_timeout.unwrap_or(CONNECT_TIMEOUT).0,
        idle_timeout: stanza.idle_timeout.unwrap_or(IDLE_TIMEOUT).0,
        max_idle: stanza.max_idle.unwrap_or(MAX_IDLE),
        max_inflight: stanza.max_inflight.unwrap_or(MAX_INFLIGHT),
    };
    if bounds.connect_timeout.is_zero() || bounds.max_inflight == 0 {
        return Err("would refuse every call: a connect_timeout or max_inflight of 0".to_owned());
    }
    let authorization = match &stanza.secret_file {
        Some(path) => {
            let secret = read_secret(path).map_err(|error| format!("secret_file: {error}"))?;
            Some(bearer(&secret).ok_or("secret_file: HTTP does not carry its characters")?)
        }
        None => None,
    };
    let max_answer = stanza.max_answer.unwrap_or(MAX_ANSWER).0;
    Ok(HttpSettings { addresses, bounds, max_answer, authorization })
}

fn bearer(secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
