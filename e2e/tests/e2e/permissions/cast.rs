//! Those who ask and those who are asked about, and the asking.
//!
//! Whoever is no longer what it was is replaced before the next probe, so that no cell depends
//! on another.

use std::collections::HashMap;

use anyhow::Context;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tollgate_e2e::raw::Socket;
use tollgate_e2e::{PASSWORD, Tollgate};
use tollgate_proto::error::ErrorKind;

use super::cell::{Cell, Role};
use super::form::{Form, Leaves, Subject, Target, Way};

/// What a manager has beyond a reader, in the own workspace.
const MANAGES: [&str; 6] =
    ["users:read", "users:write", "users:admin", "keys:admin", "workspaces:admin", "iam:admin"];

/// The id of nothing.
const NO_ID: &str = "00000000-0000-4000-8000-000000000000";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    Http,
    Socket,
}

/// A user, with what it shows to be let in.
struct Person {
    id: String,
    key_id: String,
    username: String,
    credential: String,
}

pub(super) struct Cast {
    tollgate: Tollgate,
    actors: HashMap<Role, Person>,
    /// Where they ask, once they did.
    sockets: HashMap<Role, Socket>,
    targets: HashMap<Target, Person>,
    /// What the target of a question holds.
    held: Option<Socket>,
    names: u32,
}

impl Cast {
    pub(super) async fn assemble() -> anyhow::Result<Self> {
        // Sockets of those who are nobody are kept too.
        let tollgate = Tollgate::start_with(&[("gateway.auth.deadline", "10m")]).await?;
        for id in ["acme", "umbrella", "shut"] {
            let record = json!({ "id": id });
            let create = json!({ "operation": "create-workspace", "workspace_record": record });
            tollgate.iam(create).await?;
        }
        let (actors, sockets, targets) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut cast = Self { tollgate, actors, sockets, targets, held: None, names: 0 };
        // Nobody is made in a workspace that is disabled.
        cast.target(Target::Shut).await?;
        cast.set_workspace("shut", false).await?;
        Ok(cast)
    }

    /// Asks over every way there is; none, if there can be no such asker.
    pub(super) async fn probe(
        &mut self,
        role: Role,
        form: &Form,
        target: Target,
    ) -> anyhow::Result<Option<Cell>> {
        match form.way {
            Way::Unclaimed if role == Role::Nobody => {
                let fresh = Tollgate::start_unclaimed(&[]).await?;
                let request = request(form, &json!({}));
                let socket = ask_socket(&mut Socket::open(fresh.address).await?, &request).await?;
                let http = ask_http(&fresh, "/api/v1/iam", None, &request).await?;
                Ok(Some(Cell { http, socket: Some(socket) }))
            }
            Way::Unclaimed => Ok(None),
            Way::Path(_) => {
                let http = self.ask(role, form, target, Via::Http).await?;
                Ok(Some(Cell { http, socket: None }))
            }
            Way::Iam => {
                let http = self.ask(role, form, target, Via::Http).await?;
                let socket = self.ask(role, form, target, Via::Socket).await?;
                Ok(Some(Cell { http, socket: Some(socket) }))
            }
        }
    }

    async fn ask(
        &mut self,
        role: Role,
        form: &Form,
        target: Target,
        via: Via,
    ) -> anyhow::Result<String> {
        let mut subject = self.subject(role, target).await?;
        if form.is_connected {
            subject.session_id = self.connect(role, target).await?;
        }
        let arguments = (form.ask)(&subject);
        if form.is_granted && target != Target::Ghost {
            self.tollgate.iam(with_operation("add-user-grant", &arguments)).await?;
        }
        let request = request(form, &arguments);
        let outcome = match via {
            Via::Http => {
                let path = match form.way {
                    Way::Path(path) => path,
                    Way::Iam | Way::Unclaimed => "/api/v1/iam",
                };
                let token = self.actors.get(&role).map(|actor| &*actor.credential);
                ask_http(&self.tollgate, path, token, &request).await?
            }
            Via::Socket => ask_socket(self.socket(role).await?, &request).await?,
        };
        self.put_right(role, form, target, &subject, &arguments, outcome == "ok").await?;
        Ok(outcome)
    }

