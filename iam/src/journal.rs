//! The journal: the one ordered record of every change, and the whole storage seam.
//!
//! In: the open state transaction and the entry that describes it. Out: both are kept, or neither
//! is; or the entry that another process put at that place. Ordering and durability are the
//! engine's. Never: a decision about what an entry says.
//!
//! Where others write entries too ([`Journal::is_shared`]), the state is a cache of the journal:
//! whoever owns it applies their entries, and makes it again at any doubt.

pub mod entry;
mod base;
pub mod embedded;
#[cfg(feature = "cql")]
pub mod cql;
pub mod snapshot;
pub mod replay;
pub mod verify;
#[cfg(test)]
pub mod laws;

use std::future::Future;
use std::io;
use std::pin::Pin;

use tollgate_proto::iam::Ended;
use tollgate_proto::ids::{JournalId, KeyId, Seq};
use uuid::Uuid;

use crate::record::{Sealed, UnknownFormat};
use crate::state::{Open, Position, StateError};
use entry::Row;

pub use base::Base;

/// Why a journal did not do it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store failed. Whether the entry is durable is settled when the journal is read again.
    #[error("the journal's store failed")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The cluster that keeps it does not answer, and this heals by itself. Whether an entry that
    /// was to be written is there shows when the journal is read again.
    #[error("the journal's cluster does not answer")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody else uses the same files.
    #[error("another process uses this data")]
    InUse,
    /// The entry does not follow on the newest one.
    #[error("entry {entry} cannot follow entry {newest}")]
    OutOfOrder {
        /// What was to be written.
        entry: Seq,
        /// What is there.
        newest: Seq,
    },
    /// An entry is not what was sealed, or was sealed under another key.
    #[error("entry {0} was changed, or sealed under another seal key")]
    BrokenSeal(Seq),
    /// An entry of a format that this build does not read.
    #[error("entry {0} has {1}")]
    UnknownFormat(Seq, UnknownFormat),
    /// Whoever wrote it had not applied the entry that raised the format.
    #[error("entry {0} has an older format than the entry before it")]
    LoweredFormat(Seq),
    /// An entry's text is not an entry.
    #[error("entry {seq} cannot be read")]
    Unreadable {
        /// Which.
        seq: Seq,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The state that an entry was decided on is not this one.
    #[error("the state does not match entry {0}; it must be made again from the journal")]
    Diverged(Seq),
    /// This node has seen more of the journal than there is of it.
    #[error(
        "this node has applied entry {0}, and the journal has not got it: a part of it is lost"
    )]
    Shorter(Seq),
    /// What a node has is of one journal, and the cluster keeps another.
    #[error("it is of journal {0}, which is another one")]
    OtherJournal(JournalId),
    /// What was to be looked at was never made, or is gone.
    #[error("there is no journal in it")]
    NotThere,
    /// A copy would undo what came since.
    #[error("it is there already, and may have gone on since")]
    AlreadyThere,
    /// `journal copy` was cut short.
    #[error("only a part of it was copied: run journal copy again, to its end")]
    HalfCopied,
    /// Two nodes that count different copies could both be told yes.
    #[error(
        "the nodes of this journal have iam.cql.datacenter = \"{settled}\", and this one has \"{ours}\""
    )]
    OtherDatacenter {
        /// What the first node settled.
        settled: String,
        /// What this one has.
        ours: String,
    },
    /// A later build was here.
    #[error("the keyspace has version {found} of the tables, and this build knows {known}")]
    NewerSchema {
        /// What is there.
        found: usize,
        /// The newest one here.
        known: usize,
    },
    /// What says where the journal begins is not what was sealed.
    #[error("the place where the journal begins was changed, or sealed under another seal key")]
    BrokenBase,
    /// The entries that a state lacks are gone, and there is no snapshot to begin with.
    #[error("the journal begins behind entry {0}, and there is no snapshot of the state there")]
    NoSnapshot(Seq),
    /// The entries that a state lacks are gone, though the state is not empty.
    #[error("the journal was compacted since: entry {next} and those up to {base} are gone")]
    Compacted {
        /// What the state needs next.
        next: Seq,
        /// The entry that the journal begins behind.
        base: Seq,
    },
    /// A snapshot is not what was sealed, or was sealed under another key.
    #[error("the snapshot was changed, cut, or sealed under another seal key (part {0})")]
    BrokenSnapshot(u64),
    /// A snapshot of a format that this build does not read.
    #[error("the snapshot has format {0}, which this build does not read")]
    UnknownSnapshot(u16),
    /// The rows are not what the entries made, or redb panicked over them: it says that it may, on
    /// a file that something else wrote to.
    #[error(
        "the state in it was changed, or is damaged; `tollgate-iam journal verify` names the row, \
         and a backup is the way out (restore, with --journal if no entry is among the problems)"
    )]
    Changed,
    /// Something else wrote to the file, or the disk lost a part of it.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl JournalError {
    /// Whether a store failed under a write. redb takes no more of them until the file is opened
    /// anew, whatever happens to the disk.
    pub const fn is_of_store(&self) -> bool {
        matches!(self, Self::Store(_) | Self::State(StateError::Store(_)))
    }

    /// Whether it is over when the cluster answers again.
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

