//! Extra one-way delay of one datagram, independent of all others.
//!
//! # Portability
//! The same seed gives the same delays on every machine. Uniform delays use exact arithmetic. Normal ones use the polar
//! method (Marsaglia and Bray, SIAM Review 6, 1964) with the logarithm of the `libm` crate, which is plain Rust, and
//! the square root, which IEEE 754 rounds correctly everywhere. The usual ziggurat sampler was not taken because its
//! tail calls the platform's `ln` and `exp` as soon as any crate of the build switches them on, and those differ in the
//! last bit.
//!
//! # The cut at zero
//! A normal delay below zero becomes zero. That raises the mean from μ to μ·Φ(μ/σ) + σ·φ(μ/σ) (Φ and φ: distribution
//! and density of the standard normal): by 0.001 % at σ = μ/4, 0.01 % at μ/3, 0.4 % at μ/2 and 8.3 % at σ = μ. Who
//! compares the delays that were drawn with the plan uses [`expected_mean`], which takes this into account.

use core::time::Duration;

use rand_core::Rng;

use crate::spec::{Delay, Distribution};
use crate::streams::unit;

/// Draws the delay of one datagram.
pub(crate) fn sample(delay: &Delay, rng: &mut impl Rng) -> Duration {
    let (mean, jitter) = (delay.mean.get(), delay.jitter.get());
    match delay.distribution {
        Distribution::Fixed => mean,
        _ if jitter.is_zero() => mean,
        Distribution::Uniform => uniform(mean, jitter, rng),
        Distribution::Normal => from_ns(ns(mean) + ns(jitter) * standard_normal(rng)),
    }
}

/// The mean of the delays that are drawn: the mean asked for, and what the cut at zero adds to it.
#[must_use]
pub fn expected_mean(delay: &Delay) -> Duration {
    let (mean, jitter) = (ns(delay.mean.get()), ns(delay.jitter.get()));
    if delay.jitter.get().is_zero() || delay.distribution == Distribution::Fixed {
        return delay.mean.get();
    }
    match delay.distribution {
        // The caller's check keeps the jitter at or below the mean, so that nothing is cut. If it did not: the part of
        // the interval below zero weighs nothing, the rest has its middle at (mean + jitter) / 2.
        Distribution::Uniform if jitter > mean => from_ns((mean + jitter) * (mean + jitter) / (4.0 * jitter)),
        Distribution::Fixed | Distribution::Uniform => delay.mean.get(),
        Distribution::Normal => {
            let z = mean / jitter;
            let below = 0.5 * libm::erfc(z / core::f64::consts::SQRT_2);
            let density = libm::exp(-z * z / 2.0) / libm::sqrt(2.0 * core::f64::consts::PI);
            from_ns(mean * (1.0 - below) + jitter * density)
        }
    }
}

/// Uniform on mean − jitter ..= mean + jitter, to the nearest nanosecond, cut at zero.
fn uniform(mean: Duration, jitter: Duration, rng: &mut impl Rng) -> Duration {
    from_ns(ns(mean) - ns(jitter) + 2.0 * ns(jitter) * unit(rng))
}

/// A draw from the normal distribution with mean 0 and standard deviation 1. The method yields two; the second is
/// thrown away, so that a sampler has no memory.
fn standard_normal(rng: &mut impl Rng) -> f64 {
    loop {
        let (x, y) = (2.0 * unit(rng) - 1.0, 2.0 * unit(rng) - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * libm::sqrt(-2.0 * libm::log(square) / square);
        }
    }
}

