//! What was answered is there after the process has gone, however it went.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tollgate_runtime::clock::ManualClock;
use tollgate_runtime::lifecycle::Lifecycle;

use super::harness::{Iam, NOW_MS, PASSWORD, settings, start_with};

#[tokio::test]
async fn a_stop_and_a_start_change_nothing() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let jwt = iam.login("ann", PASSWORD).await.unwrap().jwt.unwrap().expose().to_owned();
    let before = iam.ask(json!({"authenticate": {"credential": ann.key}})).await.mark;
    let iam = Iam::on(iam.stop().await).await;
    let after = iam.ask(json!({"authenticate": {"credential": ann.key}})).await;
    assert_eq!(after.mark, before);
    assert!(iam.authenticate(&jwt).await.is_ok());
    assert!(iam.login("ann", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn the_last_use_of_a_key_is_remembered() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let list = json!({"operation": "list-api-keys", "user_id": ann.id()});
    let last_used = async |iam: &Iam| {
        let reply = iam.operate(Some(admin.actor()), list.clone()).await.unwrap();
        reply.api_keys[0].last_used.clone()
    };
    iam.clock.advance(Duration::from_mins(1));
    assert!(iam.authenticate(&ann.key).await.is_ok());
    assert_eq!(last_used(&iam).await, "2027-01-15T08:01:00+00:00");
    let iam = Iam::on(iam.stop().await).await;
    assert_eq!(last_used(&iam).await, "2027-01-15T08:01:00+00:00");
}

/// Whatever the disk has at a moment when an answer went out is all that a crash would leave.
#[tokio::test]
async fn what_was_answered_is_on_the_disk_already() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&iam.folder.path().join("data"), &copy.path().join("data"));
    // The first one still runs; the copy is what a kill would have left.
    let crashed = Iam::on(Arc::new(copy)).await;
    assert!(crashed.authenticate(&ann.key).await.is_ok());
    assert!(crashed.authenticate(&admin.key).await.is_ok());
    assert!(crashed.user(&admin, "acme", "bob", &["reader"]).await.is_ok());
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused() {
    let iam = Iam::fresh().await;
    let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
    let settings = settings(iam.folder.path(), &[]);
    let error = start_with(&settings, &clock, &life).await.unwrap_err().to_string();
    assert!(
        error.ends_with("is in use by another process; stop it or set iam.data_dir"),
        "{error}"
    );
}

#[tokio::test]
async fn data_is_useless_without_the_key_that_sealed_it() {
    let (iam, _) = Iam::claimed().await;
    let folder = iam.stop().await;
    let key = folder.path().join("data/seal.key");
    let check = async |expect: &str| {
        let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
        let error = start_with(&settings(folder.path(), &[]), &clock, &life).await.unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    std::fs::remove_file(&key).unwrap();
    check("cannot be used without the key that sealed it").await;
    tollgate_runtime::files::write_new_secret(&key, &"a".repeat(64)).unwrap();
    check("entry 1 was changed, or sealed under another seal key").await;
}

#[tokio::test]
async fn files_are_for_their_owner_only_and_hold_no_secret_in_clear() {
    use std::os::unix::fs::MetadataExt;
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let data = iam.folder.path().join("data");
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let bytes = std::fs::read(&path).unwrap();
        for secret in [&admin.key, PASSWORD] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn data_that_others_can_read_is_refused() {
    let (iam, _) = Iam::claimed().await;
    let folder = iam.stop().await;
    let data = folder.path().join("data/iam.redb");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o640)).unwrap();
    let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
    let error = start_with(&settings(folder.path(), &[]), &clock, &life).await.unwrap_err();
    assert!(error.to_string().contains("others may read it; run: chmod 600"), "{error}");
}
