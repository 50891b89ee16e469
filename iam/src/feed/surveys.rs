//! Surveys: questions to every gateway about the sockets that it holds, which nothing else knows.
//!
//! In: what is asked, and the polls of gateways. Out: what they found, and how many did not say.
//! Each gateway has a question with the news until it has answered; one that is cut off from IAM
//! is waited for a moment and no longer. Never: more questions at once than polls have room for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tollgate_proto::iam::{About, Ask, Found, News};
use tollgate_proto::ids::{AskId, GatewayId};

/// How long gateways may take.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Surveys at once; others are refused.
const MOST: usize = 64;

/// What came of a survey.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Survey {
    /// What each gateway found that answered.
    pub found: BTreeMap<GatewayId, Found>,
    /// Those that did not.
    pub silent: BTreeSet<GatewayId>,
    /// How many nodes did not say what their gateways found. One that is asked by another speaks
    /// for itself.
    #[serde(skip)]
    pub silent_nodes: usize,
}

impl Survey {
    /// With what another node was told. A gateway that has just gone from one node to the other
    /// counts once, and as heard if it was.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (gateway, found) in other.found {
            self.found.entry(gateway).or_insert(found);
        }
        self.silent.extend(other.silent);
        self.silent.retain(|gateway| !self.found.contains_key(gateway));
        self.silent_nodes += other.silent_nodes;
        self
    }
}

#[derive(Debug, Default)]
pub(super) struct Surveys {
    open: Mutex<Vec<Open>>,
    /// Tells that there is another one, or another answer.
    moved: watch::Sender<()>,
}

#[derive(Debug)]
struct Open {
    ask: Ask,
    /// Gateways that have not answered, and whether each was asked.
    awaited: Vec<(GatewayId, bool)>,
    found: BTreeMap<GatewayId, Found>,
}

/// A survey that ends with this value, however that ends.
struct Asking<'a> {
    surveys: &'a Surveys,
    id: AskId,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.surveys.open().retain(|open| open.ask.id != self.id);
    }
}

impl Surveys {
    /// Asks these gateways. None: too much is being asked.
    pub(super) async fn ask(
        &self,
        id: AskId,
        about: About,
        gateways: Vec<GatewayId>,
    ) -> Option<Survey> {
        let late = Instant::now() + PATIENCE;
        let mut moved = self.moved.subscribe();
        let asking = self.begin(Ask { id, about }, gateways)?;
        while !asking.is_answered() && timeout_at(late, moved.changed()).await.is_ok() {}
        Some(asking.end())
    }

