//! `tg` against a real Tollgate: the table that the published command line must hold too, and the
//! commands that only `tg` has.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_e2e::{PASSWORD, Tollgate, commands};

use crate::harness::{binary, run, told};

#[tokio::test]
async fn tg_holds_the_table_of_the_published_commands() {
    let links = tempfile::tempdir().unwrap();
    let made = Command::new(binary()).arg("install-links").arg(links.path()).output().unwrap();
    assert!(made.status.success(), "{}", told(&made));
    commands::check(links.path()).await.unwrap();
}

/// `tg` as somebody.
struct Tg {
    url: String,
    token: String,
    home: TempDir,
}

impl Tg {
    fn new(tollgate: &Tollgate, token: &str) -> Self {
        Self { url: tollgate.url(), token: token.to_owned(), home: tempfile::tempdir().unwrap() }
    }

    /// The exit code, and what stands on stdout.
    fn says(&self, typed: &str) -> (i32, String) {
        self.hears(typed, "")
    }

    fn hears(&self, typed: &str, stdin: &str) -> (i32, String) {
        let output = self.output(typed, stdin);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    /// Both streams.
    fn tells(&self, typed: &str) -> String {
        told(&self.output(typed, ""))
    }

    fn output(&self, typed: &str, stdin: &str) -> Output {
        let mut command = Command::new(binary());
        command.env_clear().env("HOME", self.home.path()).env("TOLLGATE_URL", &self.url);
        if !self.token.is_empty() {
            command.env("TOLLGATE_TOKEN", &self.token);
        }
        command.args(typed.split(' '));
        let piped = std::process::Stdio::piped;
        command.stdin(piped()).stdout(piped()).stderr(piped());
        run(&mut command, stdin)
    }

    /// The same for what must succeed.
    fn gets(&self, typed: &str) -> String {
        let (exit, said) = self.says(typed);
        assert_eq!(exit, 0, "{typed}");
        said
    }

    fn reads(&self, typed: &str) -> Value {
        serde_json::from_str(&self.gets(&format!("{typed} --json"))).unwrap()
    }
}

/// The blocking commands need a server that runs beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn can_i_tells_what_is_so() {
    let tollgate = Tollgate::start().await.unwrap();
    let (id, key) = tollgate.user("ann", "reader").await.unwrap();
    let (admin, ann) = (Tg::new(&tollgate, &tollgate.admin_key), Tg::new(&tollgate, &key));
    let give = |what: &str| admin.gets(&format!("add-user-grant --user-id {id} {what}"));
    admin.gets("create-workspace --workspace-id acme");
    let grant_of = |what: &str, workspace: &str| {
        let grants = admin.reads(&format!("list-user-grants --user-id {id}"));
        let is_it = |grant: &&Value| {
            grant["workspace"] == workspace
                && (grant["role"] == what || grant["capability"] == what)
        };
        grants.as_array().unwrap().iter().find(is_it).unwrap()["id"].as_str().unwrap().to_owned()
    };

    let reader = grant_of("reader", "default");
    let yes = format!("yes: role reader in default (grant {reader})\n");
    assert_eq!(ann.says("can-i documents:read"), (0, yes.clone()));
    assert_eq!(admin.says(&format!("can-i documents:read --user-id {id}")), (0, yes));
    let (exit, said) = ann.says("can-i documents:write");
    let no = "no: needs documents:write in default; you have role reader in default (grant ";
    assert!(exit == 1 && said.starts_with(no), "{said}");

    // Of two roles in one place the one is named that has it.
    assert_eq!(
        give("--role writer -w default"),
        format!("Gave role writer in default to user {id}\n")
    );
    let yes = format!("yes: role writer in default (grant {})\n", grant_of("writer", "default"));
    assert_eq!(ann.says("can-i documents:write"), (0, yes));

    give("--capability llm -w acme");
    let yes = format!("yes: capability llm in acme (grant {})\n", grant_of("llm", "acme"));
    assert_eq!(ann.says("can-i llm -w acme"), (0, yes));
    assert_eq!(ann.says("can-i documents:read -w acme").0, 1);
    assert_eq!(ann.says("can-i documents:read -w *").0, 1);
    assert!(admin.gets("can-i users:admin -w acme").starts_with("yes: role admin in the whole"));
    assert_eq!(
        ann.says(&format!("can-i llm -w acme --user-id {}", admin.reads("whoami")["user"]["id"])).0,
        1
    );

