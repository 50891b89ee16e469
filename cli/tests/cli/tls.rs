//! `tg` against a real Tollgate under TLS.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tollgate_e2e::certificate::Certificate;

use crate::harness::{binary, run, told};

fn tg(url: &str, trusted: &Path, args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    command.env_clear().env("HOME", home.path()).env("TOLLGATE_URL", url);
    command.env("SSL_CERT_FILE", trusted).args(args);
    run(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()), "")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_only_to_whom_the_machine_trusts() {
    let certificate = Certificate::new().unwrap();
    let tollgate = certificate.start(&[]).await.unwrap();
    let url = format!("https://localhost:{}", tollgate.address.port());
    let trusted = certificate.path("cert.pem");

    let claimed = tg(&url, &trusted, &["bootstrap-iam"]);
    assert_eq!(claimed.status.code(), Some(0), "{}", told(&claimed));
    let key = String::from_utf8(claimed.stdout).unwrap();
    let call = ["call", "text-completion", r#"{"prompt":"hello"}"#, "--token", key.trim()];
    let answered = tg(&url, &trusted, &call);
    assert_eq!(String::from_utf8_lossy(&answered.stdout).trim(), "hello", "{}", told(&answered));

    // Whom it does not trust it tells nothing.
    for args in [&["whoami", "--token", key.trim()][..], &call] {
        let refused = tg(&url, &Certificate::new().unwrap().path("cert.pem"), args);
        assert_eq!(refused.status.code(), Some(1));
        assert!(told(&refused).contains("invalid peer certificate"), "{}", told(&refused));
        let in_clear = tg(&url.replace("https", "http"), &trusted, args);
        assert_eq!(in_clear.status.code(), Some(1), "{}", told(&in_clear));
    }
    let nobody = tg(&url, Path::new("/nowhere"), &["whoami"]);
    assert!(told(&nobody).contains("this machine trusts no certificates"), "{}", told(&nobody));
}
