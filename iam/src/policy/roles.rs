//! The built-in roles and what they have. Each has all that the one before has.

use tollgate_proto::capability::Capability as C;

use crate::record::{Role, What};

const READER: &[C] = &[
    C::Agent,
    C::GraphRead,
    C::TriplesRead,
    C::SparqlRead,
    C::GraphRagRead,
    C::GraphEmbeddingsRead,
    C::DocumentsRead,
    C::DocumentRagRead,
    C::DocumentEmbeddingsRead,
    C::EntityContextsRead,
    C::RowsRead,
    C::NlpQueryRead,
    C::StructuredQueryRead,
    C::RowEmbeddingsRead,
    C::Llm,
    C::Embeddings,
    C::Reranker,
    C::ImageToText,
    C::Mcp,
    C::Cloze,
    C::DecisionScoring,
    C::FieldExtraction,
    C::Thru,
    C::ConfigRead,
    C::FlowsRead,
    C::CollectionsRead,
    C::KnowledgeRead,
    C::KeysSelf,
];
/// What a writer has beyond a reader.
const WRITER: &[C] = &[
    C::GraphWrite,
    C::TriplesWrite,
    C::GraphEmbeddingsWrite,
    C::DocumentEmbeddingsWrite,
    C::EntityContextsWrite,
    C::DocumentsWrite,
    C::RowsWrite,
    C::CollectionsWrite,
    C::KnowledgeWrite,
];
/// What an admin has beyond a writer.
const ADMIN: &[C] = &[
    C::ConfigWrite,
    C::FlowsWrite,
    C::UsersRead,
    C::UsersWrite,
    C::UsersAdmin,
    C::KeysAdmin,
    C::WorkspacesAdmin,
    C::IamAdmin,
    C::MetricsRead,
    C::MintToken,
];

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u64);

impl Capabilities {
    /// The set of a few.
    pub const fn of(list: &[C]) -> Self {
        let (mut bits, mut n) = (0, 0);
        while n < list.len() {
            bits |= 1 << list[n] as u64;
            n += 1;
        }
        Self(bits)
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has one.
    pub const fn has(self, capability: C) -> bool {
        self.0 & 1 << capability as u64 != 0
    }

    /// Whether it has all that another has.
    pub const fn has_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
}

/// What a role has.
pub const fn capabilities(role: Role) -> Capabilities {
    let reader = Capabilities::of(READER);
    let writer = reader.with(Capabilities::of(WRITER));
    match role {
        Role::Reader => reader,
        Role::Writer => writer,
        Role::Admin => writer.with(Capabilities::of(ADMIN)),
    }
}

/// What a grant allows.
pub const fn capabilities_of(what: What) -> Capabilities {
    match what {
        What::Role(role) => capabilities(role),
        What::Capability(capability) => Capabilities::of(&[capability]),
    }
}

/// A role by its name on the wire.
pub fn role(name: &str) -> Option<Role> {
    match name {
        "admin" => Some(Role::Admin),
        "reader" => Some(Role::Reader),
        "writer" => Some(Role::Writer),
        _ => None,
    }
}

/// The name of a role on the wire.
pub const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Reader => "reader",
        Role::Writer => "writer",
    }
}
