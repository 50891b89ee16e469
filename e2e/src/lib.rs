//! The harness: a whole Tollgate in this process, on ports and a folder of its own, and what the
//! tests need to talk to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use far::Road;
use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate::{DEFAULTS, Settings};
use tollgate_client::{Client, Config, Request};
use tollgate_runtime::clock::{SharedClock, SystemClock};
use tollgate_runtime::config::{self, Flags};
use tollgate_runtime::lifecycle::Lifecycle;
use witness::Witness;

pub mod ahead;
pub mod certificate;
pub mod commands;
pub mod far;
pub mod frames;
pub mod fuzz;
pub mod packages;
pub mod process;
pub mod protocol;
pub mod witness;
pub mod raw;
pub mod script;
pub mod services;
pub mod upstream;

/// A password that the policy takes.
pub const PASSWORD: &str = "eleven green kettles sing";

/// A Tollgate of a test's own. It ends with the value.
pub struct Tollgate {
    /// Where clients connect. What they say and hear there is held against the documents.
    pub address: SocketAddr,
    /// Where the probes answer.
    pub admin_address: SocketAddr,
    /// The admin's API key, once it is claimed.
    pub admin_key: String,
    iam_address: SocketAddr,
    clock: SharedClock,
    life: Lifecycle,
    _witness: Witness,
    data: TempDir,
}

impl Tollgate {
    /// Starts one and claims it.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts one with other settings: dotted path and value.
    pub async fn start_with(settings: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        Self::start_by(SystemClock::shared(), settings).await
    }

    /// Starts one by another clock.
    pub async fn start_by(
        clock: SharedClock,
        settings: &[(&'static str, &str)],
    ) -> anyhow::Result<Self> {
        Self::start_unclaimed_by(clock, settings).await?.claimed().await
    }

    /// Starts one that nobody has claimed.
    pub async fn start_unclaimed(settings: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        Self::start_unclaimed_by(SystemClock::shared(), settings).await
    }

    async fn claimed(mut self) -> anyhow::Result<Self> {
        self.admin_key = raw::claim(self.address).await?;
        Ok(self)
    }

    async fn start_unclaimed_by(
        clock: SharedClock,
        settings: &[(&'static str, &str)],
    ) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let mut flags = vec![
            ("gateway.listen", "127.0.0.1:0".to_owned()),
            ("gateway.admin_listen", "127.0.0.1:0".to_owned()),
            ("iam.listen", "127.0.0.1:0".to_owned()),
            ("iam.data_dir", data.path().join("data").display().to_string()),
            ("iam.password.rounds", "100000".to_owned()),
        ];
        flags.extend(settings.iter().map(|(path, value)| (*path, (*value).to_owned())));
        // No file: the tests shall not read what lies in the folder they are started in.
        let empty = data.path().join("tollgate.toml");
        std::fs::write(&empty, "")?;
        let flags = Flags { file: Some(empty), settings: flags };
        let settings: Settings = config::load(&DEFAULTS, &flags, [])?;
        let life = Lifecycle::new();
        let running = tollgate::start(&settings, Arc::clone(&clock), &life).await?;
        let witness = Witness::before(running.gateway.address).await?;
        Ok(Self {
            address: witness.address,
            admin_address: running.gateway.admin_address,
            admin_key: String::new(),
            iam_address: running.iam.address,
            clock,
            life,
            _witness: witness,
            data,
        })
    }

    /// Starts one whose registry has these stanzas too.
    pub async fn start_with_registry(stanzas: &str) -> anyhow::Result<Self> {
        Self::start_with_registry_and(stanzas, &[]).await
    }

    /// The same with other settings too.
    pub async fn start_with_registry_and(
        stanzas: &str,
        settings: &[(&'static str, &str)],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("registry.toml");
        std::fs::write(&file, stanzas)?;
        let file = file.display().to_string();
        let registry = ("gateway.registry_file", &*file);
        Self::start_with(&[&[registry], settings].concat()).await
    }

    /// The way to its IAM, for further gateways.
    pub fn road(&self) -> anyhow::Result<Road> {
        let secret = std::fs::read_to_string(self.data.path().join("data").join("link.secret"))?;
        let (secret, clock) = (secret.trim().into(), Arc::clone(&self.clock));
        Ok(Road { iam: self.iam_address, secret, clock })
    }

    /// The base URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// One HTTP request: status and JSON.
    pub async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> anyhow::Result<(u16, Value)> {
        raw::post(self.address, path, token, body.to_string().as_bytes()).await
    }

    /// One operation of IAM as the admin; fails if it is refused.
    pub async fn iam(&self, request: Value) -> anyhow::Result<Value> {
        raw::operate(self.address, &self.admin_key, &request).await
    }

    /// A user of the default workspace: id and API key.
    pub async fn user(&self, name: &str, role: &str) -> anyhow::Result<(String, String)> {
        self.user_in("default", name, role).await
    }

    /// A user of a workspace, which is made if it is not there: id and API key.
    pub async fn user_in(
        &self,
        workspace: &str,
        name: &str,
        role: &str,
    ) -> anyhow::Result<(String, String)> {
        let record = json!({ "id": workspace });
        self.iam(json!({ "operation": "create-workspace", "workspace_record": record })).await?;
        let user = json!({ "username": name, "password": PASSWORD, "roles": [role] });
        let made =
            self.iam(json!({ "operation": "create-user", "workspace": workspace, "user": user }));
        let id = made.await?["user"]["id"].as_str().context("no id")?.to_owned();
        let key = json!({ "user_id": id, "name": "e2e" });
        let made = self.iam(json!({ "operation": "create-api-key", "key": key })).await?;
        let key = made["api_key_plaintext"].as_str().context("no key")?.to_owned();
        Ok((id, key))
    }

    /// The SDK's client, authenticated as the admin.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(Config::new(self.url()).token(self.admin_key.clone())).await?)
    }

    /// Stops it as SIGTERM does.
    pub async fn stop(&self) -> bool {
        self.life.stop(Duration::from_secs(15)).await
    }
}

impl Drop for Tollgate {
    fn drop(&mut self) {
        self.life.stop.cancel();
    }
}

/// A call of the built-in echo.
pub fn echo(prompt: &str) -> anyhow::Result<Request> {
    let body = json!({ "prompt": prompt });
    Ok(Request::new("text-completion", &body)?.flow("default"))
}
