//! Statements with a condition, and what came of them.
//!
//! Whoever is not told (a timeout, a lost connection) asks the same again until it is known: the
//! row that is there then says whose it is.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, Row};
use tokio::time::Instant;

use super::{Cql, away, damaged};
use crate::journal::JournalError;

/// The first pause before the same is asked again; each one is twice the last.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// After this the caller is told that the cluster is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// What came of a statement with a condition.
pub(super) enum Outcome {
    /// It was done.
    Done,
    /// It was not, because of what was there.
    Refused(Found),
}

/// The row that was in the way. Cassandra tells no columns where there was no row.
pub(super) struct Found(Vec<(String, CqlValue)>);

impl Found {
    pub(super) fn get(&self, column: &str) -> Option<&CqlValue> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }

    pub(super) fn blob(&self, column: &str) -> Option<&[u8]> {
        self.get(column).and_then(CqlValue::as_blob).map(Vec::as_slice)
    }
}

impl Outcome {
    /// Cassandra and `ScyllaDB` agree on the first column only; the others are found by name.
    fn read(result: QueryResult) -> Result<Self, JournalError> {
        let result = result.into_rows_result().map_err(damaged)?;
        let names: Vec<_> =
            result.column_specs().iter().map(|spec| spec.name().to_owned()).collect();
        let row: Row = result.first_row().map_err(damaged)?;
        let mut columns = names.into_iter().zip(row.columns);
        match columns.next() {
            Some((_, Some(CqlValue::Boolean(true)))) => Ok(Self::Done),
            Some((_, Some(CqlValue::Boolean(false)))) => {
                let there = columns.filter_map(|(name, value)| Some((name, value?)));
                Ok(Self::Refused(Found(there.collect())))
            }
            _ => Err(damaged("an answer that does not say whether it was done")),
        }
    }
}

/// Asks until it is known what came of it.
pub(super) async fn ask(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Outcome, JournalError> {
    let (begun, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        match session.execute_unpaged(statement, &values).await {
            Ok(result) => return Outcome::read(result),
            Err(error) if begun.elapsed() >= PATIENCE => return Err(away(error)),
            Err(error) => {
                tracing::debug!(%error, "it is not known whether it was done; asked again");
                tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * rand::random::<f64>())).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

impl Cql {
    pub(super) async fn ask(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Outcome, JournalError> {
        ask(&self.session, statement, values).await
    }

    /// Runs what has no condition.
    pub(super) async fn run(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryResult, JournalError> {
        self.session.execute_unpaged(statement, values).await.map_err(away)
    }

    /// Every row of an answer, which is a short one.
    pub(super) async fn all<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, JournalError>
    where
        R: for<'row> scylla::deserialize::row::DeserializeRow<'row, 'row>,
    {
        let result = self.run(statement, values).await?.into_rows_result().map_err(damaged)?;
        let rows = result.rows::<R>().map_err(damaged)?;
        rows.collect::<Result<_, _>>().map_err(damaged)
    }
}
