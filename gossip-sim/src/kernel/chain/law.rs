//! Probabilities of counts, accurate to the last digits at any size, and rejection from them.
//!
//! Factorials of 10¹⁸ are numbers of which a float keeps no unit, so the laws are written by deviations from the mean
//! (Loader, *Fast and accurate computation of binomial probabilities*, 2000).

use std::f64::consts::TAU;

use crate::kernel::random::Stream;

/// ln n! − ln(√(2πn)·(n/e)ⁿ) for n ≥ 1.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        return STIRLING[n as usize];
    }
    let square = 1.0 / (n * n);
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0) * square) * square) * square) / n
}

/// The first values, for which the series is not accurate: ln n! − (n + ½)·ln n + n − ½·ln 2π. There is none for 0.
#[allow(clippy::excessive_precision, reason = "as published")]
const STIRLING: [f64; 16] = [
    0.0,
    0.081_061_466_795_327_26,
    0.041_340_695_955_409_29,
    0.027_677_925_684_998_34,
    0.020_790_672_103_765_093,
    0.016_644_691_189_821_193,
    0.013_876_128_823_070_748,
    0.011_896_709_945_891_77,
    0.010_411_265_261_972_096,
    0.009_255_462_182_712_733,
    0.008_330_563_433_362_871,
    0.007_573_675_487_951_841,
    0.006_942_840_107_209_53,
    0.006_408_994_188_004_207,
    0.005_951_370_112_758_848,
    0.005_554_733_551_962_801,
];

/// x·ln(x/m) + m − x, the deviance of x from its mean m, where x − m = `off` is known more accurately than by subtraction.
fn deviance(x: f64, mean: f64, off: f64) -> f64 {
    if off.abs() >= 0.1 * (x + mean) {
        return x * libm::log(x / mean) - off;
    }
    let v = off / (x + mean);
    let (mut sum, mut term, square) = (off * v, 2.0 * x * v, v * v);
    for odd in (3..).step_by(2) {
        term *= square;
        let next = sum + term / f64::from(odd);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// ln P(X = k) for X ~ Bin(n, p). `n` and `k` are whole numbers, k ≤ n, 0 < p < 1.
pub(super) fn ln_binomial(k: f64, n: f64, p: f64) -> f64 {
    if k == 0.0 {
        return n * libm::log1p(-p);
    }
    let rest = n - k;
    if rest == 0.0 {
        return n * libm::log(p);
    }
    let off = k - n * p;
    stirling_error(n)
        - stirling_error(k)
        - stirling_error(rest)
        - deviance(k, n * p, off)
        - deviance(rest, n * (1.0 - p), -off)
        + 0.5 * libm::log(n / (TAU * k) / rest)
}

/// ln P(X = k) where X of `draws` without replacement are good, `good` of `total` being so. Whole numbers.
pub(super) fn ln_hypergeometric(k: f64, total: f64, good: f64, draws: f64) -> f64 {
    let p = draws / total;
    ln_binomial(k, good, p) + ln_binomial(draws - k, total - good, p) - ln_binomial(draws, total, p)
}

/// A law on whole numbers with one peak, as far as rejection needs to know it.
pub(super) struct Peaked {
    pub(super) mean: f64,
    pub(super) variance: f64,
    pub(super) mode: f64,
    /// Greatest value.
    pub(super) most: f64,
}

impl Peaked {
    /// One draw: ratio of uniforms with the universal hat of Stadlober (*The ratio of uniforms approach for generating
    /// discrete random variates*, J. Comput. Appl. Math. 31, 1990), for binomials, hypergeometrics and Poissons of mean ≥ 10.
    pub(super) fn sample(&self, stream: &mut Stream, ln_probability: impl Fn(f64) -> f64) -> f64 {
        // 2·√(2/e) and 3 − 2·√(3/e).
        const D1: f64 = 1.715_527_769_921_413_5;
        const D2: f64 = 0.898_916_162_058_898_8;
        let center = self.mean + 0.5;
        let width = D1 * (self.variance + 0.5).sqrt() + D2;
        let peak = ln_probability(self.mode);
        loop {
            let (x, y) = (stream.positive(), stream.unit());
            let k = (center + width * (y - 0.5) / x).floor();
            if (0.0..=self.most).contains(&k) && 2.0 * libm::log(x) <= ln_probability(k) - peak {
                return k;
            }
        }
    }
}

/// A normal with the first term for skewness (Cornish and Fisher), rounded, within 0..=`most`. For laws whose standard deviation is
/// in the hundreds of thousands: what is left out is of the order of 1/variance.
pub(super) fn skewed_normal(mean: f64, variance: f64, skewness: f64, most: f64, stream: &mut Stream) -> f64 {
    let z = stream.normal();
    (mean + variance.sqrt() * (z + (z * z - 1.0) * skewness / 6.0)).round().clamp(0.0, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pascal's triangle in floats: exact to 1e-15 or so at these sizes.
    fn choose(n: u32, k: u32) -> f64 {
        (0..k).fold(1.0, |product, i| product * f64::from(n - i) / f64::from(i + 1))
    }

    #[test]
    fn the_binomial_law_is_that_of_pascals_triangle() {
        for (n, p) in [(1, 0.3), (7, 0.5), (40, 0.01), (60, 0.97)] {
            for k in 0..=n {
                let exact = choose(n, k) * p_power(p, k) * p_power(1.0 - p, n - k);
                let ours = ln_binomial(f64::from(k), f64::from(n), p).exp();
                assert!((ours / exact - 1.0).abs() < 1e-11, "{k} of {n} at {p}: {ours}, {exact}");
            }
        }
    }

    fn p_power(p: f64, k: u32) -> f64 {
        p.powi(i32::try_from(k).expect("small"))
    }

    #[test]
    fn the_hypergeometric_law_is_that_of_pascals_triangle() {
        let (total, good, draws) = (50, 17, 20);
        for k in 0..=good {
            let exact = choose(good, k) * choose(total - good, draws - k) / choose(total, draws);
            let ours = ln_hypergeometric(f64::from(k), 50.0, 17.0, 20.0).exp();
            assert!((ours / exact - 1.0).abs() < 1e-11, "{k}: {ours}, {exact}");
        }
    }

    /// Where n! has no meaning as a float, the law must still fall off from its peak as a normal does.
    #[test]
    fn the_law_is_smooth_at_sizes_that_floats_cannot_count() {
        let (n, p) = (1e18_f64, 1e-6);
        let (mean, sd) = (n * p, (n * p * (1.0 - p)).sqrt());
        let peak = ln_binomial(mean, n, p);
        for sigmas in [-3.0_f64, -1.0, 0.5, 2.0] {
            let fall = ln_binomial((mean + sigmas * sd).round(), n, p) - peak;
            let normal = -sigmas * sigmas / 2.0;
            // The skewness, 1e-6, moves it by (σ³ − 3σ)/6 times that.
            assert!((fall - normal).abs() < 1e-5, "{sigmas}: {fall}, {normal}");
        }
    }
}
