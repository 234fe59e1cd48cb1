//! How long a datagram is under way.
//!
//! The same draw gives the same time on every machine: exact arithmetic, correctly rounded square roots, and the logarithm and
//! exponential of the `libm` crate, which is plain Rust.

use std::sync::Arc;
use std::time::Duration;

use crate::addresses::NodeId;
use crate::cluster::nanos;
use crate::network::unit;

/// A distribution of one-way times. Each datagram draws its own: what is sent later may come earlier, unless it is constant.
#[derive(Debug, Clone)]
pub enum Latency {
    /// The same for all.
    Constant(Duration),
    /// Evenly between the two.
    Uniform {
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
    },
    /// `floor` + `median`·exp(`sigma`·z) with z standard normal: most quick, some very late.
    Lognormal {
        /// What every datagram takes.
        floor: Duration,
        /// Half of them take less than this on top of it.
        median: Duration,
        /// Spread: 0.5 puts the 99th percentile at 3.2 medians.
        sigma: f64,
    },
    /// Measured: quantiles at even distances from the least to the greatest, between which it goes straight.
    Table(Arc<[Duration]>),
    /// By where the two hosts are.
    Regions(Arc<Regions>),
    /// As a function has it: for tests.
    Between(fn(NodeId, NodeId) -> Duration),
}

/// Which host is where, and how long a datagram takes from one place to another.
#[derive(Debug, Clone)]
pub struct Regions {
    count: usize,
    of: Vec<u16>,
    between: Vec<Latency>,
}

impl Regions {
    /// Regions with `between[from][to]`. Host `id` is in the region `of[id]`; hosts beyond that list are in the regions in turn.
    ///
    /// # Errors
    /// What is wrong: no region, a matrix that is not square, a host in a region that is not there, regions within regions.
    pub fn new(of: Vec<u16>, between: Vec<Vec<Latency>>) -> Result<Self, &'static str> {
        let count = between.len();
        if count == 0 || between.iter().any(|row| row.len() != count) {
            return Err("the matrix of regions must be square and not empty");
        }
        if of.iter().any(|&region| usize::from(region) >= count) {
            return Err("a host is in a region that the matrix does not have");
        }
        let between: Vec<Latency> = between.into_iter().flatten().collect();
        if between.iter().any(|latency| matches!(latency, Latency::Regions(_))) {
            return Err("a region has no regions within");
        }
        Ok(Self { count, of, between })
    }

    /// Where a host is.
    #[must_use]
    pub fn of(&self, id: NodeId) -> usize {
        self.of.get(id as usize).map_or(id as usize % self.count, |&region| region.into())
    }
}

impl Latency {
    /// A table from measured times, in any order: so many quantiles of them, at least two.
    ///
    /// # Panics
    /// Without measurements, or for less than two quantiles.
    #[must_use]
    pub fn measured(mut times: Vec<Duration>, quantiles: usize) -> Self {
        assert!(!times.is_empty() && quantiles >= 2, "a distribution needs times and two quantiles");
        times.sort_unstable();
        Self::Table((0..quantiles).map(|k| times[k * (times.len() - 1) / (quantiles - 1)]).collect())
    }

    /// No datagram takes less.
    pub(crate) fn least(&self) -> Duration {
        match self {
            Self::Constant(time) => *time,
            Self::Uniform { min, .. } => *min,
            Self::Lognormal { floor, .. } => *floor,
            Self::Table(quantiles) => quantiles.iter().min().copied().unwrap_or_default(),
            Self::Regions(regions) => regions.between.iter().map(Self::least).min().unwrap_or_default(),
            Self::Between(_) => Duration::ZERO,
        }
    }

    /// The time for one datagram, nanoseconds; `word` gives its random bits if they are needed.
    #[inline(always)]
    pub(crate) fn draw(&self, from: NodeId, to: NodeId, word: impl FnOnce() -> u64) -> u64 {
        match self {
            Self::Constant(time) => nanos(*time),
            Self::Uniform { min, max } => between(*min, *max, unit(word())),
            Self::Between(of) => nanos(of(from, to)),
            Self::Regions(regions) => {
                regions.between[regions.of(from) * regions.count + regions.of(to)].draw_alone(unit(word()))
            }
            _ => self.draw_alone(unit(word())),
        }
    }

