//! The audit file: a line for everything, the true reason in it, no secret, and a chain that holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde_json::json;
use tollgate_iam::journal::Journal;
use tollgate_iam::journal::embedded::{Embedded, FILE};
use tollgate_iam::journal::entry::Entry;
use tollgate_proto::audit::{
    AuditKey, Event, Head, Line, TargetKind, Verdict, Verifier, head_path, read_line,
};
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::RefusalKind;
use tollgate_proto::ids::Seq;
use tollgate_proto::seal_key::SealKey;

use super::harness::{
    Iam, PASSWORD, Person, assert_denied, assert_nobody, assert_refused, settings, start_with,
};

fn file(folder: &Path) -> PathBuf {
    folder.join("data/audit.jsonl")
}

fn key(folder: &Path) -> AuditKey {
    let text = std::fs::read_to_string(folder.join("data/seal.key")).unwrap();
    AuditKey::of(&SealKey::parse(&SecretString::from(text.trim())).unwrap())
}

/// All lines, if the chain is whole and ends where its head says; else what is wrong with it.
fn verify(folder: &Path) -> Result<Vec<Line>, String> {
    let (key, bytes) = (key(folder), std::fs::read(file(folder)).unwrap());
    let head = std::fs::read(head_path(&file(folder))).unwrap();
    let head: Head = key.open_head(&head).unwrap();
    let (mut from, mut text) = (&*bytes, Vec::new());
    let (mut verifier, mut lines) = (Verifier::default(), Vec::new());
    while read_line(&mut from, &mut text).unwrap() > 0 {
        verifier.take(&text, &key.open(&text)).map_err(|broken| broken.to_string())?;
        lines.push(serde_json::from_slice(&text).unwrap());
    }
    assert_eq!(verifier.last(), head.last);
    Ok(lines)
}

fn of(lines: &[Line], event: Event) -> Vec<&Line> {
    lines.iter().filter(|line| line.event == event).collect()
}

fn reasons(lines: &[Line], event: Event) -> Vec<&str> {
    of(lines, event).iter().filter_map(|line| Some(line.reason.as_ref()?.as_str())).collect()
}

/// Does everything that changes something; gives what was said to be secret.
async fn do_everything(iam: &Iam, admin: &Person) -> Vec<String> {
    let ann = iam.member(admin, "acme", "ann", "reader").await;
    let ann_id = ann.id();
    let mut secrets = vec![admin.key.clone(), ann.key.clone(), PASSWORD.to_owned()];
    let ask =
        async |by: &Person, operation| iam.operate(Some(by.actor()), operation).await.unwrap();
    let grant = json!({"role": "writer", "workspace": "acme"});
    for operation in [
        json!({"operation": "update-user", "user_id": ann_id, "user": {"name": "Ann"}}),
        json!({"operation": "add-user-grant", "user_id": ann_id, "grant": grant}),
        json!({"operation": "remove-user-grant", "user_id": ann_id, "grant": grant}),
        json!({"operation": "update-workspace", "workspace_record": {"id": "acme", "name": "A"}}),
        json!({"operation": "rotate-signing-key"}),
    ] {
        ask(admin, operation).await;
    }
    let key = iam.key(admin, &ann_id).await.unwrap();
    secrets.push(key.api_key_plaintext.unwrap().expose().to_owned());
    let key_id = key.api_key.unwrap().id;
    ask(admin, json!({"operation": "revoke-api-key", "key_id": key_id})).await;
    let jwt = iam.login("ann", PASSWORD).await.unwrap().jwt.unwrap().expose().to_owned();
    let session = iam.person(jwt.clone()).await;
    ask(&session, json!({"operation": "logout"})).await;
    secrets.push(jwt);
    let new = "another long enough one";
    let change = json!({"operation": "change-password", "password": PASSWORD, "new_password": new});
    ask(&ann, change).await;
    secrets.push(new.to_owned());
    let reset = json!({"operation": "reset-password", "user_id": ann_id});
    secrets.push(ask(admin, reset).await.temporary_password.unwrap().expose().to_owned());
    let mint = json!({"operation": "mint-token", "workspace": "acme", "user_id": ann_id});
    secrets.push(ask(admin, mint).await.jwt.unwrap().expose().to_owned());
    for operation in ["disable-user", "enable-user", "delete-user"] {
        ask(admin, json!({"operation": operation, "user_id": ann_id})).await;
    }
    ask(admin, json!({"operation": "disable-workspace", "workspace_record": {"id": "acme"}})).await;
    secrets
}

