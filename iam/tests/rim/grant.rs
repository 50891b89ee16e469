//! Grants beyond the roles at home, and what they add up to.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_proto::capability::Capability::{self, ConfigWrite, Llm, UsersRead};
use tollgate_proto::iam::Decision::{Allow, Deny};
use tollgate_proto::iam::{EffectivePermissions, GrantRecord, Refusal, RefusalKind};
use tollgate_proto::resource::Resource;
use uuid::Uuid;

use super::harness::{
    Iam, PASSWORD, Person, about, assert_denied, assert_nobody, assert_refused, grant,
};

fn until(mut operation: Value, expires: &str) -> Value {
    operation["grant"]["expires"] = json!(expires);
    operation
}

async fn list(iam: &Iam, by: &Person, of: &Person) -> Result<Vec<GrantRecord>, Refusal> {
    let reply = iam.by(by, about("list-user-grants", of)).await?;
    Ok(serde_json::from_str(&reply.grants_json.unwrap()).unwrap())
}

/// What is held where, in few words.
async fn held(iam: &Iam, by: &Person, of: &Person) -> Vec<String> {
    let grants = list(iam, by, of).await.unwrap();
    let mut held: Vec<_> = grants
        .into_iter()
        .map(|grant| {
            let what = grant.role.or(grant.capability).unwrap();
            format!("{what} in {} {}", grant.workspace, grant.expires).trim().to_owned()
        })
        .collect();
    held.sort();
    held
}

async fn resolve(iam: &Iam, by: &Person, asked: Value) -> Result<EffectivePermissions, Refusal> {
    let reply = iam.by(by, asked).await?;
    Ok(serde_json::from_str(&reply.effective_permissions_json.unwrap()).unwrap())
}

#[tokio::test]
async fn a_grant_opens_what_it_names_where_it_holds() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    iam.workspace(&admin, "umbrella").await;
    iam.give(&admin, &ann, "users:read", "umbrella").await.unwrap();
    assert_eq!(iam.decide(ann.actor(), UsersRead, "umbrella").await, Allow);
    assert_eq!(iam.decide(ann.actor(), Llm, "umbrella").await, Deny);
    assert_eq!(iam.decide(ann.actor(), UsersRead, "acme").await, Deny);
    let users = |workspace: &str| json!({"operation": "list-users", "workspace": workspace});
    iam.by(&ann, users("umbrella")).await.unwrap();
    assert_denied(iam.by(&ann, users("acme")).await);
    assert_eq!(held(&iam, &admin, &ann).await, ["reader in acme", "users:read in umbrella"]);
    let user = iam.by(&admin, about("get-user", &ann)).await.unwrap().user.unwrap();
    assert_eq!(user.roles, ["reader"], "the wire's roles are those at home");
    let login = json!({"operation": "login", "username": "ann", "password": PASSWORD,
        "workspace": "umbrella"});
    iam.operate(None, login).await.unwrap();

    iam.by(&admin, grant("remove-user-grant", &ann, "users:read", "umbrella")).await.unwrap();
    assert_eq!(iam.decide(ann.actor(), UsersRead, "umbrella").await, Deny);
    let again = iam.by(&admin, grant("remove-user-grant", &ann, "users:read", "umbrella")).await;
    assert_refused(again, RefusalKind::NotFound, "grant not found");
}

#[tokio::test]
async fn a_grant_ends_when_it_says() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    iam.workspace(&admin, "umbrella").await;
    let writer = grant("add-user-grant", &ann, "writer", "umbrella");
    iam.by(&admin, until(writer, "2027-01-15T09:00:00Z")).await.unwrap();
    iam.clock.advance(Duration::from_hours(1) - Duration::from_millis(1));
    assert_eq!(iam.decide(ann.actor(), Llm, "umbrella").await, Allow);
    iam.clock.advance(Duration::from_millis(1));
    assert_eq!(iam.decide(ann.actor(), Llm, "umbrella").await, Deny);
    let own = json!({"operation": "resolve-effective-permissions"});
    let permissions = resolve(&iam, &ann, own).await.unwrap().permissions;
    assert_eq!(permissions.iter().map(|at| &*at.workspace).collect::<Vec<_>>(), ["acme"]);
}

