//! The handshakes of import and export, taken and refused.

use tollgate_e2e::Tollgate;
use tollgate_e2e::raw::Answer;
use tollgate_e2e::upstream::{Upstream, switching};

use super::visitor::Visitor;

pub(super) async fn drive(visitor: &mut Visitor) -> anyhow::Result<()> {
    let upstream = Upstream::listen().await?;
    let dead = Upstream::listen().await?.address;
    let stanza = |way: &str, kind: &str, address| {
        format!("[flow-{way}.{kind}]\nbackend = \"http://{address}/\"\n")
    };
    let stanzas = ["import", "export"].map(|way| {
        stanza(way, "triples", upstream.address) + &stanza(way, "graph-embeddings", dead)
    });
    let tollgate = Tollgate::start_with_registry(&stanzas.concat()).await?;
    let (_, reader) = tollgate.user("ann", "reader").await?;
    let admin = format!("token={}", tollgate.admin_key);
    for way in ["import", "export"] {
        let mut visit = Visit { visitor: &mut *visitor, tollgate: &tollgate, way };
        visit.check("triples", &admin, "8", 426).await?;
        visit.check("triples", "token=tg_no", "13", 401).await?;
        visit.check("triples", "", "13", 401).await?;
        visit.check("nope", &admin, "13", 404).await?;
        visit.check("triples", &format!("token={reader}&workspace=acme"), "13", 403).await?;
        visit.check("triples", &format!("{admin}&workspace=acme"), "13", 404).await?;
        visit.check("triples", &format!("{admin}&workspace=a/b"), "13", 400).await?;
        visit.check("triples", &format!("{admin}&workspace=a&workspace=b"), "13", 400).await?;
        visit.check("graph-embeddings", &admin, "13", 503).await?;
        visit.check("document-embeddings", &admin, "13", 503).await?;
        let (status, route) = (visit.send("triples", &admin, &[]).await?.status, visit.route());
        assert_eq!(status, 400, "{route}");
        for (line, expect) in [
            ("404 Not Found", 404),
            ("429 Too Many Requests", 429),
            ("503 Service Unavailable\r\nretry-after: 3", 503),
            ("500 Internal Server Error", 502),
            ("101 Switching Protocols", 101),
        ] {
            let backend = async {
                let (mut line_to_us, asked) = upstream.posted().await?;
                let answer = match expect {
                    101 => switching(&asked)?,
                    _ => format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n"),
                };
                line_to_us.send(answer).await
            };
            let (checked, answered) =
                tokio::join!(visit.check("triples", &admin, "13", expect), backend);
            answered?;
            checked?;
        }
    }
    Ok(())
}

/// Where to, and what for.
struct Visit<'a> {
    visitor: &'a mut Visitor,
    tollgate: &'a Tollgate,
    way: &'static str,
}

impl Visit<'_> {
    fn route(&self) -> String {
        format!("GET /api/v1/flow/{{flow}}/{}/{{kind}}", self.way)
    }

    async fn check(
        &mut self,
        kind: &str,
        query: &str,
        version: &str,
        expect: u16,
    ) -> anyhow::Result<()> {
        let handshake = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", version),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let answer = self.send(kind, query, &handshake).await?;
        anyhow::ensure!(answer.status == expect, "{} {kind}: {answer:?}", self.way);
        Ok(())
    }

    async fn send(
        &mut self,
        kind: &str,
        query: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let (route, way) = (self.route(), self.way);
        let path = format!("/api/v1/flow/default/{way}/{kind}?{query}");
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (*name, (*value).into())).collect();
        self.visitor.send(self.tollgate.address, (&route, &path), &headers, b"").await
    }
}
