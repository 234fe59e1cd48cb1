//! Binomial and hypergeometric counts of any size.

use super::law::{Peaked, ln_binomial, ln_hypergeometric, skewed_normal};
use crate::kernel::random::Stream;

/// Below this mean, values are tried one after the other from 0.
const SEARCH_MEAN: f64 = 10.0;

/// Above this mean, a normal with skewness stands for the law: its Kolmogorov error is of the order of 10⁻¹².
const NORMAL_MEAN: f64 = 1e12;

/// Successes among `trials`, each with this probability (which is clamped to 0..=1).
pub(crate) fn binomial(trials: u128, probability: f64, stream: &mut Stream) -> u128 {
    if probability > 0.5 {
        return trials - rare(trials, (1.0 - probability).max(0.0), stream);
    }
    rare(trials, probability.max(0.0), stream)
}

/// [`binomial`] for a probability of at most ½.
fn rare(trials: u128, p: f64, stream: &mut Stream) -> u128 {
    let n = trials as f64;
    let mean = n * p;
    if mean == 0.0 {
        return 0;
    }
    if mean < SEARCH_MEAN {
        return search(trials, p, stream);
    }
    let variance = mean * (1.0 - p);
    let count = if mean <= NORMAL_MEAN {
        let law = Peaked { mean, variance, mode: ((n + 1.0) * p).floor(), most: n };
        law.sample(stream, |k| ln_binomial(k, n, p))
    } else {
        skewed_normal(mean, variance, (1.0 - 2.0 * p) / variance.sqrt(), n, stream)
    };
    (count as u128).min(trials)
}

/// By the running sum of probabilities from 0 on.
fn search(trials: u128, p: f64, stream: &mut Stream) -> u128 {
    let (n, odds) = (trials as f64, p / (1.0 - p));
    let mut probability = libm::exp(n * libm::log1p(-p));
    let mut left = stream.unit();
    let mut k = 0.0;
    // Beyond the bound, what is left of the sum is rounding.
    while left >= probability && k < n && k < 150.0 {
        left -= probability;
        probability *= (n - k) / (k + 1.0) * odds;
        k += 1.0;
    }
    k as u128
}

/// Good ones among `draws` without replacement from `total`, of which `good` are good.
pub(crate) fn hypergeometric(total: u64, good: u64, draws: u64, stream: &mut Stream) -> u64 {
    debug_assert!(good <= total && draws <= total);
    // By symmetry to the case in which at most half are good and at most half are drawn.
    if draws > total / 2 {
        return good - hypergeometric(total, good, total - draws, stream);
    }
    if good > total / 2 {
        return draws - hypergeometric(total, total - good, draws, stream);
    }
    if good == 0 || draws == 0 {
        return 0;
    }
    let (n, g, s) = (total as f64, good as f64, draws as f64);
    let (mean, most) = (s * (g / n), g.min(s));
    let count = if mean < SEARCH_MEAN {
        search_urn(n, g, s, stream)
    } else {
        // For odd totals the halves can differ by one from what n − s and n − g give as floats: no matter.
        let variance = mean * ((n - g) / n) * ((n - s) / (n - 1.0));
        if mean <= NORMAL_MEAN {
            let mode = ((s + 1.0) * ((g + 1.0) / (n + 2.0))).floor();
            Peaked { mean, variance, mode, most }.sample(stream, |k| ln_hypergeometric(k, n, g, s))
        } else {
            let skewness = (1.0 - 2.0 * g / n) * (1.0 - 2.0 * s / n) / variance.sqrt();
            skewed_normal(mean, variance, skewness, most, stream)
        }
    };
    (count as u64).min(good).min(draws)
}

