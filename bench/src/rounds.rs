//! Every arm in every round, one after the other, so that a noisy minute touches all alike.
//!
//! In: what measures an arm. Out: a line a round. Each round begins with another arm.

use crate::quartiles::Quartiles;

/// What the arms came to, round by round, always in the order of the arms.
pub(crate) struct Rounds<S>(Vec<Vec<S>>);

impl<S: Copy> Rounds<S> {
    /// Measures.
    pub(crate) async fn run<A: Copy>(
        rounds: usize,
        arms: &[A],
        measure: impl AsyncFn(A) -> anyhow::Result<S>,
    ) -> anyhow::Result<Self> {
        let mut seen = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let mut samples = Vec::with_capacity(arms.len());
            let first = round % arms.len().max(1);
            let (behind, before) = arms.split_at(first);
            for arm in before.iter().chain(behind) {
                samples.push(measure(*arm).await?);
            }
            samples.rotate_right(first);
            seen.push(samples);
        }
        Ok(Self(seen))
    }

    /// A figure of one arm.
    pub(crate) fn figure(&self, arm: usize, of: impl Fn(S) -> f64) -> Quartiles {
        Quartiles::of(self.0.iter().filter_map(|round| round.get(arm)).map(|sample| of(*sample)))
    }

    /// A figure that is reckoned from the arms of a round.
    pub(crate) fn within<const N: usize>(&self, of: impl Fn([S; N]) -> f64) -> Quartiles {
        Quartiles::of(self.0.iter().filter_map(|round| Some(of(round.first_chunk().copied()?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn samples_stay_with_their_arms_whoever_begins() {
        let rounds = Rounds::run(3, &[1.0, 2.0], async |arm| Ok(arm)).await.unwrap();
        assert_eq!(rounds.figure(0, |sample| sample), Quartiles::of([1.0; 3]));
        assert_eq!(rounds.figure(1, |sample| sample), Quartiles::of([2.0; 3]));
        assert_eq!(rounds.within(|[one, two]| two / one), Quartiles::of([2.0; 3]));
    }
}
