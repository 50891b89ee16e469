//! Gateways in this process, nodes of IAM as processes of their own, and ways to their cluster and
//! from one to the other that can be shut.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tollgate::{DEFAULTS, Settings};
use tollgate_e2e::certificate::Certificate;
use tollgate_e2e::{PASSWORD, raw};
use tollgate_runtime::clock::SystemClock;
use tollgate_runtime::config::{self, Flags};
use tollgate_runtime::files::write_new_secret;
use tollgate_runtime::lifecycle::Lifecycle;
use uuid::Uuid;

use crate::program;

/// Names a Cassandra or `ScyllaDB`, `host:port`.
const CLUSTER: &str = "TOLLGATE_CQL";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// How long gateways trust what they heard.
pub(super) const LEASE: &str = "2s";

/// A way to somewhere. Until it leads there it is shut.
pub(super) struct Way {
    address: SocketAddr,
    to: watch::Sender<Option<String>>,
    _tasks: JoinSet<()>,
}

impl Way {
    async fn new() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (to, leads) = watch::channel(None::<String>);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let mut leads = leads.clone();
                connections.spawn(async move {
                    let Some(server) = leads.borrow_and_update().clone() else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    // Whatever is on the way is cut.
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = leads.changed() => {}
                    }
                });
            }
        });
        Ok(Self { address, to, _tasks: tasks })
    }

    pub(super) fn lead_to(&self, to: &impl ToString) {
        self.to.send_replace(Some(to.to_string()));
    }

    pub(super) fn shut(&self) {
        self.to.send_replace(None);
    }
}

#[expect(clippy::disallowed_methods, reason = "says where a test runs; it configures nothing")]
fn cluster() -> anyhow::Result<String> {
    std::env::var(CLUSTER).with_context(|| {
        format!(
            "this test needs a Cassandra or ScyllaDB: \
             export {CLUSTER}=$(iam/tests/cassandra.sh start)"
        )
    })
}

/// For a listener that does not say which port it got. No connection begins at this host, so nobody
/// else is given the port meanwhile.
fn free_address() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.1.1:0")?.local_addr()
}

/// What nodes of one journal share.
pub(super) struct Deployment {
    way: Way,
    keyspace: String,
    folder: TempDir,
    program: PathBuf,
    /// What every node shows, and alone is trusted.
    certificate: Option<Certificate>,
}

impl Deployment {
    pub(super) async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        write_new_secret(&folder.path().join("secret"), SECRET)?;
        write_new_secret(&folder.path().join("seal"), &"5".repeat(64))?;
        let keyspace = format!("e2e{}", Uuid::new_v4().simple());
        let way = Way::new().await?;
        way.lead_to(&cluster()?);
        let program = program::built("tollgate-iam")?;
        Ok(Self { way, keyspace, folder, program, certificate: None })
    }

    /// The same with TLS on the link.
    pub(super) async fn under_tls() -> anyhow::Result<Self> {
        Ok(Self { certificate: Some(Certificate::new()?), ..Self::new().await? })
    }

    fn url(&self, address: SocketAddr) -> String {
        match &self.certificate {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        }
    }

    /// Opens and shuts the way to the cluster.
    pub(super) fn set_open(&self, is_open: bool) -> anyhow::Result<()> {
        if is_open {
            self.way.lead_to(&cluster()?);
        } else {
            self.way.shut();
        }
        Ok(())
    }

    /// Starts a node of IAM that keeps its cache in a folder of this name.
    pub(super) async fn node(&self, name: &str) -> anyhow::Result<Node> {
        let from_others = Way::new().await?;
        let admin_address = free_address()?;
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.folder.path())
            .args(["--listen", "127.0.0.1:0", "--data-dir", name, "--bootstrap-mode", "bootstrap"])
            .stderr(Stdio::piped());
        for (setting, value) in [
            ("IAM__ADMIN_LISTEN", &*admin_address.to_string()),
            ("IAM__PEER_URL", &*self.url(from_others.address)),
            ("IAM__JOURNAL", "cql"),
            ("IAM__CQL__CONTACT_POINTS", &*format!("[\"{}\"]", self.way.address)),
            ("IAM__CQL__KEYSPACE", &self.keyspace),
            ("IAM__CQL__REPLICATION", "1"),
            ("IAM__PASSWORD__ROUNDS", "100000"),
            ("IAM__SEAL_KEY_FILE", "seal"),
            ("LINK__SECRET_FILE", "secret"),
            ("LINK__LEASE", LEASE),
            ("LOG__FORMAT", "json"),
        ] {
            command.env(format!("TOLLGATE_{setting}"), value);
        }
        if let Some(certificate) = &self.certificate {
            command.env("TOLLGATE_IAM__TLS__CERTIFICATE_FILE", certificate.path("cert.pem"));
            command.env("TOLLGATE_IAM__TLS__KEY_FILE", certificate.path("key.pem"));
            command.env("TOLLGATE_LINK__CA_FILE", certificate.path("cert.pem"));
        }
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().context("no stderr")?;
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("iam is listening")).context("no start")?;
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let said: Value = serde_json::from_str(&line)?;
        said["node"].as_str().context("it does not say which node it is")?;
        let address: SocketAddr = said["address"].as_str().context("no address")?.parse()?;
        from_others.lead_to(&address);
        Ok(Node { child, address, admin_address, from_others })
    }
}

