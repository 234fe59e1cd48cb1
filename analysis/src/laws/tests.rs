//! Laws on data of which the law is known.

use super::fits::{Form, Point, chi2_tail_one, fit, fit_both, least_squares, mistaken, out_of_sample, slope_ratio};
use super::runs::{Quantity, read};
use super::study::{Growth, Study, Verdict};
use crate::stats::rng;

fn made(law: impl Fn(f64) -> f64, decades: std::ops::RangeInclusive<i32>) -> Vec<Point> {
    let point = |exponent: i32| {
        let nodes = 10_f64.powi(exponent);
        Point { nodes, mean: law(nodes), sd: 0.5, runs: 400 }
    };
    decades.map(point).collect()
}

#[test]
fn least_squares_by_hand() {
    // Through (0, 1), (1, 3), (2, 6) with variances 1, 1, 4: 2.25 a + 1.5 b = 5.5 and 1.5 a + 2 b = 6, so a = 8/9 and b = 7/3.
    let x = [vec![1.0, 0.0], vec![1.0, 1.0], vec![1.0, 2.0]];
    let fit = least_squares(&x, &[1.0, 3.0, 6.0], &[1.0, 1.0, 4.0]).expect("two parameters, three points");
    assert!(
        (fit.coefficients[0] - 8.0 / 9.0).abs() < 1e-12 && (fit.coefficients[1] - 7.0 / 3.0).abs() < 1e-12,
        "{fit:?}"
    );
    let chi2 = (1.0 / 9.0_f64).powi(2) + (2.0 / 9.0_f64).powi(2) + (4.0 / 9.0_f64).powi(2) / 4.0;
    assert!((fit.chi2 - chi2).abs() < 1e-12);
    assert!((fit.aic - chi2 - 4.0).abs() < 1e-12 && (fit.bic - chi2 - 2.0 * 3_f64.ln()).abs() < 1e-12);
    assert_eq!(least_squares(&[vec![1.0, 5.0], vec![1.0, 5.0]], &[1.0, 2.0], &[1.0, 1.0]), None, "one x is no line");
    assert_eq!(least_squares(&x[..1], &[1.0], &[1.0]), None);
}

#[test]
fn the_tail_of_chi_square_with_one_degree_of_freedom() {
    for (x, p) in [(0.0, 1.0), (3.841_459, 0.05), (6.634_897, 0.01), (10.827_566, 0.001)] {
        assert!((chi2_tail_one(x) - p).abs() < 1e-6, "{x}");
    }
}

#[test]
fn each_law_is_found_in_data_that_follow_it_and_predicts_them() {
    for truth in [Form::LogLog, Form::SqrtLog, Form::LogOverLogLog, Form::Log] {
        let points = made(|nodes| 1.0 + 2.0 * truth.of(nodes), 2..=18);
        let best = Form::ALL.into_iter().min_by(|&a, &b| {
            let aic = |form| fit(form, &points).expect("a fit").aic;
            aic(a).total_cmp(&aic(b))
        });
        assert_eq!(best, Some(truth));
        let (form, miss) = out_of_sample(&points, 1e6).into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("laws");
        assert!(form == truth && miss < 1e-6, "{form:?} {miss}");
    }
    let flat = made(|_| 4.0, 2..=18);
    assert!(fit(Form::Constant, &flat).expect("a fit").aic < fit(Form::LogLog, &flat).expect("a fit").aic);
}

#[test]
fn two_terms_are_told_apart_and_the_slope_ratio_is_that_of_the_law() {
    let push_pull = |nodes: f64| 0.5 + 0.631 * nodes.log2() + nodes.log2().log2();
    let fitted = fit_both(&made(push_pull, 2..=18)).expect("a fit");
    assert!((fitted.coefficients[1] - 0.631).abs() < 1e-9 && (fitted.coefficients[2] - 1.0).abs() < 1e-9);
    let ratio = |law: &dyn Fn(f64) -> f64| slope_ratio(&made(law, 2..=18)).expect("all decades");
    assert!((ratio(&|nodes: f64| nodes.log2()) - 1.0).abs() < 1e-9);
    // By hand: 1/(log₂ N·ln 2) is the slope of log log N; the mean over the decades is about a fifth.
    assert!((0.1..0.25).contains(&ratio(&|nodes: f64| nodes.log2().log2())));
    assert_eq!(slope_ratio(&made(push_pull, 2..=9)), None, "there is nothing at 10^14");
}

