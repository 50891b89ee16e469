//! The cells that are counted in: atomics, each added to with one instruction.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

use super::label::Label;

/// Names of labels with their values.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// Something that is shown.
pub trait Metric: fmt::Debug + Send + Sync {
    /// What it is to a scraper.
    const KIND: MetricType;

    /// Adds the names of its labels.
    fn labels(&self, _names: &mut Vec<&'static str>) {}

    /// Writes its values, under labels that it has from outside.
    fn write(&self, outer: Labels<'_>, encoder: &mut MetricEncoder<'_>) -> fmt::Result;
}

/// Writes one value, with its labels if it has some.
fn write_with(
    labels: Labels<'_>,
    encoder: &mut MetricEncoder<'_>,
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() { write(encoder) } else { write(&mut encoder.encode_family(&labels)?) }
}

/// It only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Metric for Counter {
    const KIND: MetricType = MetricType::Counter;

    fn write(&self, outer: Labels<'_>, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        write_with(outer, encoder, |encoder| {
            encoder.encode_counter::<NoLabelSet, _, u64>(&self.get(), None)
        })
    }
}

/// It goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// So many more, or fewer.
    pub fn add(&self, difference: i64) {
        self.0.fetch_add(difference, Relaxed);
    }

    /// As it is now.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// As it is now.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Metric for Gauge {
    const KIND: MetricType = MetricType::Gauge;

    fn write(&self, outer: Labels<'_>, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        write_with(outer, encoder, |encoder| encoder.encode_gauge(&self.get()))
    }
}

/// The upper bounds of the buckets in microseconds: from a call that stays in the process to an
/// answer that takes minutes.
const BOUNDS: [u64; 17] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    5_000_000,
    20_000_000,
    60_000_000,
    300_000_000,
];

/// How long things took.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Histogram {
    /// One took so long.
    pub fn observe(&self, duration: Duration) {
        let micros = duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros());
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.microseconds.fetch_add(micros, Relaxed);
    }

    fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.load(Relaxed) == 0)
    }
}

impl Metric for Histogram {
    const KIND: MetricType = MetricType::Histogram;

    /// Under labels from outside only if something was observed: names of operations would be
    /// hundreds of empty buckets.
    fn write(&self, outer: Labels<'_>, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        if !outer.is_empty() && self.is_empty() {
            return Ok(());
        }
        let seconds = |micros| Duration::from_micros(micros).as_secs_f64();
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.microseconds.load(Relaxed));
        let exemplars = None::<&HashMap<usize, Exemplar<NoLabelSet, f64>>>;
        write_with(outer, encoder, |encoder| {
            encoder.encode_histogram(sum, count, &buckets, exemplars)
        })
    }
}

/// A counter for each value of a label.
#[derive(Debug)]
pub struct Counters<L> {
    cells: Box<[Counter]>,
    label: PhantomData<L>,
}

impl<L: Label> Default for Counters<L> {
    fn default() -> Self {
        let cells = std::iter::repeat_with(Counter::default).take(L::COUNT).collect();
        Self { cells, label: PhantomData }
    }
}

impl<L: Label> Counters<L> {
    /// One more of this.
    pub fn inc(&self, label: L) {
        if let Some(cell) = self.cells.get(label.index()) {
            cell.inc();
        }
    }

    /// How many there were of this.
    pub fn get(&self, label: L) -> u64 {
        self.cells.get(label.index()).map_or(0, Counter::get)
    }
}

impl<L: Label> Metric for Counters<L> {
    const KIND: MetricType = MetricType::Counter;

    fn labels(&self, names: &mut Vec<&'static str>) {
        names.extend(L::names());
    }

    /// Zeros are shown too, so that the first event is an increase; under labels from outside only
    /// the first value's: they would be thousands.
    fn write(&self, outer: Labels<'_>, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let names = L::names();
        for (index, cell) in self.cells.iter().enumerate() {
            if !outer.is_empty() && index > 0 && cell.get() == 0 {
                continue;
            }
            let values = L::values(index);
            let own = names.iter().copied().zip(values.iter().map(Cow::as_ref));
            let labels: Vec<_> = outer.iter().copied().chain(own).collect();
            cell.write(&labels, encoder)?;
        }
        Ok(())
    }
}

/// Things that count, by names that a configuration holds. They are kept when a configuration
/// comes without them: what was counted stays true.
#[derive(Debug)]
pub struct Names<T>(Arc<Mutex<BTreeMap<Arc<str>, Arc<T>>>>);

impl<T> Clone for Names<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Default> Names<T> {
    /// The thing of this name. Whoever counts in it keeps it.
    pub fn of(&self, name: &Arc<str>) -> Arc<T> {
        let mut things = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(things.entry(Arc::clone(name)).or_default())
    }
}

/// A metric of each of some things.
#[derive(Debug)]
pub struct PerName<T, M> {
    label: &'static str,
    names: Names<T>,
    metric: fn(&T) -> &M,
}

impl<T: Default, M> PerName<T, M> {
    /// `metric` finds it in a thing; `label` is what the names are names of.
    pub fn new(label: &'static str, names: &Names<T>, metric: fn(&T) -> &M) -> Self {
        Self { label, names: names.clone(), metric }
    }

    /// The thing of this name.
    pub fn of(&self, name: &Arc<str>) -> Arc<T> {
        self.names.of(name)
    }
}

impl<T: fmt::Debug + Default + Send + Sync, M: Metric> Metric for PerName<T, M> {
    const KIND: MetricType = M::KIND;

    fn labels(&self, names: &mut Vec<&'static str>) {
        names.push(self.label);
        (self.metric)(&T::default()).labels(names);
    }

    fn write(&self, outer: Labels<'_>, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let things = self.names.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, thing) in &*things {
            let labels: Vec<_> = outer.iter().copied().chain([(self.label, &**name)]).collect();
            (self.metric)(thing).write(&labels, encoder)?;
        }
        Ok(())
    }
}
