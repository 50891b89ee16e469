//! Completions and manual pages, as a shell and a reader of manuals see them.

use std::process::{Command, Stdio};

use crate::harness::{binary, run, server};

/// What bash offers for the last of the words, with the script that `tg` prints.
fn offered(words: &[&str]) -> Vec<String> {
    let server = server(404, "");
    let script = server.run(&["completions", "bash"]);
    assert!(script.status.success() && script.stderr.is_empty());
    // What bash does at a Tab.
    let ask = r#"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        function=$(complete -p "$1") function=${function#*-F } function=${function%% *}
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let script = format!("{}\n{ask}", String::from_utf8(script.stdout).unwrap());
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-s", "--"]).args(words);
    bash.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = run(&mut bash, &script);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.is_empty(), "bash is needed; it said: {told}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values_under_every_name() {
    assert_eq!(offered(&["tg", "list-u"]), ["list-users", "list-user-grants"]);
    assert_eq!(
        offered(&["tg", "mint-token", "--user"]),
        ["--user-context", "--user-id", "--username"]
    );
    assert_eq!(offered(&["tg-mint-token", "--us"]), offered(&["tg", "mint-token", "--us"]));
    assert_eq!(offered(&["tg-can-i", "ll"]), ["llm"]);
}

#[test]
fn the_scripts_of_other_shells_know_every_name_too() {
    let server = server(404, "");
    let script = |shell| {
        let output = server.run(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (zsh, fish) = (script("zsh"), script("fish"));
    for name in ["tg", "tg-login", "tg-can-i"] {
        assert!(zsh.contains(&format!("    compdef _{name} {name}\n")), "{name}");
        assert!(fish.contains(&format!("complete -c {name} ")), "{name}");
    }
    assert_eq!(server.run(&["completions", "tcsh"]).status.code(), Some(2));
}

#[test]
fn every_command_has_a_page_in_the_manual() {
    let server = server(404, "");
    let pages = server.home.path().join("man1");
    let args = ["man", pages.to_str().unwrap()];
    assert!(run(&mut server.tg(&binary(), &args), "").status.success());
    let read = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    let page = read("tg-mint-token.1");
    assert!(page.contains(".TH tg-mint-token 1") && page.contains("user\\-context"), "{page}");
    assert!(read("tg.1").contains("tg\\-login(1)"));
    assert_eq!(server.run(&["man", "/dev/null/x"]).status.code(), Some(1));
}
