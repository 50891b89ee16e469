//! What IAM counts: every metric, and every label with its closed set of values.
//!
//! In: increments of atomics from along the road. Out: `/metrics`, by way of `exposition`, and
//! docs/METRICS.md, which is made of the words here.
//! Never: a label that a client can choose, or the name of a user or a workspace.

use tollgate_proto::iam::{Operation, Question};
use tollgate_runtime::metrics::{Asked, Counter, Counters, Gauge, Histogram};
use tollgate_runtime::tls::TlsFailure;

use crate::refused::Refused;

tollgate_runtime::metrics! {
    /// The metrics of one IAM.
    #[derive(Default)]
    pub struct Metrics, "tollgate_iam" {
        /// Questions of gateways, and what they were answered. `refused` is policy or a rule; `busy`
        /// a throttle or a full queue; `unavailable` and `internal` are faults of this node.
        questions: Counters<(Asked, Answered)>,
        /// Logins, with the same outcomes: `refused` is a wrong password or an unknown user, `busy`
        /// one that came too early behind others that failed, or found the hash pool full.
        logins: Counters<Answered>,
        /// Passwords that are being hashed.
        hashes_running: Gauge,
        /// Passwords that wait for a thread; beyond 32 they are refused.
        hashes_waiting: Gauge,
        /// Entries that this node has written to the journal.
        commits: Counter,
        /// Changes in them.
        changes: Counter,
        /// The newest entry of the journal.
        journal_seq: Gauge,
        /// The newest entry in the snapshot; 0 without one. It is taken every 10 000 entries.
        snapshot_seq: Gauge,
        /// Lines that the audit file lost. It has a line that says so.
        audit_lines_dropped: Counter,
        /// Entries whose lines are not in the audit file yet.
        audit_entries_behind: Gauge,
        /// TLS handshakes on `iam.listen` that failed.
        tls_failures: Counters<TlsFailure>,
        /// Polls of gateways for news.
        feed_polls: Counter,
        /// Gateways that were heard within `link.lease`.
        gateways: Gauge,
        /// Nodes of IAM that were heard of within `link.lease`, this one among them.
        nodes: Gauge,
        /// Changes that were answered before every gateway had heard of them: one hangs or is cut off.
        receipts_late: Counter,
    }
}

tollgate_runtime::metrics! {
    /// What one IAM measures of live authority, under a name that says nothing of who measures it.
    #[derive(Default)]
    pub struct Authority, "tollgate" {
        /// How long it took from the moment when a change of authority was durable until every
        /// gateway that was heard within `link.lease` had marked it; the lease, where one was silent.
        revocation_seconds: Histogram,
    }
}

tollgate_runtime::label! {
    /// What came of it.
    pub enum Answered, "outcome" {
        /// What was asked for.
        Ok = "ok",
        /// No.
        Refused = "refused",
        /// Later.
        Busy = "busy",
        /// This node cannot, for now.
        Unavailable = "unavailable",
        /// A fault.
        Internal = "internal",
    }
}

/// A question that has come, to be counted when it is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counting {
    asked: Asked,
    is_login: bool,
}

impl Counting {
    pub(crate) fn of(question: &Question) -> Self {
        let is_login =
            matches!(question, Question::Operate { operation: Operation::Login { .. }, .. });
        Self { asked: question.into(), is_login }
    }

    /// It was answered, or refused.
    pub(crate) fn end(self, metrics: &Metrics, refused: Option<&Refused>) {
        let answered = refused.map_or(Answered::Ok, Answered::from);
        metrics.questions.inc((self.asked, answered));
        if self.is_login {
            metrics.logins.inc(answered);
        }
    }
}

impl From<&Refused> for Answered {
    fn from(refused: &Refused) -> Self {
        match refused {
            Refused::Invalid(_)
            | Refused::NotFound(_)
            | Refused::Duplicate(_)
            | Refused::Unauthenticated(_)
            | Refused::Denied(_)
            | Refused::NotPermitted(_)
            | Refused::WeakPassword(_)
            | Refused::NotSupported(_) => Self::Refused,
            Refused::TooMany { .. } => Self::Busy,
            Refused::Unavailable(_) => Self::Unavailable,
            Refused::Internal(_) => Self::Internal,
        }
    }
}

/// An entry as the value of a gauge.
pub(crate) fn seq(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
