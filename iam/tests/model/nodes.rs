//! The same histories over two nodes of IAM on one journal, which a real cluster keeps: eight actors
//! who really ask at once.

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;
use tollgate_iam::config::{DEFAULTS, IamSettings};
use tollgate_iam::journal::cql::{Access, Cql, Wish};
use tollgate_iam::journal::{Journal, replay};
use tollgate_iam::state::{Read, State};
use tollgate_proto::ids::Seq;
use tollgate_runtime::clock::ManualClock;
use tollgate_runtime::config::{Flags, load};
use tollgate_runtime::lifecycle::Lifecycle;

use crate::check::{Tally, check};
use crate::draw::{self, ACTORS, Source};
use crate::history::{History, act};
use crate::keyspace::{Keyspace, schema_turn};
use crate::many::setting;
use crate::real;
use crate::world::World;

/// As many as `TOLLGATE_NODE_HISTORIES` says, or what a `cargo test` is willing to wait for.
const HISTORIES: u64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_history_over_two_nodes_breaks_a_rule() {
    let mut tally = Tally::new();
    for seed in 0..setting("TOLLGATE_NODE_HISTORIES").unwrap_or(HISTORIES) {
        Keyspace::lend(async |keyspace| {
            let history = run(seed, keyspace).await;
            for (key, count) in check(&history).await {
                *tally.entry(key).or_default() += count;
            }
        })
        .await;
    }
    assert!(tally.keys().any(|(_, answer)| answer.is_err()), "{tally:?}");
    assert!(tally.values().sum::<usize>() > 400, "{tally:?}");
}

async fn journal(keyspace: &Keyspace) -> Arc<dyn Journal> {
    #[derive(serde::Deserialize)]
    struct Whole {
        iam: IamSettings,
    }
    let flags = Flags { file: None, settings: keyspace.settings().to_vec() };
    let settings = load::<Whole>(&[DEFAULTS], &flags, []).unwrap().iam.cql;
    let access = Access::read(&settings).unwrap();
    let _turn = schema_turn().await;
    let spool = std::env::temp_dir();
    Arc::new(Box::pin(Cql::open(&settings, &access, &spool, Wish::Any)).await.unwrap())
}

async fn run(seed: u64, keyspace: &Keyspace) -> History {
    let (clock, life) = (ManualClock::at_ms(draw::START), Lifecycle::new());
    let seeded = draw::world(&mut StdRng::seed_from_u64(seed.wrapping_mul(64)));
    let mut contexts = Vec::new();
    for n in 0..2 {
        let (journal, state) = (journal(keyspace).await, State::in_memory().unwrap());
        if n == 0 {
            real::seed(&*journal, &state, &seeded, &clock).await;
        } else {
            replay::catch_up(&*journal, &state, &real::seal()).await.unwrap();
        }
        let (context, hashing) = real::context(journal, state, &clock, &life);
        // Ends with the context.
        tokio::task::spawn_blocking(move || hashing.iter().for_each(|work| work()));
        contexts.push(context);
    }
    // Each node has a sight of its own: one may be behind.
    let sights = [0, 1].map(|_| Mutex::new((Seq(0), World::default())));
    let actors = (0..ACTORS).map(|actor| {
        let (node, source) = (actor % 2, Source::new(seed, actor));
        act(&contexts[node], &clock, &sights[node], source)
    });
    let told = join_all(actors).await.into_iter().flatten().collect();
    for context in &contexts {
        context.writer.freshen(Instant::now()).await.unwrap();
    }
    let stands = |n: usize| contexts[n].state.view().unwrap().position().clone();
    assert_eq!(stands(0), stands(1));
    let context = contexts.swap_remove(0);
    History { context, seeded, told }
}
