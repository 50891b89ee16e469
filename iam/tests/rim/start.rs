//! What a start refuses: data that is not what IAM left there.

use std::path::PathBuf;
use std::sync::Arc;

use redb::{Database, ReadableTable, TableDefinition};
use serde_json::json;
use tempfile::TempDir;
use tollgate_runtime::clock::ManualClock;
use tollgate_runtime::lifecycle::Lifecycle;

use super::harness::{Iam, NOW_MS, settings, start_with};

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Why nothing starts on a folder.
async fn refusal(folder: &TempDir) -> String {
    let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
    let started = start_with(&settings(folder.path(), &[]), &clock, &life).await;
    assert!(life.stop(std::time::Duration::from_secs(5)).await);
    started.expect_err("it starts").to_string()
}

fn data(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("data").join(name)
}

/// Replaces a text of the same length in the rows of a table; every page is in order afterwards.
fn replace(folder: &TempDir, table: &'static str, from: &str, to: &str) {
    let (mut changed, definition) = (0, Bytes::new(table));
    let database = Database::open(data(folder, "iam.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut rows = transaction.open_table(definition).unwrap();
        let all: Vec<_> = rows.iter().unwrap().map(Result::unwrap).collect();
        let all: Vec<_> = all
            .into_iter()
            .map(|(key, row)| {
                (key.value().to_vec(), String::from_utf8(row.value().to_vec()).unwrap())
            })
            .collect();
        for (key, row) in all.iter().filter(|(_, row)| row.contains(from)) {
            changed += 1;
            rows.insert(key.as_slice(), row.replace(from, to).as_bytes()).unwrap();
        }
    }
    transaction.commit().unwrap();
    assert!(changed > 0, "no {from} in {table}");
}

const CHANGED: &str = "data cannot be used: the state in it was changed, or is damaged; \
                       `tollgate-iam journal verify` names the row";

#[tokio::test]
async fn a_row_that_was_changed_while_the_server_was_stopped_is_not_served() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let revoke = json!({"operation": "revoke-api-key", "key_id": ann.key_id()});
    iam.operate(Some(admin.actor()), revoke).await.unwrap();
    let folder = iam.stop().await;
    let whole = std::fs::read(data(&folder, "iam.redb")).unwrap();
    let revoked = format!(r#""revoked_ms":{NOW_MS}"#);
    let blank = format!(r#""revoked_ms":{:<13}"#, "null");
    for (table, from, to) in
        [("grants", r#""reader""#, r#""writer""#), ("keys", &*revoked, &*blank)]
    {
        replace(&folder, table, from, to);
        let said = refusal(&folder).await;
        assert!(said.contains(CHANGED), "{said}");
        std::fs::write(data(&folder, "iam.redb"), &whole).unwrap();
    }
    let iam = Iam::on(Arc::clone(&folder)).await;
    assert!(iam.authenticate(&ann.key).await.is_err());
}

/// redb may panic then; the process must not.
#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_panic() {
    let (iam, _) = Iam::claimed().await;
    let folder = iam.stop().await;
    let mut bytes = std::fs::read(data(&folder, "iam.redb")).unwrap();
    bytes[4_096] ^= 1;
    std::fs::write(data(&folder, "iam.redb"), bytes).unwrap();
    let said = refusal(&folder).await;
    assert!(said.contains("data cannot be used: "), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