/// A journal's answer, later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send + 'a>>;

/// Whether an entry was written.
#[derive(Debug, PartialEq, Eq)]
pub enum Committed {
    /// The entry is durable, and the state has it.
    Ours,
    /// Another entry has its place, and the state transaction is gone: apply that one and
    /// decide again.
    Conflict(Row),
}

/// Writes a snapshot (see [`snapshot`]) and says where it was taken.
pub type WriteSnapshot =
    Box<dyn FnOnce(&mut dyn io::Write) -> Result<Position, JournalError> + Send>;
/// The bytes of a snapshot.
pub type SnapshotBytes = Box<dyn io::Read + Send>;

/// What a node says of itself. A plain row, without order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeRow {
    /// Which node, from its start to its end.
    pub node: Uuid,
    /// Its build.
    pub version: String,
    /// The newest entry format that it reads.
    pub format: u16,
    /// Grows while it lives: of two rows the one with the higher beat is the newer.
    pub beat: u64,
    /// Where other nodes reach it, sealed for this node and beat. None: it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_url: Option<Sealed>,
    /// Where its gateways stand.
    pub standing: Standing,
}

/// Where the gateways of a node stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Standing {
    /// The entry that all of them have marked; without any, the newest one that the node has.
    pub marked: Seq,
    /// How many there are.
    pub gateways: usize,
    /// What they ended because of recent entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
}

/// An engine that keeps the journal.
pub trait Journal: Send + Sync + std::fmt::Debug {
    /// Which journal this is.
    fn id(&self) -> JournalId;

    /// Whether other processes write entries to it too.
    fn is_shared(&self) -> bool;

    /// Writes the entry behind the newest one together with the state that it makes.
    fn commit(&self, open: Open, row: Row) -> Later<'_, Committed>;

    /// The entries behind `after`, in order and without a gap.
    fn read(&self, after: Seq, limit: usize) -> Later<'_, Vec<Row>>;

    /// Keeps the snapshot that `write` writes instead of an earlier one; all of it or nothing.
    fn save_snapshot(&self, write: WriteSnapshot) -> Later<'_, Position>;

    /// The newest snapshot.
    fn load_snapshot(&self) -> Later<'_, Option<SnapshotBytes>>;

    /// Where the journal begins, if not with entry 1.
    fn base(&self) -> Later<'_, Option<Base>>;

    /// Drops the entries up to the base. A snapshot must be there that is not older.
    fn truncate(&self, base: Base) -> Later<'_, ()>;

    /// Says how a node is.
    fn put_node(&self, node: NodeRow) -> Later<'_, ()>;

    /// How the nodes are.
    fn nodes(&self) -> Later<'_, Vec<NodeRow>>;

    /// Notes when keys were last used, in milliseconds since 1970. May be lost.
    fn put_last_used(&self, used: Vec<(KeyId, u64)>) -> Later<'_, ()>;

    /// When keys were last used, where that is known.
    fn last_used(&self, keys: Vec<KeyId>) -> Later<'_, Vec<Option<u64>>>;
}

/// An error of whatever keeps the journal.
pub(crate) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> JournalError {
    JournalError::Store(Box::new(error))
}
