//! SIGHUP: what the files say now is in force, on sockets that were open before, and nothing that
//! was under way is lost.

use anyhow::Result;
use serde_json::{Value, json};
use tollgate_e2e::process::{Folder, Server};
use tollgate_e2e::raw::Socket;
use tollgate_e2e::upstream::Upstream;

use crate::folder;

const DONE: &str = "the configuration was read again";
const REFUSED: &str = "the configuration cannot be used; the one in force stays";

/// A server with a registry file, and a socket of its admin.
struct Scene {
    folder: Folder,
    server: Server,
    key: String,
    socket: Socket,
}

impl Scene {
    async fn open(registry: &str) -> Result<Self> {
        let folder = folder();
        std::fs::write(folder.path("registry.toml"), registry)?;
        std::fs::write(folder.path("tollgate.toml"), SETTINGS)?;
        let mut command = folder.command();
        let server =
            Server::start(command.env("TOLLGATE_LOG__LEVEL", "warn,tollgate_runtime=info"));
        let key = server.claim();
        server.said_until("the deployment was claimed");
        let socket = Socket::authenticated(server.address, &key).await?;
        Ok(Self { folder, server, key, socket })
    }

    /// Changes a file and says so: what the process says about it.
    fn reload(&self, file: &str, text: &str, end: &str) -> Result<Vec<String>> {
        std::fs::write(self.folder.path(file), text)?;
        self.server.signal("HUP");
        Ok(self.server.said_until(end))
    }

    async fn call(&mut self, id: u64, service: &str) -> Result<()> {
        let frame = json!({
            "id": id, "service": service, "flow": "default", "request": { "prompt": "hello" },
        });
        self.socket.send(&frame).await
    }

    /// Calls and gives the error, or null.
    async fn error_of(&mut self, id: u64, service: &str) -> Result<Value> {
        self.call(id, service).await?;
        let frame = self.socket.frame().await?;
        assert_eq!(frame["id"], id, "{frame}");
        Ok(frame["error"]["type"].clone())
    }
}

const SETTINGS: &str = "[gateway]\nregistry_file = \"registry.toml\"\n";

fn service(name: &str, backend: &str) -> String {
    format!("[flow-service.{name}]\ncapability = \"llm\"\nbackend = \"{backend}\"\n")
}

#[tokio::test]
async fn a_service_appears_on_a_live_socket_and_a_bad_file_changes_nothing() -> Result<()> {
    let mut scene = Scene::open("").await?;
    assert_eq!(scene.error_of(1, "mine").await?, "unknown-service");
    let said = scene.reload("registry.toml", &service("mine", "echo"), DONE)?;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(scene.error_of(2, "mine").await?, Value::Null);

    let bad = service("other", "nowhere");
    let said = scene.reload("registry.toml", &bad, REFUSED)?;
    assert!(said[0].contains("ERROR") && said[0].contains("[backend.nowhere]"), "{said:?}");
    assert_eq!(scene.error_of(3, "mine").await?, Value::Null);
    assert_eq!(scene.error_of(4, "other").await?, "unknown-service");

    let said = scene.reload("tollgate.toml", "[gateway]\ndrain = 5\n", REFUSED)?;
    assert!(said[0].contains("gateway.drain"), "{said:?}");
    assert_eq!(scene.error_of(5, "mine").await?, Value::Null);
    Ok(())
}

#[tokio::test]
async fn calls_end_on_the_backend_on_which_they_began() -> Result<()> {
    let (before, after, kept) =
        (Upstream::listen().await?, Upstream::listen().await?, Upstream::listen().await?);
    let registry = |url| {
        let kept = service("kept", &format!("http://{}/", kept.address));
        service("moved", &format!("http://{url}/")) + &kept
    };
    let mut scene = Scene::open(&registry(before.address)).await?;
    scene.call(1, "moved").await?;
    let (mut old, _) = before.posted().await?;
    scene.call(2, "kept").await?;
    let (mut line, _) = kept.posted().await?;
    line.answer(&json!({ "n": 2 })).await?;
    assert_eq!(scene.socket.frame().await?["response"]["n"], 2);

    scene.reload("registry.toml", &registry(after.address), DONE)?;
    scene.call(3, "moved").await?;
    let (mut new, _) = after.posted().await?;
    new.answer(&json!({ "n": 3 })).await?;
    assert_eq!(scene.socket.frame().await?["response"]["n"], 3);
    // A backend that is still the same keeps its connections.
    scene.call(4, "kept").await?;
    line.posted().await?;
    line.answer(&json!({ "n": 4 })).await?;
    assert_eq!(scene.socket.frame().await?["response"]["n"], 4);

    old.answer(&json!({ "n": 1 })).await?;
    let last = scene.socket.frame().await?;
    assert_eq!((&last["id"], &last["response"]["n"]), (&json!(1), &json!(1)));
    // With its last call the old backend is gone.
    old.closed().await
}

#[tokio::test]
async fn limits_change_and_what_needs_a_restart_is_named() -> Result<()> {
    let mut scene = Scene::open("").await?;
    let settings = format!(
        "{SETTINGS}origins = [\"https://app.example.com\"]\nallow_plaintext = true\n\
         [gateway.limits]\nmax_inflight = 7\nmax_message = \"32KiB\"\n[link]\nlease = \"6s\"\n"
    );
    let said = scene.reload("tollgate.toml", &settings, DONE)?;
    let named = |setting| said.iter().any(|line| line.contains("WARN") && line.contains(setting));
    assert!(named("gateway.allow_plaintext") && named("link.lease"), "{said:?}");
    assert_eq!(said.len(), 3, "{said:?}");
    // What a socket was told at its authentication holds until the next one.
    let large = json!({ "prompt": "x".repeat(40 << 10) });
    scene.socket.call(json!(1), large.clone()).await?;
    assert_eq!(scene.socket.frame().await?["complete"], true);
    let key = scene.key.clone();
    let told = scene.socket.auth(&key).await?;
    let (inflight, message) = (&told["limits"]["max_inflight"], &told["limits"]["max_message"]);
    assert_eq!((inflight, message), (&json!(7), &json!(32 << 10)), "{told}");
    scene.socket.call(json!(2), large).await?;
    assert_eq!(scene.socket.close().await?.1, 1009);
    // What stands in the file no more is what it was at first.
    let said = scene.reload("tollgate.toml", SETTINGS, DONE)?;
    assert_eq!(said.len(), 1, "{said:?}");
    let mut socket = Socket::open(scene.server.address).await?;
    assert_eq!(socket.auth(&scene.key).await?["limits"]["max_inflight"], 64);
    Ok(())
}