/// Nanoseconds. Exact: a span is at most one day, below 2⁵³ ns.
fn ns(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// To the nearest nanosecond; below zero is zero.
fn from_ns(ns: f64) -> Duration {
    Duration::from_nanos(libm::round(ns.max(0.0)) as u64)
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::spec::{Direction, Span};

    const DRAWS: u32 = 40_000;

    fn delay(mean_ms: u32, jitter_ms: u32, distribution: Distribution) -> Delay {
        let (mean, jitter) = (Span::from_millis(mean_ms), Span::from_millis(jitter_ms));
        Delay { mean, jitter, distribution, direction: Direction::Out }
    }

    /// Milliseconds drawn with a fixed seed.
    fn draws(delay: &Delay) -> Vec<f64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
        (0..DRAWS).map(|_| sample(delay, &mut rng).as_secs_f64() * 1e3).collect()
    }

    fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0)).sqrt())
    }

    /// Largest distance between the empirical distribution of `values` and `cdf` (Kolmogorov-Smirnov).
    fn distance(mut values: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        values
            .iter()
            .enumerate()
            .fold(0.0, |d: f64, (i, &x)| d.max((cdf(x) - i as f64 / n).abs()).max(((i + 1) as f64 / n - cdf(x)).abs()))
    }

    /// Critical value of that distance at a level of 0.1 %.
    fn critical() -> f64 {
        1.95 / f64::from(DRAWS).sqrt()
    }

    fn phi(z: f64) -> f64 {
        0.5 * libm::erfc(-z / core::f64::consts::SQRT_2)
    }

    #[test]
    fn fixed_is_always_the_mean() {
        assert!(draws(&delay(20, 0, Distribution::Fixed)).iter().all(|&ms| ms == 20.0));
        assert!(draws(&delay(20, 0, Distribution::Normal)).iter().all(|&ms| ms == 20.0));
        assert!(draws(&delay(20, 0, Distribution::Uniform)).iter().all(|&ms| ms == 20.0));
    }

    #[test]
    fn uniform_fills_its_interval_evenly() {
        let values = draws(&delay(50, 20, Distribution::Uniform));
        assert!(values.iter().all(|ms| (30.0..=70.0).contains(ms)));
        assert!(distance(values, |ms| (ms - 30.0) / 40.0) < critical());
    }

    #[test]
    fn normal_has_the_shape_the_mean_and_the_deviation_asked_for() {
        let values = draws(&delay(20, 5, Distribution::Normal));
        let (mean, deviation) = mean_and_deviation(&values);
        // Four standard errors: 5/√40,000 = 0.025 for the mean, 5/√80,000 = 0.018 for the deviation.
        assert!((mean - 20.0).abs() < 0.1, "mean {mean}");
        assert!((deviation - 5.0).abs() < 0.07, "deviation {deviation}");
        assert!(distance(values, |ms| phi((ms - 20.0) / 5.0)) < critical());
    }

    #[test]
    fn a_wide_normal_is_cut_at_zero_and_its_mean_grows_as_documented() {
        let wide = delay(20, 20, Distribution::Normal);
        let values = draws(&wide);
        let zeros = values.iter().filter(|&&ms| ms == 0.0).count() as f64 / f64::from(DRAWS);
        // Φ(−1) = 0.1587; four standard errors are 0.0073.
        assert!((zeros - 0.1587).abs() < 0.0073, "{zeros} were cut");
        let (mean, _) = mean_and_deviation(&values);
        let expected = expected_mean(&wide).as_secs_f64() * 1e3;
        assert!((expected - 20.0 * 1.083_315).abs() < 1e-3, "expected mean {expected}");
        assert!((mean - expected).abs() < 4.0 * 18.0 / f64::from(DRAWS).sqrt(), "mean {mean}");
    }

    #[test]
    fn the_expected_mean_follows_the_table_of_the_module_docs() {
        for (jitter, percent) in [(5_000, 0.000_7), (6_667, 0.012_7), (10_000, 0.425), (20_000, 8.332)] {
            let delay = delay(20_000, jitter, Distribution::Normal);
            let raised = (expected_mean(&delay).as_secs_f64() / 20.0 - 1.0) * 100.0;
            assert!((raised - percent).abs() < 0.001 + percent * 0.01, "jitter {jitter}: raised by {raised} %");
        }
        for distribution in [Distribution::Fixed, Distribution::Uniform] {
            assert_eq!(expected_mean(&delay(20, 0, distribution)), Duration::from_millis(20));
        }
        assert_eq!(expected_mean(&delay(50, 20, Distribution::Uniform)), Duration::from_millis(50));
    }

    #[test]
    fn a_uniform_interval_that_reaches_below_zero_is_cut_there_too() {
        let wide = delay(20, 40, Distribution::Uniform);
        let values = draws(&wide);
        // A quarter of −20..60 lies below zero; the other three have their mean at 30 ms, and 30 · 3/4 = 22.5.
        let zeros = values.iter().filter(|&&ms| ms == 0.0).count() as f64 / f64::from(DRAWS);
        assert!((zeros - 0.25).abs() < 4.0 * (0.25 * 0.75 / f64::from(DRAWS)).sqrt(), "{zeros} were cut");
        assert_eq!(expected_mean(&wide), Duration::from_micros(22_500));
        let (mean, deviation) = mean_and_deviation(&values);
        assert!((mean - 22.5).abs() < 4.0 * deviation / f64::from(DRAWS).sqrt(), "mean {mean}");
    }

    #[test]
    fn the_first_draws_are_the_same_on_every_machine() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2026);
        let normal = delay(20, 5, Distribution::Normal);
        let uniform = delay(50, 20, Distribution::Uniform);
        let drawn: Vec<u128> = (0..3)
            .flat_map(|_| [sample(&normal, &mut rng).as_nanos(), sample(&uniform, &mut rng).as_nanos()])
            .collect();
        // Worked out with a second implementation of the generator and of the samplers.
        assert_eq!(drawn, [13_840_653, 58_878_390, 19_717_653, 53_458_557, 18_625_372, 57_056_339]);
    }
}
