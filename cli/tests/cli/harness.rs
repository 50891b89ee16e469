//! A server that records what it is asked, and `tg` run against it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use expect_test::Expect;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A server that answers every request alike.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
    pub(crate) home: tempfile::TempDir,
    pub(crate) runtime: tokio::runtime::Runtime,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Script {
    status: StatusCode,
    reply: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn answer(State(script): State<Script>, request: Request) -> (StatusCode, &'static str) {
    let bearer = request.headers().get(AUTHORIZATION).map_or("nobody", |v| v.to_str().unwrap());
    let line = format!("{} {} as {bearer}", request.method(), request.uri().path());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    script.asked.lock().unwrap().push(format!("{line}: {body}"));
    (script.status, script.reply)
}

pub(crate) fn server(status: u16, reply: &'static str) -> Server {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let script =
        Script { status: StatusCode::from_u16(status).unwrap(), reply, asked: Arc::clone(&asked) };
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(script);
    let mut tasks = JoinSet::new();
    tasks.spawn_on(async { axum::serve(listener, router).await.unwrap() }, runtime.handle());
    Server { url, asked, home: tempfile::tempdir().unwrap(), runtime, _tasks: tasks }
}

impl Server {
    /// `tg` with nothing in its environment but a home of its own.
    pub(crate) fn tg(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home.path()).env("TOLLGATE_URL", &self.url);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        run(&mut self.tg(&binary(), args), "")
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

pub(crate) fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_tg").into()
}

pub(crate) fn run(command: &mut Command, stdin: &str) -> Output {
    let mut child = command.spawn().unwrap();
    // A command that fails early does not read it.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    child.wait_with_output().unwrap()
}

pub(crate) fn told(output: &Output) -> String {
    let stdout = std::str::from_utf8(&output.stdout).unwrap();
    let stderr = std::str::from_utf8(&output.stderr).unwrap();
    format!("exit {}\nout:\n{stdout}err:\n{stderr}", output.status.code().unwrap())
}

pub(crate) fn check(output: &Output, expect: &Expect) {
    expect.assert_eq(&told(output));
}
