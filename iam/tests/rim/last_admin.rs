//! There is always an admin who can get in, whatever is asked and however many ask at once.

use futures_util::future::join;
use serde_json::{Value, json};
use tollgate_proto::iam::{Refusal, RefusalKind, Reply};

use super::harness::{Iam, NEW_PASSWORD, PASSWORD, Person, about, assert_refused, grant};

#[track_caller]
fn assert_kept(outcome: Result<Reply, Refusal>) {
    let message = "it would take away the last admin who can get in";
    assert_refused(outcome, RefusalKind::OperationNotPermitted, message);
}

fn update(user: &Person, fields: impl Into<Value>) -> Value {
    let mut asked = about("update-user", user);
    asked["user"] = fields.into();
    asked
}

fn revoke(person: &Person) -> Value {
    json!({"operation": "revoke-api-key", "key_id": person.key_id()})
}

/// Every way to end an admin that does not need its password.
fn ways_out(user: &Person) -> Vec<Value> {
    let mut expiring = grant("add-user-grant", user, "admin", "*");
    expiring["grant"]["expires"] = json!("2027-02-01T00:00:00Z");
    vec![
        about("disable-user", user),
        about("delete-user", user),
        update(user, json!({"enabled": false})),
        update(user, json!({"roles": ["reader"]})),
        grant("remove-user-grant", user, "admin", "*"),
        expiring,
    ]
}

#[tokio::test]
async fn the_last_admin_cannot_be_taken_away() {
    let (iam, admin) = Iam::claimed().await;
    for way in ways_out(&admin) {
        assert_kept(iam.by(&admin, way).await);
    }
    assert_kept(iam.by(&admin, revoke(&admin)).await);
    iam.by(&admin, json!({"operation": "list-users"})).await.unwrap();
    // Its password was never a way in: nobody knows it.
    iam.by(&admin, about("reset-password", &admin)).await.unwrap();
}

#[tokio::test]
async fn who_cannot_get_in_for_good_is_no_other_admin() {
    let (iam, admin) = Iam::claimed().await;
    // No key, and a password that whoever made the user knows.
    iam.user(&admin, "default", "known", &["admin"]).await.unwrap();
    // Disabled.
    let off = iam.member(&admin, "default", "off", "admin").await;
    iam.by(&admin, about("disable-user", &off)).await.unwrap();
    // Admin until next month.
    let expiring = iam.member(&admin, "default", "expiring", "reader").await;
    let mut month = grant("add-user-grant", &expiring, "admin", "*");
    month["grant"]["expires"] = json!("2027-02-01T00:00:00Z");
    iam.by(&admin, month).await.unwrap();
    // Admin of one workspace.
    let local = iam.member(&admin, "default", "local", "reader").await;
    iam.give(&admin, &local, "admin", "default").await.unwrap();
    // A key that ends.
    let brief = iam.user(&admin, "default", "brief", &["admin"]).await.unwrap().user.unwrap();
    let key = json!({"user_id": brief.id, "name": "x", "expires": "2027-02-01T00:00:00Z"});
    iam.by(&admin, json!({"operation": "create-api-key", "key": key})).await.unwrap();

    for way in ways_out(&admin) {
        assert_kept(iam.by(&admin, way).await);
    }
    iam.member(&admin, "default", "real", "admin").await;
    iam.by(&admin, about("delete-user", &admin)).await.unwrap();
}

#[tokio::test]
async fn the_last_admins_own_password_is_not_reset() {
    let (iam, admin) = Iam::claimed().await;
    iam.user(&admin, "default", "root", &["admin"]).await.unwrap();
    let first = iam.session("root", PASSWORD).await;
    let change = json!({"operation": "change-password", "password": PASSWORD,
        "new_password": NEW_PASSWORD});
    iam.by(&first, change).await.unwrap();
    let root = iam.session("root", NEW_PASSWORD).await;
    iam.by(&root, about("disable-user", &admin)).await.unwrap();
    assert_kept(iam.by(&root, about("reset-password", &root)).await);
    for way in ways_out(&root) {
        assert_kept(iam.by(&root, way).await);
    }
    let key = iam.key(&root, &root.id()).await.unwrap();
    let key = iam.person(key.api_key_plaintext.unwrap().expose().to_owned()).await;
    iam.by(&key, about("reset-password", &key)).await.unwrap();
    // The key has moved on with the password, and is the only way in now.
    let key = iam.person(key.key).await;
    assert_kept(iam.by(&key, revoke(&key)).await);
}

/// Two admins, and no third.
async fn two_admins() -> (Iam, Person, Person) {
    let (iam, first) = Iam::claimed().await;
    let one = iam.member(&first, "default", "one", "admin").await;
    let two = iam.member(&first, "default", "two", "admin").await;
    iam.by(&one, about("delete-user", &first)).await.unwrap();
    (iam, one, two)
}

#[tokio::test]
async fn two_admins_who_end_each_other_at_once_leave_one() {
    let count = { ways_out(&Iam::claimed().await.1).len() };
    for way in 0..count {
        let (iam, one, two) = two_admins().await;
        let ends_two = iam.by(&one, ways_out(&two).swap_remove(way));
        let ends_one = iam.by(&two, ways_out(&one).swap_remove(way));
        let (of_two, of_one) = join(ends_two, ends_one).await;
        let asked = &ways_out(&two)[way];
        assert!(of_two.is_ok() != of_one.is_ok(), "{asked}: {of_two:?} {of_one:?}");
        let left = if of_two.is_ok() { one } else { two };
        iam.by(&left, json!({"operation": "list-users"})).await.unwrap();
        assert_kept(iam.by(&left, ways_out(&left).swap_remove(way)).await);
    }
}

#[tokio::test]
async fn two_admins_who_resign_at_once_leave_one() {
    let (iam, one, two) = two_admins().await;
    for way in 0..ways_out(&one).len() {
        let (iam, one, two) = two_admins().await;
        let ends_one = iam.by(&one, ways_out(&one).swap_remove(way));
        let ends_two = iam.by(&two, ways_out(&two).swap_remove(way));
        let (of_one, of_two) = join(ends_one, ends_two).await;
        assert!(of_one.is_ok() != of_two.is_ok(), "{way}: {of_one:?} {of_two:?}");
        assert_kept(if of_one.is_ok() { of_two } else { of_one });
    }
    let (of_one, of_two) = join(iam.by(&one, revoke(&one)), iam.by(&two, revoke(&two))).await;
    assert!(of_one.is_ok() != of_two.is_ok());
}
