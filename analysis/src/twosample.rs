//! Whether two samples come from one distribution, and how far apart they are.
//!
//! One value (or one curve) per event is the least unit: what the nodes of one event do hangs together, so their times are never pooled.
//! The events of one cluster hang together as well, since they share its phases and its seeds: see [`Unit`]. A sample is therefore
//! handed over by clusters, each with its events.
//!
//! The p-values are those of permutations of the units between the samples: exact for any size, ties and events that never arrived
//! included, as long as units are exchangeable. Where there are few enough ways to part the units, each is looked at once.

use rand_core::Rng;

use crate::curves::Curve;
use crate::stats::{Interval, below, percentile_interval, quantile};

/// What is exchanged between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Single events: each sample is one cluster. Blind to what differs from one cluster of a kind to the next.
    Event,
    /// Whole clusters, as soon as a sample has several.
    Cluster,
}

impl Unit {
    /// The unit of two samples of so many clusters.
    #[must_use]
    pub fn of(clusters: [usize; 2]) -> Self {
        if clusters == [1, 1] { Self::Event } else { Self::Cluster }
    }
}

/// A statistic of two samples and the share of permutations that reach it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// The statistic.
    pub statistic: f64,
    /// The share of all ways to part the units that have a statistic as large; or, where they are too many, of as many as were asked
    /// for: (1 + permutations with a statistic as large) / (1 + permutations) (Phipson and Smyth 2010).
    pub p: f64,
}

/// Two samples put together: which unit each event is of, and which units are of the first sample.
struct Pool {
    unit: Vec<usize>,
    of_a: Vec<bool>,
}

impl Pool {
    /// `None` when there is nothing in a sample.
    fn of<T>(a: &[Vec<T>], b: &[Vec<T>]) -> Option<Self> {
        let unit = Unit::of([a.len(), b.len()]);
        let mut pool = Self { unit: Vec::new(), of_a: Vec::new() };
        for (sample, of_a) in [(a, true), (b, false)] {
            let before = pool.of_a.len();
            for events in sample.iter().map(Vec::len).filter(|events| *events > 0) {
                let units = if unit == Unit::Event { events } else { 1 };
                let first = pool.of_a.len();
                pool.unit.extend((0..events).map(|event| first + event.min(units - 1)));
                pool.of_a.extend(std::iter::repeat_n(of_a, units));
            }
            if pool.of_a.len() == before {
                return None;
            }
        }
        Some(pool)
    }

    /// How many events each unit has.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.of_a.len()];
        self.unit.iter().for_each(|unit| sizes[*unit] += 1);
        sizes
    }

    /// The statistic of the samples as they are, and of other ways to part their units.
    fn permute(&self, permutations: usize, rng: &mut impl Rng, statistic: impl Fn(&[bool]) -> f64) -> Permuted {
        let here = statistic(&self.of_a);
        let mut of_a = self.of_a.clone();
        let all = ways(of_a.len(), of_a.iter().filter(|of_a| **of_a).count()) <= permutations as f64;
        let mut others = Vec::new();
        if all {
            of_a.sort_unstable();
            others.push(statistic(&of_a));
            while next_arrangement(&mut of_a) {
                others.push(statistic(&of_a));
            }
        } else {
            others.extend((0..permutations).map(|_| {
                shuffle(&mut of_a, rng);
                statistic(&of_a)
            }));
        }
        let reached = others.iter().filter(|other| at_least(**other, here)).count();
        // The samples as they are stand among all ways, and are added to the random ones.
        let itself = usize::from(!all);
        let p = (reached + itself) as f64 / (others.len() + itself) as f64;
        Permuted { test: Test { statistic: here, p }, others }
    }
}

struct Permuted {
    test: Test,
    others: Vec<f64>,
}

/// In how many ways `chosen` of `units` can be the first sample.
#[must_use]
pub fn ways(units: usize, chosen: usize) -> f64 {
    (0..chosen).map(|k| (units - k) as f64 / (chosen - k) as f64).product::<f64>().round()
}

/// The next arrangement in lexicographic order; false after the last.
fn next_arrangement(labels: &mut [bool]) -> bool {
    let Some(place) = (1..labels.len()).rev().find(|place| !labels[place - 1] && labels[*place]) else { return false };
    labels.swap(place - 1, place);
    labels[place + 1..].sort_unstable();
    true
}

/// Kolmogorov and Smirnov's distance of two samples, with the p-value of permutations. `None` when one is empty.
pub fn kolmogorov_smirnov(a: &[Vec<f64>], b: &[Vec<f64>], permutations: usize, rng: &mut impl Rng) -> Option<Test> {
    let pool = Pool::of(a, b)?;
    let values = a.iter().chain(b).flatten().copied();
    let mut events: Vec<(f64, usize)> = values.zip(pool.unit.iter().copied()).collect();
    events.sort_by(|x, y| x.0.total_cmp(&y.0));
    Some(pool.permute(permutations, rng, |of_a| ks_distance(&events, of_a)).test)
}

