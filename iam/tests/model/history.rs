//! One history: eight actors who ask the real IAM at once, and what each was told.
//!
//! A seed gives the same history again: `turns` decides who goes on when. IAM's own ids are drawn
//! anew each time; nothing here hangs on them.

use std::sync::Mutex;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tollgate_iam::operation::{Context, Request, operate};
use tollgate_iam::policy::Denied;
use tollgate_iam::refused::Refused;
use tollgate_proto::iam::{Client, Manner};
use tollgate_proto::ids::{OperationId, Seq};
use tollgate_runtime::clock::{Clock, ManualClock};
use tollgate_runtime::lifecycle::Lifecycle;
use uuid::Uuid;

use crate::ask::Asked;
use crate::draw::{self, ACTORS, Source};
use crate::rules::No;
use crate::world::World;
use crate::{real, turns};
use tollgate_iam::state::Read;

/// How many operations each of the actors asks for.
const OPERATIONS: usize = 12;

/// What happened.
pub(crate) struct History {
    pub(crate) context: Context,
    /// The world at the beginning.
    pub(crate) seeded: World,
    pub(crate) told: Vec<Told>,
}

/// An operation and its answer.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) id: OperationId,
    pub(crate) asked: Asked,
    pub(crate) answer: Result<(), No>,
    /// The newest entry when it was asked, and when it was answered.
    pub(crate) since: Seq,
    pub(crate) until: Seq,
}

/// Runs the history of a seed.
pub(crate) async fn run(seed: u64) -> History {
    let (clock, life) = (ManualClock::at_ms(draw::START), Lifecycle::new());
    let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(64));
    let seeded = draw::world(&mut rng);
    let (context, hashing) = real::start(&seeded, &clock, &life).await;
    let sight = Mutex::new((Seq(0), World::default()));
    let actors = (0..ACTORS).map(|actor| {
        let source = Source::new(seed, actor);
        Box::pin(act(&context, &clock, &sight, source))
    });
    let told =
        turns::take(&mut rng, actors.collect(), &hashing).await.into_iter().flatten().collect();
    History { context, seeded, told }
}

/// What was read last, and at which entry: actors that ask at the same time look at the same.
pub(crate) type Sight = Mutex<(Seq, World)>;

pub(crate) async fn act(
    context: &Context,
    clock: &ManualClock,
    sight: &Sight,
    mut source: Source,
) -> Vec<Told> {
    let mut told = Vec::new();
    for _ in 0..OPERATIONS {
        clock.advance(Duration::from_mins(source.pause()));
        let now_ms = clock.now_ms();
        let (asked, since) = {
            let view = context.state.view().unwrap();
            let mut sight = sight.lock().unwrap();
            if sight.0 != view.position().seq {
                *sight = (view.position().seq, real::world(&view));
            }
            (source.next(&sight.1, now_ms), sight.0)
        };
        let (id, actor) = (OperationId(Uuid::now_v7()), Some(asked.actor.clone()));
        let (client, manner) = (Client::default(), Manner::Usual);
        let request = Request { id, client, actor, now_ms, manner };
        let answer = operate(context, &request, asked.to_operation()).await;
        let answer = answer.map(drop).map_err(|refused| no(&refused));
        let until = context.state.view().unwrap().position().seq;
        told.push(Told { id, asked, answer, since, until });
    }
    told
}

fn no(refused: &Refused) -> No {
    match refused {
        Refused::Unauthenticated(_) | Refused::Denied(Denied::NotLive) => No::NotLive,
        // As callers are told.
        Refused::Denied(Denied::EnoughKeys) | Refused::NotPermitted(_) => No::NotPermitted,
        Refused::Denied(_) => No::Denied,
        Refused::NotFound(_) => No::NotFound,
        Refused::Duplicate(_) => No::Duplicate,
        Refused::Invalid(_) => No::Invalid,
        Refused::WeakPassword(_) => No::WeakPassword,
        other => panic!("no rule refuses like that: {other:?}"),
    }
}
