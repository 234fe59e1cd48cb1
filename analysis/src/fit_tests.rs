use super::*;
use crate::stats::unit;

/// Events at each size, scattered evenly by ± `scatter` around a law.
fn data(sizes: &[u32], events: usize, scatter: f64, law: impl Fn(f64) -> f64) -> Vec<SizeTimes> {
    let mut rng = rng(11, "fit/data");
    sizes
        .iter()
        .map(|&size| SizeTimes {
            size,
            times_ms: (0..events).map(|_| law(f64::from(size)) + scatter * (2.0 * unit(&mut rng) - 1.0)).collect(),
        })
        .collect()
}

const SIZES: [u32; 6] = [8, 16, 32, 64, 128, 256];

#[test]
fn a_log_law_with_little_scatter_is_recognised_and_its_coefficients_found() {
    let comparison = compare(&data(&SIZES, 50, 2.0, |n| 10.0 + 30.0 * n.log2()), 1, "t").expect("a fit");
    assert!(comparison.delta_aic > 10.0, "{comparison:?}");
    assert!((comparison.log.line.b - 30.0).abs() < 0.5 && (comparison.log.line.a - 10.0).abs() < 2.0);
    assert!(comparison.log.b.low < 30.0 && comparison.log.b.high > 30.0);
    assert!(comparison.log_mistaken < 0.01 && comparison.loglog_mistaken < 0.01);
    assert!(comparison.verdict().contains("AIC prefers log N over log log N"), "{}", comparison.verdict());
    assert_eq!(comparison.conclusion(), Conclusion::Prefers(Law::Log));
    assert!(comparison.verdict().contains("Of these two curves the data prefer log N."));
}

#[test]
fn a_log_log_law_is_recognised_too() {
    let comparison = compare(&data(&SIZES, 50, 2.0, |n| 10.0 + 90.0 * n.log2().log2()), 1, "t").expect("a fit");
    assert!(comparison.delta_aic < -10.0);
    assert_eq!(comparison.conclusion(), Conclusion::Prefers(Law::LogLog));
    assert!((comparison.loglog.line.b - 90.0).abs() < 2.0, "{:?}", comparison.loglog.line);
}

#[test]
fn three_close_sizes_with_wide_scatter_are_said_to_decide_nothing() {
    let comparison = compare(&data(&[8, 16, 32], 10, 60.0, |n| 30.0 * n.log2()), 1, "t").expect("a fit");
    assert!(comparison.log_mistaken > 0.2, "{}", comparison.log_mistaken);
    assert_eq!(comparison.conclusion(), Conclusion::CannotTell);
    assert!(comparison.verdict().contains("cannot tell log N from log log N"), "{}", comparison.verdict());
}

#[test]
fn two_sizes_are_fitted_exactly_by_both_and_compared_not_at_all() {
    let comparison = compare(&data(&[8, 64], 20, 1.0, f64::log2), 1, "t").expect("a fit");
    assert!(comparison.delta_aic.abs() < 1e-6);
    assert!(comparison.verdict().contains("nothing can be compared"));
}

#[test]
fn one_size_gives_no_fit_and_says_so() {
    let error = compare(&data(&[64], 20, 1.0, |_| 5.0), 1, "t").expect_err("no fit");
    assert!(error.contains("N = 64 is the only size"), "{error}");
    assert!(compare(&[], 1, "t").expect_err("no fit").contains("no times"));
}

#[test]
fn a_size_whose_median_was_never_reached_is_left_out_by_name() {
    let mut sizes = data(&[8, 16, 32, 64], 9, 1.0, |n| 10.0 * n.log2());
    sizes[2].times_ms[..5].fill(f64::INFINITY);
    let comparison = compare(&sizes, 1, "t").expect("a fit");
    assert_eq!(comparison.left_out, [32]);
    assert_eq!(comparison.points.len(), 3);
    sizes.truncate(3);
    sizes[0].times_ms.truncate(2);
    let error = compare(&sizes, 1, "t").expect_err("one size left");
    assert!(error.contains("left out: N = 8, 32"), "{error}");
}