#[tokio::test]
async fn the_same_grant_again_only_moves_its_end() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let writer = grant("add-user-grant", &ann, "writer", "acme");
    let once = until(writer.clone(), "2027-02-01T00:00:00Z");
    for (again, expect) in [
        (&once, "writer in acme 2027-02-01T00:00:00+00:00"),
        (&once, "writer in acme 2027-02-01T00:00:00+00:00"),
        (
            &until(writer.clone(), "2027-03-01T00:00:00Z"),
            "writer in acme 2027-03-01T00:00:00+00:00",
        ),
        (&writer, "writer in acme"),
        (&writer, "writer in acme"),
    ] {
        iam.by(&admin, again.clone()).await.unwrap();
        assert_eq!(held(&iam, &admin, &ann).await, ["reader in acme", expect]);
    }
}

#[tokio::test]
async fn an_admin_of_one_workspace_rules_there_and_nowhere_else() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.member(&admin, "acme", "bob", "writer").await;
    let eve = iam.member(&admin, "umbrella", "eve", "reader").await;
    iam.give(&admin, &ann, "admin", "acme").await.unwrap();
    iam.user(&ann, "acme", "carol", &["writer"]).await.unwrap();
    iam.by(&ann, about("disable-user", &bob)).await.unwrap();
    iam.give(&ann, &bob, "admin", "acme").await.unwrap();
    iam.give(&ann, &eve, "config:write", "acme").await.unwrap();
    assert_eq!(iam.decide(eve.actor(), ConfigWrite, "acme").await, Allow);

    assert_denied(iam.user(&ann, "umbrella", "dave", &[]).await);
    assert_denied(iam.user(&ann, "acme", "dave", &["admin"]).await);
    assert_denied(iam.by(&ann, about("disable-user", &eve)).await);
    assert_denied(iam.give(&ann, &bob, "admin", "*").await);
    assert_denied(iam.give(&ann, &bob, "reader", "umbrella").await);
    let create = json!({"operation": "create-workspace", "workspace_record": {"id": "mine"}});
    assert_denied(iam.by(&ann, create).await);
    let list = json!({"operation": "list-workspaces"});
    let seen = iam.by(&ann, list).await.unwrap().workspaces;
    assert_eq!(seen.iter().map(|workspace| &*workspace.id).collect::<Vec<_>>(), ["acme"]);
    let user = iam.by(&admin, about("get-user", &ann)).await.unwrap().user.unwrap();
    assert_eq!(user.roles, ["reader"], "not an admin as the wire means it");
}

#[tokio::test]
async fn nobody_gives_or_takes_what_it_lacks() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let boss = iam.manager(&admin, "acme", "boss").await;
    iam.give(&admin, &ann, "config:write", "acme").await.unwrap();
    for what in ["config:write", "writer", "admin", "metrics:read"] {
        assert_denied(iam.give(&boss, &ann, what, "acme").await);
        assert_denied(iam.give(&boss, &boss, what, "acme").await);
        let take = grant("remove-user-grant", &ann, what, "acme");
        assert_denied(iam.by(&boss, take).await);
    }
    for what in ["reader", "users:read", "iam:admin"] {
        iam.give(&boss, &ann, what, "acme").await.unwrap();
        iam.by(&boss, grant("remove-user-grant", &ann, what, "acme")).await.unwrap();
        for elsewhere in ["default", "nowhere", "*"] {
            assert_denied(iam.give(&boss, &ann, what, elsewhere).await);
            let take = grant("remove-user-grant", &ann, what, elsewhere);
            assert_denied(iam.by(&boss, take).await);
        }
    }
    assert_eq!(held(&iam, &admin, &ann).await, ["config:write in acme"]);
}

#[tokio::test]
async fn the_whole_deployment_is_given_by_those_who_hold_it() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.member(&admin, "acme", "bob", "reader").await;
    iam.give(&admin, &ann, "iam:admin", "*").await.unwrap();
    iam.give(&admin, &ann, "metrics:read", "*").await.unwrap();
    iam.give(&ann, &bob, "metrics:read", "*").await.unwrap();
    let everywhere = Resource::Deployment;
    let metrics = Capability::MetricsRead;
    assert_eq!(iam.decide_on(bob.actor(), metrics, everywhere).await, Allow);
    assert_eq!(iam.decide(bob.actor(), metrics, "default").await, Allow);
    assert_denied(iam.give(&ann, &bob, "users:admin", "*").await);
    assert_denied(iam.give(&ann, &bob, "admin", "*").await);
    assert_denied(iam.give(&bob, &ann, "metrics:read", "*").await);
}

