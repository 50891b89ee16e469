//! The HTTP backend over real sockets. The services behind the gateway are played by the tests.

mod answers;
mod beside;
mod failures;
mod pool;
mod readme;
mod request;

use serde_json::{Value, json};
use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::Socket;
use tollgate_e2e::upstream::{Line, Upstream};

/// A Tollgate with the service `mine` at a server of the test's, and a socket of the admin's.
struct Scene {
    tollgate: Tollgate,
    upstream: Upstream,
    socket: Socket,
}

impl Scene {
    async fn open() -> anyhow::Result<Self> {
        Self::open_with("").await
    }

    /// With more lines in the backend's stanza.
    async fn open_with(lines: &str) -> anyhow::Result<Self> {
        let upstream = Upstream::listen().await?;
        let url = format!("http://{}/", upstream.address);
        let tollgate = Tollgate::start_with_registry(&stanzas(&[&url], lines)).await?;
        let socket = Socket::authenticated(tollgate.address, &tollgate.admin_key).await?;
        Ok(Self { tollgate, upstream, socket })
    }

    /// Calls the service, and takes the request at the other end.
    async fn call(&mut self, id: u64) -> anyhow::Result<Line> {
        call(&mut self.socket, id).await?;
        let (line, posted) = self.upstream.posted().await?;
        assert_eq!(posted.body, format!(r#"{{"workspace":"default","n":{id}}}"#));
        Ok(line)
    }

    /// Shows that the socket and the backend still work.
    async fn works(&mut self, id: u64) -> anyhow::Result<()> {
        let mut line = self.call(id).await?;
        line.answer(&json!({ "n": id })).await?;
        let expect = json!({ "id": id, "response": { "n": id }, "complete": true });
        assert_eq!(self.socket.frame().await?, expect);
        Ok(())
    }
}

fn stanzas(urls: &[&str], lines: &str) -> String {
    format!(
        "[backend.mine]\ntype = \"http\"\nurls = {urls:?}\n{lines}\n\
         [flow-service.mine]\ncapability = \"llm\"\nbackend = \"mine\"\n"
    )
}

async fn call(socket: &mut Socket, id: u64) -> anyhow::Result<()> {
    call_with(socket, id, json!({})).await
}

/// A call with more in its envelope.
async fn call_with(socket: &mut Socket, id: u64, more: Value) -> anyhow::Result<()> {
    let mut frame = json!({
        "id": id, "service": "mine", "flow": "default", "request": { "n": id },
    });
    if let (Some(frame), Value::Object(more)) = (frame.as_object_mut(), more) {
        frame.extend(more);
    }
    socket.send(&frame).await
}
