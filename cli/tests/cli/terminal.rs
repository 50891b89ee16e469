//! Passwords that a person types at a terminal.

use std::path::Path;

use expect_test::{Expect, expect};

use crate::harness::{binary, run, server, told};

/// Types a line at each prompt; what the terminal showed, and what the server was asked.
fn types(args: &[&str], lines: &str, shown: &Expect, asked: &[&str]) {
    let server = server(200, r#"{"jwt":"h.p.s","user":{"id":"u-1"}}"#);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/terminal.py");
    let tg = binary();
    let typed = [&["-B", script.to_str().unwrap(), tg.to_str().unwrap()], args].concat();
    let output =
        run(&mut server.tg(Path::new("/usr/bin/env"), &[&["python3"], &typed[..]].concat()), lines);
    assert!(output.stderr.is_empty(), "python3 is needed; it said: {}", told(&output));
    shown.assert_eq(&told(&output));
    assert_eq!(server.asked(), asked);
}

#[test]
fn what_is_typed_is_not_shown() {
    types(
        &["login", "--username", "ann"],
        "my secret\n",
        &expect![[r#"
            exit 0
            out:
            Password: 
            h.p.s
            err:
        "#]],
        &[r#"POST /api/v1/auth/login as nobody: {"username":"ann","password":"my secret"}"#],
    );
    types(
        &["change-password"],
        "my secret\nmy next secret\nmy next secret\n",
        &expect![[r#"
            exit 0
            out:
            Current password: 
            New password: 
            New password (again): 
            Password changed.
            err:
        "#]],
        &[
            r#"POST /api/v1/auth/change-password as nobody: {"current_password":"my secret","new_password":"my next secret"}"#,
        ],
    );
}

#[test]
fn a_new_password_is_typed_twice_alike() {
    let args = ["create-user", "--username", "ann"];
    types(
        &args,
        "my secret\nmy secert\n",
        &expect![[r#"
        exit 1
        out:
        Password of the new user: 
        Password of the new user (again): 
        Exception: the two passwords differ
        err:
    "#]],
        &[],
    );
}
