//! Who may do what where: the law as docs/IAM.md has it, written down a second time.

use tollgate_proto::error::ErrorKind;

/// Where all callers are at home.
pub(super) const HOME: &str = "acme";
/// One that is there, and not theirs.
pub(super) const OTHER: &str = "umbrella";
/// One that is disabled.
pub(super) const SHUT: &str = "shut";
/// One that never was.
pub(super) const GHOST: &str = "ghost";
/// No name of a workspace.
pub(super) const RESERVED: &str = "_reserved";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// No credential.
    Nobody,
    /// The key of somebody who was disabled.
    Ended,
    /// One capability in the home workspace, and no role.
    Clerk,
    Reader,
    Writer,
    /// An admin of the home workspace alone.
    Keeper,
    Admin,
}

impl Caller {
    pub(super) const ALL: &[Self] = &[
        Self::Nobody,
        Self::Ended,
        Self::Clerk,
        Self::Reader,
        Self::Writer,
        Self::Keeper,
        Self::Admin,
    ];

    fn is_somebody(self) -> bool {
        !matches!(self, Self::Nobody | Self::Ended)
    }

    fn has(self, capability: &str) -> bool {
        match self {
            Self::Nobody | Self::Ended => false,
            Self::Clerk => CLERK == capability,
            Self::Reader => READER.contains(&capability),
            Self::Writer => READER.contains(&capability) || WRITER.contains(&capability),
            Self::Keeper | Self::Admin => true,
        }
    }
}

/// What is of no use in a workspace: everything there needs another one, and the deployment is none.
pub(super) const CLERK: &str = "metrics:read";
/// Use every service, and read everything.
const READER: &[&str] = &[
    "agent",
    "llm",
    "mcp",
    "embeddings",
    "reranker",
    "image-to-text",
    "cloze",
    "decision-scoring",
    "field-extraction",
    "thru",
    "graph-rag:read",
    "graph-embeddings:read",
    "triples:read",
    "sparql:read",
    "document-rag:read",
    "document-embeddings:read",
    "entity-contexts:read",
    "rows:read",
    "row-embeddings:read",
    "nlp-query:read",
    "structured-query:read",
    "documents:read",
    "config:read",
    "flows:read",
    "collections:read",
    "knowledge:read",
];

/// Write graphs, documents, rows, collections and knowledge.
const WRITER: &[&str] = &[
    "triples:write",
    "graph-embeddings:write",
    "document-embeddings:write",
    "entity-contexts:write",
    "documents:write",
    "rows:write",
    "collections:write",
    "knowledge:write",
];

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The service is asked, about this workspace; about none, if it has no name.
    Runs { workspace: String },
    /// It is not.
    Refused(ErrorKind),
}

/// Where something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In this workspace, or at home.
    Workspace(Option<&'static str>),
    /// In two.
    Unclear,
    /// In the deployment as a whole.
    Deployment,
}

/// What must come of a request.
pub(super) fn outcome(caller: Caller, capability: &str, place: Place) -> Outcome {
    let workspace = match place {
        _ if !caller.is_somebody() => return Outcome::Refused(ErrorKind::AuthRequired),
        Place::Unclear => return Outcome::Refused(ErrorKind::InvalidRequest),
        Place::Deployment if caller == Caller::Admin => {
            return Outcome::Runs { workspace: String::new() };
        }
        Place::Deployment => return Outcome::Refused(ErrorKind::AccessDenied),
        Place::Workspace(named) => named.unwrap_or(HOME),
    };
    let reaches = workspace == HOME || caller == Caller::Admin;
    Outcome::Refused(match workspace {
        RESERVED => ErrorKind::InvalidRequest,
        _ if !reaches || !caller.has(capability) => ErrorKind::AccessDenied,
        // Said only to those who would be allowed.
        SHUT | GHOST => ErrorKind::WorkspaceNotFound,
        _ => return Outcome::Runs { workspace: workspace.to_owned() },
    })
}
