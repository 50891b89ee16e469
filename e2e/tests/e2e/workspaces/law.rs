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
    Reader,
    Writer,
    /// An admin of the home workspace alone.
    Keeper,
    Admin,
}

impl Caller {
    pub(super) const ALL: &[Self] =
        &[Self::Nobody, Self::Ended, Self::Reader, Self::Writer, Self::Keeper, Self::Admin];

    fn is_somebody(self) -> bool {
        !matches!(self, Self::Nobody | Self::Ended)
    }

    fn has(self, capability: &str) -> bool {
        match self {
            Self::Nobody | Self::Ended => false,
            Self::Reader => READER.contains(&capability),
            Self::Writer => READER.contains(&capability) || WRITER.contains(&capability),
            Self::Keeper | Self::Admin => true,
        }
    }
}

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
    /// The service is asked, about this workspace.
    Runs { workspace: String },
    /// It is not.
    Refused(ErrorKind),
}

/// What must come of a request for the named workspace, or for none.
pub(super) fn outcome(caller: Caller, capability: &str, named: Option<&str>) -> Outcome {
    let workspace = named.unwrap_or(HOME);
    let reaches = workspace == HOME || caller == Caller::Admin;
    Outcome::Refused(match workspace {
        _ if !caller.is_somebody() => ErrorKind::AuthRequired,
        RESERVED => ErrorKind::InvalidRequest,
        _ if !reaches || !caller.has(capability) => ErrorKind::AccessDenied,
        // Said only to those who would be allowed.
        SHUT | GHOST => ErrorKind::WorkspaceNotFound,
        _ => return Outcome::Runs { workspace: workspace.to_owned() },
    })
}
