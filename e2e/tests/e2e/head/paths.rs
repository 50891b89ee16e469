//! Paths are matched byte for byte; only the name of a flow may be escaped.

use anyhow::Context;
use tollgate_e2e::Tollgate;

use super::Then::GoesOn;
use super::check;

#[tokio::test]
async fn a_path_by_another_spelling_is_another_path() -> anyhow::Result<()> {
    let tollgate = Tollgate::start().await?;
    let body = r#"{"operation":"whoami","prompt":"x"}"#;
    for (path, status) in [
        ("/api/v1/iam", 200),
        ("/api/v1/iam?operation=list-users", 200),
        // Absolute form (RFC 9112 §3.2.2): whose name it bears makes no difference.
        ("http://example.com/api/v1/iam", 200),
        ("http://example.com", 404),
        ("/api/v1/iam/", 404),
        ("/api/v1/iam//", 404),
        ("//api/v1/iam", 404),
        ("/api//v1/iam", 404),
        ("/api/v1/./iam", 404),
        ("/api/v1/x/../iam", 404),
        ("/API/v1/iam", 404),
        ("/api/v1/IAM", 400),
        ("/api/v1/%69am", 404),
        ("/api/v1/iam%2f", 404),
        ("/api/v1/iam%00", 404),
        ("/api%2fv1%2fiam", 404),
        ("/api/v1/iam;x=y", 400),
        ("/", 404),
        ("/api/v1/", 404),
        ("/api/v1/flow/default/service/text-completion", 200),
        ("/api/v1/flow/%64efault/service/text-completion", 200),
        // Decoded once, then judged as a name.
        ("/api/v1/flow/%2564efault/service/text-completion", 400),
        ("/api/v1/flow/..%2fdefault/service/text-completion", 400),
        ("/api/v1/flow/%00/service/text-completion", 400),
        ("/api/v1/flow/%ff/service/text-completion", 400),
        ("/api/v1/flow//service/text-completion", 400),
        ("/api/v1/flow/default/service/text%2dcompletion", 404),
        ("/api/v1/flow/default/service/text-completion/", 404),
        ("/api/v1/flow/default/service/", 404),
        ("/api/v1/flow/default/service/../service/text-completion", 404),
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            tollgate.admin_key,
            body.len()
        );
        check(tollgate.address, request.as_bytes(), status, GoesOn).await.context(path)?;
    }
    Ok(())
}