#[tokio::test]
async fn a_user_holds_at_most_64_grants() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let places = ["acme", "default"].into_iter();
    let mut places = places.flat_map(|at| Capability::ALL.iter().map(move |what| (what, at)));
    let give = |(what, at): (&Capability, &str)| {
        let capability = json!({"capability": what, "workspace": at});
        let mut add = about("add-user-grant", &ann);
        add["grant"] = capability;
        iam.by(&admin, add)
    };
    futures_util::future::try_join_all(places.by_ref().take(63).map(give)).await.unwrap();
    assert_eq!(list(&iam, &admin, &ann).await.unwrap().len(), 64, "with her role at home");
    let most = "a user may hold at most 64 grants";
    let one_more = places.next().unwrap();
    assert_refused(give(one_more).await, RefusalKind::OperationNotPermitted, most);
    let same = grant("add-user-grant", &ann, "reader", "acme");
    iam.by(&admin, until(same, "2027-02-01T00:00:00Z")).await.unwrap();
    iam.by(&admin, grant("remove-user-grant", &ann, "reader", "acme")).await.unwrap();
    give(one_more).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_a_grant_says_why() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let refused = async |given: Value, message: &str| {
        for operation in ["add-user-grant", "remove-user-grant"] {
            let mut asked = about(operation, &ann);
            asked["grant"] = given.clone();
            let outcome = iam.by(&admin, asked).await;
            assert_refused(outcome, RefusalKind::InvalidArgument, message);
        }
    };
    refused(Value::Null, "grant required").await;
    let either = "grant must have either a role or a capability";
    refused(json!({"workspace": "acme"}), either).await;
    refused(json!({"role": "reader", "capability": "llm", "workspace": "acme"}), either).await;
    let known = "unknown role; known are admin, reader and writer";
    refused(json!({"role": "root", "workspace": "acme"}), known).await;
    refused(json!({"capability": "fly", "workspace": "acme"}), "grant.capability is unknown").await;
    refused(json!({"role": "reader"}), "grant.workspace required").await;
    let id = "grant.workspace is no workspace id";
    refused(json!({"role": "reader", "workspace": "_system"}), id).await;
    let reader = grant("add-user-grant", &ann, "reader", "acme");
    for (expires, rule) in [
        ("soon", "a time with offset, like 2030-01-31T12:00:00+00:00"),
        ("2027-01-15T08:00:00Z", "in the future, and at most ten years away"),
    ] {
        let outcome = iam.by(&admin, until(reader.clone(), expires)).await;
        let message = format!("grant.expires must be {rule}");
        assert_refused(outcome, RefusalKind::InvalidArgument, &message);
    }
    let there = iam.give(&admin, &ann, "reader", "nowhere").await;
    assert_refused(there, RefusalKind::NotFound, "workspace not found or disabled");
    let mut ghost = reader;
    ghost["user_id"] = json!(Uuid::nil());
    assert_refused(iam.by(&admin, ghost).await, RefusalKind::NotFound, "user not found");
}

#[tokio::test]
async fn effective_permissions_are_told_to_the_user_and_to_who_manages_there() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let boss = iam.manager(&admin, "acme", "boss").await;
    let eve = iam.member(&admin, "umbrella", "eve", "writer").await;
    iam.give(&admin, &ann, "config:write", "umbrella").await.unwrap();
    let of = |user: &Person| about("resolve-effective-permissions", user);
    let places = |permissions: &EffectivePermissions| {
        let at = permissions.permissions.iter();
        at.map(|at| (at.workspace.clone(), at.capabilities.len())).collect::<Vec<_>>()
    };
    let own = resolve(&iam, &ann, json!({"operation": "resolve-effective-permissions"})).await;
    let own = own.unwrap();
    assert_eq!(own.user_id, ann.id());
    assert_eq!(places(&own), [("acme".to_owned(), 28), ("umbrella".to_owned(), 1)]);
    assert_eq!(own.permissions[1].capabilities, ["config:write"]);
    assert_eq!(own.permissions[1].grants[0].granted_by, admin.id());
    assert_eq!(resolve(&iam, &ann, of(&ann)).await.unwrap(), own);
    assert_eq!(resolve(&iam, &admin, of(&ann)).await.unwrap(), own);
    let seen = resolve(&iam, &boss, of(&ann)).await.unwrap();
    assert_eq!(places(&seen), [("acme".to_owned(), 28)], "and no word of other workspaces");
    assert_eq!(held(&iam, &boss, &ann).await, ["reader in acme"]);
    assert_denied(resolve(&iam, &ann, of(&boss)).await);
    assert_denied(resolve(&iam, &boss, of(&eve)).await);
    assert_denied(list(&iam, &ann, &ann).await);
    assert_nobody(iam.operate(None, json!({"operation": "resolve-effective-permissions"})).await);
}