    fn draw_alone(&self, u: f64) -> u64 {
        match self {
            Self::Uniform { min, max } => between(*min, *max, u),
            Self::Lognormal { floor, median, sigma } => {
                let factor = libm::exp(sigma * normal_quantile(u));
                nanos(*floor).saturating_add((ns(*median) * factor) as u64)
            }
            Self::Table(quantiles) => {
                let Some(last) = quantiles.len().checked_sub(1) else { return 0 };
                let place = u * last as f64;
                let (low, high) = (quantiles[place as usize], quantiles[(place as usize + 1).min(last)]);
                between(low, high, place - place.floor())
            }
            Self::Constant(time) => nanos(*time),
            Self::Between(_) | Self::Regions(_) => unreachable!("drawn with the hosts at hand"),
        }
    }
}

/// The time that has so large a part of the way from `low` to `high` behind it, nanoseconds.
#[inline]
fn between(low: Duration, high: Duration, part: f64) -> u64 {
    nanos(low).saturating_add(share(high.saturating_sub(low), part))
}

/// The share `u`, from 0 to 1, of a span: the nanoseconds that [`Duration::mul_f64`] gives, which is a hundred instructions.
#[inline]
pub(crate) fn share(span: Duration, u: f64) -> u64 {
    /// A number below this is rounded to an integer when it is added, and that is in the lower bits of the sum.
    const INTEGERS: f64 = (1_u64 << 52) as f64;
    /// Some quarter of an hour: up to there the product below is off by a ten thousandth at most.
    const LONG: f64 = 1e12;
    const NEAR: f64 = 0.499;
    let nanoseconds = u * span.as_secs_f64() * 1e9;
    let sum = nanoseconds + INTEGERS;
    if (0.0..LONG).contains(&nanoseconds) && (nanoseconds - (sum - INTEGERS)).abs() < NEAR {
        return sum.to_bits() - INTEGERS.to_bits();
    }
    // Too near to the middle between two of them, or too long.
    exact_share(span, u)
}

#[cold]
fn exact_share(span: Duration, u: f64) -> u64 {
    nanos(span.mul_f64(u))
}

fn ns(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// The value below which a standard normal variable is with probability `p`: Wichura's PPND16 (AS 241, Applied Statistics 37,
/// 1988), relative error below 10⁻¹⁵. The least draw, 0, is taken for 2⁻⁵⁴.
fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(r, &CENTRE);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = libm::sqrt(-libm::log(tail.max(f64::EPSILON / 4.0)));
    let value = if r <= 5.0 { ratio(r - 1.6, &MIDDLE) } else { ratio(r - 5.0, &FAR) };
    if q < 0.0 { -value } else { value }
}

fn ratio(x: f64, [above, below]: &[[f64; 8]; 2]) -> f64 {
    let at = |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    at(above) / at(below)
}

#[allow(clippy::unreadable_literal, clippy::excessive_precision, reason = "as published")]
const CENTRE: [[f64; 8]; 2] = [
    [
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ],
    [
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ],
];

#[allow(clippy::unreadable_literal, clippy::excessive_precision, reason = "as published")]
const MIDDLE: [[f64; 8]; 2] = [
    [
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ],
    [
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ],
];

