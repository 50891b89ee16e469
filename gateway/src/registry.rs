//! ④ The registry: every service that a call may name, what it needs and what runs it.
//!
//! In: `default.toml` and, over it, the operator's file. Out: look-ups that cannot fail later: a
//! line without a capability or with an unknown backend fails the start.
//! [`resolve`] turns a request and an identity into a [`Call`](crate::call::Call).

mod file;
mod backends;
pub(crate) mod passage;
pub(crate) mod resolve;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tollgate_proto::capability::Capability;

use crate::metrics::{CallMetrics, Metrics};
pub(crate) use backends::{BackendSettings, HttpSettings};
pub(crate) use file::RegistryError;

/// The built-in registry.
pub(crate) const DEFAULT: &str = include_str!("../default.toml");

/// The service that IAM answers itself.
pub(crate) const IAM: &str = "iam";

/// One thing that can be called.
#[derive(Debug)]
pub(crate) struct Entry {
    /// For logs and metrics: `text-completion`, `config:get`.
    pub(crate) name: Arc<str>,
    /// What the caller needs.
    pub(crate) requirement: Requirement,
    /// What runs it, if anything does.
    pub(crate) backend: Option<Arc<str>>,
    /// How long one call may take.
    pub(crate) timeout: Duration,
    /// Where its calls are counted.
    pub(crate) metrics: Arc<CallMetrics>,
}

/// What the caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// Nothing.
    Public,
    /// To be somebody.
    Authenticated,
    /// This, in the workspace of the call.
    Capability(Capability),
}

/// Everything that can be called.
#[derive(Debug)]
pub(crate) struct Registry {
    flow_services: HashMap<String, Entry>,
    /// Names that end in `/*`, without the star.
    flow_prefixes: Vec<(String, Entry)>,
    services: HashMap<String, HashMap<String, Entry>>,
    imports: HashMap<String, Entry>,
    exports: HashMap<String, Entry>,
    streams: HashMap<Stream, Entry>,
    metrics: Option<Entry>,
    backends: HashMap<Arc<str>, BackendSettings>,
}

/// A path that streams bytes from or to its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// A document's content.
    Document,
    /// A knowledge core, out of the workspace.
    ExportCore,
    /// A knowledge core, into the workspace.
    ImportCore,
}

impl Stream {
    pub(crate) const ALL: [Self; 3] = [Self::Document, Self::ExportCore, Self::ImportCore];

    /// Its name in the registry, and in its path.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "document-stream",
            Self::ExportCore => "export-core",
            Self::ImportCore => "import-core",
        }
    }
}

/// Which way the data of a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Into the flow.
    Import,
    /// Out of it.
    Export,
}

impl Registry {
    /// The built-in registry with the operator's file, if there is one, laid over it.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, RegistryError> {
        file::load(DEFAULT, file)
    }

    /// A service of a flow.
    pub(crate) fn flow_service(&self, name: &str) -> Option<&Entry> {
        self.flow_services.get(name).or_else(|| {
            let matches = |prefix: &str| name.len() > prefix.len() && name.starts_with(prefix);
            self.flow_prefixes.iter().find(|(prefix, _)| matches(prefix)).map(|(_, entry)| entry)
        })
    }

    /// An operation of a service of the workspace, or of IAM.
    pub(crate) fn operation(&self, service: &str, operation: &str) -> Option<&Entry> {
        self.services.get(service)?.get(operation)
    }

    /// Counts calls there from here on, each under the name of its operation.
    pub(crate) fn count_in(&mut self, metrics: &Metrics) {
        let prefixes = self.flow_prefixes.iter_mut().map(|(_, entry)| entry);
        let operations = self.services.values_mut().flat_map(HashMap::values_mut);
        let sockets = self.imports.values_mut().chain(self.exports.values_mut());
        let passages = sockets.chain(self.streams.values_mut()).chain(self.metrics.as_mut());
        let answered = self.flow_services.values_mut().chain(prefixes).chain(operations);
        for entry in answered.chain(passages) {
            entry.metrics = metrics.calls.of(&entry.name);
        }
    }

    /// What carries data of this kind into or out of a flow.
    pub(crate) fn flow_socket(&self, direction: Direction, kind: &str) -> Option<&Entry> {
        match direction {
            Direction::Import => self.imports.get(kind),
            Direction::Export => self.exports.get(kind),
        }
    }

    /// What streams bytes. Every stream is in the built-in registry.
    pub(crate) fn stream(&self, stream: Stream) -> Option<&Entry> {
        self.streams.get(&stream)
    }

    /// What knows the metrics of the deployment.
    pub(crate) fn metrics(&self) -> Option<&Entry> {
        self.metrics.as_ref()
    }

    /// The backends that entries name.
    pub(crate) fn backends(&self) -> &HashMap<Arc<str>, BackendSettings> {
        &self.backends
    }
}

#[cfg(test)]
mod tests;
