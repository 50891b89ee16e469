//! The places in which a request can name a workspace.

use serde_json::{Value, json};

use super::law::{GHOST, HOME, OTHER, RESERVED, SHUT};
use super::{Entry, Way};

/// How a workspace is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// In the envelope of a frame.
    Envelope(Option<&'static str>),
    /// In the request inside a frame, beside an envelope that names this one.
    Inner(&'static str, Option<&'static str>),
    /// In the body of an HTTP request.
    Body(Option<&'static str>),
    /// In its query.
    Query(&'static str),
    /// In the query of a socket that carries data.
    Socket(Option<&'static str>),
}

use Spelling::{Body, Envelope, Inner, Query, Socket};

/// Those that go with a way.
pub(super) fn spellings(way: &Way) -> &'static [Spelling] {
    match way {
        Way::Flow | Way::Operation(_) => CALLS,
        Way::Data(_) => SOCKETS,
    }
}

const SOCKETS: &[Spelling] = &[
    Socket(None),
    Socket(Some(HOME)),
    Socket(Some(OTHER)),
    Socket(Some(SHUT)),
    Socket(Some(GHOST)),
    Socket(Some(RESERVED)),
];

const CALLS: &[Spelling] = &[
    Envelope(None),
    Envelope(Some(HOME)),
    Envelope(Some(OTHER)),
    Envelope(Some(SHUT)),
    Envelope(Some(GHOST)),
    Envelope(Some(RESERVED)),
    Inner(OTHER, None),
    Inner(RESERVED, None),
    Inner(OTHER, Some(HOME)),
    Inner(HOME, Some(OTHER)),
    Body(None),
    Body(Some(HOME)),
    Body(Some(OTHER)),
    Body(Some(SHUT)),
    Body(Some(GHOST)),
    Body(Some(RESERVED)),
    Query(OTHER),
];

impl Spelling {
    /// The workspace that is asked for. What stands inside a request or in the query of one counts
    /// for nothing.
    pub(super) fn meant(self) -> Option<&'static str> {
        match self {
            Envelope(named) | Inner(_, named) | Body(named) | Socket(named) => named,
            Query(_) => None,
        }
    }
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) entry: &'a Entry,
    pub(super) how: Spelling,
}

/// As it is sent.
pub(super) enum Sent {
    Frame(Value),
    Post { path: String, body: Value },
    Open { path: String },
}

impl Asked<'_> {
    pub(super) fn write(self, id: usize) -> Sent {
        let Entry { way, service, .. } = self.entry;
        let mut request = json!({ "mine": id });
        if let Way::Operation(operation) = way {
            request["operation"] = json!(operation);
        }
        let frame = |request: Value, workspace: Option<&str>| {
            let mut frame = json!({ "id": id, "service": service, "request": request });
            if *way == Way::Flow {
                frame["flow"] = json!("default");
            }
            if let Some(workspace) = workspace {
                frame["workspace"] = json!(workspace);
            }
            Sent::Frame(frame)
        };
        let path = match way {
            Way::Flow => format!("/api/v1/flow/default/service/{service}"),
            Way::Operation(_) => format!("/api/v1/{service}"),
            Way::Data(data) => format!("/api/v1/flow/default/{data}/{service}"),
        };
        let query = |named: &str| format!("{path}?workspace={named}");
        match self.how {
            Envelope(named) => frame(request, named),
            Inner(inside, named) => {
                request["workspace"] = json!(inside);
                frame(request, named)
            }
            Body(named) => {
                if let Some(named) = named {
                    request["workspace"] = json!(named);
                }
                Sent::Post { path, body: request }
            }
            Query(named) => Sent::Post { path: query(named), body: request },
            Socket(named) => Sent::Open { path: named.map_or(path.clone(), query) },
        }
    }
}
