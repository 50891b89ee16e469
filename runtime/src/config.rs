//! Configuration: one file `tollgate.toml` for all processes, each reads its own sections.
//!
//! In, later ones winning: the compiled-in defaults, the file, the environment
//! (`TOLLGATE_GATEWAY__LISTEN=…`), flags. Out: one frozen struct, or one sentence that names
//! the source, the key and what would be valid.
//! Never: a setting that is read one by one later, or one that is ignored because it was misspelt.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use crate::tls::{Connector, TlsError};
use crate::units::Period;

/// The sections that a file may have. Each process checks its own and leaves the others.
pub const SECTIONS: [&str; 4] = ["gateway", "iam", "link", "log"];
/// The file that is read without being named, if it is there.
pub const DEFAULT_FILE: &str = "tollgate.toml";
const PREFIX: &str = "TOLLGATE_";

/// The documented defaults of the sections that all processes share.
pub const SHARED_DEFAULTS: &str = include_str!("../default.toml");

/// The flags that every server has.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// `--data-dir`, `--listen`, …: dotted path and value.
    pub settings: Vec<(&'static str, String)>,
}

/// `[link]`: between gateway and IAM.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSettings {
    /// The file with the service secret; empty: made in the data folder by `tollgate`.
    pub secret_file: PathBuf,
    /// The certificates that alone prove who IAM is, to gateways and to other nodes of it; empty: it
    /// is spoken to in clear.
    pub ca_file: PathBuf,
    /// How long a gateway trusts what it was told without hearing more.
    pub lease: Period,
}

impl LinkSettings {
    /// Does the handshake with whoever proves to be IAM, if it can be known by anything.
    pub fn trusted(&self) -> Result<Option<Connector>, InvalidTrust> {
        let ca_file = Some(&self.ca_file).filter(|path| !path.as_os_str().is_empty());
        Ok(ca_file.map(|path| Connector::trusting(path)).transpose()?)
    }
}

/// `link.ca_file` cannot be used. What is wrong is in the text, and not its source as well.
#[derive(Debug, thiserror::Error)]
#[error("link.ca_file: {0}")]
pub struct InvalidTrust(TlsError);

impl From<TlsError> for InvalidTrust {
    fn from(error: TlsError) -> Self {
        Self(error)
    }
}

/// `[log]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// For people or for programs.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives like `info,tollgate_iam=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One readable line.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("{from}: {message}")]
    NotToml {
        /// The file.
        from: String,
        /// What the parser says.
        message: String,
    },
    /// A section that no process has.
    #[error("{from}: unknown section [{section}]; known are [gateway], [iam], [link] and [log]")]
    UnknownSection {
        /// The file or the environment.
        from: String,
        /// The section.
        section: String,
    },
    /// A key that is not known, or a value that does not fit.
    #[error("{from}: {key}: {message}")]
    Invalid {
        /// The file, the environment or the flags.
        from: String,
        /// The dotted path of the setting.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// Reads the configuration of a process that has the sections of `T`.
///
/// `defaults` are the documented default files; together they fill every field of `T`.
/// `environment` is what `std::env::vars_os` gives.
pub fn load<T: DeserializeOwned>(
    defaults: &[&str],
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, ConfigError> {
    let mut merged = Table::new();
    for text in defaults {
        merge(&mut merged, parse(text, "built-in defaults")?);
    }
    // What the defaults hold is what this process reads.
    let own: Vec<String> = merged.keys().cloned().collect();
    let mut settings = check::<T>(&merged, "built-in defaults")?;
    // One layer after the other, so that an error names the layer that brought it.
    for (from, layer) in layers(flags, environment)? {
        for (section, value) in layer {
            if !SECTIONS.contains(&section.as_str()) {
                return Err(ConfigError::UnknownSection { from, section });
            }
            if own.contains(&section) {
                merge(&mut merged, Table::from_iter([(section, value)]));
            }
        }
        settings = check::<T>(&merged, &from)?;
    }
    Ok(settings)
}

type Layers = Vec<(String, Table)>;

fn layers(
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Layers, ConfigError> {
    let mut layers = Vec::new();
    let implied = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
    if let Some(path) = flags.file.clone().or_else(implied) {
        layers.push((path.display().to_string(), read_file(&path)?));
    }
    // A table for each variable: an error names it.
    for (name, value) in environment {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) {
            let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
            layers.push((format!("environment {name}"), nest(&path, typed(value))));
        }
    }
    for (path, value) in &flags.settings {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        layers.push(("command line".to_owned(), nest(&path, typed(value))));
    }
    Ok(layers)
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, from: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| ConfigError::NotToml {
        from: from.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })
}

/// Booleans, integers and arrays as such; everything else is text.
fn typed(value: &str) -> Value {
    match value {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ if value.starts_with('[') => format!("v = {value}")
            .parse::<Table>()
            .ok()
            .and_then(|mut table| table.remove("v"))
            .unwrap_or_else(|| Value::String(value.to_owned())),
        _ => value.parse().map_or_else(|_| Value::String(value.to_owned()), Value::Integer),
    }
}

fn nest(path: &[String], value: Value) -> Table {
    match path {
        [] => Table::new(),
        [last] => Table::from_iter([(last.clone(), value)]),
        [first, rest @ ..] => Table::from_iter([(first.clone(), Value::Table(nest(rest, value)))]),
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// The dotted paths of the settings in which two configurations differ.
pub fn differences<T: Serialize>(one: &T, other: &T) -> Vec<String> {
    let table = |settings| Table::try_from(settings).unwrap_or_default();
    let mut found = Vec::new();
    compare(&table(one), &table(other), "", &mut found);
    found
}

fn compare(one: &Table, other: &Table, above: &str, found: &mut Vec<String>) {
    // A setting without a value is not in the table.
    let added = other.keys().filter(|key| !one.contains_key(*key));
    for key in one.keys().chain(added) {
        match (one.get(key), other.get(key)) {
            (Some(Value::Table(one)), Some(Value::Table(other))) => {
                compare(one, other, &format!("{above}{key}."), found);
            }
            (ours, theirs) if ours != theirs => found.push(format!("{above}{key}")),
            (_, _) => {}
        }
    }
}

fn check<T: DeserializeOwned>(merged: &Table, from: &str) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(merged.clone()).map_err(|error| {
        let key = error.path().to_string();
        let message = error.into_inner().message().to_owned();
        ConfigError::Invalid { from: from.to_owned(), key, message }
    })
}

#[cfg(test)]
mod tests;
