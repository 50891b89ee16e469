//! Credentials on an upgrade: which one counts, and what counts as one.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tollgate_e2e::Tollgate;
use tollgate_e2e::frames::opcode::TEXT;
use tollgate_e2e::frames::{FIN, Seen, Wire, frame};
use tollgate_e2e::raw::Socket;

const UNKNOWN_KEY: &str = "tg_0123456789ABCDEFGHIJabcdefghijKLMN0irfT2";
const WHOAMI: &str = r#"{"id":1,"service":"iam","request":{"operation":"whoami"}}"#;

#[tokio::test]
async fn a_token_in_the_url_stands_once_and_is_decoded_once() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&[("gateway.compat.url_token", "true")]).await?;
    let key = &tollgate.admin_key;
    let digits: Vec<_> = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let escaped = digits.concat();
    let twice = escaped.replace('%', "%25");
    for (query, is_taken) in [
        (format!("token={key}"), true),
        (format!("a=b&token={key}&c"), true),
        (format!("token={escaped}"), true),
        // Which of two was meant?
        (format!("token={key}&token={UNKNOWN_KEY}"), false),
        (format!("token={UNKNOWN_KEY}&token={key}"), false),
        (format!("token=&token={key}"), false),
        (format!("token={twice}"), false),
        (format!("Token={key}"), false),
        (format!("%74oken={key}"), true),
        (format!("xtoken={key}"), false),
        (format!("token={key}%00"), false),
        (format!("token={key}{key}"), false),
        ("token=".to_owned(), false),
        ("token".to_owned(), false),
        ("token=%ff%fe".to_owned(), false),
        (format!("token={}", "y".repeat(9_000)), false),
    ] {
        // Whatever it is: the handshake is accepted, and no frame answers the token.
        let mut socket = Socket::open_with(tollgate.address, &format!("?{query}"), &[]).await?;
        socket.send_text(WHOAMI).await?;
        let answer = socket.frame().await?;
        assert_eq!(
            answer["response"]["user"]["username"] == "admin",
            is_taken,
            "{query}: {answer}"
        );
        let refused = answer["error"]["type"] == "auth-required";
        assert_eq!(refused, !is_taken, "{query}: {answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_bearer_on_the_upgrade_counts_before_a_token_in_the_url() -> anyhow::Result<()> {
    let tollgate = Tollgate::start_with(&[("gateway.compat.url_token", "true")]).await?;
    let (_, ann) = tollgate.user("ann", "reader").await?;
    let admin = &tollgate.admin_key;
    for (lines, user) in [
        (format!("Authorization: Bearer {ann}\r\n"), Some("ann")),
        (format!("authorization: bearer   {ann} \r\n"), Some("ann")),
        (format!("Authorization: Bearer {UNKNOWN_KEY}\r\n"), None),
        // None of these is a bearer's token.
        ("Authorization: Basic YTpi\r\n".to_owned(), None),
        (format!("Authorization: {ann}\r\n"), None),
        (format!("Cookie: token={ann}\r\n"), None),
        (format!("Sec-WebSocket-Protocol: {ann}\r\n"), None),
    ] {
        let (Wire { mut writer, mut reader }, head) =
            Wire::open_with(tollgate.address, &lines).await?;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        writer.write_all(&frame(FIN | TEXT, WHOAMI.as_bytes())).await?;
        let Seen::Text(answer) = reader.next().await? else { panic!("no answer") };
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        assert_eq!(answer["response"]["user"]["username"].as_str(), user, "{lines}: {answer}");
        // Whoever it was: the first frame still says who it is.
        let auth = json!({ "type": "auth", "token": admin }).to_string();
        writer.write_all(&frame(FIN | TEXT, auth.as_bytes())).await?;
        let Seen::Text(answer) = reader.next().await? else { panic!("no answer") };
        assert!(answer.starts_with(r#"{"type":"auth-ok""#), "{answer}");
    }
    let (_, head) = Wire::open_with(
        tollgate.address,
        &format!("Authorization: Bearer {ann}\r\nAuthorization: Bearer {admin}\r\n"),
    )
    .await?;
    assert!(head.starts_with("http/1.1 400 "), "{head}");
    Ok(())
}
