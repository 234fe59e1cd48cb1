use super::*;
use crate::stats::{rng, unit};

const NEVER: f64 = f64::INFINITY;

fn curve(expected: usize, reached: &[f64]) -> Curve {
    Curve { event: 0, expected, reached_ms: reached.to_vec(), all_ms: reached.to_vec() }
}

/// Sorted times of a made-up event: a common part and one of each node.
fn drawn(rng: &mut impl Rng, nodes: usize, late: f64) -> Curve {
    let common = 20.0 * unit(rng);
    let mut times: Vec<f64> = (0..nodes).map(|_| late + common + 100.0 * unit(rng)).collect();
    times.sort_unstable_by(f64::total_cmp);
    curve(nodes, &times)
}

/// A sample that is one cluster: its events are the units.
fn one<T: Clone>(events: &[T]) -> [Vec<T>; 1] {
    [events.to_vec()]
}

/// {1, 2} against {3}: of the three ways to choose the one, two put an end apart (distance 1), one the middle (distance 1/2).
#[test]
fn the_permutation_p_value_of_kolmogorov_and_smirnov_by_hand() {
    let test = |a: &[f64], b: &[f64], permutations| {
        kolmogorov_smirnov(&one(a), &one(b), permutations, &mut rng(1, "test")).expect("samples")
    };
    assert_eq!(test(&[1.0, 2.0], &[3.0], 3), Test { statistic: 1.0, p: 2.0 / 3.0 });
    assert_eq!(test(&[1.0, 3.0], &[2.0], 3), Test { statistic: 0.5, p: 1.0 });
    // Two permutations are too few for all three ways: they are drawn, and the sample itself is added.
    assert!([1.0 / 3.0, 2.0 / 3.0, 1.0].contains(&test(&[1.0, 2.0], &[3.0], 2).p));
}

/// Two clusters against one, all apart: of three ways to choose the one, that with the middle one alone comes nearest. That events of
/// a cluster stay together is what makes three ways of it, and not C(9, 3).
#[test]
fn clusters_are_exchanged_whole() {
    let [low, middle, high] = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]].map(|events| events.to_vec());
    let test = |a: &[Vec<f64>], b: &[Vec<f64>]| kolmogorov_smirnov(a, b, 9_999, &mut rng(1, "test")).expect("samples");
    assert_eq!(
        test(&[low.clone(), middle.clone()], std::slice::from_ref(&high)),
        Test { statistic: 1.0, p: 2.0 / 3.0 }
    );
    assert_eq!(test(&[low.clone(), high.clone()], std::slice::from_ref(&middle)), Test { statistic: 0.5, p: 1.0 });
    // The same nine values, single events: two parts of C(9, 3) = 84 lie wholly at an end.
    let events = test(&[[low, middle].concat()], std::slice::from_ref(&high));
    assert_eq!(events, Test { statistic: 1.0, p: 2.0 / 84.0 });
}

#[test]
fn every_way_to_part_the_units_comes_once() {
    for (units, chosen) in [(1, 1), (5, 2), (7, 3), (6, 6)] {
        let mut labels: Vec<bool> = (0..units).map(|unit| unit >= units - chosen).collect();
        let mut seen = std::collections::BTreeSet::from([labels.clone()]);
        while next_arrangement(&mut labels) {
            assert!(labels.iter().filter(|label| **label).count() == chosen && seen.insert(labels.clone()));
        }
        assert_eq!(seen.len() as f64, ways(units, chosen), "{chosen} of {units}");
    }
    assert_eq!((ways(23, 3), ways(40, 1), ways(240, 120) > 1e70), (1771.0, 40.0, true));
}