    /// Undoes what a probe has left.
    async fn put_right(
        &mut self,
        role: Role,
        form: &Form,
        target: Target,
        subject: &Subject,
        arguments: &Value,
        was_done: bool,
    ) -> anyhow::Result<()> {
        match form.leaves {
            Leaves::SpentActor if was_done => self.dismiss(role),
            Leaves::SpentTarget if was_done && target == Target::Own => self.dismiss(role),
            Leaves::SpentTarget if was_done && target == Target::Shut => {
                self.set_workspace("shut", true).await?;
                self.targets.remove(&target);
                self.target(target).await?;
                self.set_workspace("shut", false).await?;
            }
            Leaves::SpentTarget if was_done => drop(self.targets.remove(&target)),
            Leaves::MovedWorkspace if was_done => {
                self.set_workspace(subject.workspace, target != Target::Shut).await?;
                // Those of its members are closed.
                self.sockets.clear();
            }
            Leaves::MovedGrant if was_done || form.is_granted => {
                let remove = with_operation("remove-user-grant", arguments);
                self.tollgate.post("/api/v1/iam", Some(&self.tollgate.admin_key), &remove).await?;
            }
            Leaves::ClosedSocket if was_done && target == Target::Own => {
                self.sockets.remove(&role);
            }
            Leaves::Nothing
            | Leaves::ClosedSocket
            | Leaves::SpentActor
            | Leaves::SpentTarget
            | Leaves::MovedWorkspace
            | Leaves::MovedGrant => {}
        }
        Ok(())
    }

    /// The target as this asker means it.
    async fn subject(&mut self, role: Role, target: Target) -> anyhow::Result<Subject> {
        self.actor(role).await?;
        let unused = self.name("unused");
        let user = match target {
            // There is no self of nobody.
            Target::Own if role != Role::Nobody => self.actors.get(&role).context("no actor")?,
            Target::Nothing | Target::Own => self.target(Target::Other).await?,
            Target::Ghost => {
                let (id, key_id) = (NO_ID.to_owned(), NO_ID.to_owned());
                let username = unused.clone();
                let workspace = target.workspace();
                let session_id = NO_ID.to_owned();
                return Ok(Subject { id, key_id, username, workspace, session_id, unused });
            }
            Target::Other | Target::Above | Target::Off | Target::Foreign | Target::Shut => {
                self.target(target).await?
            }
        };
        let Person { id, key_id, username, .. } = user;
        let (id, key_id, username) = (id.clone(), key_id.clone(), username.clone());
        let (workspace, session_id) = (target.workspace(), NO_ID.to_owned());
        Ok(Subject { id, key_id, username, workspace, session_id, unused })
    }

    /// Opens a socket of the target, and says how it is called, if it is let in.
    async fn connect(&mut self, role: Role, target: Target) -> anyhow::Result<String> {
        let person = match target {
            Target::Own => self.actors.get(&role),
            other => self.targets.get(&other),
        };
        let Some(person) = person else { return Ok(NO_ID.to_owned()) };
        let mut socket = Socket::open(self.tollgate.address).await?;
        let answer = socket.auth(&person.credential).await?;
        self.held = Some(socket);
        Ok(answer["session"].as_str().unwrap_or(NO_ID).to_owned())
    }

    async fn target(&mut self, target: Target) -> anyhow::Result<&Person> {
        if !self.targets.contains_key(&target) {
            let role = if target == Target::Above { "admin" } else { "reader" };
            let person = self.person(target.label(), target.workspace(), role, false).await?;
            if target == Target::Off {
                self.user_operation("disable-user", &person.id).await?;
            }
            self.targets.insert(target, person);
        }
        self.targets.get(&target).context("no target")
    }

