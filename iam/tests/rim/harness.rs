//! A running IAM and somebody who asks it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_iam::config::{DEFAULTS, IamSettings};
use tollgate_iam::{Running, StartError};
use tollgate_proto::capability::Capability;
use tollgate_proto::iam::{
    Actor, Answer, CALL_PATH, Check, Credential, Decision, Identity, Outcome, Refusal, RefusalKind,
    Reply,
};
use tollgate_proto::resource::Resource;
use tollgate_runtime::clock::{Clock, ManualClock};
use tollgate_runtime::config::{Flags, LinkSettings, load};
use tollgate_runtime::lifecycle::Lifecycle;
use tollgate_runtime::units::Period;
use uuid::Uuid;

/// What the gateway shows.
pub(crate) const SECRET: &str = "a service secret of 32 characters";
/// How long gateways trust what they heard.
pub(crate) const LEASE: Duration = Duration::from_secs(5);
/// When the tests take place.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;
/// A password that is good enough.
pub(crate) const PASSWORD: &str = "a long enough one";

/// Another one.
pub(crate) const NEW_PASSWORD: &str = "another long enough one";

/// IAM, running.
pub(crate) struct Iam {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) life: Lifecycle,
    pub(crate) folder: Arc<TempDir>,
}

/// Somebody with a credential.
pub(crate) struct Person {
    pub(crate) key: String,
    pub(crate) identity: Identity,
}

impl Person {
    pub(crate) fn actor(&self) -> &Actor {
        &self.identity.actor
    }

    pub(crate) fn id(&self) -> String {
        self.identity.actor.user.to_string()
    }