#[tokio::test]
async fn every_change_has_one_line_with_its_actor_target_and_entry() {
    let (iam, admin) = Iam::claimed().await;
    do_everything(&iam, &admin).await;
    let folder = iam.stop().await;
    let lines = verify(folder.path()).unwrap();

    let (journal, _) = Embedded::open(&folder.path().join("data").join(FILE)).unwrap();
    let mut entered = Vec::new();
    for row in journal.read(Seq(0), 1_000).await.unwrap() {
        let entry: Entry = serde_json::from_slice(&row.body).unwrap();
        entered.extend(entry.acts.into_iter().map(|act| (row.seq, act)));
    }
    let written: Vec<_> = lines.iter().filter(|line| line.seq.is_some()).collect();
    assert_eq!(written.len(), entered.len());
    for (line, (seq, act)) in written.iter().zip(&entered) {
        assert_eq!((line.seq, line.request_id), (Some(*seq), Some(act.id)));
        assert_eq!(line.operation.as_ref().unwrap().as_str(), act.operation);
        assert_eq!(line.actor.as_ref().map(|who| who.id), act.actor.as_ref().map(|a| a.user));
        assert_eq!((line.capability, line.outcome), (act.capability, Verdict::Ok));
    }

    let mut events = BTreeMap::new();
    for line in written {
        *events.entry(line.event.as_str()).or_insert(0) += 1;
    }
    let told: Vec<_> = events.iter().map(|(event, count)| format!("{event} {count}")).collect();
    let expect = expect_test::expect![[r"
        bootstrap.ok 1
        grant.add 1
        grant.remove 1
        key.create 2
        key.revoke 1
        password.change 1
        password.reset 1
        session.end 1
        signing-key.create 1
        user.create 1
        user.delete 1
        user.disable 1
        user.enable 1
        user.update 1
        workspace.create 1
        workspace.disable 1
        workspace.update 1"]];
    expect.assert_eq(&told.join("\n"));
    let target = |event| of(&lines, event)[0].target.clone().unwrap();
    let user = target(Event::UserCreate);
    assert_eq!((user.kind, user.workspace.unwrap().as_str()), (TargetKind::User, "acme"));
    assert_eq!(target(Event::KeyCreate).user, user.user);
    assert_eq!(target(Event::UserDelete).id, user.id);
    assert_eq!(of(&lines, Event::UserCreate)[0].also, [Event::GrantAdd]);
    let by: Vec<_> = of(&lines, Event::PasswordChange).iter().map(|l| l.actor.clone()).collect();
    assert_eq!(by[0].as_ref().unwrap().id, user.user.unwrap());
}

#[tokio::test]
async fn what_is_refused_is_written_with_the_reason_that_nobody_is_told() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    assert_nobody(iam.authenticate("nothing").await);
    let unknown = "tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2";
    assert_nobody(iam.authenticate(unknown).await);
    assert_nobody(iam.login("ann", "the wrong password").await);
    for _ in 0..6 {
        let _ = iam.login("nobody", PASSWORD).await;
    }
    assert_denied(iam.user(&ann, "acme", "bob", &["reader"]).await);
    assert_nobody(iam.operate(None, json!({"operation": "bootstrap"})).await);
    iam.decide(ann.actor(), Capability::UsersAdmin, "acme").await;
    let again = iam.user(&admin, "acme", "ANN", &[]).await;
    assert_refused(again, RefusalKind::Duplicate, "username already exists");
    // A key in the wrong place.
    let revoke = json!({"operation": "revoke-api-key", "key_id": ann.key});
    assert!(iam.operate(Some(admin.actor()), revoke).await.is_err());
    let list = json!({"operation": "list-users", "workspace": ann.key});
    let _ = iam.operate(Some(ann.actor()), list).await;

    let folder = iam.stop().await;
    let lines = verify(folder.path()).unwrap();
    let check = |event, expect: &[&str]| assert_eq!(reasons(&lines, event), expect, "{event}");
    check(
        Event::AuthFail,
        &["not authenticated: neither a key nor a token", "not authenticated: an unknown key"],
    );
    let nobody = "not authenticated: no such user";
    let wrong = "not authenticated: wrong password";
    check(Event::LoginFail, &[wrong, nobody, nobody, nobody, nobody, nobody]);
    check(Event::AuthThrottled, &["too many requests"]);
    check(Event::BootstrapRefused, &["not authenticated: there is nothing to claim"]);
    check(Event::OperationRefused, &["username already exists", "key_id must be a UUID"]);
    let denied = of(&lines, Event::AuthzDeny);
    assert!(denied.iter().all(|line| line.actor.as_ref().unwrap().id == ann.actor().user));
    assert_eq!(denied[0].reason.as_ref().unwrap().as_str(), "denied: no grant covers it");
    assert_eq!(denied[0].operation.as_ref().unwrap().as_str(), "create-user");
    assert_eq!(denied[1].capability, Some(Capability::UsersAdmin));
    assert_eq!(denied[1].target.as_ref().unwrap().workspace.as_ref().unwrap().as_str(), "acme");
    assert!(denied[2].target.is_none());
    let text = std::fs::read_to_string(file(folder.path())).unwrap();
    for secret in [&*ann.key, "the wrong password", "nobody", unknown] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn who_came_in_is_written_and_no_secret_ever_is() {
    let (iam, admin) = Iam::claimed().await;
    let secrets = do_everything(&iam, &admin).await;
    let folder = iam.stop().await;
    let lines = verify(folder.path()).unwrap();
    let login = of(&lines, Event::LoginOk)[0];
    let session = login.actor.as_ref().unwrap();
    let user = of(&lines, Event::UserCreate)[0].target.as_ref().unwrap().user;
    assert_eq!(Some(session.id), user);
    assert!(login.latency_us.is_some());
    // The session that the login opened is the one that was used, and ended.
    let is_by = |line: &&&Line| line.actor.as_ref() == Some(session);
    assert_eq!(of(&lines, Event::AuthOk).iter().filter(is_by).count(), 1);
    assert_eq!(of(&lines, Event::SessionEnd)[0].actor.as_ref(), Some(session));
    let minted = of(&lines, Event::TokenMint)[0];
    assert_eq!(minted.actor.as_ref().unwrap().id, admin.actor().user);
    assert_eq!(minted.target.as_ref().unwrap().user, user);

    let text = std::fs::read_to_string(file(folder.path())).unwrap();
    assert_eq!(secrets.len(), 8);
    for secret in secrets {
        assert!(!text.contains(&secret));
    }
}

#[tokio::test]
async fn a_line_that_a_crash_cut_is_removed_and_made_again_once() {
    let (iam, admin) = Iam::claimed().await;
    iam.workspace(&admin, "acme").await;
    let (path, head) = (file(iam.folder.path()), head_path(&file(iam.folder.path())));
    let early = std::fs::read(&head).unwrap();
    let folder = iam.stop().await;
    // The head is older than the last lines, as it is while IAM runs.
    std::fs::write(&head, early).unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();
    let line = whole.lines().position(|line| line.contains("workspace.create")).unwrap();
    let length: usize = whole.split_inclusive('\n').take(line).map(str::len).sum();
    std::fs::write(&path, &whole[..length + 50]).unwrap();
    let folder = Iam::on(folder).await.stop().await;
    let lines = verify(folder.path()).unwrap();
    assert_eq!(of(&lines, Event::AuditRepaired).len(), 1);
    assert_eq!(of(&lines, Event::WorkspaceCreate).len(), 1);
    assert_eq!(of(&lines, Event::BootstrapOk).len(), 1);
    assert!(of(&lines, Event::AuditBroken).is_empty());
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_followed_and_none_is_made_if_it_is_off() {
    let (iam, admin) = Iam::claimed().await;
    iam.workspace(&admin, "acme").await;
    let folder = iam.stop().await;
    let (path, old) = (file(folder.path()), folder.path().join("old"));
    std::fs::rename(&path, &old).unwrap();
    let iam = Iam::on(folder).await;
    iam.workspace(&admin, "other").await;
    let folder = iam.stop().await;
    let lines = verify(folder.path()).unwrap();
    let made: Vec<_> = of(&lines, Event::WorkspaceCreate);
    assert_eq!(made[0].target.as_ref().unwrap().id.as_ref().unwrap().as_str(), "other");
    assert_eq!((made.len(), of(&lines, Event::BootstrapOk).len()), (1, 0));
    // Together they are one chain.
    let both = [std::fs::read(&old).unwrap(), std::fs::read(&path).unwrap()].concat();
    std::fs::write(&path, both).unwrap();
    assert_eq!(of(&verify(folder.path()).unwrap(), Event::AuditBroken).len(), 0);
}

/// Starts IAM on a file that somebody worked on; gives why it says that the file is broken.
async fn reopened(work: impl FnOnce(&Path)) -> Vec<String> {
    let (iam, admin) = Iam::claimed().await;
    iam.workspace(&admin, "acme").await;
    let folder = iam.stop().await;
    work(&file(folder.path()));
    let iam = Iam::on(folder).await;
    // It works on, and says so.
    iam.workspace(&admin, "other").await;
    let folder = iam.stop().await;
    let text = std::fs::read(file(folder.path())).unwrap();
    let lines: Vec<Line> = text
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert_eq!(of(&lines, Event::WorkspaceCreate).len(), 2, "{lines:?}");
    reasons(&lines, Event::AuditBroken).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn what_was_done_to_the_file_is_found_at_the_start() {
    let flipped = reopened(|path| {
        let mut text = std::fs::read(path).unwrap();
        text[50] ^= 1;
        std::fs::write(path, text).unwrap();
    });
    assert_eq!(flipped.await, ["line 1 was changed, or written under another seal key"]);

    let shortened = reopened(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        let (rest, _) = text.trim_end().rsplit_once('\n').unwrap();
        std::fs::write(path, format!("{rest}\n")).unwrap();
    });
    assert_eq!(shortened.await, ["lines were removed at the end of the file"]);

    let headless = reopened(|path| std::fs::remove_file(head_path(path)).unwrap());
    assert_eq!(headless.await, ["the head of the file is gone, or was changed"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_stops_the_start() {
    let iam = Iam::fresh().await;
    let (clock, folder) = (iam.clock.clone(), iam.stop().await);
    let check = async |path: &str, expect: &str| {
        let path = folder.path().join(path).display().to_string();
        let life = tollgate_runtime::lifecycle::Lifecycle::new();
        let settings = settings(folder.path(), &[("iam.audit_file", &path)]);
        let error = start_with(&settings, &clock, &life).await.unwrap_err().to_string();
        assert_eq!(error, format!("iam.audit_file: {path} cannot be used: {expect}"));
        assert!(life.stop(std::time::Duration::from_secs(5)).await);
    };
    check("gone/audit", "No such file or directory (os error 2)").await;
    std::os::unix::fs::symlink("elsewhere", folder.path().join("link")).unwrap();
    check("link", "Too many levels of symbolic links (os error 40)").await;
    let locked = std::fs::File::create(folder.path().join("locked")).unwrap();
    locked.lock().unwrap();
    check("locked", "another process writes to it").await;
}