/// The largest distance of the distribution functions, from the sorted values and the unit of each.
fn ks_distance(events: &[(f64, usize)], of_a: &[bool]) -> f64 {
    let a = events.iter().filter(|(_, unit)| of_a[*unit]).count();
    let (step_a, step_b) = (1.0 / a as f64, 1.0 / (events.len() - a) as f64);
    let (mut below_a, mut below_b, mut distance) = (0_usize, 0_usize, 0.0_f64);
    for (place, (value, unit)) in events.iter().enumerate() {
        if of_a[*unit] {
            below_a += 1;
        } else {
            below_b += 1;
        }
        // Equal values count together. Infinite ones are equal.
        if events.get(place + 1).is_none_or(|(next, _)| next != value) {
            distance = distance.max((below_a as f64 * step_a - below_b as f64 * step_b).abs());
        }
    }
    distance
}

/// The energy test over whole curves (Székely and Rizzo 2004): twice the mean distance between the samples, less the mean distances
/// within each. The distance of two curves is the L2 norm of their difference, √∫(f − g)² dt, a Hilbert space's: then the statistic is 0
/// only for equal distributions (Lyons 2013). In √ms. `None` when a sample is empty.
pub fn energy(a: &[Vec<Curve>], b: &[Vec<Curve>], permutations: usize, rng: &mut impl Rng) -> Option<Test> {
    let pool = Pool::of(a, b)?;
    let curves: Vec<&Curve> = a.iter().chain(b).flatten().collect();
    let horizon = horizon(curves.iter().copied());
    let sizes = pool.sizes();
    // Sums over the pairs of events of two units. Within a unit each pair counts once, and is to count twice.
    let mut sums = vec![0.0_f64; sizes.len() * sizes.len()];
    for (x, unit_x) in pool.unit.iter().enumerate() {
        for (y, unit_y) in pool.unit[..x].iter().enumerate() {
            sums[unit_x * sizes.len() + unit_y] += curve_distance(curves[x], curves[y], horizon);
        }
    }
    Some(pool.permute(permutations, rng, |of_a| energy_of(&sums, &sizes, of_a)).test)
}

/// `sums` is a lower triangle: row by row, each unit with itself and those before it.
fn energy_of(sums: &[f64], sizes: &[usize], of_a: &[bool]) -> f64 {
    let (mut within_a, mut within_b, mut between) = (0.0, 0.0, 0.0);
    let (mut a, mut b) = (0, 0);
    for (x, (size, x_of_a)) in sizes.iter().zip(of_a).enumerate() {
        *if *x_of_a { &mut a } else { &mut b } += size;
        let row = &sums[x * sizes.len()..=x * sizes.len() + x];
        for (sum, y_of_a) in row.iter().zip(of_a) {
            match (x_of_a, y_of_a) {
                (true, true) => within_a += sum,
                (false, false) => within_b += sum,
                _ => between += sum,
            }
        }
    }
    let (a, b) = (a as f64, b as f64);
    // Each pair within a sample was seen once, and counts twice.
    2.0 * between / (a * b) - 2.0 * within_a / (a * a) - 2.0 * within_b / (b * b)
}

/// The last time at which anybody learnt anything, in any of the curves.
fn horizon<'c>(curves: impl Iterator<Item = &'c Curve>) -> f64 {
    curves.filter_map(|curve| curve.reached_ms.last().copied()).fold(0.0, f64::max)
}

/// √∫(f − g)² dt from 0 to `until`, of two curves of shares.
fn curve_distance(f: &Curve, g: &Curve, until: f64) -> f64 {
    square_between(f, g, until).sqrt()
}

/// The area between the mean curves of two samples, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// The area: how far the curves are apart in time, on the average over the shares of nodes.
    pub ms: f64,
    /// What 95 % of the permutations stay below: an area that chance alone makes.
    pub by_chance_ms: f64,
    /// The share of permutations with an area as large.
    pub p: f64,
}

/// The area between the mean curves, and what chance alone would make of it. `None` when a sample is empty.
pub fn area_between(a: &[Vec<Curve>], b: &[Vec<Curve>], permutations: usize, rng: &mut impl Rng) -> Option<Area> {
    let pool = Pool::of(a, b)?;
    let sizes = pool.sizes();
    // When an event of which unit made a step of what height.
    let mut steps: Vec<(f64, usize, f64)> = Vec::new();
    for (curve, unit) in a.iter().chain(b).flatten().zip(&pool.unit) {
        let height = 1.0 / curve.expected.max(1) as f64;
        steps.extend(curve.reached_ms.iter().map(|time| (time.max(0.0), *unit, height)));
    }
    steps.sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
    let mut permuted = pool.permute(permutations, rng, |of_a| area_of(&steps, &sizes, of_a));
    let by_chance_ms = quantile(&mut permuted.others, 0.95).unwrap_or(f64::NAN);
    Some(Area { ms: permuted.test.statistic, by_chance_ms, p: permuted.test.p })
}

