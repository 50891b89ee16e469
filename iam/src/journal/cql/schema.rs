//! The keyspace and its tables, made and changed by one node at a time.
//!
//! Changes of a schema that race each other fail in many ways, so whoever makes one holds a row
//! as a lock; it is only lent, for the case that its holder dies. The very first table cannot be
//! guarded like that: whoever fails there is away, and tries again.

use std::cmp::Ordering;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;

use super::lightweight::{Outcome, ask};
use super::{away, damaged};
use crate::config::CqlSettings;
use crate::draw;
use crate::journal::{JournalError, failed};

/// What each version of the schema adds. None of them is ever changed.
const VERSIONS: [&[&str]; 1] = [&[
    "CREATE TABLE IF NOT EXISTS ks.journal (bucket bigint, seq bigint, op uuid, seal blob, \
     body blob, PRIMARY KEY (bucket, seq))",
    "CREATE TABLE IF NOT EXISTS ks.snapshots (snapshot uuid, slab int, part int, bytes blob, \
     PRIMARY KEY ((snapshot, slab), part))",
    "CREATE TABLE IF NOT EXISTS ks.nodes (part int, node uuid, row blob, PRIMARY KEY (part, node))",
    "CREATE TABLE IF NOT EXISTS ks.last_used (key uuid PRIMARY KEY, at_ms bigint)",
]];
const META: &str = "CREATE TABLE IF NOT EXISTS ks.meta (name text PRIMARY KEY, value blob)";
const SCHEMA: &str = "schema";
const LOCK: &str = "schema-lock";
/// How often one looks whether the lock is free.
const LOCKED: Duration = Duration::from_millis(200);
/// Where tables are spread over tablets, and conditions do not work on them, there is this without.
const TABLETS: &str = "TABLETS";
const CONDITIONS_ON_TABLETS: &str = "LWT_WITH_TABLETS";

/// Brings the schema to the version of this build.
pub(super) async fn migrate(session: &Session, settings: &CqlSettings) -> Result<(), JournalError> {
    let change = async |text: &str| {
        let text = text.replace("ks.", &format!("{}.", settings.keyspace));
        session.query_unpaged(text, ()).await.map_err(away)
    };
    let keyspaces = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    if !finds(session, settings, keyspaces).await? {
        change(&create_keyspace(session, settings).await?).await?;
    }
    change(META).await?;
    session.await_schema_agreement().await.map_err(away)?;
    let meta = Meta::prepare(session, settings).await?;
    let newest = VERSIONS.len();
    if meta.version().await? == newest {
        return Ok(());
    }
    let holder = meta.lock().await?;
    let from = meta.version().await?;
    if from > newest {
        meta.unlock(&holder).await?;
        return Err(JournalError::NewerSchema { found: from, known: newest });
    }
    for (version, statements) in VERSIONS.iter().enumerate().skip(from) {
        tracing::info!(keyspace = %settings.keyspace, version = version + 1, "making tables");
        for statement in *statements {
            change(statement).await?;
        }
        session.await_schema_agreement().await.map_err(away)?;
        meta.set_version(version + 1).await?;
    }
    meta.unlock(&holder).await
}

/// Checks that the tables are there, in the version of this build.
pub(super) async fn check(session: &Session, settings: &CqlSettings) -> Result<(), JournalError> {
    let tables = "SELECT table_name FROM system_schema.tables \
                  WHERE keyspace_name = ? AND table_name = 'meta'";
    if !finds(session, settings, tables).await? {
        return Err(JournalError::NotThere);
    }
    let (found, known) = (Meta::prepare(session, settings).await?.version().await?, VERSIONS.len());
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        // A node makes the rest of them.
        Ordering::Less => Err(JournalError::NotThere),
        Ordering::Greater => Err(JournalError::NewerSchema { found, known }),
    }
}

/// Whether there is such a row about the keyspace.
async fn finds(
    session: &Session,
    settings: &CqlSettings,
    text: &str,
) -> Result<bool, JournalError> {
    let found = session.query_unpaged(text, (settings.keyspace.to_string(),)).await;
    let found = found.map_err(away)?.into_rows_result().map_err(damaged)?;
    Ok(found.rows_num() > 0)
}

async fn create_keyspace(
    session: &Session,
    settings: &CqlSettings,
) -> Result<String, JournalError> {
    let CqlSettings { keyspace, replication, .. } = settings;
    let create = format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {}",
        replication.to_cql()
    );
    // Cassandra has no such column, and no tablets.
    let features = session.query_unpaged("SELECT supported_features FROM system.local", ()).await;
    let Ok(features) = features else { return Ok(create) };
    let features = features.into_rows_result().map_err(damaged)?;
    let features: (String,) = features.first_row().map_err(damaged)?;
    let has = |name: &str| features.0.split(',').any(|feature| feature == name);
    if has(TABLETS) && !has(CONDITIONS_ON_TABLETS) {
        return Ok(format!("{create} AND tablets = {{'enabled': false}}"));
    }
    Ok(create)
}

/// The rows about the schema.
struct Meta<'a> {
    session: &'a Session,
    version: PreparedStatement,
    set_version: PreparedStatement,
    lock: PreparedStatement,
    unlock: PreparedStatement,
}

impl<'a> Meta<'a> {
    async fn prepare(session: &'a Session, settings: &CqlSettings) -> Result<Self, JournalError> {
        let keyspace = &settings.keyspace;
        let prepare = async |text: &str| {
            let text = text.replace("ks.", &format!("{keyspace}."));
            session.prepare(Statement::new(text)).await.map_err(away)
        };
        Ok(Self {
            session,
            version: prepare("SELECT value FROM ks.meta WHERE name = ?").await?,
            // One holder at a time: whatever was there is older.
            set_version: prepare("UPDATE ks.meta SET value = ? WHERE name = ? IF value != ?")
                .await?,
            lock: prepare(
                "INSERT INTO ks.meta (name, value) VALUES (?, ?) IF NOT EXISTS USING TTL 60",
            )
            .await?,
            unlock: prepare("DELETE FROM ks.meta WHERE name = ? IF value = ?").await?,
        })
    }

    async fn version(&self) -> Result<usize, JournalError> {
        let found = self.session.execute_unpaged(&self.version, (SCHEMA,)).await.map_err(away)?;
        let found = found.into_rows_result().map_err(damaged)?;
        match found.maybe_first_row::<(Vec<u8>,)>().map_err(damaged)? {
            None => Ok(0),
            Some((version,)) => match version.as_slice() {
                [version] => Ok(usize::from(*version)),
                _ => Err(damaged("the version of the schema")),
            },
        }
    }

    async fn set_version(&self, version: usize) -> Result<(), JournalError> {
        let version = vec![u8::try_from(version).map_err(damaged)?];
        ask(self.session, &self.set_version, (&version, SCHEMA, &version)).await.map(drop)
    }

    /// Waits until nobody else changes the schema.
    async fn lock(&self) -> Result<Vec<u8>, JournalError> {
        let holder = draw::uuid().map_err(failed)?.as_bytes().to_vec();
        loop {
            match ask(self.session, &self.lock, (LOCK, &holder)).await? {
                Outcome::Done => return Ok(holder),
                Outcome::Refused(found) if found.blob("value") == Some(holder.as_slice()) => {
                    return Ok(holder);
                }
                Outcome::Refused(_) => tokio::time::sleep(LOCKED).await,
            }
        }
    }

    async fn unlock(&self, holder: &[u8]) -> Result<(), JournalError> {
        ask(self.session, &self.unlock, (LOCK, holder)).await.map(drop)
    }
}
