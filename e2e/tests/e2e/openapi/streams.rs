//! Bytes of documents and cores, and metrics: what comes when the backend does as it should, and
//! when it does not.

use tollgate_e2e::upstream::Upstream;
use tollgate_e2e::{Tollgate, raw::Answer};

use super::visitor::Visitor;

const STREAMS: [(&str, &str, &str); 3] = [
    ("GET", "document-stream", "document-id=a"),
    ("GET", "export-core", "id=a"),
    ("POST", "import-core", "id=a"),
];

pub(super) async fn drive(visitor: &mut Visitor) -> anyhow::Result<()> {
    let upstream = Upstream::listen().await?;
    // It never answers.
    let silent = Upstream::listen().await?;
    let stanzas = |upstream: &Upstream, more: &str| {
        let url = format!("http://{}/", upstream.address);
        let stream = |(_, name, _)| format!("[stream.{name}]\nbackend = {url:?}\n{more}");
        STREAMS.map(stream).concat() + &format!("[metrics]\nbackend = {url:?}\n")
    };
    let tollgate = Tollgate::start_with_registry(&stanzas(&upstream, "")).await?;
    let late = Tollgate::start_with_registry(&stanzas(&silent, "timeout = \"0s\"\n")).await?;
    let bare = Tollgate::start().await?;
    for (method, name, query) in STREAMS {
        let route = format!("{method} /api/v1/{name}");
        let path = format!("/api/v1/{name}?{query}");
        let mut visit = Visit { visitor: &mut *visitor, route: &route };
        visit.as_others(&tollgate, &path).await?;
        visit.check(&tollgate, &format!("/api/v1/{name}"), 400).await?;
        visit.check(&tollgate, &format!("{path}&workspace=acme"), 404).await?;
        visit.check(&bare, &path, 503).await?;
        visit.check(&late, &path, 504).await?;
        for (answer, expect) in [
            ("200 OK", 200),
            ("404 Not Found", 404),
            ("429 Too Many Requests", 429),
            ("429 Too Many Requests\r\nretry-after: 3", 429),
            ("503 Service Unavailable\r\nretry-after: 3", 503),
            ("500 Internal Server Error", 502),
        ] {
            visit.answered(&tollgate, &path, &upstream, (answer, expect)).await?;
        }
        if method == "POST" {
            let gzip = [("Content-Encoding", "gzip".to_owned())];
            assert_eq!(visit.send(&tollgate, &path, &gzip).await?.status, 415);
        }
    }
    let mut visit = Visit { visitor, route: "GET /api/metrics/{path}" };
    let path = "/api/metrics/query?query=up";
    visit.as_others(&tollgate, path).await?;
    visit.check(&tollgate, "/api/metrics/targets", 404).await?;
    visit.check(&bare, path, 503).await?;
    for (answer, expect) in [
        ("200 OK", 200),
        ("400 Bad Request", 400),
        ("422 Unprocessable Content", 422),
        ("503 Service Unavailable", 503),
        ("301 Moved Permanently", 502),
    ] {
        visit.answered(&tollgate, path, &upstream, (answer, expect)).await?;
    }
    Ok(())
}

struct Visit<'a> {
    visitor: &'a mut Visitor,
    route: &'a str,
}

impl Visit<'_> {
    /// As nobody, and as somebody who may do nothing there.
    async fn as_others(&mut self, tollgate: &Tollgate, path: &str) -> anyhow::Result<()> {
        let to = (self.route, path);
        let answer = self.visitor.send(tollgate.address, to, &[], b"").await?;
        assert_eq!(answer.status, 401);
        let name = self.route.rsplit('/').nth(usize::from(self.route.ends_with('}')));
        let (_, key) = tollgate.user_in("umbrella", name.unwrap_or_default(), "writer").await?;
        let bearer = [("Authorization", format!("Bearer {key}"))];
        let path = path.to_owned() + "&workspace=default";
        let answer = self.visitor.send(tollgate.address, (self.route, &path), &bearer, b"").await?;
        assert_eq!(answer.status, 403);
        Ok(())
    }

    async fn send(
        &mut self,
        tollgate: &Tollgate,
        path: &str,
        more: &[(&str, String)],
    ) -> anyhow::Result<Answer> {
        let mut headers = vec![("Authorization", format!("Bearer {}", tollgate.admin_key))];
        headers.extend_from_slice(more);
        self.visitor.send(tollgate.address, (self.route, path), &headers, b"").await
    }

    async fn check(&mut self, tollgate: &Tollgate, path: &str, expect: u16) -> anyhow::Result<()> {
        let answer = self.send(tollgate, path, &[]).await?;
        anyhow::ensure!(answer.status == expect, "{path}: {answer:?}");
        Ok(())
    }

    /// Asks a backend that answers so.
    async fn answered(
        &mut self,
        tollgate: &Tollgate,
        path: &str,
        upstream: &Upstream,
        (answer, expect): (&str, u16),
    ) -> anyhow::Result<()> {
        let backend = async {
            let (mut line, _) = upstream.posted().await?;
            let head =
                format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            line.send(head).await
        };
        let (checked, sent) = tokio::join!(self.check(tollgate, path, expect), backend);
        sent?;
        checked
    }
}