/// A node of IAM.
pub(super) struct Node {
    child: Child,
    pub(super) address: SocketAddr,
    /// Where its probes answer.
    pub(super) admin_address: SocketAddr,
    /// On which the other nodes reach it.
    pub(super) from_others: Way,
}

impl Node {
    /// SIGKILL.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A gateway.
pub(super) struct Gateway {
    pub(super) address: SocketAddr,
    /// Where its probes answer.
    pub(super) admin_address: SocketAddr,
    life: Lifecycle,
}

impl Gateway {
    /// One that asks these nodes.
    pub(super) async fn start(nodes: &[&Node]) -> anyhow::Result<Self> {
        let urls: Vec<_> = nodes.iter().map(|node| format!("http://{}", node.address)).collect();
        Self::start_with(&urls.join(","), "").await
    }

    /// One that asks this node under TLS.
    pub(super) async fn under_tls(deployment: &Deployment, node: &Node) -> anyhow::Result<Self> {
        let certificate = deployment.certificate.as_ref().context("there is no certificate")?;
        Self::start_with(&deployment.url(node.address), &certificate.file("cert.pem")).await
    }

    async fn start_with(iam_url: &str, ca_file: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let empty = folder.path().join("tollgate.toml");
        std::fs::write(&empty, "")?;
        let settings = vec![
            ("gateway.listen", "127.0.0.1:0".to_owned()),
            ("gateway.admin_listen", "127.0.0.1:0".to_owned()),
            ("gateway.iam_url", iam_url.to_owned()),
            ("link.ca_file", ca_file.to_owned()),
            ("link.lease", LEASE.to_owned()),
        ];
        let settings: Settings =
            config::load(&DEFAULTS, &Flags { file: Some(empty), settings }, [])?;
        let (life, secret) = (Lifecycle::new(), SecretString::from(SECRET));
        let clock = SystemClock::shared();
        let gateway =
            tollgate_gateway::start(&settings.gateway, &settings.link, &secret, clock, &life);
        let running = gateway.await?;
        Ok(Self { address: running.address, admin_address: running.admin_address, life })
    }

    /// An operation of IAM; an error if it is refused.
    pub(super) async fn iam(&self, token: &str, request: &Value) -> anyhow::Result<Value> {
        raw::operate(self.address, token, request).await
    }

    /// Claims the deployment. Gives the admin's key.
    pub(super) async fn claim(&self) -> anyhow::Result<String> {
        raw::claim(self.address).await
    }

    /// A new reader: the id of its key, and the key.
    pub(super) async fn reader(&self, admin: &str, name: &str) -> anyhow::Result<(String, String)> {
        let user = json!({ "username": name, "password": PASSWORD, "roles": ["reader"] });
        let user = json!({ "operation": "create-user", "workspace": "default", "user": user });
        let id = text(&self.iam(admin, &user).await?["user"]["id"])?;
        let key = json!({ "operation": "create-api-key", "key": { "user_id": id, "name": "e2e" } });
        let made = self.iam(admin, &key).await?;
        Ok((text(&made["api_key"]["id"])?, text(&made["api_key_plaintext"])?))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.life.stop.cancel();
    }
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no text"))?.to_owned())
}
