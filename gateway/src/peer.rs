//! Who is at the other end of a request, and whether it came under TLS.
//!
//! `X-Forwarded-For` and `X-Forwarded-Proto` are believed from the proxies of `gateway.proxies`
//! alone, and only as far as those wrote them: anybody else can write what it likes.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use tollgate_proto::iam::{Client, Via};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where a request came from; the accept loop puts it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The client, or the last hop that is not one of ours.
    pub(crate) address: IpAddr,
    /// Under TLS all the way to us or to our proxy.
    pub(crate) secure: bool,
}

impl Peer {
    pub(crate) fn client(self, via: Via) -> Client {
        Client { address: Some(self.address.to_string()), via }
    }

    /// The peer of a request that came over a connection from `self`.
    pub(crate) fn behind(self, proxies: &Proxies, headers: &HeaderMap) -> Self {
        if !proxies.contain(self.address) {
            return self;
        }
        let secure = self.secure || is_https_all_the_way(headers);
        let mut address = self.address;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        for hop in hops {
            // What cannot be read was not written by one of ours.
            let Some(hop) = parse_hop(hop.trim()) else { break };
            address = hop;
            if !proxies.contain(hop) {
                break;
            }
        }
        Self { address, secure }
    }
}

/// Whether every proxy that says how it was asked was asked under TLS, and one does. A value that a
/// client wrote itself can only make it less.
fn is_https_all_the_way(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(FORWARDED_PROTO).iter();
    let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().split(',')).peekable();
    hops.peek().is_some() && hops.all(|hop| hop.trim().eq_ignore_ascii_case("https"))
}

/// An address as proxies write it: bare, with a port, in brackets.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// The setting `gateway.proxies`, parsed.
#[derive(Debug, Default)]
pub(crate) struct Proxies(Vec<Network>);

#[derive(Debug)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

/// An entry of `gateway.proxies` that is no network.
#[derive(Debug, thiserror::Error)]
#[error("gateway.proxies: {0:?} is neither an address nor a network like \"10.0.0.0/8\"")]
pub(crate) struct InvalidProxy(String);

impl Proxies {
    pub(crate) fn parse(list: &[String]) -> Result<Self, InvalidProxy> {
        let parse = |entry: &String| Network::parse(entry).ok_or(InvalidProxy(entry.clone()));
        list.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address.to_canonical()))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(list: &[&str]) -> Proxies {
        let list: Vec<_> = list.iter().map(|entry| (*entry).to_owned()).collect();
        Proxies::parse(&list).unwrap()
    }

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn check(from: &str, forwarded: &[&'static str], expect: &str) {
        let proxies = proxies(&["10.0.0.0/8", "::1", "192.0.2.7"]);
        let lines: Vec<_> = forwarded.iter().map(|line| (FORWARDED_FOR, *line)).collect();
        let peer = Peer { address: from.parse().unwrap(), secure: false };
        let seen = peer.behind(&proxies, &headers(&lines));
        assert_eq!(seen.address.to_string(), expect, "{from} {forwarded:?}");
    }

    #[test]
    fn only_what_our_proxies_wrote_is_believed() {
        check("203.0.113.9", &["198.51.100.1"], "203.0.113.9");
        check("10.1.2.3", &["198.51.100.1"], "198.51.100.1");
        check("10.1.2.3", &["6.6.6.6, 198.51.100.1, 192.0.2.7"], "198.51.100.1");
        check("10.1.2.3", &["6.6.6.6", "198.51.100.1", "10.9.9.9"], "198.51.100.1");
        check("::1", &["[2001:db8::5]:4711"], "2001:db8::5");
        check("::ffff:10.1.2.3", &["198.51.100.1:80"], "198.51.100.1");
        check("10.1.2.3", &["6.6.6.6, <script>"], "10.1.2.3");
        check("10.1.2.3", &[], "10.1.2.3");
    }

    #[test]
    fn a_proxy_that_says_https_is_believed_and_nobody_else() {
        let proxies = proxies(&["10.0.0.1"]);
        let secure = |from: &str, proto: &'static str| {
            let peer = Peer { address: from.parse().unwrap(), secure: false };
            peer.behind(&proxies, &headers(&[(FORWARDED_PROTO, proto)])).secure
        };
        assert!(secure("10.0.0.1", "https"));
        assert!(secure("10.0.0.1", "https, HTTPS"));
        assert!(!secure("10.0.0.1", "https, http"));
        assert!(!secure("10.0.0.1", "http, https"));
        assert!(!secure("10.0.0.1", ""));
        assert!(!secure("10.0.0.1", "http"));
        assert!(!secure("10.0.0.2", "https"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["", "proxy", "10.0.0.0/33", "::/129", "10.0.0.0/x", "10.0.0.0/-1"] {
            assert!(Proxies::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
