//! Quantiles, bootstrap intervals, weighted least squares, information criteria, tests. Pure functions, each held to
//! hand-worked numbers in its tests.
//!
//! A time that was never reached is `f64::INFINITY`. Order statistics can carry it (a median is finite as long as less than
//! half of the sample is censored); nothing here drops it.

use rand_core::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// The generator of everything random in the analysis, seeded by the log's master seed and a label: the same log gives
/// the same report.
#[must_use]
pub fn rng(master_seed: u64, label: &str) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(netem::seed::child(master_seed, label))
}

/// An index below `n`, uniform (Lemire's multiplication; the bias below 2⁻³² for any `n` met here is of no account).
///
/// # Panics
/// When `n` is 0.
pub fn below(rng: &mut impl Rng, n: usize) -> usize {
    assert!(n > 0, "nothing to choose from");
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A number in 0..1, uniform, 53 bits.
pub fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// An interval of confidence, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The `q` quantile of `sample` (sorted in place): linear between order statistics (type 7 of Hyndman and Fan 1996).
/// Infinite when it touches an infinite order statistic. `None` of an empty sample.
pub fn quantile(sample: &mut [f64], q: f64) -> Option<f64> {
    sample.sort_unstable_by(f64::total_cmp);
    quantile_sorted(sample, q)
}

/// As [`quantile`] for a sample that is sorted already.
#[must_use]
pub fn quantile_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (low, share) = (place.floor() as usize, place.fract());
    if share == 0.0 {
        return Some(sorted[low]);
    }
    let high = sorted[(low + 1).min(last)];
    Some(if high.is_infinite() { high } else { sorted[low] + share * (high - sorted[low]) })
}

/// The median of `sample`. `None` of an empty sample.
#[must_use]
pub fn median(sample: &[f64]) -> Option<f64> {
    quantile(&mut sample.to_vec(), 0.5)
}

/// Arithmetic mean and standard deviation (divisor n − 1). `None` below two values.
#[must_use]
pub fn mean_sd(sample: &[f64]) -> Option<(f64, f64)> {
    if sample.len() < 2 {
        return None;
    }
    let n = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / n;
    let square = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    Some((mean, (square / (n - 1.0)).sqrt()))
}

/// Medians of `replicates` samples drawn with replacement from `sample`, sorted (Efron's bootstrap).
///
/// # Panics
/// When `sample` is empty.
pub fn bootstrap_medians(sample: &[f64], replicates: usize, rng: &mut impl Rng) -> Vec<f64> {
    let mut draw = vec![0.0; sample.len()];
    let mut medians: Vec<f64> = (0..replicates)
        .map(|_| {
            draw.fill_with(|| sample[below(rng, sample.len())]);
            quantile(&mut draw, 0.5).expect("the sample is not empty")
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    medians
}

/// The middle 95 % of sorted bootstrap replicates (percentile interval). `None` without replicates.
#[must_use]
pub fn percentile_interval(sorted: &[f64]) -> Option<Interval> {
    Some(Interval { low: quantile_sorted(sorted, 0.025)?, high: quantile_sorted(sorted, 0.975)? })
}

/// A straight line y = a + b·x.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Intercept.
    pub a: f64,
    /// Slope.
    pub b: f64,
    /// Σ ((y − a − b·x)² / variance): what the weights make of the residuals.
    pub chi2: f64,
}

impl Line {
    /// The line's value at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.a + self.b * x
    }
}

/// Weighted least squares through points (x, y, variance of y). `None` when the points do not fix a line: fewer than two
/// different `x`, or a variance that is not positive and finite.
#[must_use]
pub fn weighted_line(points: &[(f64, f64, f64)]) -> Option<Line> {
    if !points.iter().all(|(x, y, v)| x.is_finite() && y.is_finite() && *v > 0.0 && v.is_finite()) {
        return None;
    }
    let weight: f64 = points.iter().map(|(_, _, v)| 1.0 / v).sum();
    let mean = |of: fn(&(f64, f64, f64)) -> f64| points.iter().map(|p| of(p) / p.2).sum::<f64>() / weight;
    let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
    let sxx: f64 = points.iter().map(|(x, _, v)| (x - mean_x).powi(2) / v).sum();
    let sxy: f64 = points.iter().map(|(x, y, v)| (x - mean_x) * (y - mean_y) / v).sum();
    if sxx <= weight * 1e-18 || points.len() < 2 {
        return None;
    }
    let b = sxy / sxx;
    let a = mean_y - b * mean_x;
    let chi2 = points.iter().map(|(x, y, v)| (y - a - b * x).powi(2) / v).sum();
    Some(Line { a, b, chi2 })
}

/// Akaike's criterion of a model with `parameters` fitted to data of known variance: χ² + 2·parameters, up to a constant
/// that all models of the same data share.
#[must_use]
pub fn aic(chi2: f64, parameters: usize) -> f64 {
    chi2 + 2.0 * parameters as f64
}

/// How many standard deviations `count` successes lie above the `expected` number out of `trials`. With equal
/// probabilities this is the binomial z; with unequal ones the true variance is smaller, so it errs towards calm.
/// `None` when the outcome is certain.
#[must_use]
pub fn binomial_z(count: u64, trials: u64, expected: f64) -> Option<f64> {
    let variance = expected * (1.0 - expected / trials as f64);
    (trials > 0 && variance > 0.0).then(|| (count as f64 - expected) / variance.sqrt())
}

/// Wilson's 95 % interval for a probability seen as `count` out of `trials`. `None` without trials.
#[must_use]
pub fn wilson(count: u64, trials: u64) -> Option<Interval> {
    const Z: f64 = 1.959_963_985;
    if trials == 0 {
        return None;
    }
    let (n, p) = (trials as f64, count as f64 / trials as f64);
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some(Interval { low: ((centre - half) / scale).max(0.0), high: ((centre + half) / scale).min(1.0) })
}

/// Kolmogorov and Smirnov's test whether two samples come from one distribution: the largest distance of their
/// distribution functions and the asymptotic p-value (with Stephens's correction for small samples). `None` when one is
/// empty.
#[must_use]
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> Option<(f64, f64)> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let sorted = |sample: &[f64]| {
        let mut sample = sample.to_vec();
        sample.sort_unstable_by(f64::total_cmp);
        sample
    };
    let (a, b) = (sorted(a), sorted(b));
    let share = |sample: &[f64], x: f64| sample.partition_point(|y| *y <= x) as f64 / sample.len() as f64;
    let distance = a.iter().chain(&b).map(|&x| (share(&a, x) - share(&b, x)).abs()).fold(0.0, f64::max);
    let size = (a.len() as f64 * b.len() as f64 / (a.len() + b.len()) as f64).sqrt();
    let lambda = (size + 0.12 + 0.11 / size) * distance;
    Some((distance, kolmogorov_tail(lambda)))
}

/// P(K > λ) of Kolmogorov's distribution: 2 Σ (−1)^(j−1) e^(−2 j² λ²).
fn kolmogorov_tail(lambda: f64) -> f64 {
    if lambda < 0.2 {
        return 1.0;
    }
    let term = |j: i32| {
        let size = (-2.0 * f64::from(j * j) * lambda * lambda).exp();
        if j % 2 == 1 { size } else { -size }
    };
    (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
