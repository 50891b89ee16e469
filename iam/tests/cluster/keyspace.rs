//! The cluster that tests run against, and keyspaces of their own in it.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;
use scylla::client::session_builder::SessionBuilder;
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// Names the nodes of a cluster, `host:port`, with commas between them. Each has a copy of all.
const CLUSTER: &str = "TOLLGATE_CQL";

/// A keyspace.
pub(crate) struct Keyspace {
    pub(crate) cluster: String,
    pub(crate) name: String,
}

impl Keyspace {
    /// Lends a keyspace that is not there yet to a test, and drops it however that ends.
    pub(crate) async fn lend(test: impl AsyncFnOnce(&Self)) {
        let keyspace = Self { cluster: cluster(), name: format!("t{}", Uuid::new_v4().simple()) };
        let done = AssertUnwindSafe(test(&keyspace)).catch_unwind().await;
        keyspace.drop_it().await;
        if let Err(panic) = done {
            resume_unwind(panic);
        }
    }

    /// The settings of `[iam.cql]` that name it.
    pub(crate) fn settings(&self) -> [(&'static str, String); 3] {
        let points: Vec<_> = self.points().collect();
        [
            ("iam.cql.contact_points", format!("{points:?}")),
            ("iam.cql.keyspace", self.name.clone()),
            ("iam.cql.replication", points.len().to_string()),
        ]
    }

    fn points(&self) -> impl Iterator<Item = &str> {
        self.cluster.split(',')
    }

    /// Drops it, if it is there.
    pub(crate) async fn drop_it(&self) {
        let _turn = schema_turn().await;
        self.run("DROP KEYSPACE IF EXISTS ks").await;
    }

    /// Runs a statement that nobody of ours would; `ks` stands for the name.
    pub(crate) async fn run(&self, statement: &str) {
        let session = SessionBuilder::new().known_nodes(self.points()).build().await.unwrap();
        session.query_unpaged(statement.replace("ks", &self.name), ()).await.unwrap();
    }
}

/// Tests that change the schema take turns: the cluster is slow at it.
pub(crate) async fn schema_turn() -> MutexGuard<'static, ()> {
    static SCHEMA: Mutex<()> = Mutex::const_new(());
    SCHEMA.lock().await
}

#[expect(clippy::disallowed_methods, reason = "says where a test runs; it configures nothing")]
fn cluster() -> String {
    std::env::var(CLUSTER).unwrap_or_else(|_| {
        panic!(
            "this test needs a Cassandra or ScyllaDB: \
             export {CLUSTER}=$(iam/tests/cassandra.sh start)"
        )
    })
}
