//! `journal compact`: entries go, and with them what was deleted; the chain stays.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableDefinition};
use serde_json::json;
use tollgate_iam::journal::embedded::FILE;

use super::harness::{Iam, PASSWORD};
use super::program::program;

fn run(folder: &Path, command: &str) -> (Option<i32>, String) {
    let output = program(folder).args(["journal", command]).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Which files of the data folder have these bytes.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let files = fs::read_dir(folder.join("data")).unwrap().map(|file| file.unwrap().path());
    let has = |path: &Path| {
        fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    };
    files
        .filter(|path| has(path))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_deleted_user_is_gone_from_the_files() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann-the-forgotten", "reader").await;
    iam.member(&admin, "acme2", "bob-the-kept", "reader").await;
    let folder = iam.stop().await;
    assert_eq!(files_with(folder.path(), "ann-the-forgotten"), [FILE]);
    // A snapshot of before the deletion, too.
    assert_eq!(run(folder.path(), "compact").0, Some(0));
    let iam = Iam::on(folder).await;
    let delete = json!({"operation": "delete-user", "user_id": ann.id()});
    iam.operate(Some(admin.actor()), delete).await.unwrap();
    let folder = iam.stop().await;
    assert!(files_with(folder.path(), "ann-the-forgotten").contains(&"iam.snapshot".to_owned()));

    let said = run(folder.path(), "compact");
    assert_eq!(said, (Some(0), "the journal in data begins behind entry 8\n".to_owned()));
    assert_eq!(files_with(folder.path(), "ann-the-forgotten"), [""; 0]);
    assert_eq!(files_with(folder.path(), "bob-the-kept").len(), 2);

    // Nothing else has changed, and the chain goes on.
    let (status, said) = run(folder.path(), "verify");
    assert!(status == Some(0) && said.contains("no entry behind entry 8\n"), "{said}");
    let iam = Iam::on(folder).await;
    assert!(iam.authenticate(&ann.key).await.is_err());
    assert!(iam.authenticate(&admin.key).await.is_ok());
    assert!(iam.login("bob-the-kept", PASSWORD).await.is_ok());
    iam.workspace(&admin, "later").await;
    let folder = Iam::on(iam.stop().await).await.stop().await;
    let (status, said) = run(folder.path(), "verify");
    assert!(status == Some(0) && said.contains("\nentries 9 to 9\n"), "{said}");
    assert!(said.contains("\na snapshot at entry 8\n"), "{said}");
}

#[tokio::test]
async fn a_compacted_journal_is_still_proof() {
    let folder = compacted().await;
    let data = folder.path().join("data");
    let check = |expect: &str| {
        let (status, said) = run(folder.path(), "verify");
        assert!(status == Some(1) && said.contains(expect), "{said}");
    };
    let snapshot = fs::read(data.join("iam.snapshot")).unwrap();
    fs::remove_file(data.join("iam.snapshot")).unwrap();
    check("PROBLEM: the journal begins behind entry 4, and there is no snapshot of the state");
    fs::write(data.join("iam.snapshot"), &snapshot[..100]).unwrap();
    check("PROBLEM: the snapshot was changed, cut");
    fs::write(data.join("iam.snapshot"), snapshot).unwrap();

    let identity: TableDefinition<&str, &[u8]> = TableDefinition::new("journal-identity");
    let database = Database::open(data.join(FILE)).unwrap();
    let mut base = {
        let read = database.begin_read().unwrap();
        read.open_table(identity).unwrap().get("base").unwrap().unwrap().value().to_vec()
    };
    base[20] ^= 1;
    let write = database.begin_write().unwrap();
    write.open_table(identity).unwrap().insert("base", base.as_slice()).unwrap();
    write.commit().unwrap();
    drop(database);
    check("PROBLEM: the place where the journal begins was changed");
}

#[tokio::test]
async fn a_lost_snapshot_alone_is_no_reason_to_restore() {
    let folder = compacted().await;
    fs::remove_file(folder.path().join("data/iam.snapshot")).unwrap();
    let output = program(folder.path()).args(["journal", "verify"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "Only the snapshot is concerned: journal compact takes another.\n");
    assert_eq!(run(folder.path(), "compact").0, Some(0));
    assert_eq!(run(folder.path(), "verify").0, Some(0));
}

/// A snapshot that is lost or broken is made again, and entries that are not whole are kept.
#[tokio::test]
async fn compacting_mends_a_snapshot_and_hides_nothing() {
    let folder = compacted().await;
    let data = folder.path().join("data");
    fs::write(data.join("iam.snapshot"), "junk").unwrap();
    assert_eq!(run(folder.path(), "verify").0, Some(1));
    assert_eq!(run(folder.path(), "compact").0, Some(0));
    assert_eq!(run(folder.path(), "verify").0, Some(0));

    let database = Database::open(data.join(FILE)).unwrap();
    let write = database.begin_write().unwrap();
    let rows: TableDefinition<&[u8], &[u8]> = TableDefinition::new("workspaces");
    write.open_table(rows).unwrap().insert(b"acme".as_slice(), b"{}".as_slice()).unwrap();
    write.commit().unwrap();
    drop(database);
    let (status, said) = run(folder.path(), "compact");
    let expect = "tollgate-iam: the journal in data is not whole: see journal verify\n";
    assert_eq!((status, &*said), (Some(2), expect));
}

/// Four entries, compacted, and three more.
async fn compacted() -> Arc<tempfile::TempDir> {
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let folder = iam.stop().await;
    assert_eq!(run(folder.path(), "compact").0, Some(0));
    let iam = Iam::on(folder).await;
    iam.member(&admin, "acme2", "bob", "reader").await;
    iam.stop().await
}
