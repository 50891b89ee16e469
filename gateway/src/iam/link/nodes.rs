//! The nodes of IAM: one of them is asked and listened to, and another one when that one fails.
//!
//! In: what is to be posted. Out: the head of an answer, and at which node.
//! Never: a question that two nodes may have read.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::HeaderMap;
use rand::RngExt;
use tollgate_proto::iam::{CALL_PATH, FEED_PATH, JWKS_PATH};
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::tls::Connector;

use super::{BOUNDS, InvalidLink};
use crate::upstream::{self, Address, Answer, Failure, RequestBody, Upstream};

/// Where a node listens.
pub(super) struct Place {
    url: String,
    calls: Address,
    feed: Address,
    keys: Address,
}

/// Reads the addresses of nodes, which stand with commas between them; `trusted` serves those under
/// TLS.
pub(super) fn parse(iam_url: &str, trusted: Option<&Connector>) -> Result<Vec<Place>, InvalidLink> {
    iam_url.split(',').map(|url| Place::parse(url.trim(), trusted)).collect()
}

impl Place {
    fn parse(url: &str, trusted: Option<&Connector>) -> Result<Self, InvalidLink> {
        let base = url.trim_end_matches('/');
        let address = |path: &str| {
            let address = Address::parse(&format!("{base}{path}"), trusted);
            address.map_err(|error| InvalidLink::of(url, error))
        };
        Ok(Self {
            calls: address(CALL_PATH)?,
            feed: address(FEED_PATH)?,
            keys: address(JWKS_PATH)?,
            url: url.to_owned(),
        })
    }
}

/// The nodes. There is at least one.
pub(super) struct Nodes {
    all: Vec<Node>,
    /// The one that is asked.
    first: AtomicUsize,
    /// Of any of them.
    keys: Upstream,
}

struct Node {
    url: String,
    calls: Upstream,
    feed: Upstream,
}

impl Nodes {
    pub(super) fn new(places: &[Place], lifecycle: &Lifecycle) -> Self {
        let reach =
            |addresses: &[Address]| Upstream::new(addresses, &BOUNDS, Arc::default(), lifecycle);
        let node = |place: &Place| Node {
            url: place.url.clone(),
            calls: reach(slice::from_ref(&place.calls)),
            feed: reach(slice::from_ref(&place.feed)),
        };
        // Each gateway begins with another one.
        let first = AtomicUsize::new(rand::rng().random_range(0..places.len().max(1)));
        let keys: Vec<_> = places.iter().map(|place| place.keys.clone()).collect();
        Self { all: places.iter().map(node).collect(), first, keys: reach(&keys) }
    }

    /// The one that is asked now.
    pub(super) fn first(&self) -> usize {
        self.first.load(Ordering::Relaxed)
    }

    /// Another one is asked from here on, unless that has happened.
    pub(super) fn pass_over(&self, at: usize, reason: &str) {
        let next = (at + 1) % self.all.len();
        let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
        if next != at && self.first.compare_exchange(at, next, order, failed).is_ok() {
            let (node, now) = (self.url(at), self.url(next));
            tracing::debug!(node, reason, "another node of iam is asked: {now}");
        }
    }

    /// Posts a question, at the first node that can be reached.
    pub(super) async fn call(&self, headers: &HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let (first, count) = (self.first(), self.all.len());
        let mut failed = Failure::Unreachable("there is none".to_owned());
        for at in (first..first + count).map(|at| at % count) {
            let Some(node) = self.all.get(at) else { break };
            match node.calls.post(headers.clone(), body.clone()).await {
                // No byte of it has left.
                Err(Failure::Unreachable(reason)) => {
                    self.pass_over(at, &reason);
                    failed = Failure::Unreachable(reason);
                }
                done => return done,
            }
        }
        Err(failed)
    }

    /// Posts a poll at one node.
    pub(super) async fn poll(
        &self,
        at: usize,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        match self.all.get(at) {
            Some(node) => node.feed.post(headers.clone(), body).await,
            None => Err(Failure::Unreachable("there is none".to_owned())),
        }
    }

    /// Asks for the public keys, which are the same at all of them.
    pub(super) async fn keys(&self, headers: &HeaderMap) -> Result<Answer, Failure> {
        let mut request = Request::new(RequestBody::Left(Full::default()));
        headers.clone_into(request.headers_mut());
        self.keys.send(request, upstream::Place::default()).await
    }

    fn url(&self, at: usize) -> &str {
        self.all.get(at).map_or("", |node| &node.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_stand_with_commas_between_them() {
        let urls = |text: &str| {
            parse(text, None)
                .map(|places| places.into_iter().map(|place| place.url).collect::<Vec<_>>())
        };
        assert_eq!(urls("http://a:1").unwrap(), ["http://a:1"]);
        assert_eq!(urls("http://a:1, http://b/").unwrap(), ["http://a:1", "http://b/"]);
        for text in ["", "http://a:1,", "http://a:1 http://b", "a,b"] {
            assert!(urls(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        for text in ["http://u:secret@a:1", "https://u:secret@a", "http://a, http://u:secret @b"] {
            let refused = parse(text, None).err().unwrap().to_string();
            assert_eq!(
                refused,
                "gateway.iam_url: a URL must not hold a user or password: secrets stand in files"
            );
        }
    }

    #[tokio::test]
    async fn a_node_that_fails_is_passed_over_once() {
        let places =
            parse("http://127.0.0.1:1,http://127.0.0.1:2,http://127.0.0.1:3", None).unwrap();
        let nodes = Nodes::new(&places, &Lifecycle::new());
        let at = nodes.first();
        nodes.pass_over(at, "test");
        // Whoever failed at the same time.
        nodes.pass_over(at, "test");
        assert_eq!(nodes.first(), (at + 1) % 3);
    }
}
