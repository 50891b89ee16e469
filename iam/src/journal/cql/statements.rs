//! Every statement, prepared once.

use scylla::client::session::Session;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;

use super::away;
use super::settings::Reach;
use crate::config::CqlSettings;
use crate::journal::JournalError;

#[derive(Debug)]
pub(super) struct Statements {
    pub(super) insert_entry: PreparedStatement,
    pub(super) entries: PreparedStatement,
    /// The same, and what is not finished is finished first.
    pub(super) entries_settled: PreparedStatement,
    pub(super) blank_entry: PreparedStatement,
    pub(super) insert_meta: PreparedStatement,
    pub(super) replace_meta: PreparedStatement,
    pub(super) meta: PreparedStatement,
    pub(super) put_part: PreparedStatement,
    pub(super) part: PreparedStatement,
    pub(super) drop_slab: PreparedStatement,
    pub(super) slabs: PreparedStatement,
    pub(super) put_node: PreparedStatement,
    pub(super) nodes: PreparedStatement,
    pub(super) put_last_used: PreparedStatement,
    pub(super) last_used: PreparedStatement,
}

impl Statements {
    pub(super) async fn prepare(
        session: &Session,
        settings: &CqlSettings,
    ) -> Result<Self, JournalError> {
        let keyspace = &settings.keyspace;
        let prepare = async |text: &str| {
            let text = text.replace("ks.", &format!("{keyspace}."));
            session.prepare(Statement::new(text)).await.map_err(away)
        };
        // What may be done twice without harm.
        let prepare_idempotent = async |text: &str| {
            let mut statement = prepare(text).await?;
            statement.set_is_idempotent(true);
            Ok::<_, JournalError>(statement)
        };
        let entries = prepare_idempotent(
            "SELECT seq, op, seal, body FROM ks.journal WHERE bucket = ? AND seq > ? LIMIT ?",
        )
        .await?;
        let mut entries_settled = entries.clone();
        entries_settled.set_consistency(Reach::of(settings).settled());
        Ok(Self {
            entries,
            entries_settled,
            insert_entry: prepare(
                "INSERT INTO ks.journal (bucket, seq, op, seal, body) VALUES (?, ?, ?, ?, ?) \
                 IF NOT EXISTS",
            )
            .await?,
            blank_entry: prepare(
                "UPDATE ks.journal SET seal = null, body = null WHERE bucket = ? AND seq = ? \
                 IF EXISTS",
            )
            .await?,
            insert_meta: prepare("INSERT INTO ks.meta (name, value) VALUES (?, ?) IF NOT EXISTS")
                .await?,
            replace_meta: prepare("UPDATE ks.meta SET value = ? WHERE name = ? IF value = ?")
                .await?,
            meta: prepare_idempotent("SELECT value FROM ks.meta WHERE name = ?").await?,
            put_part: prepare_idempotent(
                "INSERT INTO ks.snapshots (snapshot, slab, part, bytes) VALUES (?, ?, ?, ?)",
            )
            .await?,
            part: prepare_idempotent(
                "SELECT bytes FROM ks.snapshots WHERE snapshot = ? AND slab = ? AND part = ?",
            )
            .await?,
            drop_slab: prepare_idempotent(
                "DELETE FROM ks.snapshots WHERE snapshot = ? AND slab = ?",
            )
            .await?,
            slabs: prepare_idempotent("SELECT DISTINCT snapshot, slab FROM ks.snapshots").await?,
            // Of a node that is gone nobody hears for long.
            put_node: prepare_idempotent(
                "INSERT INTO ks.nodes (part, node, row) VALUES (0, ?, ?) \
                 USING TIMESTAMP ? AND TTL 600",
            )
            .await?,
            nodes: prepare_idempotent("SELECT row FROM ks.nodes WHERE part = 0").await?,
            put_last_used: prepare_idempotent(
                "INSERT INTO ks.last_used (key, at_ms) VALUES (?, ?)",
            )
            .await?,
            last_used: prepare_idempotent("SELECT at_ms FROM ks.last_used WHERE key = ?").await?,
        })
    }
}
