use super::*;

const NEVER: f64 = f64::INFINITY;

#[test]
fn quantiles_are_linear_between_order_statistics() {
    let sorted = [1.0, 2.0, 4.0, 8.0];
    for (q, expected) in [(0.0, 1.0), (0.5, 3.0), (1.0, 8.0), (0.25, 1.75), (0.9, 6.8)] {
        let got = quantile_sorted(&sorted, q).expect("four values");
        assert!((got - expected).abs() < 1e-12, "q = {q}: {got}, by hand {expected}");
    }
    assert_eq!(quantile_sorted(&[], 0.5), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
}

#[test]
fn a_median_is_finite_while_less_than_half_is_censored() {
    assert_eq!(median(&[NEVER, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[NEVER, NEVER, 2.0]), Some(NEVER));
    assert_eq!(median(&[NEVER, 1.0]), Some(NEVER), "halfway to infinity is infinity, not a number in between");
    assert_eq!(median(&[NEVER, NEVER]), Some(NEVER), "and never NaN");
}

#[test]
fn mean_and_standard_deviation_of_a_textbook_sample() {
    let (mean, sd) = mean_sd(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).expect("eight values");
    assert!((mean - 5.0).abs() < 1e-12);
    assert!((sd - (32.0f64 / 7.0).sqrt()).abs() < 1e-12);
    assert_eq!(mean_sd(&[1.0]), None);
}

#[test]
fn the_bootstrap_of_a_constant_is_that_constant() {
    let medians = bootstrap_medians(&[7.0; 5], 50, &mut rng(1, "test"));
    assert_eq!(percentile_interval(&medians), Some(Interval { low: 7.0, high: 7.0 }));
}

/// The median of 3 draws with replacement from {0, 1, 2} is 0 with probability P(at least two zeros) = 7/27, and by
/// symmetry 2 with 7/27.
#[test]
fn bootstrap_medians_follow_their_exact_distribution() {
    let replicates = 27_000;
    let medians = bootstrap_medians(&[0.0, 1.0, 2.0], replicates, &mut rng(3, "test"));
    let zeros = medians.iter().filter(|x| **x == 0.0).count() as f64;
    let twos = medians.iter().filter(|x| **x == 2.0).count() as f64;
    let sd = (27_000.0f64 * (7.0 / 27.0) * (20.0 / 27.0)).sqrt();
    assert!((zeros - 7_000.0).abs() < 4.0 * sd, "{zeros}");
    assert!((twos - 7_000.0).abs() < 4.0 * sd, "{twos}");
}

#[test]
fn the_same_seed_and_label_give_the_same_bootstrap() {
    let draw = |seed, label| bootstrap_medians(&[1.0, 2.0, 5.0, 9.0], 20, &mut rng(seed, label));
    assert_eq!(draw(1, "a"), draw(1, "a"));
    assert_ne!(draw(1, "a"), draw(1, "b"));
}

#[test]
fn a_line_through_exact_points_is_found_whatever_the_weights() {
    let line = weighted_line(&[(0.0, 1.0, 1.0), (1.0, 3.0, 5.0), (2.0, 5.0, 0.1)]).expect("a line");
    assert!((line.a - 1.0).abs() < 1e-12 && (line.b - 2.0).abs() < 1e-12 && line.chi2 < 1e-18, "{line:?}");
}

/// (0,0), (1,1), (2,0) with weights 1, 1, 2. By hand: Σw = 4, x̄ = 5/4, ȳ = 1/4, Sxx = 11/4, Sxy = −1/4,
/// b = −1/11, a = 4/11; residuals −4/11, 8/11, −2/11; χ² = 16/121 + 64/121 + 2·4/121 = 88/121 = 8/11.
#[test]
fn weighted_least_squares_by_hand() {
    let line = weighted_line(&[(0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (2.0, 0.0, 0.5)]).expect("a line");
    assert!((line.b + 1.0 / 11.0).abs() < 1e-12, "{line:?}");
    assert!((line.a - 4.0 / 11.0).abs() < 1e-12, "{line:?}");
    assert!((line.chi2 - 8.0 / 11.0).abs() < 1e-12, "{line:?}");
    assert!((aic(line.chi2, 2) - (8.0 / 11.0 + 4.0)).abs() < 1e-12);
}

#[test]
fn no_line_from_one_place_or_from_worthless_points() {
    assert_eq!(weighted_line(&[(1.0, 1.0, 1.0), (1.0, 2.0, 1.0)]), None);
    assert_eq!(weighted_line(&[(1.0, 1.0, 1.0)]), None);
    assert_eq!(weighted_line(&[(1.0, NEVER, 1.0), (2.0, 2.0, 1.0)]), None);
    assert_eq!(weighted_line(&[(1.0, 1.0, 0.0), (2.0, 2.0, 1.0)]), None);
}

/// 100 trials at 10 %: sd = 3, so 16 losses are 2 sd above 10.
#[test]
fn binomial_z_by_hand() {
    assert!((binomial_z(16, 100, 10.0).expect("uncertain") - 2.0).abs() < 1e-12);
    assert_eq!(binomial_z(0, 0, 0.0), None);
    assert_eq!(binomial_z(100, 100, 100.0), None, "a certain loss has no spread");
}

/// 10 of 100: Wilson gives 0.0552 to 0.1744 (Newcombe 1998 and any table).
#[test]
fn wilson_interval_of_ten_in_a_hundred() {
    let interval = wilson(10, 100).expect("trials");
    assert!((interval.low - 0.0552).abs() < 5e-5 && (interval.high - 0.1744).abs() < 5e-5, "{interval:?}");
    assert_eq!(wilson(0, 10).expect("trials").low, 0.0);
    assert_eq!(wilson(0, 0), None);
}

#[test]
fn kolmogorov_smirnov_by_hand() {
    let (distance, p) = kolmogorov_smirnov(&[1.0, 2.0, 3.0], &[1.5, 2.5, 10.0]).expect("samples");
    assert!((distance - 1.0 / 3.0).abs() < 1e-12 && p > 0.9, "{distance} {p}");
    let apart = kolmogorov_smirnov(&[1.0; 30], &[2.0; 30]).expect("samples");
    assert!(apart.0 == 1.0 && apart.1 < 1e-9, "{apart:?}");
    // Kolmogorov's critical value: P(K > 1.3581) = 0.05.
    assert!((kolmogorov_tail(1.3581) - 0.05).abs() < 1e-4);
}