/// Clusters that differ from each other by more than the events within them. Taken for independent, the events give alarms where
/// there is nothing; exchanged by clusters, they keep to the level.
#[test]
fn what_differs_between_clusters_raises_no_alarm_when_clusters_are_exchanged() {
    let mut rng = rng(8, "clusters");
    let trials = 200;
    let mut alarms = [0; 2];
    for _ in 0..trials {
        let mut side = |clusters: usize| -> Vec<Vec<Curve>> {
            (0..clusters)
                .map(|_| {
                    let late = 60.0 * unit(&mut rng);
                    (0..6).map(|_| drawn(&mut rng, 4, late)).collect()
                })
                .collect()
        };
        let (a, b) = (side(3), side(4));
        let mut p = |a: &[Vec<Curve>], b: &[Vec<Curve>]| energy(a, b, 99, &mut rng).expect("curves").p;
        alarms[0] += u32::from(p(&a, &b) <= 0.1);
        alarms[1] += u32::from(p(&[a.concat()], &[b.concat()]) <= 0.1);
    }
    // Of 35 ways three are at most 0.1: 17 expected, standard deviation 4, four of them on either side.
    assert!((1..=33).contains(&alarms[0]), "{alarms:?}");
    assert!(alarms[1] > 60, "single events: {alarms:?}");
}

#[test]
fn equal_values_count_together_and_events_that_never_arrived_are_equal_and_last() {
    let distance =
        |a: &[f64], b: &[f64]| kolmogorov_smirnov(&one(a), &one(b), 0, &mut rng(1, "test")).expect("samples").statistic;
    assert_eq!(distance(&[5.0; 4], &[5.0; 7]), 0.0);
    assert_eq!(distance(&[NEVER, 1.0], &[NEVER, 1.0, 1.0, NEVER]), 0.0);
    assert_eq!(distance(&[NEVER, NEVER], &[1.0, NEVER]), 0.5);
    let ours = distance(&[1.0, 2.0, 3.0], &[1.5, 2.5, 10.0]);
    let (theirs, _) = crate::stats::kolmogorov_smirnov(&[1.0, 2.0, 3.0], &[1.5, 2.5, 10.0]).expect("samples");
    assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
    assert_eq!(kolmogorov_smirnov(&one(&[]), &one(&[1.0]), 10, &mut rng(1, "test")), None);
}

/// Two nodes: the one curve is at 1/2 from 0 and at 1 from 4 on, the other at 1/2 from 0 and at 1 from 6 on. They differ by 1/2 for
/// 2 ms: the area is 1, the square's integral 1/2.
#[test]
fn distances_of_curves_by_hand() {
    let (early, late) = (curve(2, &[0.0, 4.0]), curve(2, &[0.0, 6.0]));
    let area = |a: &[&Curve], b: &[&Curve]| {
        let owned = |curves: &[&Curve]| one(&curves.iter().map(|curve| (*curve).clone()).collect::<Vec<Curve>>());
        area_between(&owned(a), &owned(b), 0, &mut rng(1, "test")).map(|area| area.ms)
    };
    assert!((area(&[&early], &[&late]).expect("curves") - 1.0).abs() < 1e-12);
    assert!((curve_distance(&early, &late, 6.0) - 0.5_f64.sqrt()).abs() < 1e-12);
    assert!((curve_distance(&late, &early, 6.0) - 0.5_f64.sqrt()).abs() < 1e-12);
    assert!((area(&[&curve(2, &[0.0])], &[&early, &late]).expect("curves") - 0.5).abs() < 1e-12, "1/4 from 4 to 6");
    // A node that never learns is missing to the end: 1/2 from 4 to 10 are 6/4 of the square.
    assert!((curve_distance(&curve(2, &[0.0]), &early, 10.0) - 1.5_f64.sqrt()).abs() < 1e-12);
    assert_eq!(area(&[], &[&late]), None);
}

/// Two early and two late curves: of the six ways to divide them two part the kinds (area 1), the others make no difference.
#[test]
fn the_area_that_chance_makes_by_hand() {
    let (early, late) = (curve(2, &[0.0, 4.0]), curve(2, &[0.0, 6.0]));
    let both = |curve: Curve| one(&[curve.clone(), curve]);
    let found = area_between(&both(early), &both(late), 6, &mut rng(1, "test")).expect("curves");
    assert!((found.ms - 1.0).abs() < 1e-12 && (found.by_chance_ms - 1.0).abs() < 1e-12, "{found:?}");
    assert_eq!(found.p, 2.0 / 6.0);
}

