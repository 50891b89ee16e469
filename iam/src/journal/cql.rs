//! The journal in `ScyllaDB` or Cassandra, for several nodes of IAM: a row an entry.
//!
//! In: entries, of which each is written with `INSERT … IF NOT EXISTS` at its place. Out: that it
//! is ours, or whose it is; entries without a gap. The state is not kept there: every node has its
//! own (`cache`). Never: a write to the journal's partitions without a condition, or another
//! entry at a place where one of ours may be.

mod settings;
mod lightweight;
mod schema;
mod statements;
mod rows;
mod meta;
mod snapshots;
pub mod cache;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scylla::client::session::Session;
use tollgate_proto::ids::{JournalId, KeyId, Seq};

use super::entry::Row;
use super::{
    Base, Committed, Journal, JournalError, Later, NodeRow, SnapshotBytes, WriteSnapshot, failed,
};
use crate::config::CqlSettings;
use crate::draw;
use crate::state::{Open, Position};
use rows::Written;
use statements::Statements;

pub use settings::{Access, AccessError};

/// How often a cluster that is away is tried at the start.
const AGAIN: Duration = Duration::from_secs(2);

/// The engine.
#[derive(Debug)]
pub struct Cql {
    session: Session,
    statements: Statements,
    id: JournalId,
    /// Where snapshots pass through.
    folder: PathBuf,
    /// What is known of where the journal begins.
    base: Mutex<Option<Base>>,
    /// The newest entry that was seen here: it and all before it are there.
    seen: AtomicU64,
}

/// What whoever opens a journal wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The one that is there; it is made if there is none.
    Any,
    /// One that is there: nothing is made, and nothing written on the way.
    There,
    /// A copy of this one, to be made or gone on with.
    CopyOf(JournalId),
}

impl Cql {
    /// Opens the journal. Waits for a cluster that is away.
    pub async fn open(
        settings: &CqlSettings,
        access: &Access,
        folder: &Path,
        wish: Wish,
    ) -> Result<Self, JournalError> {
        let points = settings.contact_points.join(", ");
        let mut was_away = false;
        loop {
            match Self::open_now(settings, access, folder, wish).await {
                Err(JournalError::Away(error)) => {
                    tracing::warn!(
                        error = &*error as &dyn std::error::Error,
                        keyspace = %settings.keyspace,
                        "waiting for the cluster at {points} (iam.cql.contact_points)"
                    );
                    was_away = true;
                    tokio::time::sleep(AGAIN).await;
                }
                done => {
                    if was_away && done.is_ok() {
                        tracing::info!("the cluster answers");
                    }
                    return done;
                }
            }
        }
    }

    /// The same for whoever rather hears that the cluster is away.
    pub async fn open_now(
        settings: &CqlSettings,
        access: &Access,
        folder: &Path,
        wish: Wish,
    ) -> Result<Self, JournalError> {
        let session = access.connect(settings).await?;
        let fresh = match wish {
            Wish::CopyOf(id) => id,
            Wish::Any | Wish::There => JournalId(draw::uuid().map_err(failed)?),
        };
        match wish {
            Wish::There => schema::check(&session, settings).await?,
            Wish::Any | Wish::CopyOf(_) => schema::migrate(&session, settings).await?,
        }
        let statements = Statements::prepare(&session, settings).await?;
        let opened = Self {
            session,
            statements,
            id: fresh,
            folder: folder.to_owned(),
            base: Mutex::new(None),
            seen: AtomicU64::new(0),
        };
        if wish == Wish::There {
            opened.check_settled().await?;
        }
        opened.check_datacenter(&settings.datacenter).await?;
        let found = opened.settle_id(fresh).await?;
        match wish {
            Wish::CopyOf(id) if id != found => return Err(JournalError::OtherJournal(found)),
            Wish::CopyOf(_) => opened.begin_copy().await?,
            Wish::Any | Wish::There => opened.check_whole().await?,
        }
        opened.learn_base().await?;
        Ok(Self { id: found, ..opened })
    }

