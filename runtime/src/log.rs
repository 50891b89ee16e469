//! Logs on stderr, for people or for programs.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings};

/// `log.level` is not a level or a list of directives.
#[derive(Debug, thiserror::Error)]
#[error("log.level: {0}")]
pub struct InvalidLevel(#[from] tracing_subscriber::filter::ParseError);

/// Checks `log.level`.
pub fn check(settings: &LogSettings) -> Result<(), InvalidLevel> {
    EnvFilter::try_new(&settings.level)?;
    Ok(())
}

/// Sets the process's logs up. Called once; a second call changes nothing.
pub fn init(settings: &LogSettings) -> Result<(), InvalidLevel> {
    let filter = EnvFilter::try_new(&settings.level)?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for eyes: files and log collectors get plain text. NO_COLOR turns them off too.
    let builder = if std::io::stderr().is_terminal() { builder } else { builder.with_ansi(false) };
    // A second subscriber is refused; tests start many processes' worth of services in one.
    let _ = match settings.format {
        LogFormat::Text => builder.with_target(false).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    Ok(())
}