    fn begin(&self, ask: Ask, gateways: Vec<GatewayId>) -> Option<Asking<'_>> {
        let mut open = self.open();
        if open.len() >= MOST {
            return None;
        }
        let asking = Asking { surveys: self, id: ask.id };
        let awaited = gateways.into_iter().map(|gateway| (gateway, false)).collect();
        open.push(Open { ask, awaited, found: BTreeMap::new() });
        drop(open);
        self.moved.send_replace(());
        Some(asking)
    }

    /// What a gateway found. An answer that nobody waits for is dropped, a second one too.
    pub(super) fn answered(&self, gateway: GatewayId, found: Vec<Found>) {
        if found.is_empty() {
            return;
        }
        let mut open = self.open();
        for found in found {
            let Some(open) = open.iter_mut().find(|open| open.ask.id == found.ask) else {
                continue;
            };
            let before = open.awaited.len();
            open.awaited.retain(|(awaited, _)| *awaited != gateway);
            if open.awaited.len() < before {
                open.found.insert(gateway, found);
            }
        }
        drop(open);
        self.moved.send_replace(());
    }

    /// Waits until there is something to ask a gateway that it was not asked.
    pub(super) async fn news_for(&self, gateway: GatewayId) {
        let mut moved = self.moved.subscribe();
        let is_new = |open: &Open| open.awaited.contains(&(gateway, false));
        while !self.open().iter().any(is_new) {
            // The sender is our own: it is never gone.
            let _ = moved.changed().await;
        }
    }

    /// What a gateway is to be asked with the news: what it was asked before too, as its answer,
    /// or the question, may have been lost.
    pub(super) fn asks_for(&self, gateway: GatewayId) -> Vec<Ask> {
        let mut asks = Vec::new();
        for open in &mut *self.open() {
            let mine = open.awaited.iter_mut().find(|(awaited, _)| *awaited == gateway);
            if let Some((_, is_asked)) = mine
                && asks.len() < News::MOST_ASKS
            {
                *is_asked = true;
                asks.push(open.ask.clone());
            }
        }
        asks
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking<'_> {
    fn is_answered(&self) -> bool {
        let open = self.surveys.open();
        open.iter().all(|open| open.ask.id != self.id || open.awaited.is_empty())
    }

    fn end(self) -> Survey {
        let mut open = self.surveys.open();
        let at = open.iter().position(|open| open.ask.id == self.id);
        let ended = at.map(|at| open.swap_remove(at));
        ended.map_or_else(Survey::default, |ended| Survey {
            silent: ended.awaited.into_iter().map(|(gateway, _)| gateway).collect(),
            found: ended.found,
            silent_nodes: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tollgate_proto::ids::UserId;
    use uuid::Uuid;

    use super::*;

    fn gateway(number: u128) -> GatewayId {
        GatewayId(Uuid::from_u128(number))
    }

    fn ask_id(number: u128) -> AskId {
        AskId(Uuid::from_u128(number))
    }

    fn about() -> About {
        About::User(UserId(Uuid::nil()))
    }

    fn found(ask: AskId, count: u64) -> Vec<Found> {
        vec![Found { ask, count, sockets: Vec::new() }]
    }

    #[tokio::test(start_paused = true)]
    async fn a_survey_ends_with_the_last_answer() {
        let (surveys, id) = (Surveys::default(), ask_id(1));
        let nobody = surveys.ask(id, about(), vec![]).await.unwrap();
        assert_eq!((nobody.found.len(), nobody.silent.len()), (0, 0));

        let polls = async {
            for number in [1, 2] {
                surveys.news_for(gateway(number)).await;
                let asked = surveys.asks_for(gateway(number));
                assert_eq!(asked, [Ask { id, about: about() }]);
                // It has nothing new for those who know it, and tells it again.
                assert!(surveys.news_for(gateway(number)).now_or_never().is_none());
                assert_eq!(surveys.asks_for(gateway(number)), asked);
                surveys.answered(gateway(number), found(id, 1));
                surveys.answered(gateway(number), found(id, 9));
                assert_eq!(surveys.asks_for(gateway(number)), []);
            }
            assert_eq!(surveys.asks_for(gateway(3)), [], "nobody waits for it");
            surveys.answered(gateway(3), found(id, 9));
        };
        let begun = Instant::now();
        let asked = surveys.ask(id, about(), vec![gateway(1), gateway(2)]);
        let (survey, ()) = tokio::join!(asked, polls);
        let counts: Vec<_> =
            survey.unwrap().found.iter().map(|(gateway, found)| (*gateway, found.count)).collect();
        assert_eq!(counts, [(gateway(1), 1), (gateway(2), 1)]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(surveys.open().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_a_gateway_that_does_not_answer() {
        let (surveys, begun) = (Surveys::default(), Instant::now());
        let survey = surveys.ask(ask_id(1), about(), vec![gateway(1)]).await.unwrap();
        assert_eq!((survey.silent, begun.elapsed()), ([gateway(1)].into(), PATIENCE));
        // One that is given up is over too.
        assert!(surveys.ask(ask_id(2), about(), vec![gateway(1)]).now_or_never().is_none());
        assert!(surveys.open().is_empty());
    }

    #[test]
    fn a_gateway_that_goes_from_one_node_to_another_counts_once() {
        let survey = |found: &[u128], silent: &[u128]| Survey {
            found: found
                .iter()
                .map(|number| {
                    (gateway(*number), Found { ask: ask_id(1), count: 1, sockets: vec![] })
                })
                .collect(),
            silent: silent.iter().map(|number| gateway(*number)).collect(),
            silent_nodes: 1,
        };
        for (one, other) in [
            (survey(&[1, 2], &[4]), survey(&[2, 3], &[1, 5])),
            (survey(&[2, 3], &[1, 5]), survey(&[1, 2], &[4])),
        ] {
            let all = one.and(other);
            assert!(all.found.into_keys().eq([1, 2, 3].map(gateway)));
            assert_eq!((all.silent, all.silent_nodes), ([4, 5].map(gateway).into(), 2));
        }
    }

    #[tokio::test]
    async fn there_is_room_for_as_many_as_polls_can_carry() {
        let surveys = Surveys::default();
        let begin =
            |number| surveys.begin(Ask { id: ask_id(number), about: about() }, vec![gateway(1)]);
        let asking: Vec<_> = (0..64).map(|number| begin(number).unwrap()).collect();
        assert!(surveys.ask(ask_id(99), about(), vec![gateway(1)]).await.is_none());
        assert_eq!(surveys.asks_for(gateway(1)).len(), News::MOST_ASKS);
        assert!(surveys.news_for(gateway(1)).now_or_never().is_some(), "the rest is still new");
        drop(asking);
        assert!(surveys.open().is_empty());
    }
}