    admin.gets(&format!("remove-user-grant --user-id {id} --capability llm -w acme"));
    assert_eq!(ann.says("can-i llm -w acme").0, 1);
    give("--role reader -w acme");
    assert_eq!(ann.says("can-i llm -w acme").0, 0);
    assert_eq!(admin.gets("disable-workspace --workspace-id acme"), "Disabled workspace acme\n");
    assert_eq!(ann.says("can-i llm -w acme").0, 1, "a grant there allows nothing now");
    assert_eq!(ann.says(&format!("add-user-grant --user-id {id} --role admin -w *")).0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn can_i_says_no_where_the_workspace_is_disabled_or_not_there() {
    let tollgate = Tollgate::start().await.unwrap();
    let (id, key) = tollgate.user("ann", "reader").await.unwrap();
    let (admin, ann) = (Tg::new(&tollgate, &tollgate.admin_key), Tg::new(&tollgate, &key));
    admin.gets("create-workspace --workspace-id acme");
    admin.gets(&format!("add-user-grant --user-id {id} --role reader -w *"));
    let no = |workspace| (1, format!("no: workspace {workspace} is disabled, or not there\n"));
    let ask = |tg: &Tg, typed: &str| {
        let (own, others) = (tg.says(typed), admin.says(&format!("{typed} --user-id {id}")));
        assert_eq!(own, others, "{typed}");
        own
    };
    assert_eq!(ask(&ann, "can-i llm -w acme").0, 0);
    assert_eq!(ask(&ann, "can-i llm -w *").0, 0);
    assert_eq!(ask(&ann, "can-i llm -w nowhere"), no("nowhere"));
    admin.gets("disable-workspace --workspace-id acme");
    assert_eq!(ask(&ann, "can-i llm -w acme"), no("acme"));
    assert_eq!(admin.says("can-i llm -w acme"), no("acme"));

    // Who may read users and no workspaces hears that one thing was not checked.
    let (manager, key) = tollgate.user("bob", "reader").await.unwrap();
    for capability in ["users:read", "iam:admin"] {
        let give = format!("add-user-grant --user-id {manager} --capability {capability} -w *");
        admin.gets(&give);
    }
    let bob = Tg::new(&tollgate, &key);
    let told = bob.tells(&format!("can-i llm -w acme --user-id {id}"));
    assert!(told.starts_with("exit 0\nout:\nyes: "), "{told}");
    assert!(told.contains("was not checked"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn records_are_read_and_changed() {
    let tollgate = Tollgate::start_unclaimed(&[]).await.unwrap();
    let mut admin = Tg::new(&tollgate, "");
    assert_eq!(admin.gets("bootstrap-status"), "Waits to be claimed by bootstrap-iam.\n");
    admin.token = admin.gets("bootstrap-iam").trim().to_owned();
    assert_eq!(admin.gets("bootstrap-status"), "Cannot be claimed (any more).\n");

    admin.gets("create-workspace --workspace-id acme");
    admin.gets("update-workspace --workspace-id acme --name Acme");
    let acme = || admin.reads("get-workspace --workspace-id acme")["workspace"].clone();
    assert_eq!((&acme()["name"], &acme()["enabled"]), (&json!("Acme"), &json!(true)));
    admin.gets("update-workspace --workspace-id acme --enabled no");
    assert_eq!((&acme()["name"], &acme()["enabled"]), (&json!("Acme"), &json!(false)));
    assert_eq!(admin.says("get-workspace --workspace-id nowhere"), (1, String::new()));

    let me = admin.reads("whoami")["user"]["id"].as_str().unwrap().to_owned();
    let shown = admin.gets(&format!("get-user --user-id {me}"));
    assert_eq!(shown, admin.gets("whoami"));
    assert_eq!(admin.says(&format!("get-user --user-id {me} -w acme")), (1, String::new()));

    let next = admin.gets("rotate-signing-key");
    assert_eq!(next, admin.gets("rotate-signing-key"), "it waits for its time");
    assert_ne!(next, admin.gets(&format!("rotate-signing-key --revoke {}", next.trim())));
    assert_ne!(next, admin.gets("rotate-signing-key"), "it is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn logout_ends_the_session() {
    let tollgate = Tollgate::start().await.unwrap();
    tollgate.user("ann", "reader").await.unwrap();
    let mut ann = Tg::new(&tollgate, "");
    let (exit, said) = ann.hears("login --username ann --save --json", PASSWORD);
    assert_eq!(exit, 0);
    let token = serde_json::from_str::<Value>(&said).unwrap()["jwt"].as_str().unwrap().to_owned();
    assert_eq!(ann.reads("whoami")["user"]["username"], "ann");
    assert_eq!(ann.reads("logout"), json!({ "ended": true, "removed": true }));
    assert_eq!(ann.says("whoami"), (1, String::new()), "it is forgotten");
    ann.token = token;
    assert_eq!(ann.says("whoami"), (1, String::new()), "and of no use to whoever has it");
}