#[tokio::test]
async fn a_temporary_password_does_not_show_what_its_owner_may_do() {
    let (iam, admin) = Iam::claimed().await;
    let user = json!({"username": "ann", "password": PASSWORD, "roles": ["admin"],
        "must_change_password": true});
    let create = json!({"operation": "create-user", "workspace": "default", "user": user});
    iam.by(&admin, create).await.unwrap();
    let bound = iam.session("ann", PASSWORD).await;
    let own = json!({"operation": "resolve-effective-permissions"});
    assert_denied(iam.by(&bound, own).await);
}

#[tokio::test]
async fn an_authority_that_ends_gives_none_that_lasts_longer() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.member(&admin, "acme", "bob", "reader").await;
    let everything = |whom: &Person| grant("add-user-grant", whom, "admin", "*");
    let end = "2027-02-01T00:00:00Z";
    iam.by(&admin, until(everything(&ann), end)).await.unwrap();
    assert_denied(iam.by(&ann, everything(&ann)).await);
    assert_denied(iam.by(&ann, until(everything(&bob), "2027-02-01T00:00:00.001Z")).await);
    let mut promote = about("update-user", &ann);
    promote["user"] = json!({"roles": ["admin"]});
    assert_denied(iam.by(&ann, promote).await);
    assert_denied(iam.user(&ann, "acme", "carol", &["writer"]).await);
    iam.user(&ann, "acme", "carol", &["reader"]).await.unwrap();
    iam.by(&ann, until(everything(&bob), end)).await.unwrap();
    let take = grant("remove-user-grant", &bob, "admin", "*");
    iam.by(&ann, take).await.unwrap();
}

#[tokio::test]
async fn roles_count_among_the_grants_that_a_user_may_hold() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    for n in 0..63 {
        let workspace = format!("w{n}");
        iam.workspace(&admin, &workspace).await;
        iam.give(&admin, &ann, "users:read", &workspace).await.unwrap();
    }
    let mut roles = about("update-user", &ann);
    roles["user"] = json!({"roles": ["reader", "writer"]});
    let most = "a user may hold at most 64 grants";
    assert_refused(iam.by(&admin, roles.clone()).await, RefusalKind::OperationNotPermitted, most);
    roles["user"] = json!({"roles": ["writer"]});
    iam.by(&admin, roles).await.unwrap();
}

#[tokio::test]
async fn an_authority_that_ends_reaches_nobody_whose_own_lasts_longer() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.member(&admin, "acme", "bob", "admin").await;
    let eve = iam.member(&admin, "acme", "eve", "reader").await;
    let end = "2027-02-01T00:00:00Z";
    for whom in [&ann, &eve] {
        let everything = until(grant("add-user-grant", whom, "admin", "*"), end);
        iam.by(&admin, everything).await.unwrap();
    }
    for operation in ["reset-password", "disable-user", "enable-user", "delete-user"] {
        assert_denied(iam.by(&ann, about(operation, &bob)).await);
    }
    assert_denied(iam.key(&ann, &bob.id()).await);
    let mut mint = about("mint-token", &bob);
    mint["workspace"] = json!("acme");
    assert_denied(iam.by(&ann, mint).await);
    assert_denied(iam.by(&ann, grant("remove-user-grant", &bob, "admin", "*")).await);
    let shorter = until(grant("add-user-grant", &bob, "admin", "*"), end);
    assert_denied(iam.by(&ann, shorter).await);

    iam.key(&ann, &eve.id()).await.unwrap();
    iam.by(&ann, grant("remove-user-grant", &eve, "admin", "*")).await.unwrap();
    // What eve is left with, ann has for good.
    iam.by(&ann, about("reset-password", &eve)).await.unwrap();
}