/// One curve of each kind in the first sample, two late ones in the second. With d = 1/√2 between the kinds, the mean distance between
/// the samples is d/2, within the first d/2 (of four ordered pairs two), within the second 0: the statistic is d − d/2.
#[test]
fn the_energy_of_two_samples_by_hand() {
    let (early, late) = (curve(2, &[0.0, 4.0]), curve(2, &[0.0, 6.0]));
    let test =
        energy(&one(&[early.clone(), late.clone()]), &one(&[late.clone(), late.clone()]), 0, &mut rng(1, "test"))
            .expect("curves");
    assert!((test.statistic - 0.5_f64.sqrt() / 2.0).abs() < 1e-12, "{test:?}");
    // Two of each: of the six ways to divide them two part the kinds, as here, and the others give 0.
    let (early, late) = ([early.clone(), early], [late.clone(), late]);
    let apart = energy(&one(&early), &one(&late), 6, &mut rng(2, "test")).expect("curves");
    assert!((apart.statistic - 2.0 * 0.5_f64.sqrt()).abs() < 1e-12, "{apart:?}");
    assert_eq!(apart.p, 2.0 / 6.0);
    // The distance does not depend on how the curves are spread over clusters.
    let clusters = energy(&early.map(|curve| vec![curve]), &one(&late), 0, &mut rng(2, "test")).expect("curves");
    assert!((clusters.statistic - apart.statistic).abs() < 1e-12, "{clusters:?}");
}

/// Both samples from one distribution: a test at 5 % may reject 5 % of the time, and a lower level accordingly.
#[test]
fn under_the_null_each_test_rejects_as_often_as_its_level_says() {
    let mut rng = rng(3, "null");
    let trials = 400;
    let (mut ks, mut energies) = (Vec::new(), Vec::new());
    for _ in 0..trials {
        let (a, b): (Vec<Curve>, Vec<Curve>) =
            ((0..12).map(|_| drawn(&mut rng, 6, 0.0)).collect(), (0..15).map(|_| drawn(&mut rng, 6, 0.0)).collect());
        let times = |curves: &[Curve]| curves.iter().map(|curve| curve.time_to(0.5)).collect::<Vec<f64>>();
        ks.push(kolmogorov_smirnov(&one(&times(&a)), &one(&times(&b)), 99, &mut rng).expect("samples").p);
        energies.push(energy(&one(&a), &one(&b), 99, &mut rng).expect("curves").p);
    }
    for level in [0.05, 0.2, 0.5] {
        let expected = level * f64::from(trials);
        let bound = 4.0 * (expected * (1.0 - level)).sqrt();
        let rejected = |p: &[f64]| p.iter().filter(|p| **p <= level + 1e-9).count() as f64;
        assert!((rejected(&energies) - expected).abs() < bound, "energy at {level}: {}", rejected(&energies));
        // The distance takes few values, so that many permutations tie with it: it may reject less, never more.
        let few = rejected(&ks);
        assert!(few < expected + bound && few > 0.3 * expected - bound, "Kolmogorov and Smirnov at {level}: {few}");
    }
}

#[test]
fn a_shift_of_one_and_a_half_standard_deviations_is_found() {
    let mut rng = rng(4, "power");
    let sample = |rng: &mut _, late| (0..40).map(|_| drawn(rng, 20, late)).collect::<Vec<Curve>>();
    let mut found = [0; 2];
    for _ in 0..20 {
        let (a, b) = (sample(&mut rng, 0.0), sample(&mut rng, 14.0));
        found[0] += u32::from(energy(&one(&a), &one(&b), 99, &mut rng).expect("curves").p <= 0.05);
        let times = |curves: &[Curve]| curves.iter().map(|curve| curve.time_to(0.5)).collect::<Vec<f64>>();
        found[1] +=
            u32::from(kolmogorov_smirnov(&one(&times(&a)), &one(&times(&b)), 99, &mut rng).expect("samples").p <= 0.05);
    }
    assert!(found[0] >= 18 && found[1] >= 18, "{found:?} of 20");
}

