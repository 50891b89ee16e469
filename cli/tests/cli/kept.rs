//! The token that `tg login --save` keeps and `tg logout` forgets.

use std::process::Command;

use expect_test::expect;

use crate::harness::{Server, binary, run, server, told};

#[test]
fn a_kept_token_is_used_until_logout() {
    let reply = r#"{"jwt":"h.p.s","user":{"id":"u-1"}}"#;
    let server = server(200, reply);
    let saved = run(&mut server.tg(&binary(), &["login", "--username", "ann", "--save"]), "p\n");
    assert!(saved.stdout.is_empty() && saved.status.success(), "{}", told(&saved));
    assert!(server.home.path().join(".config/tollgate/credentials.json").is_file());
    server.asked();

    let who = |token: &[&str], expect: &str| {
        assert!(server.run(&[&["whoami"], token].concat()).status.success());
        assert!(server.asked()[0].contains(expect), "{expect}");
    };
    who(&[], "as Bearer h.p.s:");
    who(&["-t", "flag"], "as Bearer flag:");
    let environment = server.tg(&binary(), &["whoami"]).env("TRUSTGRAPH_TOKEN", "theirs").spawn();
    assert!(environment.unwrap().wait().unwrap().success());
    assert!(server.asked()[0].contains("as Bearer theirs:"));
    let url = server.url.replace("127.0.0.1", "localhost");
    assert!(server.run(&["whoami", "-u", &url]).status.success());
    assert!(server.asked()[0].contains("as nobody:"), "another url has no token");

    assert!(server.run(&["logout"]).status.success());
    let expect = [r#"POST /api/v1/iam as Bearer h.p.s: {"operation":"logout"}"#];
    assert_eq!(server.asked(), expect, "the session ends too");
    who(&[], "as nobody:");
    let output = server.run(&["logout", "--json"]);
    assert_eq!(output.stdout, b"{\"ended\":false,\"removed\":false}\n");
    assert!(server.asked().is_empty(), "there is no session");
}

#[test]
fn a_logout_that_reaches_nobody_still_forgets_the_token() {
    let server = server(200, r#"{"jwt":"h.p.s"}"#);
    let args = ["login", "--username", "ann", "--save"];
    assert!(run(&mut server.tg(&binary(), &args), "p\n").status.success());
    let Server { url, home, .. } = server;
    let logout = |json: &[&str]| {
        let mut command = Command::new(binary());
        command.env_clear().env("HOME", home.path()).env("TOLLGATE_URL", &url).arg("logout");
        let output = command.args(json).output().unwrap();
        told(&output).replace(&*url, "URL/").replace(url.trim_end_matches('/'), "URL")
    };
    expect![[r#"
        exit 0
        out:
        {"ended":true,"removed":true}
        err:
        Forgot the token for URL
    "#]]
    .assert_eq(&logout(&["--json"]));
    expect![[r#"
        exit 0
        out:
        err:
        No token is kept for URL
    "#]]
    .assert_eq(&logout(&[]));
}

#[test]
fn a_broken_file_of_credentials_is_told_of_and_mended() {
    let server = server(200, r#"{"jwt":"h.p.s","user":{"id":"u-1"}}"#);
    let folder = server.home.path().join(".config/tollgate");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("credentials.json");
    let said = |args: &[&str], stdin| {
        let output = told(&run(&mut server.tg(&binary(), args), stdin));
        output
            .replace(file.to_str().unwrap(), "FILE")
            .replace(server.url.trim_end_matches('/'), "URL")
    };
    std::fs::write(&file, "precious").unwrap();
    expect![[r#"
        exit 1
        out:
        err:
        Exception: FILE is no file of credentials (expected value at line 1 column 1); tg login --save replaces it, tg logout removes it
    "#]]
    .assert_eq(&said(&["whoami"], ""));
    expect![[r#"
        exit 0
        out:
        err:
        warning: removed FILE: it was broken
        No token is kept for URL
    "#]]
    .assert_eq(&said(&["logout"], ""));
    assert!(!file.exists());
    std::fs::write(&file, "precious").unwrap();
    expect![[r#"
        exit 0
        out:
        err:
        warning: replaced FILE: it was broken
        Token kept in FILE
    "#]]
    .assert_eq(&said(&["login", "--username", "ann", "--save"], "p\n"));
    assert!(said(&["whoami"], "").starts_with("exit 0"));
}
