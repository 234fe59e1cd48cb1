//! Whether two samples come from one distribution, and how far apart they are.
//!
//! One value (or one curve) per event is the unit: what the nodes of one event do hangs together, so their times are never pooled. The
//! p-values are those of permutations of the events between the samples: exact for any size, ties and events that never arrived
//! included, as long as events are exchangeable. Whether they are independent of each other within a run is a question of its own:
//! see [`lag_one`].

use rand_core::Rng;

use crate::curves::Curve;
use crate::stats::{Interval, below, percentile_interval, quantile};

/// A statistic of two samples and the share of permutations that reach it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// The statistic.
    pub statistic: f64,
    /// (1 + permutations with a statistic as large) / (1 + permutations) (Phipson and Smyth 2010).
    pub p: f64,
}

/// Kolmogorov and Smirnov's distance of two samples, with the p-value of permutations. `None` when one is empty.
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64], permutations: usize, rng: &mut impl Rng) -> Option<Test> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let mut pooled: Vec<(f64, bool)> = a.iter().map(|x| (*x, true)).chain(b.iter().map(|x| (*x, false))).collect();
    pooled.sort_by(|x, y| x.0.total_cmp(&y.0));
    let values: Vec<f64> = pooled.iter().map(|(value, _)| *value).collect();
    let mut labels: Vec<bool> = pooled.iter().map(|(_, label)| *label).collect();
    let statistic = ks_distance(&values, &labels, a.len());
    let reached = (0..permutations)
        .filter(|_| {
            shuffle(&mut labels, rng);
            at_least(ks_distance(&values, &labels, a.len()), statistic)
        })
        .count();
    Some(Test { statistic, p: share(reached, permutations) })
}

/// The largest distance of the distribution functions; `of_a` says to which sample each of the sorted values belongs.
fn ks_distance(values: &[f64], of_a: &[bool], a: usize) -> f64 {
    let (step_a, step_b) = (1.0 / a as f64, 1.0 / (values.len() - a) as f64);
    let (mut below_a, mut below_b, mut distance) = (0_usize, 0_usize, 0.0_f64);
    for (place, of_a) in of_a.iter().enumerate() {
        if *of_a {
            below_a += 1;
        } else {
            below_b += 1;
        }
        // Equal values count together. Infinite ones are equal.
        if values.get(place + 1) != Some(&values[place]) {
            distance = distance.max((below_a as f64 * step_a - below_b as f64 * step_b).abs());
        }
    }
    distance
}

/// The energy test over whole curves (Székely and Rizzo 2004): twice the mean distance between the samples, less the mean distances
/// within each. The distance of two curves is the L2 norm of their difference, √∫(f − g)² dt, a Hilbert space's: then the statistic is 0
/// only for equal distributions (Lyons 2013). In √ms. `None` when a sample is empty.
pub fn energy(a: &[Curve], b: &[Curve], permutations: usize, rng: &mut impl Rng) -> Option<Test> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let curves: Vec<&Curve> = a.iter().chain(b).collect();
    let horizon = horizon(curves.iter().copied());
    let count = curves.len();
    let mut distances = vec![0.0_f64; count * count];
    for x in 0..count {
        for y in 0..x {
            let distance = curve_distance(curves[x], curves[y], horizon);
            distances[x * count + y] = distance;
            distances[y * count + x] = distance;
        }
    }
    let mut labels: Vec<bool> = (0..count).map(|place| place < a.len()).collect();
    let statistic = energy_of(&distances, &labels);
    let reached = (0..permutations)
        .filter(|_| {
            shuffle(&mut labels, rng);
            at_least(energy_of(&distances, &labels), statistic)
        })
        .count();
    Some(Test { statistic, p: share(reached, permutations) })
}

fn energy_of(distances: &[f64], of_a: &[bool]) -> f64 {
    let count = of_a.len();
    let (mut within_a, mut within_b, mut between) = (0.0, 0.0, 0.0);
    for (x, x_of_a) in of_a.iter().enumerate() {
        let row = &distances[x * count..x * count + x];
        for (distance, y_of_a) in row.iter().zip(of_a) {
            match (x_of_a, y_of_a) {
                (true, true) => within_a += distance,
                (false, false) => within_b += distance,
                _ => between += distance,
            }
        }
    }
    let a = of_a.iter().filter(|of_a| **of_a).count() as f64;
    let b = count as f64 - a;
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
pub fn area_between(a: &[Curve], b: &[Curve], permutations: usize, rng: &mut impl Rng) -> Option<Area> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    // When which event made a step of what height.
    let mut steps: Vec<(f64, usize, f64)> = Vec::new();
    for (event, curve) in a.iter().chain(b).enumerate() {
        let height = 1.0 / curve.expected.max(1) as f64;
        steps.extend(curve.reached_ms.iter().map(|time| (time.max(0.0), event, height)));
    }
    steps.sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
    let mut labels: Vec<bool> = (0..a.len() + b.len()).map(|event| event < a.len()).collect();
    let ms = area_of(&steps, &labels, (a.len(), b.len()));
    let mut others: Vec<f64> = (0..permutations)
        .map(|_| {
            shuffle(&mut labels, rng);
            area_of(&steps, &labels, (a.len(), b.len()))
        })
        .collect();
    let reached = others.iter().filter(|other| at_least(**other, ms)).count();
    let by_chance_ms = quantile(&mut others, 0.95).unwrap_or(f64::NAN);
    Some(Area { ms, by_chance_ms, p: share(reached, permutations) })
}

fn area_of(steps: &[(f64, usize, f64)], of_a: &[bool], (a, b): (usize, usize)) -> f64 {
    let (mut area, mut level, mut from) = (0.0, 0.0_f64, 0.0);
    for &(time, event, height) in steps {
        area += level.abs() * (time - from);
        level += if of_a[event] { height / a as f64 } else { -height / b as f64 };
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

/// The difference of `of` between two samples, each drawn again with replacement for the intervals (percentile bootstrap). `None`
/// when one is empty, or a value is not finite.
pub fn distance<T: Copy>(
    a: &[T],
    b: &[T],
    of: impl Fn(&mut [T]) -> f64,
    replicates: usize,
    rng: &mut impl Rng,
) -> Option<Distance> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (value_a, value_b) = (of(&mut a.to_vec()), of(&mut b.to_vec()));
    let (mut draw_a, mut draw_b) = (a.to_vec(), b.to_vec());
    let (mut differences, mut relatives) = (Vec::new(), Vec::new());
    for _ in 0..replicates {
        draw_a.fill_with(|| a[below(rng, a.len())]);
        draw_b.fill_with(|| b[below(rng, b.len())]);
        let (a, b) = (of(&mut draw_a), of(&mut draw_b));
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

fn share(reached: usize, permutations: usize) -> f64 {
    (1 + reached) as f64 / (1 + permutations) as f64
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
