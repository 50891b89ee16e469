//! Authentication and authorisation, as the gateway asks for them.

use serde_json::json;
use tollgate_proto::capability::Capability::{self, ConfigWrite, GraphRead, GraphWrite, UsersRead};
use tollgate_proto::iam::Decision::{self, Allow, Deny, NoWorkspace};
use tollgate_proto::iam::{Actor, Check, Confirmed, Outcome};
use tollgate_proto::resource::Resource;

use super::harness::{Iam, PASSWORD, assert_nobody};

#[tokio::test]
async fn a_key_stands_for_its_owner_and_junk_for_nobody() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    assert_eq!(ann.identity.default_workspace.as_str(), "acme");
    assert_eq!(ann.identity.expires_at_ms, None);

    let other = if ann.key.ends_with('0') { "1" } else { "0" };
    let broken = format!("{}{other}", &ann.key[..42]);
    let unknown = "tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2";
    for junk in ["", "tg_", &broken, unknown, "a.b.c", "no key", &format!(" {}", ann.key)] {
        assert_nobody(iam.authenticate(junk).await);
    }
}

#[tokio::test]
async fn a_session_token_stands_for_its_user_until_it_expires() {
    let (iam, admin) = Iam::claimed().await;
    iam.member(&admin, "acme", "ann", "reader").await;
    let jwt = iam.login("Ann", PASSWORD).await.unwrap().jwt.unwrap().expose().to_owned();
    let session = iam.authenticate(&jwt).await.unwrap();
    assert_eq!(session.default_workspace.as_str(), "acme");
    assert_eq!(session.expires_at_ms, Some(super::harness::NOW_MS + 3_600_000));
    assert_eq!(iam.decide(&session.actor, Capability::Llm, "acme").await, Decision::Allow);

    let (signed, _) = jwt.rsplit_once('.').unwrap();
    assert_nobody(iam.authenticate(&format!("{signed}.{}", "A".repeat(86))).await);
    iam.clock.advance(std::time::Duration::from_secs(3_605));
    assert_nobody(iam.authenticate(&jwt).await);
}

#[tokio::test]
async fn roles_hold_at_home_and_admins_everywhere() {
    let (iam, admin) = Iam::claimed().await;
    let reader = iam.member(&admin, "acme", "ann", "reader").await;
    let writer = iam.member(&admin, "acme", "bob", "writer").await;
    let check = async |actor: &Actor, capability, workspace: &str, expect| {
        assert_eq!(iam.decide(actor, capability, workspace).await, expect, "{capability}");
    };
    check(reader.actor(), GraphRead, "acme", Allow).await;
    check(reader.actor(), GraphWrite, "acme", Deny).await;
    check(writer.actor(), GraphWrite, "acme", Allow).await;
    check(writer.actor(), ConfigWrite, "acme", Deny).await;
    check(reader.actor(), GraphRead, "default", Deny).await;
    check(reader.actor(), GraphRead, "nowhere", Deny).await;
    check(admin.actor(), UsersRead, "acme", Allow).await;
    check(admin.actor(), UsersRead, "nowhere", NoWorkspace).await;
    check(admin.actor(), UsersRead, "ACME", NoWorkspace).await;
    let on_all = iam.decide_on(writer.actor(), GraphRead, Resource::Deployment).await;
    assert_eq!(on_all, Deny);
}

#[tokio::test]
async fn several_checks_are_answered_in_order() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let at = |capability: &str, workspace: &str| {
        let resource = json!({"level": "workspace", "workspace": workspace});
        json!({"capability": capability, "resource": resource})
    };
    let checks = [at("llm", "acme"), at("llm", "default"), at("graph:write", "acme")];
    let ask = async |actor: &Actor, checks: &[serde_json::Value]| {
        let question = json!({"authorise-many": {"actor": actor, "checks": checks}});
        match iam.ask(question).await.outcome {
            Outcome::Decisions(decisions) => Ok(decisions),
            Outcome::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(ann.actor(), &checks).await.unwrap(), [Allow, Deny, Deny]);
    assert_eq!(ask(ann.actor(), &[]).await.unwrap(), []);
    let stale = Actor { auth_epoch: 7, ..ann.actor().clone() };
    assert_nobody(ask(&stale, &checks).await);
}

