//! A gateway whose link to IAM is cut: how long it uses what it was told, and what is left when the
//! link is back.
//!
//! `TOLLGATE_CUTS` says how often; a few times without it. The figures are printed.

mod figures;
mod victim;

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep, sleep_until};
use tollgate_e2e::Tollgate;
use tollgate_e2e::far::cable::State;
use tollgate_e2e::far::crowd::{Crowd, Manner, Seen};
use tollgate_e2e::far::{Far, Ticker, count};

use figures::Figures;
use victim::{Taking, Victim};

/// What is asked of the gateway: beyond the lease, and behind the return of the link.
const LATE: Duration = Duration::from_millis(500);
const HEALED: Duration = Duration::from_secs(5);

/// A deployment with two gateways, and somebody at the far one who keeps all rights.
struct Scene {
    tollgate: Tollgate,
    far: Far,
    bystander: Crowd,
    lease: Duration,
    _ticker: Ticker,
}

impl Scene {
    async fn open(lease: Duration) -> anyhow::Result<Self> {
        let ticker = Ticker::start().await?;
        let value = format!("{}ms", lease.as_millis());
        let tollgate = Tollgate::start_with(&[("link.lease", &value)]).await?;
        let settings = [("link.lease", &*value)];
        let far = Far::start(&tollgate.road()?, &ticker.registry(), &settings).await?;
        let (_, key) = tollgate.user("bystander", "writer").await?;
        let bystander = Crowd::gather(far.address, &key).await?;
        Ok(Self { tollgate, far, bystander, lease, _ticker: ticker })
    }

    /// One cut: who loses everything meanwhile gets nothing later than he may, and whoever stays
    /// loses nothing.
    async fn cut(&mut self, number: usize, figures: &mut Figures) -> anyhow::Result<()> {
        let state = [State::Silent, State::Broken, State::Deaf][number % 3];
        let taking = [Taking::Key, Taking::User, Taking::Role][number / 3 % 3];
        let mut victim = Victim::enter(&self.tollgate, self.far.address, number, taking).await?;

        let cut = self.far.cable.turn(state);
        // At a time of which the gateway knows nothing: while it still serves, or in silence.
        sleep(self.lease.mul_f64(f64::from(u8::try_from(number % 7)?) / 5.0)).await;
        victim.is_deprived(&self.tollgate).await?;
        self.bystander.until_held().await?;
        // Back before the question for news is given up that was under way, or after.
        let silence = LATE + Duration::from_millis(50) * u32::try_from(number % 16)?;
        sleep_until(cut + self.lease + silence).await;
        let in_silence = [self.bystander.seen().await?, victim.crowd.seen().await?].concat();
        figures.late.extend(lateness(&in_silence, cut));

        let back = self.far.cable.turn(State::Whole);
        let (healed, ended) = tokio::try_join!(
            self.bystander.until(|_, seen| seen.last.is_some_and(|last| last > back)),
            victim.crowd.until(|_, seen| seen.end.is_some()),
        )?;
        // What a victim got last, it got before the lease was over.
        figures.late.extend(lateness(&ended, cut));
        figures.healed.extend(healed.iter().filter_map(|(_, seen)| Some(seen.last? - back)));
        for (manner, seen) in &ended {
            let Some((at, end)) = seen.end else { continue };
            ensure!(taking.ends(*manner, end), "{taking:?}, {manner:?}: {seen:?}");
            figures.ended.push(at.saturating_duration_since(back));
        }
        figures.hold(self.lease + LATE, HEALED).map_err(|error| {
            error.context(format!("cut {number}: {state:?}, {taking:?} taken away"))
        })
    }
}

/// How long after a time each of them got something last.
fn lateness(all: &[(Manner, Seen)], after: Instant) -> impl Iterator<Item = Duration> {
    all.iter().filter_map(move |(_, seen)| Some(seen.last?.saturating_duration_since(after)))
}

async fn cuts(lease: Duration, count: usize) -> anyhow::Result<()> {
    let (mut scene, mut figures) = (Scene::open(lease).await?, Figures::default());
    for number in 0..count {
        scene.cut(number, &mut figures).await?;
    }
    let all = scene.bystander.seen().await?;
    ensure!(all.iter().all(|(_, seen)| seen.end.is_none()), "{all:?}");
    figures.print(&format!("{count} cuts, a lease of {lease:?}"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_served_beyond_the_lease_and_all_heals() -> anyhow::Result<()> {
    cuts(Duration::from_secs(1), count("TOLLGATE_CUTS", 4)?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_with_the_lease_as_it_comes() -> anyhow::Result<()> {
    cuts(Duration::from_secs(5), count("TOLLGATE_CUTS", 4)?.div_ceil(20)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_that_hardly_outlasts_the_lease_heals_too() -> anyhow::Result<()> {
    let mut scene = Scene::open(Duration::from_secs(1)).await?;
    // The question under way was sent while news were good, up to a quarter of a second before, and is
    // answered when they are not.
    for silence in (760..1_000).step_by(30) {
        scene.far.cable.turn(State::Silent);
        sleep(Duration::from_millis(silence)).await;
        let back = scene.far.cable.turn(State::Whole);
        scene.bystander.until(|_, seen| seen.last.is_some_and(|last| last > back)).await?;
        ensure!(back.elapsed() <= HEALED, "it took {:?} until all was well", back.elapsed());
    }
    Ok(())
}
