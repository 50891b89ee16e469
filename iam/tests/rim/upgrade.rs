//! `journal upgrade`: what an older program can read is written until the operator says so.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use secrecy::SecretString;
use tempfile::TempDir;
use tollgate_iam::journal::embedded::{Embedded, FILE};
use tollgate_iam::seal::Seal;
use tollgate_proto::iam::RefusalKind;
use tollgate_runtime::files::{make_private_folder, write_new_secret};

use super::harness::{Iam, about, assert_refused};
use super::older;
use super::program::program;

const SEAL_KEY: &str = "5555555555555555555555555555555555555555555555555555555555555555";

/// The data of a program that knew the oldest format only.
async fn folder() -> Arc<TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    make_private_folder(&data).unwrap();
    write_new_secret(&data.join("seal.key"), SEAL_KEY).unwrap();
    let (journal, state) = Embedded::open(&data.join(FILE)).unwrap();
    let seal = Seal::new(&SecretString::from(SEAL_KEY)).unwrap();
    older::begin(&journal, &state, &seal).await;
    Arc::new(folder)
}

fn journal(folder: &Path, word: &str) -> Output {
    program(folder).args(["journal", word]).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

#[tokio::test]
async fn an_older_journal_goes_on_as_it_is_until_it_is_upgraded() {
    let iam = Iam::on(folder().await).await;
    let admin = iam.claim().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let kick = about("kick-user", &ann);
    assert_refused(iam.by(&admin, kick.clone()).await, RefusalKind::NotSupported, older::NOT_YET);
    let in_use = journal(iam.folder.path(), "upgrade");
    assert_eq!(in_use.status.code(), Some(2), "{}", said(&in_use));

    let folder = iam.stop().await;
    let verified = said(&journal(folder.path(), "verify"));
    assert!(verified.contains("written in format 1; the newest is 2"), "{verified}");
    assert!(verified.contains("all of it is as it was written"), "{verified}");
    let upgraded = journal(folder.path(), "upgrade");
    assert!(upgraded.status.success(), "{}", said(&upgraded));
    assert!(said(&upgraded).ends_with("on, entries are written in format 2\n"));
    let again = said(&journal(folder.path(), "upgrade"));
    assert!(again.starts_with("entries are written in format 2 already"), "{again}");

    let iam = Iam::on(folder).await;
    iam.by(&admin, kick).await.unwrap();
    let folder = iam.stop().await;
    let verified = said(&journal(folder.path(), "verify"));
    assert!(verified.contains("written in format 2; the newest is 2"), "{verified}");
    assert!(verified.contains("all of it is as it was written"), "{verified}");
    let audit = fs::read_to_string(folder.path().join("data/audit.jsonl")).unwrap();
    let of = |operation: &str| audit.lines().filter(|line| line.contains(operation)).count();
    assert_eq!((of("\"journal.upgrade\""), of("\"kick-user\"")), (1, 2), "{audit}");
}

#[tokio::test]
async fn a_journal_that_begins_is_written_in_the_newest_format() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    iam.by(&admin, about("kick-user", &ann)).await.unwrap();
}