    fn known_base(&self) -> Option<Base> {
        *self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All entries up to this one are there, or were.
    fn saw(&self, seq: Seq) {
        self.seen.fetch_max(seq.0, Ordering::Relaxed);
    }
}

impl Journal for Cql {
    fn id(&self) -> JournalId {
        self.id
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn commit(&self, open: Open, row: Row) -> Later<'_, Committed> {
        Box::pin(async move {
            let written = self.write(&row).await;
            let is_ours = matches!(written, Ok(Written::Ours));
            // The file of the state is not touched on an async worker.
            let close = move || {
                if is_ours {
                    return open.keep();
                }
                drop(open);
                Ok(())
            };
            tokio::task::spawn_blocking(close).await.map_err(failed)??;
            Ok(match written? {
                Written::Ours => Committed::Ours,
                Written::Before(winner) => Committed::Conflict(winner),
            })
        })
    }

    fn read(&self, after: Seq, limit: usize) -> Later<'_, Vec<Row>> {
        Box::pin(self.read_rows(after, limit))
    }

    fn save_snapshot(&self, write: WriteSnapshot) -> Later<'_, Position> {
        Box::pin(self.replace_snapshot(write))
    }

    fn load_snapshot(&self) -> Later<'_, Option<SnapshotBytes>> {
        Box::pin(self.fetch_snapshot())
    }

    fn base(&self) -> Later<'_, Option<Base>> {
        let base = self.known_base();
        Box::pin(async move { Ok(base) })
    }

    fn truncate(&self, base: Base) -> Later<'_, ()> {
        Box::pin(async move {
            self.replace_base(base).await?;
            self.blank_up_to(base.seq).await
        })
    }

    fn put_node(&self, node: NodeRow) -> Later<'_, ()> {
        Box::pin(async move {
            let row = serde_json::to_vec(&node).map_err(failed)?;
            let beat = i64::try_from(node.beat).map_err(failed)?;
            self.run(&self.statements.put_node, (node.node, row, beat)).await.map(drop)
        })
    }

    fn nodes(&self) -> Later<'_, Vec<NodeRow>> {
        Box::pin(async move {
            let rows: Vec<(Vec<u8>,)> = self.all(&self.statements.nodes, ()).await?;
            rows.iter().map(|(row,)| serde_json::from_slice(row).map_err(failed)).collect()
        })
    }

    fn put_last_used(&self, used: Vec<(KeyId, u64)>) -> Later<'_, ()> {
        Box::pin(async move {
            let put = |(key, at_ms): (KeyId, u64)| async move {
                let at_ms = i64::try_from(at_ms).map_err(failed)?;
                self.run(&self.statements.put_last_used, (key.0, at_ms)).await.map(drop)
            };
            few_at_a_time(used.into_iter().map(put).collect()).await.map(drop)
        })
    }

    fn last_used(&self, keys: Vec<KeyId>) -> Later<'_, Vec<Option<u64>>> {
        Box::pin(async move {
            let get = |key: KeyId| async move {
                let rows: Vec<(i64,)> = self.all(&self.statements.last_used, (key.0,)).await?;
                let at_ms = rows.first().map(|(at_ms,)| u64::try_from(*at_ms).map_err(failed));
                at_ms.transpose()
            };
            few_at_a_time(keys.into_iter().map(get).collect()).await
        })
    }
}

/// Runs questions that are independent of each other, some of them at the same time.
async fn few_at_a_time<T>(
    questions: Vec<impl Future<Output = Result<T, JournalError>> + Send>,
) -> Result<Vec<T>, JournalError> {
    use futures_util::{StreamExt, TryStreamExt};
    futures_util::stream::iter(questions).buffered(16).try_collect().await
}

/// The cluster did not do it, or did not say so.
fn away(error: impl std::error::Error + Send + Sync + 'static) -> JournalError {
    JournalError::Away(Box::new(error))
}

/// A row of ours is not what we wrote.
fn damaged(error: impl std::fmt::Display) -> JournalError {
    JournalError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests;
