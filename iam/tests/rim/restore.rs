//! `backup` and `restore`: what was lost comes back, and nothing that was revoked.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use redb::{Database, TableDefinition};
use serde_json::json;
use tempfile::TempDir;
use tollgate_iam::journal::embedded::FILE;

use super::harness::{Iam, PASSWORD, Person};

/// Runs the program in a folder.
fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-iam"));
    command.current_dir(folder).args(args).output().unwrap()
}

/// Runs the program, which must do it; gives what it says on stdout.
fn done(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must not do it; gives what it says on stderr.
fn refused(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// Makes a pair of keys in a folder. Gives the recipient.
fn keys(folder: &Path) -> String {
    let pair = done(folder, &["keygen", "--backup"]);
    let identity = folder.join("identity");
    tollgate_runtime::files::write_new_secret(&identity, pair.trim()).unwrap();
    pair.lines().next().unwrap().strip_prefix("# ").unwrap().to_owned()
}

fn backup(folder: &Path) {
    let recipient = keys(folder);
    done(folder, &["backup", "backup", "--recipient", &recipient, "--data-dir", "data"]);
}

const RESTORE: [&str; 6] =
    ["restore", "backup", "--identity", "identity", "--data-dir", "new/data"];
const FOLLOWING: [&str; 2] = ["--journal", "data"];

/// The folder that was restored to, by itself.
fn restored(folder: &Path) -> Arc<TempDir> {
    let alone = tempfile::tempdir().unwrap();
    fs::rename(folder.join("new/data"), alone.path().join("data")).unwrap();
    done(alone.path(), &["journal", "verify", "--data-dir", "data"]);
    Arc::new(alone)
}

/// An admin, two users, and a backup of them. Then Ann's key is revoked, Bob's is not, and Eve
/// comes.
struct Story {
    folder: Arc<TempDir>,
    admin: Person,
    ann: Person,
    bob: Person,
    eve: Person,
    jwt: String,
}

impl Story {
    async fn tell() -> Self {
        let (iam, admin) = Iam::claimed().await;
        let ann = iam.member(&admin, "acme", "ann", "reader").await;
        let bob = iam.member(&admin, "acme2", "bob", "writer").await;
        let jwt = iam.login("bob", PASSWORD).await.unwrap().jwt.unwrap().expose().to_owned();
        let folder = iam.stop().await;
        backup(folder.path());

        let iam = Iam::on(folder).await;
        let keys = json!({"operation": "list-api-keys", "user_id": ann.id()});
        let keys = iam.operate(Some(admin.actor()), keys).await.unwrap().api_keys;
        let revoke = json!({"operation": "revoke-api-key", "key_id": keys[0].id});
        iam.operate(Some(admin.actor()), revoke).await.unwrap();
        assert!(iam.authenticate(&ann.key).await.is_err());
        let eve = iam.member(&admin, "acme3", "eve", "reader").await;
        Self { folder: iam.stop().await, admin, ann, bob, eve, jwt }
    }
}

#[tokio::test]
async fn without_the_later_journal_nothing_works_until_an_admin_says_so() {
    let story = Story::tell().await;
    let folder = story.folder.path();
    let key = done(folder, &RESTORE);
    let iam = Iam::on(restored(folder)).await;
    let admin = iam.person(key.trim().to_owned()).await;
    for dead in [&story.ann.key, &story.bob.key, &story.admin.key, &story.eve.key, &story.jwt] {
        assert!(iam.authenticate(dead).await.is_err());
    }
    assert!(iam.login("ann", PASSWORD).await.is_err());

    // Released: the password is back, and no key is.
    let enable = |who: &Person| json!({"operation": "enable-user", "user_id": who.id()});
    for person in [&story.ann, &story.bob] {
        iam.operate(Some(admin.actor()), enable(person)).await.unwrap();
    }
    let reply = iam.login("ann", PASSWORD).await.unwrap();
    assert!(iam.authenticate(reply.jwt.unwrap().expose()).await.is_ok());
    for dead in [&story.ann.key, &story.bob.key, &story.admin.key, &story.jwt] {
        assert!(iam.authenticate(dead).await.is_err());
    }
    let made = iam.key(&admin, &story.bob.id()).await.unwrap();
    let fresh = made.api_key_plaintext.unwrap();
    assert!(iam.authenticate(fresh.expose()).await.is_ok());
    assert!(iam.authenticate(&story.bob.key).await.is_err());
    let folder = iam.stop().await;
    done(folder.path(), &["journal", "verify", "--data-dir", "data"]);
}

#[tokio::test]
async fn with_the_later_journal_all_is_as_it_was_but_for_sessions() {
    let story = Story::tell().await;
    let folder = story.folder.path();
    assert_eq!(done(folder, &[&RESTORE[..], &FOLLOWING].concat()), "");
    let iam = Iam::on(restored(folder)).await;
    for alive in [&story.admin.key, &story.bob.key, &story.eve.key] {
        assert!(iam.authenticate(alive).await.is_ok());
    }
    for dead in [&story.ann.key, &story.jwt] {
        assert!(iam.authenticate(dead).await.is_err());
    }
    let reply = iam.login("eve", PASSWORD).await.unwrap();
    assert!(iam.authenticate(reply.jwt.unwrap().expose()).await.is_ok());
    assert!(iam.user(&story.admin, "acme", "zoe", &["reader"]).await.is_ok());
    // And it can be backed up, compacted and restored like any other.
    let folder = iam.stop().await;
    done(folder.path(), &["journal", "compact", "--data-dir", "data"]);
    backup(folder.path());
    done(folder.path(), &[&RESTORE[..], &FOLLOWING].concat());
    let iam = Iam::on(restored(folder.path())).await;
    assert!(iam.authenticate(&story.bob.key).await.is_ok());
    assert!(iam.authenticate(&story.ann.key).await.is_err());
}

#[tokio::test]
async fn what_is_there_is_never_written_over() {
    let story = Story::tell().await;
    let folder = story.folder.path();
    let recipient = keys_of(folder);
    let again = ["backup", "backup", "--recipient", &recipient, "--data-dir", "data"];
    assert_eq!(refused(folder, &again), "tollgate-iam: backup: File exists (os error 17)\n");
    let over = [&RESTORE[..4], &["--data-dir", "data"]].concat();
    let before = fs::read(folder.join("data").join(FILE)).unwrap();
    let expect = "tollgate-iam: data is not empty: name a new folder with --data-dir\n";
    assert_eq!(refused(folder, &over), expect);
    assert_eq!(fs::read(folder.join("data").join(FILE)).unwrap(), before);

    let iam = Iam::on(story.folder).await;
    let folder = iam.folder.path();
    let in_use = "is in use by another process; stop it or set iam.data_dir\n";
    let other = ["backup", "other", "--recipient", &recipient, "--data-dir", "data"];
    assert!(refused(folder, &other).ends_with(in_use));
    assert!(!folder.join("other").exists());
    assert!(refused(folder, &[&RESTORE[..], &FOLLOWING].concat()).ends_with(in_use));
    assert_empty(folder);
}

#[tokio::test]
async fn a_backup_opens_for_its_recipient_whole_or_not_at_all() {
    let story = Story::tell().await;
    let folder = story.folder.path();
    let sealed = fs::read(folder.join("backup")).unwrap();
    let key = fs::read_to_string(folder.join("data/seal.key")).unwrap();
    for text in ["ann", "acme", key.trim()] {
        assert!(!sealed.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    let foreign = "tollgate-iam: backup: it is for another recipient, or was changed\n";
    for at in (18..sealed.len()).step_by(sealed.len() / 20) {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        fs::write(folder.join("backup"), changed).unwrap();
        refused(folder, &RESTORE);
        assert_empty(folder);
    }
    for length in [0, 17, 40, sealed.len() - 1] {
        fs::write(folder.join("backup"), &sealed[..length]).unwrap();
        refused(folder, &RESTORE);
        assert_empty(folder);
    }
    fs::write(folder.join("backup"), sealed).unwrap();
    fs::rename(folder.join("identity"), folder.join("right")).unwrap();
    keys(folder);
    assert_eq!(refused(folder, &RESTORE), foreign);
    fs::write(folder.join("identity"), "junk").unwrap();
    let junk = "tollgate-iam: identity: there is no identity in it: keygen --backup prints one\n";
    assert_eq!(refused(folder, &RESTORE), junk);
    let wrong = ["backup", "other", "--recipient", "junk", "--data-dir", "data"];
    assert!(refused(folder, &wrong).contains("keygen --backup prints one"));
    assert!(!folder.join("other").exists());
}

#[tokio::test]
async fn a_later_journal_that_is_not_whole_is_not_followed() {
    let story = Story::tell().await;
    let folder = story.folder.path();
    let whole = fs::read(folder.join("data").join(FILE)).unwrap();
    let entries: TableDefinition<u64, &[u8]> = TableDefinition::new("journal-entries");
    for (seq, expect) in
        [(11, "the state does not match entry 11"), (9, "entry 10 cannot follow entry 8")]
    {
        let database = Database::open(folder.join("data").join(FILE)).unwrap();
        let write = database.begin_write().unwrap();
        assert!(write.open_table(entries).unwrap().remove(seq).unwrap().is_some());
        write.commit().unwrap();
        drop(database);
        let said = refused(folder, &[&RESTORE[..], &FOLLOWING].concat());
        assert!(said.contains(expect), "{said}");
        assert_empty(folder);
        fs::write(folder.join("data").join(FILE), &whole).unwrap();
    }
    let (other, _) = Iam::claimed().await;
    let other = other.stop().await;
    let other = other.path().join("data").display().to_string();
    let said = refused(folder, &[&RESTORE[..], &["--journal", &other]].concat());
    assert!(said.ends_with("is not the one that was backed up\n"), "{said}");
}

#[tokio::test]
async fn a_seal_key_that_is_kept_elsewhere_stays_there() {
    let story = Story::tell().await;
    let folder = story.folder.path();
    fs::rename(folder.join("data/seal.key"), folder.join("kept")).unwrap();
    fs::remove_file(folder.join("backup")).unwrap();
    let config = ["--config", "tollgate.toml"];
    fs::write(folder.join("tollgate.toml"), "[iam]\nseal_key_file = \"kept\"\n").unwrap();
    let recipient = keys_of(folder);
    let make = ["backup", "backup", "--recipient", &recipient, "--data-dir", "data"];
    done(folder, &[&make[..], &config].concat());
    fs::write(folder.join("other.toml"), "").unwrap();
    let said = refused(folder, &[&RESTORE[..], &["--config", "other.toml"]].concat());
    assert!(said.contains("the backup does not hold its seal key"), "{said}");
    done(folder, &[&RESTORE[..], &FOLLOWING, &config].concat());
    let iam_data = folder.join("new/data");
    assert!(!iam_data.join("seal.key").exists());
    done(folder, &[&["journal", "verify", "--data-dir", "new/data"], &config[..]].concat());
}

/// The recipient of the pair in a folder.
fn keys_of(folder: &Path) -> String {
    let pair = fs::read_to_string(folder.join("identity")).unwrap();
    pair.lines().next().unwrap().strip_prefix("# ").unwrap().to_owned()
}

fn assert_empty(folder: &Path) {
    let new = folder.join("new/data");
    assert!(!new.exists() || fs::read_dir(new).unwrap().next().is_none());
}