    async fn actor(&mut self, role: Role) -> anyhow::Result<()> {
        if role == Role::Nobody || self.actors.contains_key(&role) {
            return Ok(());
        }
        let is_bound = role == Role::Bound;
        let mut person = self.person(role.label(), "acme", role.role(), is_bound).await?;
        match role {
            Role::Nobody | Role::Reader | Role::Writer | Role::Admin => {}
            Role::Ended => self.user_operation("disable-user", &person.id).await?,
            Role::Bound => {
                let login = json!({ "username": person.username, "password": PASSWORD });
                let reply = self.tollgate.post("/api/v1/auth/login", None, &login).await?.1;
                person.credential = text(&reply["jwt"])?;
            }
            Role::Minted => {
                let mint = json!({ "user_id": person.id, "workspace": "acme" });
                let reply = self.tollgate.iam(with_operation("mint-token", &mint)).await?;
                person.credential = text(&reply["jwt"])?;
            }
            Role::Manager => {
                // At once, for one sync of the disk.
                try_join_all(MANAGES.map(|capability| {
                    let grant = json!({ "capability": capability, "workspace": "acme" });
                    let add = json!({ "user_id": person.id, "grant": grant });
                    self.tollgate.iam(with_operation("add-user-grant", &add))
                }))
                .await?;
            }
        }
        self.actors.insert(role, person);
        Ok(())
    }

    fn dismiss(&mut self, role: Role) {
        self.actors.remove(&role);
        self.sockets.remove(&role);
    }

    async fn socket(&mut self, role: Role) -> anyhow::Result<&mut Socket> {
        if !self.sockets.contains_key(&role) {
            let mut socket = Socket::open(self.tollgate.address).await?;
            if let Some(actor) = self.actors.get(&role) {
                let answer = socket.auth(&actor.credential).await?;
                let expect = if role.is_somebody() { "auth-ok" } else { "auth-failed" };
                anyhow::ensure!(answer["type"] == expect, "{role:?}: {answer}");
            }
            self.sockets.insert(role, socket);
        }
        self.sockets.get_mut(&role).context("no socket")
    }

    async fn person(
        &mut self,
        name: &str,
        workspace: &str,
        role: &str,
        must_change_password: bool,
    ) -> anyhow::Result<Person> {
        let username = self.name(name);
        let user = json!({ "username": username, "password": PASSWORD, "roles": [role],
            "must_change_password": must_change_password });
        let create = json!({ "operation": "create-user", "workspace": workspace, "user": user });
        let id = text(&self.tollgate.iam(create).await?["user"]["id"])?;
        let key = json!({ "user_id": id, "name": "laptop" });
        let create = json!({ "operation": "create-api-key", "key": key });
        let made = self.tollgate.iam(create).await?;
        let (key_id, credential) =
            (text(&made["api_key"]["id"])?, text(&made["api_key_plaintext"])?);
        Ok(Person { id, key_id, username, credential })
    }

    async fn user_operation(&self, operation: &str, id: &str) -> anyhow::Result<()> {
        self.tollgate.iam(json!({ "operation": operation, "user_id": id })).await?;
        Ok(())
    }

    async fn set_workspace(&self, id: &str, enabled: bool) -> anyhow::Result<()> {
        let record = json!({ "id": id, "enabled": enabled });
        let update = json!({ "operation": "update-workspace", "workspace_record": record });
        self.tollgate.iam(update).await?;
        Ok(())
    }

    fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}-{}", self.names)
    }
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value.as_str().context("no text")?.to_owned())
}

fn with_operation(operation: &str, arguments: &Value) -> Value {
    let mut request = arguments.clone();
    request["operation"] = json!(operation);
    request
}

fn request(form: &Form, arguments: &Value) -> Value {
    match form.way {
        Way::Path(_) => arguments.clone(),
        Way::Iam | Way::Unclaimed => with_operation(form.operation, arguments),
    }
}

async fn ask_http(
    tollgate: &Tollgate,
    path: &str,
    token: Option<&str>,
    request: &Value,
) -> anyhow::Result<String> {
    let (status, reply) = tollgate.post(path, token, request).await?;
    Ok(if status == 200 { outcome_of(&reply) } else { status.to_string() })
}

async fn ask_socket(socket: &mut Socket, request: &Value) -> anyhow::Result<String> {
    socket.send(&json!({ "id": 1, "service": "iam", "request": request })).await?;
    let frame = socket.frame().await?;
    match frame["error"]["type"].as_str() {
        None => Ok(outcome_of(&frame["response"])),
        Some(name) => {
            let kind = ErrorKind::ALL.iter().find(|kind| kind.as_str() == name);
            Ok(kind.context("an unknown error")?.http_status().to_string())
        }
    }
}

/// What IAM's answer says.
fn outcome_of(reply: &Value) -> String {
    reply["error"]["type"].as_str().unwrap_or("ok").to_owned()
}
