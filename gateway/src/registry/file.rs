//! The registry's file: read, checked in whole, then frozen.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tollgate_proto::capability::Capability;
use tollgate_runtime::units::Period;
use toml::{Table, Value};

use super::backends::{self, BackendSettings, BackendStanza};
use super::{Entry, IAM, Registry, Requirement, Stream};

const DEFAULT_TIMEOUT: Period = Period(std::time::Duration::from_mins(10));

/// Why a registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{from}: {message}")]
    Invalid { from: String, message: String },
    #[error("{from}: [{stanza}] {problem}")]
    Stanza { from: String, stanza: String, problem: String },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct File {
    backend: HashMap<String, BackendStanza>,
    flow_service: HashMap<String, FlowService>,
    service: HashMap<String, Service>,
    flow_import: HashMap<String, FlowService>,
    flow_export: HashMap<String, FlowService>,
    stream: HashMap<String, FlowService>,
    metrics: Option<FlowService>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlowService {
    capability: Option<String>,
    backend: Option<String>,
    timeout: Option<Period>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    backend: Option<String>,
    timeout: Option<Period>,
    #[serde(default)]
    operations: HashMap<String, String>,
}

/// Reads `default`, lays the file over it and checks the whole.
pub(super) fn load(default: &str, file: Option<&Path>) -> Result<Registry, RegistryError> {
    let mut table = parse(default, "built-in registry")?;
    let mut from = "built-in registry".to_owned();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|source| RegistryError::Unreadable { path: path.to_owned(), source })?;
        from = path.display().to_string();
        lay_over(&mut table, parse(&text, &from)?);
    }
    let file: File = table.try_into().map_err(|error: toml::de::Error| RegistryError::Invalid {
        from: from.clone(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    Reader { from, backends: HashMap::new() }.read(&file)
}

fn parse(text: &str, from: &str) -> Result<Table, RegistryError> {
    text.parse().map_err(|error: toml::de::Error| RegistryError::Invalid {
        from: from.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })
}

fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay_over(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

struct Reader {
    from: String,
    backends: HashMap<Arc<str>, BackendSettings>,
}

impl Reader {
    fn read(mut self, file: &File) -> Result<Registry, RegistryError> {
        for (name, stanza) in &file.backend {
            let settings = backends::read(stanza)
                .map_err(|problem| self.problem(&format!("backend.{name}"), &problem))?;
            self.backends.insert(name.as_str().into(), settings);
        }
        let imports = self.passages("import", &file.flow_import)?;
        let exports = self.passages("export", &file.flow_export)?;
        let (mut flow_services, mut flow_prefixes) = (HashMap::new(), Vec::new());
        for (name, stanza) in &file.flow_service {
            let entry = self.flow_entry(name, stanza)?;
            match name.strip_suffix('*') {
                Some(prefix) if prefix.ends_with('/') => {
                    flow_prefixes.push((prefix.to_owned(), entry));
                }
                Some(_) | None => drop(flow_services.insert(name.clone(), entry)),
            }
        }
        let services = file
            .service
            .iter()
            .map(|(name, stanza)| Ok((name.clone(), self.operations(name, stanza)?)))
            .collect::<Result<_, RegistryError>>()?;
        let streams = file
            .stream
            .iter()
            .map(|(name, stanza)| self.stream(name, stanza))
            .collect::<Result<_, RegistryError>>()?;
        let metrics = match &file.metrics {
            Some(stanza) => Some(self.passage("metrics", stanza)?),
            None => None,
        };
        let backends = self.backends;
        Ok(Registry {
            flow_services,
            flow_prefixes,
            services,
            imports,
            exports,
            streams,
            metrics,
            backends,
        })
    }

    /// Entries whose backends are passed bytes, by kind.
    fn passages(
        &mut self,
        way: &str,
        stanzas: &HashMap<String, FlowService>,
    ) -> Result<HashMap<String, Entry>, RegistryError> {
        let entry = |(kind, stanza): (&String, &FlowService)| {
            Ok((kind.clone(), self.passage(&format!("{way}/{kind}"), stanza)?))
        };
        stanzas.iter().map(entry).collect()
    }

    fn stream(
        &mut self,
        name: &str,
        stanza: &FlowService,
    ) -> Result<(Stream, Entry), RegistryError> {
        match Stream::ALL.iter().find(|stream| stream.as_str() == name) {
            Some(stream) => Ok((*stream, self.passage(name, stanza)?)),
            None => Err(self.problem(&format!("stream.{name}"), "is no stream that is served")),
        }
    }

    /// An entry whose backend is passed bytes.
    fn passage(&mut self, name: &str, stanza: &FlowService) -> Result<Entry, RegistryError> {
        let entry = self.flow_entry(name, stanza)?;
        self.check_passes_bytes(&entry)?;
        Ok(entry)
    }

    fn check_passes_bytes(&self, entry: &Entry) -> Result<(), RegistryError> {
        let Some(name) = &entry.backend else { return Ok(()) };
        match self.backends.get(name) {
            Some(BackendSettings::Http(_)) => Ok(()),
            Some(BackendSettings::Echo { .. }) | None => {
                let problem =
                    format!("is passed on, which [backend.{name}] cannot take: name http");
                Err(self.problem(&entry.name, &problem))
            }
        }
    }

    fn flow_entry(&mut self, name: &str, stanza: &FlowService) -> Result<Entry, RegistryError> {
        let Some(capability) = &stanza.capability else {
            return Err(self.problem(name, "has no capability: say what a caller needs"));
        };
        let requirement = match self.requirement(name, capability)? {
            needed @ Requirement::Capability(_) => needed,
            Requirement::Public | Requirement::Authenticated => {
                return Err(
                    self.problem(name, "needs a capability; only [service.iam] may do without")
                );
            }
        };
        Ok(Entry {
            name: name.into(),
            requirement,
            metrics: Arc::default(),
            backend: self.backend(name, stanza.backend.as_deref())?,
            timeout: stanza.timeout.unwrap_or(DEFAULT_TIMEOUT).0,
        })
    }

    fn operations(
        &mut self,
        name: &str,
        stanza: &Service,
    ) -> Result<HashMap<String, Entry>, RegistryError> {
        let backend = self.backend(name, stanza.backend.as_deref())?;
        let timeout = stanza.timeout.unwrap_or(DEFAULT_TIMEOUT).0;
        let entry = |(operation, capability): (&String, &String)| {
            let requirement = self.requirement(name, capability)?;
            if name != IAM && !matches!(requirement, Requirement::Capability(_)) {
                let problem = format!("operation {operation} needs a capability");
                return Err(self.problem(name, &problem));
            }
            let entry = Entry {
                name: format!("{name}:{operation}").into(),
                metrics: Arc::default(),
                requirement,
                backend: backend.clone(),
                timeout,
            };
            Ok((operation.clone(), entry))
        };
        stanza.operations.iter().map(entry).collect()
    }

    fn requirement(&self, stanza: &str, text: &str) -> Result<Requirement, RegistryError> {
        match text {
            "public" => Ok(Requirement::Public),
            "authenticated" => Ok(Requirement::Authenticated),
            name => name
                .parse::<Capability>()
                .map(Requirement::Capability)
                .map_err(|error| self.problem(stanza, &error.to_string())),
        }
    }

    /// The backend that a stanza names; one that is a URL is made here.
    fn backend(
        &mut self,
        stanza: &str,
        name: Option<&str>,
    ) -> Result<Option<Arc<str>>, RegistryError> {
        let Some(name) = name else { return Ok(None) };
        if !self.backends.contains_key(name) {
            if !name.contains("://") {
                let problem = format!("names backend {name:?}, and there is no [backend.{name}]");
                return Err(self.problem(stanza, &problem));
            }
            let settings = backends::at(name).map_err(|problem| self.problem(stanza, &problem))?;
            self.backends.insert(name.into(), settings);
        }
        Ok(Some(name.into()))
    }

    fn problem(&self, stanza: &str, problem: &str) -> RegistryError {
        RegistryError::Stanza {
            from: self.from.clone(),
            stanza: stanza.to_owned(),
            problem: problem.to_owned(),
        }
    }
}