    pub(crate) fn key_id(&self) -> String {
        match self.actor().credential {
            Credential::Key(id) => id.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

/// Settings for a folder.
pub(crate) fn settings(folder: &Path, more: &[(&'static str, &str)]) -> IamSettings {
    #[derive(serde::Deserialize)]
    struct Whole {
        iam: IamSettings,
    }
    let data = folder.join("data").display().to_string();
    let base = [
        ("iam.listen", "127.0.0.1:0"),
        ("iam.bootstrap_mode", "bootstrap"),
        ("iam.password.rounds", "100000"),
        ("iam.data_dir", data.as_str()),
    ];
    let settings = base.iter().chain(more).map(|(path, value)| (*path, (*value).to_owned()));
    let flags = Flags { file: None, settings: settings.collect() };
    load::<Whole>(&[DEFAULTS], &flags, []).unwrap().iam
}

/// Starts IAM with settings.
pub(crate) async fn start_with(
    settings: &IamSettings,
    clock: &Arc<ManualClock>,
    life: &Lifecycle,
) -> Result<Running, StartError> {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    tollgate_iam::start(settings, &link(LEASE), SecretString::from(SECRET), clock, life).await
}

pub(crate) fn link(lease: Duration) -> LinkSettings {
    LinkSettings { secret_file: PathBuf::new(), ca_file: PathBuf::new(), lease: Period(lease) }
}

impl Iam {
    /// A fresh one in mode `bootstrap`.
    pub(crate) async fn fresh() -> Self {
        Self::on(Arc::new(tempfile::tempdir().unwrap())).await
    }

    /// One on a folder that may have data.
    pub(crate) async fn on(folder: Arc<TempDir>) -> Self {
        Self::with(folder, &[]).await
    }

    /// The same under other settings.
    pub(crate) async fn with(folder: Arc<TempDir>, more: &[(&'static str, &str)]) -> Self {
        let (clock, life) = (ManualClock::at_ms(NOW_MS), Lifecycle::new());
        let running = start_with(&settings(folder.path(), more), &clock, &life).await.unwrap();
        Self { address: running.address, clock, life, folder }
    }

    /// A fresh one and its first admin.
    pub(crate) async fn claimed() -> (Self, Person) {
        let iam = Self::fresh().await;
        let admin = iam.claim().await;
        (iam, admin)
    }

    /// The first admin of one that is fresh.
    pub(crate) async fn claim(&self) -> Person {
        let reply = self.operate(None, json!({"operation": "bootstrap"})).await.unwrap();
        self.person(reply.bootstrap_admin_api_key.unwrap().expose().to_owned()).await
    }

    /// Stops it and waits until its files are free.
    pub(crate) async fn stop(self) -> Arc<TempDir> {
        assert!(self.life.stop(Duration::from_secs(5)).await);
        self.folder
    }

    /// Whoever a key stands for.
    pub(crate) async fn person(&self, key: String) -> Person {
        let identity = self.authenticate(&key).await.unwrap();
        Person { key, identity }
    }

    /// A user at home in a workspace, with a role and a key.
    pub(crate) async fn member(
        &self,
        admin: &Person,
        workspace: &str,
        name: &str,
        role: &str,
    ) -> Person {
        self.workspace(admin, workspace).await;
        let user = self.user(admin, workspace, name, &[role]).await.unwrap();
        let key = self.key(admin, &user.user.unwrap().id).await.unwrap();
        self.person(key.api_key_plaintext.unwrap().expose().to_owned()).await
    }

    pub(crate) async fn workspace(&self, admin: &Person, id: &str) {
        let operation = json!({"operation": "create-workspace", "workspace_record": {"id": id}});
        self.operate(Some(admin.actor()), operation).await.unwrap();
    }

    /// Makes a workspace, unless IAM has gone.
    pub(crate) async fn try_workspace(&self, admin: &Person, id: &str) -> bool {
        let operation = json!({"operation": "create-workspace", "workspace_record": {"id": id}});
        let question = json!({"operate": {"actor": admin.actor(), "operation": operation}});
        let call = json!({"id": Uuid::now_v7(), "question": question}).to_string();
        let Some((_, body)) = self.try_http(&post(SECRET, &call)).await else { return false };
        let answer: Option<Answer> = serde_json::from_str(&body).ok();
        answer.is_some_and(|answer| matches!(answer.outcome, Outcome::Reply(_)))
    }

    pub(crate) async fn count_workspaces(&self, admin: &Person) -> usize {
        let list = json!({"operation": "list-workspaces"});
        self.operate(Some(admin.actor()), list).await.unwrap().workspaces.len()
    }

    pub(crate) async fn user(
        &self,
        by: &Person,
        workspace: &str,
        name: &str,
        roles: &[&str],
    ) -> Result<Reply, Refusal> {
        let user = json!({"username": name, "password": PASSWORD, "roles": roles});
        let operation = json!({"operation": "create-user", "workspace": workspace, "user": user});
        self.operate(Some(by.actor()), operation).await
    }

    pub(crate) async fn key(&self, by: &Person, user_id: &str) -> Result<Reply, Refusal> {
        let key = json!({"user_id": user_id, "name": "laptop"});
        self.operate(Some(by.actor()), json!({"operation": "create-api-key", "key": key})).await
    }

    pub(crate) async fn login(&self, username: &str, password: &str) -> Result<Reply, Refusal> {
        let operation = json!({"operation": "login", "username": username, "password": password});
        self.operate(None, operation).await
    }

    /// Whoever has just logged in.
    pub(crate) async fn session(&self, username: &str, password: &str) -> Person {
        let jwt = self.login(username, password).await.unwrap().jwt.unwrap().expose().to_owned();
        self.person(jwt).await
    }

    /// Gives a role or, where there is a colon, a capability.
    pub(crate) async fn give(
        &self,
        by: &Person,
        to: &Person,
        what: &str,
        workspace: &str,
    ) -> Result<Reply, Refusal> {
        self.by(by, grant("add-user-grant", to, what, workspace)).await
    }

    /// A reader of a workspace who manages it, and nothing beyond it.
    pub(crate) async fn manager(&self, admin: &Person, workspace: &str, name: &str) -> Person {
        let manager = self.member(admin, workspace, name, "reader").await;
        for capability in [
            "users:read",
            "users:write",
            "users:admin",
            "keys:admin",
            "workspaces:admin",
            "iam:admin",
        ] {
            self.give(admin, &manager, capability, workspace).await.unwrap();
        }
        manager
    }

    pub(crate) async fn authenticate(&self, credential: &str) -> Result<Identity, Refusal> {
        match self.ask(json!({"authenticate": {"credential": credential}})).await.outcome {
            Outcome::Identity(identity) => Ok(identity),
            Outcome::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn decide(
        &self,
        actor: &Actor,
        capability: Capability,
        workspace: &str,
    ) -> Decision {
        let resource = Resource::Workspace { workspace: workspace.parse().unwrap() };
        self.decide_on(actor, capability, resource).await
    }

    pub(crate) async fn decide_on(
        &self,
        actor: &Actor,
        capability: Capability,
        resource: Resource,
    ) -> Decision {
        self.judge(actor, Check { capability, resource }).await.unwrap()
    }

    /// What is decided, if anything is.
    pub(crate) async fn judge(&self, actor: &Actor, check: Check) -> Result<Decision, Refusal> {
        match self.ask(json!({"authorise": {"actor": actor, "check": check}})).await.outcome {
            Outcome::Decision(decision) => Ok(decision),
            Outcome::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn operate(
        &self,
        actor: Option<&Actor>,
        operation: serde_json::Value,
    ) -> Result<Reply, Refusal> {
        self.operate_as(Uuid::now_v7(), actor, operation).await
    }

    /// An operation of somebody.
    pub(crate) async fn by(
        &self,
        person: &Person,
        operation: serde_json::Value,
    ) -> Result<Reply, Refusal> {
        self.operate(Some(person.actor()), operation).await
    }

    /// An operation under an id.
    pub(crate) async fn operate_as(
        &self,
        id: Uuid,
        actor: Option<&Actor>,
        operation: serde_json::Value,
    ) -> Result<Reply, Refusal> {
        let mut question = json!({"operation": operation});
        if let Some(actor) = actor {
            question["actor"] = json!(actor);
        }
        let call = json!({"id": id, "question": {"operate": question}});
        match self.call(&call).await.outcome {
            Outcome::Reply(reply) => Ok(reply),
            Outcome::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn ask(&self, question: serde_json::Value) -> Answer {
        self.call(&json!({"id": Uuid::now_v7(), "question": question})).await
    }

    pub(crate) async fn call(&self, call: &serde_json::Value) -> Answer {
        let (head, body) = self.post(SECRET, &call.to_string()).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        serde_json::from_str(&body).unwrap()
    }

    /// The head and the body of the answer to a `POST /v1/call`.
    pub(crate) async fn post(&self, secret: &str, body: &str) -> (String, String) {
        self.http(&post(secret, body)).await
    }

    /// Writes bytes and reads until the other side closes.
    pub(crate) async fn http(&self, request: &str) -> (String, String) {
        self.try_http(request).await.unwrap()
    }

    async fn try_http(&self, request: &str) -> Option<(String, String)> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        // Whoever is refused early may not read all of it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        Some((head.to_owned(), body.to_owned()))
    }
}

fn post(secret: &str, body: &str) -> String {
    post_to(CALL_PATH, secret, body)
}

/// A request of a gateway, as it goes over the wire.
pub(crate) fn post_to(path: &str, secret: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: iam\r\nAuthorization: Bearer {secret}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// An operation about a user.
pub(crate) fn about(operation: &str, user: &Person) -> serde_json::Value {
    json!({"operation": operation, "user_id": user.id()})
}

/// An operation about a user's role or, where there is a colon, capability.
pub(crate) fn grant(
    operation: &str,
    user: &Person,
    what: &str,
    workspace: &str,
) -> serde_json::Value {
    let kind = if what.contains(':') { "capability" } else { "role" };
    let mut asked = about(operation, user);
    asked["grant"] = json!({kind: what, "workspace": workspace});
    asked
}

/// Checks what was refused, in the words of the wire.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(
    outcome: Result<T, Refusal>,
    kind: RefusalKind,
    message: &str,
) {
    let refusal = outcome.unwrap_err();
    assert_eq!((refusal.kind, refusal.message.as_str()), (kind, message));
}

/// Masked: not authenticated.
#[track_caller]
pub(crate) fn assert_nobody<T: std::fmt::Debug>(outcome: Result<T, Refusal>) {
    assert_refused(outcome, RefusalKind::AuthFailed, "auth failure");
}

/// Masked: not allowed.
#[track_caller]
pub(crate) fn assert_denied<T: std::fmt::Debug>(outcome: Result<T, Refusal>) {
    assert_refused(outcome, RefusalKind::AccessDenied, "access denied");
}