fn area_of(steps: &[(f64, usize, f64)], sizes: &[usize], of_a: &[bool]) -> f64 {
    let events =
        |wanted: bool| sizes.iter().zip(of_a).filter(|(_, of_a)| **of_a == wanted).map(|(size, _)| *size).sum();
    let (a, b): (usize, usize) = (events(true), events(false));
    let (mut area, mut level, mut from) = (0.0, 0.0_f64, 0.0);
    for &(time, unit, height) in steps {
        area += level.abs() * (time - from);
        level += if of_a[unit] { height / a as f64 } else { -height / b as f64 };
        from = time;
    }
    area
}

/// The integral of (f − g)² from 0 to `until`.
fn square_between(f: &Curve, g: &Curve, until: f64) -> f64 {
    let (f_step, g_step) = (1.0 / f.expected.max(1) as f64, 1.0 / g.expected.max(1) as f64);
    let (mut f_times, mut g_times) = (f.reached_ms.iter().peekable(), g.reached_ms.iter().peekable());
    let (mut square, mut level, mut from) = (0.0, 0.0_f64, 0.0);
    loop {
        let (next_f, next_g) = (f_times.peek().copied(), g_times.peek().copied());
        let f_is_next = match (next_f, next_g) {
            (Some(f), Some(g)) => f <= g,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return square + level * level * (until - from),
        };
        let (times, step) = if f_is_next { (&mut f_times, f_step) } else { (&mut g_times, -g_step) };
        let time = times.next().map_or(until, |time| time.clamp(from, until));
        square += level * level * (time - from);
        (level, from) = (level + step, time);
    }
}

/// How far two samples are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// What `b` has more than `a`.
    pub difference: f64,
    /// 95 % bootstrap interval of that.
    pub interval: Interval,
    /// The difference as a share of what `a` has.
    pub relative: f64,
    /// 95 % bootstrap interval of that.
    pub relative_interval: Interval,
}

/// The difference of `of` between two samples, each drawn again with replacement for the intervals (percentile bootstrap): its clusters
/// where there are several, else the values of the one. `None` when one is empty, or a value is not finite.
pub fn distance<T: Copy>(
    a: &[Vec<T>],
    b: &[Vec<T>],
    of: impl Fn(&mut [T]) -> f64,
    replicates: usize,
    rng: &mut impl Rng,
) -> Option<Distance> {
    let (mut all_a, mut all_b) = (a.concat(), b.concat());
    if all_a.is_empty() || all_b.is_empty() {
        return None;
    }
    let (value_a, value_b) = (of(&mut all_a), of(&mut all_b));
    let (mut differences, mut relatives) = (Vec::new(), Vec::new());
    for _ in 0..replicates {
        let (a, b) = (of(&mut drawn_again(a, rng)), of(&mut drawn_again(b, rng)));
        differences.push(b - a);
        relatives.push(b / a - 1.0);
    }
    let interval = |values: &mut Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        percentile_interval(values)
    };
    let distance = Distance {
        difference: value_b - value_a,
        interval: interval(&mut differences)?,
        relative: value_b / value_a - 1.0,
        relative_interval: interval(&mut relatives)?,
    };
    (distance.difference.is_finite() && distance.relative.is_finite()).then_some(distance)
}

fn drawn_again<T: Copy>(sample: &[Vec<T>], rng: &mut impl Rng) -> Vec<T> {
    match sample {
        [only] => only.iter().map(|_| only[below(rng, only.len())]).collect(),
        clusters => clusters.iter().flat_map(|_| clusters[below(rng, clusters.len())].iter().copied()).collect(),
    }
}

/// The median, for [`distance`].
pub fn median_of(sample: &mut [f64]) -> f64 {
    quantile(sample, 0.5).unwrap_or(f64::NAN)
}

/// The mean, for [`distance`].
pub fn mean_of(sample: &mut [f64]) -> f64 {
    sample.iter().sum::<f64>() / sample.len() as f64
}

/// Correlation of each value with the next one (lag one, divisor n). Of independent values it lies within ±1.96/√n with
/// probability 95 %. `None` below three values, for infinite ones, or where all are equal.
#[must_use]
pub fn lag_one(values: &[f64]) -> Option<f64> {
    if values.len() < 3 || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let product: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    (square > 0.0).then(|| product / square)
}

/// p-values of several tests, adjusted so that the chance of any false alarm among them stays at the level (Holm 1979).
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|x, y| p[*x].total_cmp(&p[*y]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least = 0.0_f64;
    for (rank, place) in order.into_iter().enumerate() {
        least = least.max(p[place] * (p.len() - rank) as f64).min(1.0);
        adjusted[place] = least;
    }
    adjusted
}

/// Sums in another order differ in the last places: those count as equal.
fn at_least(value: f64, bound: f64) -> bool {
    value >= bound - 1e-12 * bound.abs().max(1e-300)
}

/// Fisher and Yates.
fn shuffle(labels: &mut [bool], rng: &mut impl Rng) {
    for last in (1..labels.len()).rev() {
        labels.swap(last, below(rng, last + 1));
    }
}

#[cfg(test)]
#[path = "twosample_tests.rs"]
mod tests;
