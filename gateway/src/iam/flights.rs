//! Questions under way: whoever has the same one waits for the answer that comes.
//!
//! In: a question by its key. Out: its answer, and whether it was asked for the one who waited. As
//! long as anybody waits for it a question goes on, whoever began it has gone or not.
//! Never: an entry without somebody who waits, so there are no more than those; or an answer to
//! those who come when it is there already.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

type Flight<T> = Shared<BoxFuture<'static, T>>;

pub(super) struct Flights<K, T: Clone>(Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>);

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// An answer, and for whom it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flown<T> {
    /// For the one who has it here: it was asked after that one came.
    Own(T),
    /// For somebody who had come before.
    Joined(T),
}

impl<K: Clone + Eq + Hash, T: Clone> Flights<K, T> {
    /// Waits for the answer to a question, which is asked if nobody has.
    pub(super) async fn join(
        &self,
        key: &K,
        ask: impl FnOnce() -> BoxFuture<'static, T>,
    ) -> Flown<T> {
        // Dropped behind the flight, however this ends.
        let _left = Left { flights: self, key };
        let (flight, is_own) = self.board(key, ask);
        let answer = flight.await;
        if is_own { Flown::Own(answer) } else { Flown::Joined(answer) }
    }

    fn board(&self, key: &K, ask: impl FnOnce() -> BoxFuture<'static, T>) -> (Flight<T>, bool) {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(key).and_then(under_way) {
            return (flight, false);
        }
        let flight = ask().shared();
        flights.extend(flight.downgrade().map(|weak| (key.clone(), weak)));
        (flight, true)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<K, WeakShared<BoxFuture<'static, T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn under_way<T: Clone>(flight: &WeakShared<BoxFuture<'static, T>>) -> Option<Flight<T>> {
    flight.upgrade().filter(|flight| flight.peek().is_none())
}

/// Somebody waits no longer.
struct Left<'a, K: Clone + Eq + Hash, T: Clone> {
    flights: &'a Flights<K, T>,
    key: &'a K,
}

impl<K: Clone + Eq + Hash, T: Clone> Drop for Left<'_, K, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        if flights.get(self.key).is_some_and(|flight| under_way(flight).is_none()) {
            flights.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::oneshot;

    use super::*;

    type Answer = Result<u8, oneshot::error::RecvError>;

    fn question() -> (oneshot::Sender<u8>, BoxFuture<'static, Answer>) {
        let (answer, asked) = oneshot::channel();
        (answer, asked.boxed())
    }

    fn not_asked() -> BoxFuture<'static, Answer> {
        panic!("it is asked already")
    }

    #[tokio::test]
    async fn a_question_is_asked_once_and_outlives_whoever_began_it() {
        let flights = Flights::<&str, Answer>::default();
        let (answer, asked) = question();
        let mut leader = Box::pin(flights.join(&"a", || asked));
        assert_eq!((&mut leader).now_or_never(), None);
        let mut one = Box::pin(flights.join(&"a", not_asked));
        let mut two = Box::pin(flights.join(&"a", not_asked));
        assert_eq!(((&mut one).now_or_never(), (&mut two).now_or_never()), (None, None));
        // One is woken by the question, the others by the one: none of them may be lost.
        drop(leader);
        drop(one);
        answer.send(7).unwrap();
        assert_eq!(two.await, Flown::Joined(Ok(7)));
        assert!(flights.flights().is_empty());
    }

    #[tokio::test]
    async fn an_answer_that_is_there_is_nobody_elses() {
        let flights = Flights::<&str, Answer>::default();
        let (answer, asked) = question();
        let mut leader = Box::pin(flights.join(&"a", || asked));
        let mut follower = Box::pin(flights.join(&"a", not_asked));
        assert_eq!(((&mut leader).now_or_never(), (&mut follower).now_or_never()), (None, None));
        answer.send(1).unwrap();
        assert_eq!(leader.await, Flown::Own(Ok(1)));
        let (answer, asked) = question();
        answer.send(2).unwrap();
        assert_eq!(flights.join(&"a", || asked).await, Flown::Own(Ok(2)));
        assert_eq!(follower.await, Flown::Joined(Ok(1)));
        assert!(flights.flights().is_empty());
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_is_forgotten() {
        let flights = Arc::new(Flights::<&str, Answer>::default());
        let (answer, asked) = question();
        let mut leader = Box::pin(flights.join(&"a", || asked));
        assert_eq!((&mut leader).now_or_never(), None);
        drop(leader);
        assert!(flights.flights().is_empty() && answer.is_closed());
    }
}
