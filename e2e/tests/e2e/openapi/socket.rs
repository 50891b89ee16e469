//! The handshakes, the probes, and what is asked in clear where that is not allowed.

use tollgate_e2e::Tollgate;

use super::visitor::Visitor;

pub(super) async fn drive(visitor: &mut Visitor) -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let handshake = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    for path in ["/api/v1/socket", "/api/socket"] {
        let route = format!("GET {path}");
        let to = (&*route, path);
        // Whatever credential comes or does not.
        let mut headers = handshake.to_vec();
        assert_eq!(visitor.send(tollgate.address, to, &headers, b"").await?.status, 101);
        headers.push(("Authorization", "Bearer tg_no".to_owned()));
        assert_eq!(visitor.send(tollgate.address, to, &headers, b"").await?.status, 101);
        "8".clone_into(&mut headers[2].1);
        assert_eq!(visitor.send(tollgate.address, to, &headers, b"").await?.status, 426);
        assert_eq!(visitor.send(tollgate.address, to, &[], b"").await?.status, 400);
        assert_eq!(visitor.send(tollgate.address, to, &handshake[..3], b"").await?.status, 400);
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let route = format!("GET {path}");
        let to = (&*route, path);
        assert_eq!(visitor.send(tollgate.admin_address, to, &[], b"").await?.status, 200);
    }
    in_clear(visitor).await
}

async fn in_clear(visitor: &mut Visitor) -> anyhow::Result<()> {
    let settings = [("gateway.require_tls", "true"), ("gateway.proxies", r#"["127.0.0.1"]"#)];
    let tollgate = Tollgate::start_unclaimed(&settings).await?;
    for (route, status) in visitor.document.routes() {
        if status == 403 {
            let path = route.split(' ').nth(1).unwrap_or_default();
            let path = path.replace("{kind}", "config").replace("{flow}", "f");
            let path = path.replace("{path}", "query");
            let answer = visitor.send(tollgate.address, (&route, &path), &[], b"{}").await?;
            assert_eq!(answer.body, r#"{"error":"tls required"}"#, "{route}");
        }
    }
    let status = "/api/v1/auth/bootstrap-status";
    let to = (&*format!("POST {status}"), status);
    let proxied = [("X-Forwarded-Proto", "https".to_owned())];
    let answer = visitor.send(tollgate.address, to, &proxied, b"{}").await?;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.contains_key("strict-transport-security"));
    Ok(())
}
