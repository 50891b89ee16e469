//! Nodes on a journal that a real cluster keeps.

#[path = "../../../tests/cluster/keyspace.rs"]
mod keyspace;

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tollgate_runtime::config::{Flags, load};

use super::{Node, seal};
use crate::config::{CqlSettings, DEFAULTS, IamSettings};
use crate::journal::JournalError;
use crate::journal::cql::{Access, Cql, Wish, cache};
use crate::state::State;
use keyspace::Keyspace;

/// A journal, and the folder that its nodes spool in.
pub(crate) struct Cluster {
    pub(crate) settings: CqlSettings,
    pub(crate) folder: TempDir,
}

impl Cluster {
    /// Lends a test a journal of its own.
    pub(crate) async fn lend(test: impl AsyncFnOnce(Cluster)) {
        Keyspace::lend(async |keyspace| {
            #[derive(serde::Deserialize)]
            struct Whole {
                iam: IamSettings,
            }
            let flags = Flags { file: None, settings: keyspace.settings().to_vec() };
            let whole: Whole = load(&[DEFAULTS], &flags, []).unwrap();
            test(Cluster { settings: whole.iam.cql, folder: tempfile::tempdir().unwrap() }).await;
        })
        .await;
    }

    /// The journal, as one more node opens it.
    pub(crate) async fn journal(&self) -> Result<Cql, JournalError> {
        let _turn = keyspace::schema_turn().await;
        self.journal_at_once().await
    }

    /// The same, whoever else opens it.
    pub(crate) async fn journal_at_once(&self) -> Result<Cql, JournalError> {
        let access = Access::read(&self.settings).unwrap();
        Cql::open(&self.settings, &access, self.folder.path(), Wish::Any).await
    }

    /// One more node, with a state in memory.
    pub(crate) async fn node(&self) -> Node {
        Node::new(Arc::new(self.journal().await.unwrap()), State::in_memory().unwrap())
    }

    /// A node whose state is kept in a folder.
    pub(crate) async fn node_in(&self, folder: &Path) -> Result<Node, JournalError> {
        let journal = self.journal().await?;
        let state = cache::open(folder, &journal, &seal()).await?;
        Ok(Node { journal: Arc::new(journal), state })
    }
}
