//! What the documents say is what the code has.

use std::fmt::Write;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use tollgate_proto::close::CloseCode;
use tollgate_proto::error::ErrorKind;
use tollgate_runtime::metrics::{Process, Source};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_setting_is_documented() {
    let sections = tollgate::DEFAULTS.map(str::trim_end).join("\n\n");
    let text = format!(
        "# Configuration\n\n\
         One file for all processes: `tollgate.toml` in the folder where they start, or `--config FILE`. Each \
         process\nreads its own sections. What comes later wins: these defaults, the file, the \
         environment, flags.\n\n\
         In the environment a setting is `TOLLGATE_` and its path in capitals, with two underscores \
         between the\nlevels: `TOLLGATE_GATEWAY__COMPAT__URL_TOKEN=true`. A key that is not known is \
         refused.\n`--check-config` checks without starting, `--print-config` shows what is in force.\n\n\
         The last stanza holds what `tollgate`, which runs both services, adds.\n\n\
         ```toml\n{sections}\n```\n\n\
         (Made by `UPDATE_EXPECT=1 cargo test -p tollgate-e2e docs`.)\n"
    );
    expect_file!["../../../docs/CONFIG.md"].assert_eq(&text);
}

#[test]
fn every_metric_is_documented() {
    let gateway = tollgate_gateway::metrics().unwrap();
    let iam = tollgate_iam::metrics::Metrics::default();
    let (authority, process) = (tollgate_iam::metrics::Authority::default(), Process::new());
    let sources: [(&str, &[&dyn Source]); 3] =
        [("Gateway", &[&gateway]), ("IAM", &[&iam, &authority]), ("Process", &[&process])];
    let mut text = "# Metrics\n\n\
         `GET /metrics` on `gateway.admin_listen` and `iam.admin_listen`, as OpenMetrics text; `tollgate` shows \
         those of both\nservices on `gateway.admin_listen`. [OPERATIONS.md](OPERATIONS.md) says what to watch.\n\n\
         Every label has a closed set of values: those of a table of the protocol, or the operations and \
         backends that the\nregistry names. No id, and nothing that a client chooses, is ever a label.\n"
        .to_owned();
    for (title, sources) in sources {
        writeln!(text, "\n## {title}\n\n| name | type | labels | unit | meaning |").unwrap();
        writeln!(text, "|---|---|---|---|---|").unwrap();
        let metrics = sources.iter().flat_map(|source| {
            source.list().into_iter().map(|metric| (metric.full_name(source.prefix()), metric))
        });
        for (name, metric) in metrics {
            let labels = metric.labels.iter().map(|label| format!("`{label}`"));
            writeln!(
                text,
                "| `{name}` | {} | {} | {} | {} |",
                metric.kind(),
                labels.collect::<Vec<_>>().join(" "),
                metric.unit().unwrap_or_default(),
                metric.help
            )
            .unwrap();
        }
    }
    text.push_str("\n(Made by `UPDATE_EXPECT=1 cargo test -p tollgate-e2e docs`.)\n");
    expect_file!["../../../docs/METRICS.md"].assert_eq(&text);
}

#[test]
fn the_protocol_page_shows_every_frame_error_and_close_code() {
    let page = read_to_string(root().join("docs/PROTOCOL.md")).unwrap();
    for entry in std::fs::read_dir(root().join("proto/golden")).unwrap() {
        let path = entry.unwrap().path();
        let frame = read_to_string(&path).unwrap();
        assert!(page.contains(frame.trim_end()), "{} is not shown", path.display());
    }
    for kind in ErrorKind::ALL {
        let retryable = if kind.retryable() { "yes" } else { "no" };
        let row = format!("| `{}` | {} | {retryable} |", kind.as_str(), kind.http_status());
        assert!(page.contains(&row), "no row {row}");
    }
    for code in CloseCode::ALL {
        let (number, reason) = (code.code(), code.reason());
        let row = format!("| {number} | `{reason}` | {} |", code.reconnect().as_str());
        assert!(page.contains(&row), "no row {row}");
    }
}
