//! The closed set of capabilities: what grants allow and calls need.
//!
//! One table. The gateway's registry, IAM's roles and the docs take the names from here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that names no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {0:?}")]
pub struct UnknownCapability(pub String);

macro_rules! capabilities {
    ($($variant:ident = $name:literal,)*) => {
        /// What a grant allows and a call needs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "&'static str")]
        #[expect(missing_docs, reason = "each name is its own description")]
        pub enum Capability { $($variant,)* }

        impl Capability {
            /// Every capability, in the order of the table.
            pub const ALL: &[Capability] = &[$(Capability::$variant,)*];

            /// The name on the wire, in the registry and in role definitions.
            pub const fn as_str(self) -> &'static str {
                match self { $(Capability::$variant => $name,)* }
            }
        }

        impl FromStr for Capability {
            type Err = UnknownCapability;
            fn from_str(text: &str) -> Result<Self, UnknownCapability> {
                match text {
                    $($name => Ok(Capability::$variant),)*
                    other => Err(UnknownCapability(other.to_owned())),
                }
            }
        }
    };
}

capabilities! {
    Agent = "agent",
    GraphRead = "graph:read",
    TriplesRead = "triples:read",
    SparqlRead = "sparql:read",
    GraphRagRead = "graph-rag:read",
    GraphEmbeddingsRead = "graph-embeddings:read",
    DocumentsRead = "documents:read",
    DocumentRagRead = "document-rag:read",
    DocumentEmbeddingsRead = "document-embeddings:read",
    EntityContextsRead = "entity-contexts:read",
    RowsRead = "rows:read",
    NlpQueryRead = "nlp-query:read",
    StructuredQueryRead = "structured-query:read",
    RowEmbeddingsRead = "row-embeddings:read",
    Llm = "llm",
    Embeddings = "embeddings",
    Reranker = "reranker",
    ImageToText = "image-to-text",
    Mcp = "mcp",
    Cloze = "cloze",
    DecisionScoring = "decision-scoring",
    FieldExtraction = "field-extraction",
    Thru = "thru",
    ConfigRead = "config:read",
    FlowsRead = "flows:read",
    CollectionsRead = "collections:read",
    KnowledgeRead = "knowledge:read",
    KeysSelf = "keys:self",
    GraphWrite = "graph:write",
    TriplesWrite = "triples:write",
    GraphEmbeddingsWrite = "graph-embeddings:write",
    DocumentEmbeddingsWrite = "document-embeddings:write",
    EntityContextsWrite = "entity-contexts:write",
    DocumentsWrite = "documents:write",
    RowsWrite = "rows:write",
    CollectionsWrite = "collections:write",
    KnowledgeWrite = "knowledge:write",
    ConfigWrite = "config:write",
    FlowsWrite = "flows:write",
    UsersRead = "users:read",
    UsersWrite = "users:write",
    UsersAdmin = "users:admin",
    KeysAdmin = "keys:admin",
    WorkspacesAdmin = "workspaces:admin",
    IamAdmin = "iam:admin",
    MetricsRead = "metrics:read",
    MintToken = "mint-token",
}

impl TryFrom<String> for Capability {
    type Error = UnknownCapability;
    fn try_from(text: String) -> Result<Self, UnknownCapability> {
        text.parse()
    }
}

impl From<Capability> for &'static str {
    fn from(capability: Capability) -> Self {
        capability.as_str()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_unique() {
        let mut names: Vec<_> = Capability::ALL.iter().map(|c| c.as_str()).collect();
        for name in &names {
            assert_eq!(name.parse::<Capability>().unwrap().as_str(), *name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Capability::ALL.len());
        assert!("graph".parse::<Capability>().is_err());
    }
}
