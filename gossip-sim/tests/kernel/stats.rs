//! Two-sample and goodness-of-fit tests, whose p-values are printed. Their own tests are at the end.

use std::collections::BTreeMap;

/// What a p-value must not fall below: 10⁻⁴ over at most a hundred comparisons (Bonferroni), so that the whole suite raises a false
/// alarm on one in ten thousand changes of a seed.
pub(crate) const P_MIN: f64 = 1e-6;

/// So many runs of a release build; a tenth in a debug build, whose runs take ten times as long.
pub(crate) const fn runs(full: u64) -> u64 {
    if cfg!(debug_assertions) { full.div_ceil(10) } else { full }
}

/// Values and how often each was seen.
pub(crate) type Counts = BTreeMap<u64, u64>;

pub(crate) fn counts(values: impl IntoIterator<Item = u64>) -> Counts {
    let mut counts = Counts::new();
    values.into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
    counts
}

/// Prints the p-value and asserts that it is no alarm.
pub(crate) fn passes(name: &str, p: f64) {
    println!("{name}: p = {p:.4}");
    assert!(p > P_MIN, "{name}: p = {p:e} is below {P_MIN:e}");
}

/// P(χ² with `df` degrees of freedom ≥ `chi`): the upper incomplete gamma function, by its series or continued fraction.
pub(crate) fn chi_square_tail(chi: f64, df: f64) -> f64 {
    let (a, x) = (df / 2.0, chi / 2.0);
    if x <= 0.0 || df <= 0.0 {
        return 1.0;
    }
    let scale = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut at) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            at += 1.0;
            term *= x / at;
            sum += term;
        }
        return 1.0 - sum * scale;
    }
    // Lentz.
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut fraction = d;
    for i in 1..10_000 {
        let an = -f64::from(i) * (f64::from(i) - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    scale * fraction
}

/// χ² of what was seen against a law on whole numbers, neighbouring values being joined until at least eight are expected.
pub(crate) fn fits(seen: &Counts, law: impl Fn(u64) -> f64) -> f64 {
    let total = seen.values().sum::<u64>() as f64;
    let last = seen.keys().max().copied().unwrap_or(0);
    let cells = (0..=last).map(|value| (law(value) * total, seen.get(&value).copied().unwrap_or(0) as f64));
    let mut cells: Vec<(f64, f64)> = cells.collect();
    let rest = total - cells.iter().map(|cell| cell.0).sum::<f64>();
    cells.push((rest.max(0.0), 0.0));
    let joined = join(cells, |&(expected, _)| expected >= 8.0);
    if joined.len() < 2 {
        // So few draws (a debug build makes a fraction of them) of so narrow a law cannot miss it.
        return 1.0;
    }
    let chi: f64 = joined.iter().map(|(expected, seen)| (seen - expected).powi(2) / expected).sum();
    chi_square_tail(chi, joined.len() as f64 - 1.0)
}

/// χ² of homogeneity of two samples.
pub(crate) fn same(a: &Counts, b: &Counts) -> f64 {
    let (total_a, total_b) = (a.values().sum::<u64>() as f64, b.values().sum::<u64>() as f64);
    let values: std::collections::BTreeSet<u64> = a.keys().chain(b.keys()).copied().collect();
    let of = |counts: &Counts, value| counts.get(&value).copied().unwrap_or(0) as f64;
    let cells = values.into_iter().map(|value| (of(a, value), of(b, value))).collect();
    let joined = join(cells, |&(a, b)| {
        let both = a + b;
        both * total_a.min(total_b) / (total_a + total_b) >= 8.0
    });
    let chi: f64 = joined
        .iter()
        .map(|&(a, b)| {
            let share = (a + b) / (total_a + total_b);
            (a - share * total_a).powi(2) / (share * total_a) + (b - share * total_b).powi(2) / (share * total_b)
        })
        .sum();
    chi_square_tail(chi, joined.len() as f64 - 1.0)
}

/// Joins neighbours until each cell is `enough`; what is left at the end goes to the last.
fn join(cells: Vec<(f64, f64)>, enough: impl Fn(&(f64, f64)) -> bool) -> Vec<(f64, f64)> {
    let (mut joined, mut open) = (Vec::new(), (0.0, 0.0));
    for (a, b) in cells {
        open = (open.0 + a, open.1 + b);
        if enough(&open) {
            joined.push(open);
            open = (0.0, 0.0);
        }
    }
    match joined.last_mut() {
        Some(last) => *last = (last.0 + open.0, last.1 + open.1),
        None => joined.push(open),
    }
    joined
}

/// Two-sample Kolmogorov-Smirnov for continuous values.
pub(crate) fn kolmogorov(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (mut i, mut j, mut distance) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let least = a[i].min(b[j]);
        i += a[i..].iter().take_while(|&&value| value <= least).count();
        j += b[j..].iter().take_while(|&&value| value <= least).count();
        distance = distance.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    let size = (a.len() * b.len()) as f64 / (a.len() + b.len()) as f64;
    let lambda = (size.sqrt() + 0.12 + 0.11 / size.sqrt()) * distance;
    let sum: f64 = (1..=100)
        .map(f64::from)
        .map(|k| if k % 2.0 == 1.0 { 1.0 } else { -1.0 } * libm::exp(-2.0 * k * k * lambda * lambda))
        .sum();
    if lambda < 0.2 { 1.0 } else { (2.0 * sum).clamp(0.0, 1.0) }
}

/// Mean and its standard error.
pub(crate) fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn tails_of_chi_square_are_those_of_the_tables() {
    // From printed tables: upper 5 %, 1 % and 0.1 % points.
    for (chi, df, p) in [(3.841, 1.0, 0.05), (18.307, 10.0, 0.05), (23.209, 10.0, 0.01), (59.703, 30.0, 0.001)] {
        assert!((chi_square_tail(chi, df) / p - 1.0).abs() < 2e-3, "{chi} {df}");
    }
}

#[test]
fn the_tests_see_a_difference_of_a_tenth_of_a_standard_deviation() {
    let mut stream = gossip_sim::kernel::Stream::new(1);
    let mut sample = |shift: f64| -> Vec<f64> {
        (0..20_000).map(|_| (0..12).map(|_| stream.unit()).sum::<f64>() - 6.0 + shift).collect()
    };
    let (a, b, c) = (sample(0.0), sample(0.0), sample(0.1));
    assert!(kolmogorov(a.clone(), b.clone()) > 1e-3 && kolmogorov(a.clone(), c.clone()) < 1e-6);
    let rounded = |values: &[f64]| counts(values.iter().map(|value| ((value + 10.0) * 2.0) as u64));
    assert!(same(&rounded(&a), &rounded(&b)) > 1e-3 && same(&rounded(&a), &rounded(&c)) < 1e-6);
}
