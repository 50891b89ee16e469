//! Metrics: what a process counts, shown as OpenMetrics text beside the probes.
//!
//! A service lists its metrics once, with [`metrics!`](crate::metrics!): in come atomic increments
//! from anywhere, out come the text for a scraper and the page that documents it. Counting takes
//! no lock and looks nothing up: a place that counts holds the cell that it counts in.
//! Never: a label whose values are not known at the start. An id, or text of a client, is no label.

mod cell;
mod label;
mod process;
mod question;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

pub use cell::{Counter, Counters, Gauge, Histogram, Metric, Names, PerName};
pub use label::Label;
pub use process::Process;
pub use question::Asked;

/// How the text is called in HTTP.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One metric with its words.
pub struct Definition<'a> {
    /// Without the prefix of its source, with its unit: `call_duration_seconds`.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: Vec<&'static str>,
    kind: MetricType,
    write: Box<dyn Fn(&mut MetricEncoder<'_>) -> fmt::Result + 'a>,
}

impl<'a> Definition<'a> {
    /// The metric under this name.
    pub fn new<M: Metric>(name: &'static str, help: &'static str, metric: &'a M) -> Self {
        let write = |encoder: &mut MetricEncoder<'_>| metric.write(&[], encoder);
        let (kind, mut labels) = (M::KIND, Vec::new());
        metric.labels(&mut labels);
        Self { name, help: help.trim(), labels, kind, write: Box::new(write) }
    }

    /// `counter`, `gauge`, `histogram`.
    pub fn kind(&self) -> &str {
        self.kind.as_str()
    }

    /// As the scraper sees it: counters end with `_total`.
    pub fn full_name(&self, prefix: &str) -> String {
        let end = if matches!(self.kind, MetricType::Counter) { "_total" } else { "" };
        format!("{prefix}_{}{end}", self.name)
    }

    /// What the unit at the end of its name is called.
    pub fn unit(&self) -> Option<&'static str> {
        split_unit(self.name).1.map(|(name, _)| name)
    }
}

/// OpenMetrics wants the unit both apart and at the end of the name.
fn split_unit(name: &'static str) -> (&'static str, Option<(&'static str, Unit)>) {
    if let Some(stem) = name.strip_suffix("_seconds") {
        return (stem, Some(("seconds", Unit::Seconds)));
    }
    if let Some(stem) = name.strip_suffix("_bytes") {
        return (stem, Some(("bytes", Unit::Bytes)));
    }
    (name, None)
}

/// A service, or the process, that counts.
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// What the names of its metrics begin with.
    fn prefix(&self) -> &'static str;

    /// Its metrics, each with its value of now.
    fn list(&self) -> Vec<Definition<'_>>;
}

/// The metrics of a process: each service adds its own.
#[derive(Debug, Clone, Default)]
pub struct Exposition(Arc<Mutex<Registry>>);

impl Exposition {
    /// Shows the metrics of a service from here on.
    pub fn add(&self, source: Arc<dyn Source>) {
        let mut registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(Shown(source)));
    }

    /// All metrics as OpenMetrics text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct Shown(Arc<dyn Source>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let prefix = self.0.prefix();
        for definition in self.0.list() {
            let (stem, unit) = split_unit(definition.name);
            let (name, unit) = (format!("{prefix}_{stem}"), unit.map(|(_, unit)| unit));
            let mut encoder = encoder.encode_descriptor(
                &name,
                definition.help,
                unit.as_ref(),
                definition.kind,
            )?;
            (definition.write)(&mut encoder)?;
        }
        Ok(())
    }
}

/// A struct of metrics. A field's name is the metric's name, the words above it are its meaning;
/// its type says how it counts and which labels it has.
#[macro_export]
macro_rules! metrics {
    (
        $(#[$attribute:meta])*
        $vis:vis struct $name:ident, $prefix:literal {
            $($(#[doc = $help:literal])+ $field:ident: $kind:ty,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug)]
        $vis struct $name { $($(#[doc = $help])+ $vis $field: $kind,)* }

        impl $crate::metrics::Source for $name {
            fn prefix(&self) -> &'static str {
                $prefix
            }

            fn list(&self) -> Vec<$crate::metrics::Definition<'_>> {
                vec![$($crate::metrics::Definition::new(
                    stringify!($field),
                    concat!($($help),+),
                    &self.$field,
                ),)*]
            }
        }
    };
}

#[cfg(test)]
mod tests;