#[tokio::test]
async fn an_actor_is_believed_only_as_long_as_it_is_true() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    assert_eq!(iam.judge(ann.actor(), llm()).await.unwrap(), Allow);
    let stale = Actor { auth_epoch: 2, ..ann.actor().clone() };
    let with_her_key = Actor { user: admin.actor().user, ..ann.actor().clone() };
    let unknown = Actor { user: tollgate_proto::ids::UserId(uuid::Uuid::nil()), ..stale.clone() };
    for actor in [stale, with_her_key, unknown] {
        assert_nobody(iam.judge(&actor, llm()).await);
        assert_nobody(iam.operate(Some(&actor), json!({"operation": "whoami"})).await);
    }
    let key_id = match ann.actor().credential {
        tollgate_proto::iam::Credential::Key(id) => id,
        other => panic!("{other:?}"),
    };
    let revoke = json!({"operation": "revoke-api-key", "key_id": key_id});
    iam.operate(Some(admin.actor()), revoke).await.unwrap();
    assert_nobody(iam.judge(ann.actor(), llm()).await);
    assert_nobody(iam.authenticate(&ann.key).await);
}

#[tokio::test]
async fn revalidation_confirms_those_who_are_still_who_they_were() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let bob = iam.member(&admin, "acme", "bob", "reader").await;
    let session = iam.login("ann", PASSWORD).await.unwrap().jwt.unwrap();
    let session = iam.authenticate(session.expose()).await.unwrap().actor;
    let actors = [ann.actor(), bob.actor(), &session];
    let confirmed = async || -> Vec<Confirmed> {
        let claims = actors.map(|actor| json!({"actor": actor, "checks": [llm()]}));
        match iam.ask(json!({"revalidate": {"claims": claims}})).await.outcome {
            Outcome::Confirmed(all) => all,
            other => panic!("{other:?}"),
        }
    };
    let live = |decision| Confirmed::Live(vec![decision]);
    assert_eq!(confirmed().await, [live(Allow), live(Allow), live(Allow)]);
    let change = json!({"operation": "change-password", "password": PASSWORD,
        "new_password": "quite another one"});
    iam.operate(Some(&session), change).await.unwrap();
    let expect = [live(Allow), live(Allow), Confirmed::Ended];
    assert_eq!(confirmed().await, expect, "a key moves on, a session ends");
    let disable = json!({"operation": "disable-user", "user_id": bob.id()});
    iam.operate(Some(admin.actor()), disable).await.unwrap();
    assert_eq!(confirmed().await, [live(Allow), Confirmed::Ended, Confirmed::Ended]);
    let grant = |of: &str, role: &str, workspace: &str| json!({"operation": of, "user_id": ann.id(), "grant": {"role": role, "workspace": workspace}});
    let change = async |change| iam.operate(Some(admin.actor()), change).await.unwrap();
    change(grant("add-user-grant", "reader", "default")).await;
    change(grant("remove-user-grant", "reader", "acme")).await;
    assert_eq!(confirmed().await[0], live(Deny));
    change(grant("remove-user-grant", "reader", "default")).await;
    assert_eq!(confirmed().await[0], Confirmed::Rightless);
    change(grant("add-user-grant", "reader", "acme")).await;
    assert_eq!(confirmed().await[0], live(Allow));
    change(json!({"operation": "disable-workspace", "workspace_record": {"id": "acme"}})).await;
    assert_eq!(confirmed().await[0], Confirmed::WorkspaceDisabled);
}

#[tokio::test]
async fn a_key_that_a_gateway_knows_outlives_its_owners_new_password() {
    let (iam, admin) = Iam::claimed().await;
    let ann = iam.member(&admin, "acme", "ann", "reader").await;
    let reset = json!({"operation": "reset-password", "user_id": ann.id()});
    iam.operate(Some(admin.actor()), reset).await.unwrap();
    assert_eq!(iam.decide(ann.actor(), Capability::Llm, "acme").await, Allow);
    assert!(iam.operate(Some(ann.actor()), json!({"operation": "whoami"})).await.is_ok());
    let disable = json!({"operation": "disable-user", "user_id": ann.id()});
    iam.operate(Some(admin.actor()), disable).await.unwrap();
    let enable = json!({"operation": "enable-user", "user_id": ann.id()});
    iam.operate(Some(admin.actor()), enable).await.unwrap();
    assert_nobody(iam.judge(ann.actor(), llm()).await);
}

fn llm() -> Check {
    let resource = Resource::Workspace { workspace: "acme".parse().unwrap() };
    Check { capability: Capability::Llm, resource }
}