#[test]
fn the_interval_of_the_difference_holds_the_true_one_as_often_as_it_says() {
    let mut rng = rng(5, "coverage");
    let (trials, shift) = (300, 3.0);
    let mut held = 0;
    for _ in 0..trials {
        let a: Vec<f64> = (0..60).map(|_| 20.0 + 10.0 * unit(&mut rng)).collect();
        let b: Vec<f64> = (0..60).map(|_| 20.0 + shift + 10.0 * unit(&mut rng)).collect();
        let found = distance(&one(&a), &one(&b), median_of, 200, &mut rng).expect("samples");
        held += u32::from(found.interval.low <= shift && shift <= found.interval.high);
    }
    // 95 % of 300 are 285; four standard errors are 15. The percentile interval of a median errs towards wide.
    assert!((270..=300).contains(&held), "{held} of {trials}");
}

#[test]
fn a_difference_is_told_as_such_and_as_a_share() {
    let found = distance(&one(&[2.0; 5]), &one(&[3.0; 9]), mean_of, 20, &mut rng(6, "test")).expect("samples");
    let point = |value| Interval { low: value, high: value };
    assert_eq!((found.difference, found.interval, found.relative), (1.0, point(1.0), 0.5));
    assert_eq!(found.relative_interval, point(0.5));
    assert_eq!(distance(&one(&[NEVER; 3]), &one(&[1.0; 3]), median_of, 20, &mut rng(6, "test")), None);
    assert_eq!(distance::<f64>(&one(&[]), &one(&[1.0; 3]), median_of, 20, &mut rng(6, "test")), None);
}

/// Clusters whose events are all alike: their number, not that of the events, says how well the mean is known.
#[test]
fn intervals_are_those_of_clusters_where_there_are_several() {
    let wide: Vec<Vec<f64>> = (0..8).map(|cluster| vec![f64::from(cluster); 100]).collect();
    let ones = [vec![1.0; 10], vec![1.0; 10]];
    let found = |b: &[Vec<f64>]| distance(&ones, b, mean_of, 4_000, &mut rng(9, "test")).expect("samples").interval;
    let (clusters, events) = (found(&wide), found(&[wide.concat()]));
    // Standard deviation 2.29 of a cluster: ±1.96·2.29/√8 = ±1.59 of eight, ±0.16 of eight hundred events.
    assert!((clusters.high - clusters.low - 3.17).abs() < 0.3, "{clusters:?}");
    assert!((events.high - events.low - 0.317).abs() < 0.03, "{events:?}");
}

/// 1, 2, 3, 4: deviations −1.5, −0.5, 0.5, 1.5; products 0.75 − 0.25 + 0.75 = 1.25, squares 5.
#[test]
fn the_correlation_with_the_next_value_by_hand() {
    assert!((lag_one(&[1.0, 2.0, 3.0, 4.0]).expect("four values") - 0.25).abs() < 1e-12);
    assert!((lag_one(&[1.0, -1.0, 1.0, -1.0]).expect("four values") + 0.75).abs() < 1e-12);
    assert_eq!((lag_one(&[1.0; 9]), lag_one(&[1.0, 2.0]), lag_one(&[1.0, NEVER, 2.0])), (None, None, None));
}

/// Holm's own example of the idea: the least p is multiplied by the number of tests, the next by one less, never falling.
#[test]
fn adjusted_p_values_by_hand() {
    assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
    assert_eq!(holm(&[0.5, 0.9]), [1.0, 1.0]);
    assert_eq!(holm(&[]), [0.0; 0]);
}
