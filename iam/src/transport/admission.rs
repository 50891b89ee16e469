//! Admission: how many calls of a kind are worked on at once, so that no kind starves another.
//!
//! Checks (`authenticate`, `authorise`, `revalidate`) never wait for anybody: gateways hold traffic up for them.
//! Management runs as many at once as one journal entry takes, and a bounded number waits, each
//! under its own deadline. Logins, and whatever else hashes, wait in the pool of `passwords`, on
//! threads that stand behind all others. Whoever finds no place is refused at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tollgate_proto::iam::Question;

use crate::commit;
use crate::refused::Refused;

/// Checks at once; far more than cores can work on.
const CHECKS: usize = 4_096;
/// Operations at once: as many as may share an entry.
const OPERATIONS: usize = commit::MAX_CHANGES;
/// Operations that wait.
const WAITING: usize = 1_024;
/// When those who found no place may try again.
const RETRY: Duration = Duration::from_secs(1);

/// The places.
#[derive(Debug)]
pub(super) struct Admission {
    checks: Arc<Semaphore>,
    operations: Arc<Semaphore>,
    /// Of those that run and those that wait.
    waiting: Arc<Semaphore>,
}

/// A place; for operations, one in the queue before the work.
#[derive(Debug)]
pub(super) struct Place {
    _own: OwnedSemaphorePermit,
    turn: Option<Arc<Semaphore>>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            checks: Arc::new(Semaphore::new(CHECKS)),
            operations: Arc::new(Semaphore::new(OPERATIONS)),
            waiting: Arc::new(Semaphore::new(OPERATIONS + WAITING)),
        }
    }
}

impl Admission {
    /// Takes a place for a question.
    pub(super) fn admit(&self, question: &Question) -> Result<Place, Refused> {
        let (places, turn) = match question {
            Question::Authenticate { .. }
            | Question::Authorise { .. }
            | Question::AuthoriseMany { .. }
            | Question::Revalidate { .. } => (&self.checks, None),
            Question::Operate { .. } => (&self.waiting, Some(Arc::clone(&self.operations))),
        };
        let own = Arc::clone(places).try_acquire_owned();
        let own = own.map_err(|_| Refused::TooMany { retry_after: RETRY })?;
        Ok(Place { _own: own, turn })
    }
}

impl Place {
    /// Waits for its turn. What is given back holds it.
    pub(super) async fn turn(self) -> Result<impl Sized, Refused> {
        let Some(turn) = self.turn.clone() else { return Ok((self, None)) };
        match turn.acquire_owned().await {
            Ok(turn) => Ok((self, Some(turn))),
            Err(closed) => Err(Refused::internal(closed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tollgate_proto::iam::{Manner, Operation};

    use super::*;

    #[test]
    fn operations_wait_and_are_refused_and_checks_are_not_concerned() {
        let admission = Admission::default();
        let check = Question::Authenticate { credential: "x".into() };
        let operation = Question::Operate {
            actor: None,
            operation: Operation::Whoami {},
            manner: Manner::Usual,
        };
        let place = |question| admission.admit(question);
        let turn = |place: Place| place.turn().now_or_never();

        let mut running: Vec<_> = (0..OPERATIONS)
            .map(|_| turn(place(&operation).unwrap()).expect("a turn at once").unwrap())
            .collect();
        let waiting: Vec<_> = (0..WAITING).map(|_| place(&operation).unwrap()).collect();
        assert!(matches!(place(&operation), Err(Refused::TooMany { .. })));
        assert!(turn(place(&check).unwrap()).is_some(), "a check has a turn at once");

        let mut waiting = waiting.into_iter();
        assert!(turn(waiting.next().unwrap()).is_none(), "nobody has ended");
        running.pop();
        assert!(turn(waiting.next().unwrap()).is_some());
    }
}