/// [`search`] for an urn.
fn search_urn(total: f64, good: f64, draws: f64, stream: &mut Stream) -> f64 {
    let mut probability = libm::exp(ln_hypergeometric(0.0, total, good, draws));
    let (mut left, mut k) = (stream.unit(), 0.0);
    let bad = total - good;
    while left >= probability && k < good.min(draws) && k < 150.0 {
        left -= probability;
        probability *= (good - k) / (k + 1.0) * ((draws - k) / (bad - draws + k + 1.0));
        k += 1.0;
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;

    /// χ² of draws against a law, on bins of at least five expected; asserts a p-value above 1e-4 by Wilson and Hilferty's
    /// cube root, which is good to a few per cent of the p-value there.
    fn agrees(name: &str, draws: &[u64], probability: impl Fn(u64) -> f64) {
        let total = draws.len() as f64;
        let most = draws.iter().copied().max().unwrap_or(0);
        let mut seen = vec![0_u32; most as usize + 1];
        draws.iter().for_each(|&draw| seen[draw as usize] += 1);
        let (mut chi, mut bins, mut expected, mut got, mut rest) = (0.0, 0, 0.0, 0.0, 1.0);
        let mut close = |expected: f64, got: f64| {
            chi += (got - expected).powi(2) / expected;
            bins += 1;
        };
        for (value, &count) in seen.iter().enumerate() {
            let p = probability(value as u64);
            (expected, got, rest) = (expected + p * total, got + f64::from(count), rest - p);
            if expected >= 5.0 && rest * total >= 5.0 {
                close(expected, got);
                (expected, got) = (0.0, 0.0);
            }
        }
        close((expected + rest * total).max(1e-9), got);
        let df = f64::from(bins - 1);
        let z = ((chi / df).cbrt() - (1.0 - 2.0 / (9.0 * df))) / (2.0 / (9.0 * df)).sqrt();
        println!("{name}: χ² = {chi:.1} on {df}, z = {z:.2}");
        assert!(z < 3.719, "{name}: χ² = {chi} on {df} degrees of freedom has p < 1e-4");
    }

    #[test]
    fn binomial_draws_follow_the_law_in_every_regime() {
        for (n, p) in [(5_u64, 0.3), (100, 0.02), (100, 0.0999), (100, 0.101), (1000, 0.4), (40, 0.9), (1 << 60, 3e-17)]
        {
            let mut stream = Stream::new(n);
            let draws: Vec<u64> = (0..200_000).map(|_| binomial(u128::from(n), p, &mut stream) as u64).collect();
            agrees(&format!("Bin({n}, {p})"), &draws, |k| ln_binomial(k as f64, n as f64, p).exp());
        }
    }

    #[test]
    fn hypergeometric_draws_follow_the_law_in_every_regime() {
        for (total, good, draws) in
            [(10, 4, 3), (100, 60, 70), (1000, 30, 200), (1000, 400, 300), (1 << 60, 1 << 30, 1 << 33)]
        {
            let mut stream = Stream::new(good);
            let counts: Vec<u64> = (0..200_000).map(|_| hypergeometric(total, good, draws, &mut stream)).collect();
            let ln = |k: u64| {
                let feasible = k <= good && k <= draws && draws - k <= total - good;
                if feasible { ln_hypergeometric(k as f64, total as f64, good as f64, draws as f64).exp() } else { 0.0 }
            };
            agrees(&format!("Hyp({total}, {good}, {draws})"), &counts, ln);
        }
    }

    /// Rejection and the normal must be one law at the border between them: mean, spread and skewness of the standardised.
    #[test]
    fn the_regimes_of_large_binomials_agree_at_their_border() {
        for trials in [3_999_999_999_999_u128, 4_000_000_000_100] {
            let (p, mut stream) = (0.25, Stream::new(9));
            let (mean, sd) = (trials as f64 * p, (trials as f64 * p * 0.75).sqrt());
            let (mut sum, mut squares) = (0.0, 0.0);
            let draws = 100_000;
            for _ in 0..draws {
                let z = (binomial(trials, p, &mut stream) as f64 - mean) / sd;
                (sum, squares) = (sum + z, squares + z * z);
            }
            let (m, v) = (sum / f64::from(draws), squares / f64::from(draws));
            assert!(m.abs() < 4.0 / f64::from(draws).sqrt(), "mean {m}");
            assert!((v - 1.0).abs() < 4.0 * (2.0 / f64::from(draws)).sqrt(), "variance {v}");
        }
    }

    #[test]
    fn what_is_certain_or_impossible_is_not_left_to_chance() {
        let mut stream = Stream::new(1);
        let big = 5_000_000_000_000_000_000_000_u128;
        assert_eq!(binomial(big, 0.0, &mut stream), 0);
        assert_eq!(binomial(big, 1.0, &mut stream), big);
        assert_eq!(binomial(0, 0.5, &mut stream), 0);
        assert_eq!(hypergeometric(10, 10, 4, &mut stream), 4);
        assert_eq!(hypergeometric(10, 4, 10, &mut stream), 4);
        assert_eq!(hypergeometric(10, 0, 4, &mut stream), 0);
    }
}