#[test]
fn few_doublings_cannot_tell_and_decades_can() {
    let mut rng = rng(1, "laws/tests");
    let law = |nodes: f64| 2.0 + 0.7 * nodes.log2();
    let doublings: Vec<Point> = (3..=9)
        .map(|exponent: i32| {
            let nodes = 2_f64.powi(exponent);
            Point { nodes, mean: law(nodes), sd: 1.0, runs: 3 }
        })
        .collect();
    let few = mistaken(Form::Log, Form::LogLog, &doublings, &mut rng).expect("a share");
    assert!(few > 0.05, "three runs at 8 to 512 nodes: {few}");
    assert_eq!(mistaken(Form::Log, Form::LogLog, &made(law, 2..=18), &mut rng), Some(0.0));
}

/// Runs as the kernel writes them, of a law with a little scatter.
fn lines(strategy: &str, law: impl Fn(f64) -> f64, end: impl Fn(f64) -> f64) -> String {
    let mut text = String::new();
    for exponent in 2..=18 {
        let nodes = 10_f64.powi(exponent);
        for run in 0..20 {
            let half = law(nodes) + 0.1 * f64::from(run % 3);
            let all = half + end(nodes) + 0.1 * f64::from(run % 2);
            text.push_str(&format!(
                "{{\"strategy\":\"{strategy}\",\"nodes\":{nodes},\"loss\":0.0,\"run\":{run},\"rounds_50\":{half},\"rounds_90\":{half},\
                 \"rounds_99\":{half},\"rounds_all\":{all},\"copies_per_node\":4,\"datagrams_per_node\":9,\"out_max\":1,\"in_max\":null}}\n"
            ));
        }
    }
    text
}

#[test]
fn a_strategy_is_judged_by_its_phases() {
    let text = lines("a", |nodes| 0.63 * nodes.log2(), |nodes| nodes.log2().log2())
        + &lines("b", |nodes| 1.5 * nodes.log2().log2(), |_| 2.0);
    let studies: Vec<Study> =
        read(text.as_bytes()).expect("lines").into_iter().map(|series| Study::of(series, 1)).collect();
    assert_eq!(studies.len(), 2);
    let [log, loglog] = &studies[..] else { panic!("two strategies") };
    assert_eq!((log.all.verdict(), loglog.all.verdict()), (Verdict::Log, Verdict::BelowLog));
    assert_eq!(log.end.preferred(), Some(Form::LogLog), "the end phase by itself");
    assert_eq!(loglog.all.preferred(), Some(Form::LogLog));
    let window = loglog.all.windows[0];
    assert!(window.b.1.low < 0.01 && window.b.1.high > -0.01 && window.p_no_log > 0.05, "{window:?}");
    assert!(window.p_no_loglog < 1e-6);
    assert_eq!(Growth::of(&log.series, Quantity::All, 1), log.all, "the same runs, the same numbers");
}

#[test]
fn what_is_no_run_is_refused_with_its_line() {
    let good = lines("a", |_| 1.0, |_| 1.0);
    let second = good.lines().next().expect("a line").replace("\"nodes\":100", "\"nodes\":\"many\"");
    let first = good.lines().next().expect("a line");
    assert!(read(format!("{first}\n{second}\n").as_bytes()).expect_err("a word").starts_with("line 2: no \"nodes\""));
    assert!(read("".as_bytes()).expect_err("nothing").contains("no runs"));
    assert!(read("{".as_bytes()).expect_err("half a line").starts_with("line 1"));
    let never = first.replace("\"rounds_all\":2", "\"rounds_all\":null");
    let series = read(never.as_bytes()).expect("a run that never ended is one");
    assert!(series[0].cells[0].runs[0].all.is_infinite());
}
