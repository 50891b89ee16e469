//! What a start refuses: data that is not what IAM left there.

use std::fs::{OpenOptions, rename};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
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

fn empty_file(path: &Path) {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path).unwrap();
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

/// What is left of a deployment is not the beginning of one that the next stranger owns.
#[tokio::test]
async fn a_lost_journal_is_not_a_fresh_deployment() {
    let (iam, _) = Iam::claimed().await;
    let folder = iam.stop().await;
    std::fs::write(data(&folder, "iam.snapshot"), "a snapshot").unwrap();
    let left = ["iam.snapshot", "audit.jsonl", "audit.jsonl.head"];
    for is_empty in [false, true] {
        if is_empty {
            empty_file(&data(&folder, "iam.redb"));
        } else {
            std::fs::remove_file(data(&folder, "iam.redb")).unwrap();
        }
        for name in left {
            let others = || left.iter().filter(|other| **other != name);
            let aside = |other: &str| folder.path().join(other);
            others().for_each(|other| rename(data(&folder, other), aside(other)).unwrap());
            let path = |name| data(&folder, name).display().to_string();
            let expect = format!(
                "{} is missing or empty, and {} is of a deployment that was here: restore a \
                 backup, or move what is left away to begin anew",
                path("iam.redb"),
                path(name)
            );
            assert_eq!(refusal(&folder).await, expect);
            assert_eq!(data(&folder, "iam.redb").exists(), is_empty);
            others().for_each(|other| rename(aside(other), data(&folder, other)).unwrap());
        }
    }
    for name in left {
        std::fs::remove_file(data(&folder, name)).unwrap();
    }
    let iam = Iam::on(folder).await;
    iam.claim().await;
}

/// A key that was revoked since works again on an older copy.
#[tokio::test]
async fn an_older_copy_of_the_journal_is_not_served() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let folder = iam.stop().await;
    let older = std::fs::read(data(&folder, "iam.redb")).unwrap();
    let iam = Iam::on(folder).await;
    let revoke = json!({"operation": "revoke-api-key", "key_id": ann.key_id()});
    iam.operate(Some(admin.actor()), revoke).await.unwrap();
    let folder = iam.stop().await;
    let newer = std::fs::read(data(&folder, "iam.redb")).unwrap();
    let audit = std::fs::read(data(&folder, "audit.jsonl")).unwrap();
    std::fs::write(data(&folder, "iam.redb"), older).unwrap();
    let path = data(&folder, "audit.jsonl").display().to_string();
    let expect = format!(
        "iam.audit_file: {path} has entry 5, and the journal ends with entry 4: it is an older \
         copy, in which what was revoked since is alive; put the newer one back or restore a \
         backup, or, if this is meant, move {path} and {path}.head away"
    );
    assert_eq!(refusal(&folder).await, expect);
    // Nothing was done to either.
    assert_eq!(std::fs::read(data(&folder, "audit.jsonl")).unwrap(), audit);
    std::fs::write(data(&folder, "iam.redb"), newer).unwrap();
    let iam = Iam::on(folder).await;
    assert!(iam.authenticate(&ann.key).await.is_err());
}