#[allow(clippy::unreadable_literal, clippy::excessive_precision, reason = "as published")]
const FAR: [[f64; 8]; 2] = [
    [
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ],
    [
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ],
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::mix;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn draws(latency: &Latency) -> Vec<Duration> {
        let draw = |n| Duration::from_nanos(latency.draw(1, 2, || mix(n)));
        let mut all: Vec<Duration> = (0..40_000).map(draw).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn the_normal_quantile_has_the_published_values() {
        // The check values of AS 241, and the usual ones of the tails.
        for (p, z) in [
            (0.25, -0.674_489_750_196_081_7),
            (0.001, -3.090_232_306_167_814),
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
        ] {
            assert!((normal_quantile(p) - z).abs() < 1e-13, "{p}: {}", normal_quantile(p));
            assert!((normal_quantile(1.0 - p) + z).abs() < 1e-13, "{p}");
        }
        assert!((normal_quantile(1e-13) + 7.348_796_102_800).abs() < 1e-9, "{}", normal_quantile(1e-13));
        assert!(normal_quantile(0.0).is_finite());
    }

    proptest! {
        #[test]
        fn a_share_of_a_span_is_what_the_standard_library_says(
            ns in prop_oneof![0_u64..10_000, 0_u64..10_000_000, 0_u64..1 << 45, any::<u64>()], word: u64, halves in 0_u32..60,
        ) {
            let span = Duration::from_nanos(ns);
            let whole = (ns as f64 * unit(word)).floor();
            // Anywhere, the ends, and what is to give a middle between two nanoseconds.
            for u in [unit(word), 0.0, 1.0, 0.5, (0.5_f64).powi(halves as i32), (whole + 0.5) / ns.max(1) as f64] {
                if (0.0..=1.0).contains(&u) {
                    prop_assert_eq!(Duration::from_nanos(share(span, u)), span.mul_f64(u), "{} of {}", u, ns);
                }
            }
        }
    }

    #[test]
    fn uniform_fills_its_interval() {
        let all = draws(&Latency::Uniform { min: MS(10), max: MS(30) });
        assert!(all[0] >= MS(10) && all[all.len() - 1] <= MS(30));
        for (share, expected) in [(4, 15), (2, 20)] {
            // Four standard errors of a quantile: 4·20·√(0.25/40,000) = 0.2 ms.
            assert!(all[all.len() / share].abs_diff(MS(expected)) < Duration::from_micros(200));
        }
    }

    #[test]
    fn lognormal_has_its_floor_its_median_and_its_spread() {
        let all = draws(&Latency::Lognormal { floor: MS(5), median: MS(20), sigma: 0.5 });
        assert!(all[0] > MS(5));
        assert!(all[20_000].abs_diff(MS(25)) < Duration::from_micros(300), "{:?}", all[20_000]);
        // exp(0.5·2.3263) = 3.2; four standard errors of the 99th percentile are about 1.9 ms.
        assert!(all[39_600].abs_diff(MS(5 + 64)) < Duration::from_micros(1_900), "{:?}", all[39_600]);
    }

    #[test]
    fn a_table_goes_straight_between_its_quantiles() {
        let all = draws(&Latency::Table([MS(1), MS(2), MS(10)].into()));
        assert!(all[0] >= MS(1) && all[39_999] <= MS(10));
        for (place, expected) in [(10_000, MS(1) + MS(1) / 2), (20_000, MS(2)), (30_000, MS(6))] {
            assert!(all[place].abs_diff(expected) < Duration::from_micros(90), "{:?}", all[place]);
        }
        let again = Latency::measured(all, 3);
        let Latency::Table(quantiles) = &again else { panic!("{again:?}") };
        assert!(quantiles[1].abs_diff(MS(2)) < Duration::from_micros(90), "{quantiles:?}");
    }

    #[test]
    fn regions_are_near_within_and_far_between() {
        let near = || Latency::Constant(MS(1));
        let regions = Regions::new(
            vec![1, 0],
            vec![vec![near(), Latency::Constant(MS(40))], vec![Latency::Constant(MS(60)), near()]],
        )
        .unwrap();
        let latency = Latency::Regions(Arc::new(regions));
        let time = |from, to| Duration::from_nanos(latency.draw(from, to, || 0));
        assert_eq!([time(0, 1), time(1, 0), time(0, 3), time(1, 2)], [MS(60), MS(40), MS(1), MS(1)]);
        assert!(Regions::new(vec![2], vec![vec![near(), near()], vec![near(), near()]]).is_err());
        assert!(Regions::new(vec![], vec![vec![near(), near()]]).is_err());
        assert!(Regions::new(vec![], vec![]).is_err());
    }
}
