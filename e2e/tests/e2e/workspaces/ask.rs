//! The places in which a request can name a workspace.

use serde_json::{Value, json};

use super::law::{GHOST, HOME, OTHER, Place, RESERVED, SHUT};
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
    /// In the query where none is looked for.
    Stray(&'static str),
    /// In the query.
    Query(Option<&'static str>),
    /// There, with an escape for every letter.
    Escaped(&'static str),
    /// There twice.
    Twice(&'static str, &'static str),
}

use Spelling::{Body, Envelope, Escaped, Inner, Query, Stray, Twice};

/// Those that go with a way.
pub(super) fn spellings(way: &Way) -> &'static [Spelling] {
    match way {
        Way::Flow | Way::Operation(_) => CALLS,
        Way::Data(_) | Way::Stream => QUERIES,
        Way::Metrics => &[Query(None), Stray(HOME), Stray(OTHER), Stray(RESERVED)],
    }
}

const QUERIES: &[Spelling] = &[
    Query(None),
    Query(Some(HOME)),
    Query(Some(OTHER)),
    Query(Some(SHUT)),
    Query(Some(GHOST)),
    Query(Some(RESERVED)),
    Escaped(HOME),
    Escaped(OTHER),
    Twice(HOME, HOME),
    Twice(HOME, OTHER),
    Twice(OTHER, HOME),
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
    Stray(OTHER),
];

impl Spelling {
    /// What is asked for. What stands inside a request, or in a query where none is looked for,
    /// counts for nothing.
    pub(super) fn meant(self, way: &Way) -> Place {
        match self {
            _ if *way == Way::Metrics => Place::Deployment,
            Envelope(named) | Inner(_, named) | Body(named) | Query(named) => {
                Place::Workspace(named)
            }
            Escaped(named) => Place::Workspace(Some(named)),
            Twice(..) => Place::Unclear,
            Stray(_) => Place::Workspace(None),
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
    Post {
        path: String,
        body: Value,
    },
    /// Without a body.
    Bare {
        method: &'static str,
        path: String,
    },
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
            Way::Data(data) => format!("/api/v1/flow/default/{data}/{service}?x=1"),
            Way::Stream => format!("/api/v1/{service}?document-id=a&id=a"),
            Way::Metrics => "/api/metrics/query?query=up".to_owned(),
        };
        let method = if service == "import-core" { "POST" } else { "GET" };
        let bare = |path: String| Sent::Bare { method, path };
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
            Stray(named) if *way == Way::Metrics => bare(format!("{path}&workspace={named}")),
            Stray(named) => Sent::Post { path: format!("{path}?workspace={named}"), body: request },
            Query(None) => bare(path),
            Query(Some(named)) => bare(format!("{path}&workspace={named}")),
            Escaped(named) => {
                let escaped = named.bytes().map(|byte| format!("%{byte:02x}"));
                bare(format!("{path}&%77orkspace={}", escaped.collect::<Vec<_>>().concat()))
            }
            Twice(first, second) => bare(format!("{path}&workspace={first}&%77orkspace={second}")),
        }
    }
}
