//! Logs on stderr, for people or for programs.
//!
//! Whatever a line is about, it stays one line: control characters, and others that are not to be
//! seen, are written as escapes.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::{self as lines, MakeWriter};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings};

/// `log.level` is not a level or a list of directives.
#[derive(Debug, thiserror::Error)]
#[error("log.level: {0}")]
pub struct InvalidLevel(#[from] tracing_subscriber::filter::ParseError);

/// What holds where `log.level` says nothing else. The driver of the cluster tells of each attempt
/// in words of its own, several lines a second while the cluster is away; what an operator must
/// know of it is said by us, once.
const UNLESS_NAMED: &str = "error,scylla=off";

/// Checks `log.level`.
pub fn check(settings: &LogSettings) -> Result<(), InvalidLevel> {
    filter(settings)?;
    Ok(())
}

/// Sets the process's logs up. Called once; a second call changes nothing.
pub fn init(settings: &LogSettings) -> Result<(), InvalidLevel> {
    // Colours are for eyes: files and log collectors get plain text. NO_COLOR turns them off too.
    let plain = !std::io::stderr().is_terminal();
    // A second subscriber is refused; tests start many processes' worth of services in one.
    let _ = subscriber(settings, plain, std::io::stderr)?.try_init();
    Ok(())
}

fn subscriber<W>(
    settings: &LogSettings,
    plain: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, InvalidLevel>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = lines::fmt().with_env_filter(filter(settings)?).with_writer(writer);
    let builder = if plain { builder.with_ansi(false) } else { builder };
    Ok(match settings.format {
        LogFormat::Text => {
            let fields = debug_fn(|writer, field, value| match field.name() {
                "message" => write!(Visible(writer), "{value:?}"),
                name => {
                    write!(writer, "{name}=")?;
                    write!(Visible(writer), "{value:?}")
                }
            });
            Box::new(builder.with_target(false).fmt_fields(fields.delimited(" ")).finish())
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true);
            Box::new(builder.map_writer(VisibleJson).finish())
        }
    })
}

fn filter(settings: &LogSettings) -> Result<EnvFilter, InvalidLevel> {
    Ok(EnvFilter::try_new(format!("{UNLESS_NAMED},{}", settings.level))?)
}

/// Writes what cannot be seen as escapes.
struct Visible<'a, 'w>(&'a mut Writer<'w>);

impl Write for Visible<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&escape(text, |hidden| hidden.escape_default().to_string()))
    }
}

/// The same for JSON, whose own escapes leave DEL and all beyond ASCII as they are. Outside of its
/// strings there is nothing that cannot be seen but the end of the line.
struct VisibleJson<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for VisibleJson<W> {
    type Writer = VisibleJson<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        VisibleJson(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for VisibleJson<W> {
    /// Takes a line at a time, which is how they come.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        let line = escape(line, |hidden| {
            let mut out = String::new();
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
            out
        });
        // In one write, so that lines of two threads do not mix.
        self.0.write_all(format!("{line}{end}").as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The text with everything that cannot be seen written otherwise.
fn escape(text: &str, write: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { out.push_str(&write(c)) } else { out.push(c) }
    }
    Cow::Owned(out)
}

fn is_hidden(c: char) -> bool {
    c != ' ' && (c.is_control() || c.is_whitespace() || is_format(c))
}

/// Characters that change how others are shown (Unicode 16, bidirectional and invisible ones).
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is written of what `log` says.
    fn written(format: LogFormat, level: &str, log: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let settings = LogSettings { format, level: level.to_owned() };
        let subscriber = subscriber(&settings, true, {
            let written = Arc::clone(&written);
            move || Shared(Arc::clone(&written))
        });
        tracing::subscriber::with_default(subscriber.unwrap(), log);
        let written = std::mem::take(&mut *written.lock().unwrap());
        String::from_utf8(written).unwrap()
    }

    /// The line that an event with this text in all of its places makes.
    fn line(format: LogFormat, text: &str) -> String {
        written(format, "debug", || {
            tracing::debug!(conn.id = %text, other = text, debug = ?Some(text), "a {text}");
        })
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_driver_of_the_cluster_speaks_where_it_is_named() {
        let check = |level: &str, expect: &[&str]| {
            let said = written(LogFormat::Text, level, || {
                tracing::error!("our error");
                tracing::info!("our news");
                tracing::error!(target: "scylla::cluster", "its error");
                tracing::debug!(target: "scylla_cql::frame", "its details");
            });
            assert_eq!(said.lines().count(), expect.len(), "{level}: {said}");
            assert!(expect.iter().all(|line| said.contains(line)), "{level}: {said}");
        };
        check("", &["our error"]);
        check("off", &[]);
        check("info", &["our error", "our news"]);
        check("trace", &["our error", "our news"]);
        check("info,scylla=warn", &["our error", "our news", "its error"]);
        check("info,scylla=debug", &["our error", "our news", "its error", "its details"]);
        check("scylla::cluster=info", &["our error", "its error"]);
    }

    #[test]
    fn text_is_readable_and_stays_on_its_line() {
        let check = |text: &str, expect: &str| {
            let line = line(LogFormat::Text, text);
            let end = line.strip_suffix('\n').unwrap().split_once("DEBUG ").unwrap().1;
            assert_eq!(end, expect);
        };
        check("x", r#"a x conn.id=x other="x" debug=Some("x")"#);
        check("é 7", r#"a é 7 conn.id=é 7 other="é 7" debug=Some("é 7")"#);
        check(
            "\r\n\u{1b}[31m",
            r#"a \r\n\u{1b}[31m conn.id=\r\n\u{1b}[31m other="\r\n\u{1b}[31m" debug=Some("\r\n\u{1b}[31m")"#,
        );
        check(
            "\u{9b}\u{202e}\u{2028}",
            r#"a \u{9b}\u{202e}\u{2028} conn.id=\u{9b}\u{202e}\u{2028} other="\u{9b}\u{202e}\u{2028}" debug=Some("\u{9b}\u{202e}\u{2028}")"#,
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = line(LogFormat::Json, "\r\n\u{1b}[31m\"\u{9b}\u{e0041}");
        let line = line.strip_suffix('\n').unwrap();
        assert!(!line.contains(char::is_control), "{line:?}");
        let end = line.split_once(r#""DEBUG","#).unwrap().1;
        let text = r#"\r\n\u001b[31m\"\u009b\udb40\udc41"#;
        let expect = format!(r#""message":"a {text}","conn.id":"{text}","other":"{text}","#);
        assert!(end.starts_with(&expect), "{line}");
    }
}
