//! What of IAM is shown at `/metrics`: its counts, and how things stand when somebody looks.
//!
//! Never: a reason for anybody to go on. The writer and the audit file end when nobody needs them.

use std::sync::{Arc, Weak};

use tollgate_runtime::metrics::{Definition, Source};

use crate::metrics::{Metrics, seq};
use crate::operation::Context;
use crate::state::Read;

/// The metrics of an IAM that is at work. What others know is asked of them when somebody looks, as
/// long as they are there: this keeps nobody from ending.
#[derive(Debug)]
pub(crate) struct Shown {
    metrics: Arc<Metrics>,
    context: Weak<Context>,
}

impl Shown {
    pub(crate) fn of(context: &Arc<Context>) -> Self {
        Self { metrics: Arc::clone(&context.metrics), context: Arc::downgrade(context) }
    }

    fn look(&self, context: &Context) {
        let (running, waiting) = context.passwords.load();
        self.metrics.hashes_running.set(level(running));
        self.metrics.hashes_waiting.set(level(waiting));
        self.metrics.gateways.set(level(context.feed.gateways()));
        self.metrics.nodes.set(level(context.nodes.others() + 1));
        if let Ok(view) = context.state.view() {
            self.metrics.journal_seq.set(seq(view.position().seq.0));
        }
    }
}

impl Source for Shown {
    fn prefix(&self) -> &'static str {
        self.metrics.prefix()
    }

    fn list(&self) -> Vec<Definition<'_>> {
        if let Some(context) = self.context.upgrade() {
            self.look(&context);
        }
        self.metrics.list()
    }
}

fn level(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
