//! Many figures become three: the median and the quartiles around it.

use serde_json::{Value, json};

/// Median and quartiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quartiles {
    /// A quarter of the figures is below.
    pub(crate) low: f64,
    /// Half is below.
    pub(crate) median: f64,
    /// A quarter is above.
    pub(crate) high: f64,
}

impl Quartiles {
    /// Of figures in any order; zero if there are none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |quarter: usize| {
            let place = figures.len().saturating_sub(1) * quarter;
            let figure = |n: usize| figures.get(n).copied().unwrap_or_default();
            let (below, above) = (figure(place / 4), figure(place.div_ceil(4)));
            // Between two figures, by distance.
            let part = [0.0, 0.25, 0.5, 0.75].get(place % 4).copied().unwrap_or_default();
            below + (above - below) * part
        };
        Self { low: at(1), median: at(2), high: at(3) }
    }

    /// For programs.
    pub(crate) fn to_json(self) -> Value {
        json!({ "low": self.low, "median": self.median, "high": self.high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_figures() {
        let check = |figures: &[f64], low, median, high| {
            assert_eq!(Quartiles::of(figures.iter().copied()), Quartiles { low, median, high });
        };
        check(&[5.0, 1.0, 3.0, 2.0, 4.0], 2.0, 3.0, 4.0);
        check(&[1.0, 2.0], 1.25, 1.5, 1.75);
        check(&[7.0], 7.0, 7.0, 7.0);
        check(&[], 0.0, 0.0, 0.0);
    }
}
