//! How many of `bins` are hit when `balls` fall on them uniformly: the distinct nodes that a round of pushes reaches.
//!
//! The number of empty bins is a sum of independent Bernoulli variables (Vatutin and Mikhailov, *Theory Probab. Appl.* 27,
//! 1982), so a binomial of the same mean and variance is close to it where it cannot be drawn exactly.

use super::binomial::binomial;
use crate::kernel::random::{Gaps, Stream};

/// Balls that fall into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Balls.
    pub balls: u128,
    /// Bins, each equally likely for each ball.
    pub bins: u64,
}

/// How a draw is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Ball by ball: exact.
    Thrown,
    /// Bin by bin, the balls between two new bins being geometric: exact.
    Collected,
    /// A binomial of the same mean and variance on the collisions, or on the empty bins.
    Matched,
}

/// Up to this many balls are thrown one by one.
const BALLS_THROWN: u128 = 1 << 17;

/// Up to this many bins are collected one by one.
const BINS_COLLECTED: u64 = 1 << 14;

impl Occupancy {
    /// The number of bins hit.
    pub fn sample(self, stream: &mut Stream) -> u64 {
        self.sample_by(self.method(), stream)
    }

    /// The cheapest method that is exact, if one is affordable.
    #[must_use]
    pub fn method(self) -> Method {
        if self.balls <= BALLS_THROWN {
            Method::Thrown
        } else if self.bins <= BINS_COLLECTED {
            Method::Collected
        } else {
            Method::Matched
        }
    }

    /// [`sample`](Self::sample) by this method. [`Method::Matched`] is meant for thousands of balls and bins.
    pub fn sample_by(self, method: Method, stream: &mut Stream) -> u64 {
        if self.bins <= 1 || self.balls <= 1 {
            return u64::try_from(self.balls).map_or(self.bins, |balls| balls.min(self.bins));
        }
        match method {
            Method::Thrown => self.thrown(stream),
            Method::Collected => self.collected(stream),
            Method::Matched => self.matched(stream),
        }
    }

    fn thrown(self, stream: &mut Stream) -> u64 {
        // A ball that falls into one of the bins hit before changes nothing: which one does not matter.
        let mut hit = 0;
        for _ in 0..self.balls {
            hit += u64::from(stream.below(self.bins) >= hit);
        }
        hit
    }

    fn collected(self, stream: &mut Stream) -> u64 {
        let (mut hit, mut balls) = (0, self.balls);
        while hit < self.bins {
            let wasted = u128::from(Gaps::new((self.bins - hit) as f64 / self.bins as f64).next(stream));
            if wasted >= balls {
                break;
            }
            (hit, balls) = (hit + 1, balls - wasted - 1);
        }
        hit
    }

    /// Mean number of collisions (balls less bins hit) or of empty bins, whichever is asked for.
    fn mean(self, collisions: bool) -> f64 {
        let (m, u) = (self.balls as f64, self.bins as f64);
        let load = -m * libm::log1p(-1.0 / u);
        if !collisions {
            return u * libm::exp(-load);
        }
        if m / u < SERIES_LOAD {
            // M·(M−1)/2U − M·(M−1)·(M−2)/6U² + …: what the difference below would lose to rounding.
            let (pairs, next) = (m * (m - 1.0) / (2.0 * u), (m - 2.0) / (3.0 * u));
            return pairs * (1.0 - next * (1.0 - (m - 3.0) / (4.0 * u) * (1.0 - (m - 4.0) / (5.0 * u))));
        }
        m + u * libm::expm1(-load)
    }

    /// U·e^−c·(1 − (1+c)·e^−c) for c = M/U, correct but for terms of relative order 1/U.
    fn variance(self) -> f64 {
        let u = self.bins as f64;
        let c = self.balls as f64 / u;
        if c < SERIES_LOAD {
            return u * c * c * (0.5 - c * (5.0 / 6.0 - c * (17.0 / 24.0 - c * 49.0 / 120.0)));
        }
        let empty = libm::exp(-c);
        u * empty * (1.0 - (1.0 + c) * empty)
    }

    fn matched(self, stream: &mut Stream) -> u64 {
        let collisions = self.balls < u128::from(self.bins / 2);
        let (mean, variance) = (self.mean(collisions), self.variance());
        // Trials and probability of the binomial. Where the variance is not below the mean it is a Poisson: the same with a
        // tiny probability.
        let probability = (1.0 - variance / mean).max(1e-9);
        let trials = (mean / probability).round().max(1.0);
        let count = binomial(trials as u128, (mean / trials).min(1.0), stream);
        let whole = if collisions { self.balls } else { u128::from(self.bins) };
        whole.saturating_sub(count).clamp(1, self.balls.min(u128::from(self.bins))) as u64
    }
}

/// Below this load the series are used.
const SERIES_LOAD: f64 = 1e-2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variance_are_continuous_where_the_series_take_over() {
        let [low, high] = [9_999_999, 10_000_001].map(|balls| Occupancy { balls, bins: 1_000_000_000 });
        assert!((high.mean(true) / low.mean(true) - 1.0 - 4e-7).abs() < 1e-8);
        assert!((high.variance() / low.variance() - 1.0 - 4e-7).abs() < 1e-8);
    }

    #[test]
    fn the_mean_is_exact_for_few_balls() {
        // Two balls collide with probability 1/U; three: 3/U − 1/U².
        let mean = |balls, bins| Occupancy { balls, bins }.mean(true);
        assert!((mean(2, 1000) - 1e-3).abs() < 1e-15);
        assert!((mean(3, 1000) - (3e-3 - 1e-6)).abs() < 1e-15);
    }

    #[test]
    fn the_extremes_need_no_chance() {
        let mut stream = Stream::new(1);
        for (balls, bins, hit) in
            [(0, 5, 0), (1, 5, 1), (5, 1, 1), (5, 0, 0), (1 << 80, 3, 3), (1 << 80, 1 << 20, 1 << 20)]
        {
            assert_eq!(Occupancy { balls, bins }.sample(&mut stream), hit, "{balls} balls, {bins} bins");
        }
    }
}
