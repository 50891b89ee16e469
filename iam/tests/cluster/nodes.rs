//! Nodes of IAM on one keyspace.

use std::sync::Arc;

use tempfile::TempDir;
use tollgate_iam::config::IamSettings;
use tollgate_iam::journal::cql::{Access, Cql, Wish};
use tollgate_runtime::clock::ManualClock;
use tollgate_runtime::files::write_new_secret;
use tollgate_runtime::lifecycle::Lifecycle;

use super::harness::{Iam, NOW_MS, settings, start_with};
use super::keyspace::{Keyspace, schema_turn};

/// The seal key that nodes share.
pub(crate) const SEAL_KEY: &str =
    "5555555555555555555555555555555555555555555555555555555555555555";

/// A folder with the seal key.
pub(crate) fn folder() -> Arc<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    write_new_secret(&folder.path().join("seal"), SEAL_KEY).unwrap();
    Arc::new(folder)
}

/// What a node in a folder has as settings.
pub(crate) fn settings_in(folder: &TempDir, keyspace: &Keyspace, journal: &str) -> IamSettings {
    let seal = folder.path().join("seal").display().to_string();
    let cluster = keyspace.settings();
    let mut more = vec![("iam.journal", journal), ("iam.seal_key_file", seal.as_str())];
    more.extend(cluster.iter().map(|(path, value)| (*path, value.as_str())));
    settings(folder.path(), &more)
}

/// A node in a folder.
pub(crate) async fn node_in(folder: Arc<TempDir>, keyspace: &Keyspace) -> Iam {
    let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
    let settings = settings_in(&folder, keyspace, "cql");
    let running = {
        let _turn = schema_turn().await;
        start_with(&settings, &clock, &life).await.unwrap()
    };
    Iam { address: running.address, clock, life, folder }
}

/// One more node.
pub(crate) async fn node(keyspace: &Keyspace) -> Iam {
    node_in(folder(), keyspace).await
}

/// The journal itself, without a node.
pub(crate) async fn journal(keyspace: &Keyspace, folder: &TempDir) -> Cql {
    let settings = settings_in(folder, keyspace, "cql").cql;
    let access = Access::read(&settings).unwrap();
    let _turn = schema_turn().await;
    Box::pin(Cql::open(&settings, &access, folder.path(), Wish::Any)).await.unwrap()
}
