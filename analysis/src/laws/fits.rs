//! Laws of growth by weighted least squares, and what the sizes can tell apart.
//!
//! A point is the mean over the runs at one size; its variance is s²/R + 0.1², the second term since rounds are whole numbers and a
//! mean over them steps: without it the points at large N, all but constant, would outweigh all others. The errors are taken as
//! known, so AIC and BIC are χ² and a penalty.

use rand_core::Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::runs::{Quantity, Series};
use crate::stats::{Interval, below, mean_sd, percentile_interval};

/// A law a + b·f(N), chosen before the data were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// No growth.
    Constant,
    /// log₂ log₂ N.
    LogLog,
    /// √log₂ N.
    SqrtLog,
    /// log₂ N / log₂ log₂ N.
    LogOverLogLog,
    /// log₂ N.
    Log,
}

impl Form {
    /// All, from the slowest growth on.
    pub const ALL: [Self; 5] = [Self::Constant, Self::LogLog, Self::SqrtLog, Self::LogOverLogLog, Self::Log];

    /// f(N), N > 2.
    #[must_use]
    pub fn of(self, nodes: f64) -> f64 {
        let log = nodes.log2();
        match self {
            Self::Constant => 0.0,
            Self::LogLog => log.log2(),
            Self::SqrtLog => log.sqrt(),
            Self::LogOverLogLog => log / log.log2(),
            Self::Log => log,
        }
    }

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::LogLog => "log log N",
            Self::SqrtLog => "√log N",
            Self::LogOverLogLog => "log N / log log N",
            Self::Log => "log N",
        }
    }

    fn row(self, nodes: f64) -> Vec<f64> {
        if self == Self::Constant { vec![1.0] } else { vec![1.0, self.of(nodes)] }
    }
}

/// A mean at one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// N.
    pub nodes: f64,
    /// Mean over the runs, rounds.
    pub mean: f64,
    /// Standard deviation of one run.
    pub sd: f64,
    /// Runs.
    pub runs: usize,
}

/// Rounds are whole numbers: a mean is not known better than this.
const LATTICE: f64 = 0.1;

impl Point {
    /// Variance of the mean.
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.sd * self.sd / self.runs as f64 + LATTICE * LATTICE
    }
}

/// The means of a quantity by size: of sizes above 4 (where log log N > 1) with two runs at least, all of which reached it.
#[must_use]
pub fn points(series: &Series, quantity: Quantity) -> Vec<Point> {
    let point = |cell: &super::runs::Cell| {
        let rounds: Vec<f64> = cell.runs.iter().map(|run| quantity.of(run)).collect();
        let finite = cell.nodes > 4.0 && rounds.iter().all(|rounds| rounds.is_finite());
        let (mean, sd) = mean_sd(&rounds).filter(|_| finite)?;
        Some(Point { nodes: cell.nodes, mean, sd, runs: rounds.len() })
    };
    series.cells.iter().filter_map(point).collect()
}

/// A fitted law.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The coefficients, that of the constant first.
    pub coefficients: Vec<f64>,
    /// Σ (residual² / variance).
    pub chi2: f64,
    /// Akaike's criterion, up to a constant.
    pub aic: f64,
    /// Schwarz's criterion, up to the same constant.
    pub bic: f64,
}

/// Weighted least squares of `y` on the rows of `x` by the normal equations. `None` when they do not fix the coefficients.
#[must_use]
pub fn least_squares(x: &[Vec<f64>], y: &[f64], variance: &[f64]) -> Option<Fit> {
    let width = x.first()?.len();
    if x.len() < width {
        return None;
    }
    // [XᵀWX | XᵀWy], solved by elimination with pivots.
    let mut system = vec![vec![0.0; width + 1]; width];
    for ((row, y), variance) in x.iter().zip(y).zip(variance) {
        for i in 0..width {
            for j in 0..width {
                system[i][j] += row[i] * row[j] / variance;
            }
            system[i][width] += row[i] * y / variance;
        }
    }
    let scale: Vec<f64> = (0..width).map(|i| system[i][i]).collect();
    for column in 0..width {
        let pivot = (column..width).max_by(|&a, &b| system[a][column].abs().total_cmp(&system[b][column].abs()))?;
        system.swap(column, pivot);
        if system[column][column].abs() <= 1e-12 * scale[column] || scale[column] == 0.0 {
            return None;
        }
        let pivot_row = system[column].clone();
        for row in system.iter_mut().enumerate().filter(|(other, _)| *other != column).map(|(_, row)| row) {
            let factor = row[column] / pivot_row[column];
            row.iter_mut().zip(&pivot_row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    let coefficients: Vec<f64> = (0..width).map(|i| system[i][width] / system[i][i]).collect();
    let chi2 = x
        .iter()
        .zip(y)
        .zip(variance)
        .map(|((row, y), variance)| (y - dot(row, &coefficients)).powi(2) / variance)
        .sum::<f64>();
    let parameters = width as f64;
    Some(Fit { coefficients, chi2, aic: chi2 + 2.0 * parameters, bic: chi2 + parameters * (x.len() as f64).ln() })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Fits one law.
#[must_use]
pub fn fit(form: Form, points: &[Point]) -> Option<Fit> {
    fit_rows(|nodes| form.row(nodes), points)
}

/// a + b·log₂ N + c·log₂ log₂ N.
#[must_use]
pub fn fit_both(points: &[Point]) -> Option<Fit> {
    fit_rows(both, points)
}

fn both(nodes: f64) -> Vec<f64> {
    vec![1.0, Form::Log.of(nodes), Form::LogLog.of(nodes)]
}

fn fit_rows(row: impl Fn(f64) -> Vec<f64>, points: &[Point]) -> Option<Fit> {
    let x: Vec<Vec<f64>> = points.iter().map(|point| row(point.nodes)).collect();
    let y: Vec<f64> = points.iter().map(|point| point.mean).collect();
    let variance: Vec<f64> = points.iter().map(Point::variance).collect();
    least_squares(&x, &y, &variance)
}

/// A fitted law's value.
#[must_use]
pub fn predict(form: Form, fit: &Fit, nodes: f64) -> f64 {
    dot(&form.row(nodes), &fit.coefficients)
}

/// What the two-term law says from some size on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// The least N in it.
    pub from: f64,
    /// Coefficient of log₂ N and its 95 % interval (bootstrap within each size).
    pub b: (f64, Interval),
    /// Coefficient of log₂ log₂ N and its.
    pub c: (f64, Interval),
    /// p-value of the likelihood ratio against a + c·log₂ log₂ N, which is nested: is b needed? The variances are those with the
    /// lattice's share, so that it is a p-value on the careful side.
    pub p_no_log: f64,
    /// And against a + b·log₂ N: is c needed?
    pub p_no_loglog: f64,
}

/// Fewer decades leave both coefficients to chance: over these, log N and log log N differ by less than the lattice.
pub const WINDOW_MIN: usize = 9;

/// Resamples for intervals, and simulated data sets for the power.
pub const REPLICATES: usize = 1000;

/// The two-term law on the windows that begin at each size and hold [`WINDOW_MIN`] sizes at least; on all if there are fewer.
#[must_use]
pub fn windows(series: &Series, quantity: Quantity, rng: &mut impl Rng) -> Vec<Window> {
    let all = points(series, quantity);
    let replicates: Vec<Vec<Point>> = (0..REPLICATES).map(|_| resample(series, quantity, &all, rng)).collect();
    let window = |start: usize| {
        let fitted = fit_both(&all[start..])?;
        let chi2_without = |form| fit(form, &all[start..]).map(|fit| fit.chi2);
        let fits: Vec<Fit> = replicates.iter().filter_map(|points| fit_both(&points[start..])).collect();
        let interval = |place: usize| {
            let mut values: Vec<f64> = fits.iter().map(|fit| fit.coefficients[place]).collect();
            values.sort_unstable_by(f64::total_cmp);
            percentile_interval(&values)
        };
        Some(Window {
            from: all[start].nodes,
            b: (fitted.coefficients[1], interval(1)?),
            c: (fitted.coefficients[2], interval(2)?),
            p_no_log: chi2_tail_one(chi2_without(Form::LogLog)? - fitted.chi2),
            p_no_loglog: chi2_tail_one(chi2_without(Form::Log)? - fitted.chi2),
        })
    };
    (0..=all.len().saturating_sub(WINDOW_MIN)).filter_map(window).collect()
}

/// The means of runs drawn anew within each size.
fn resample(series: &Series, quantity: Quantity, points: &[Point], rng: &mut impl Rng) -> Vec<Point> {
    let drawn = |point: &Point| {
        let cell = series.cells.iter().find(|cell| cell.nodes == point.nodes).expect("a point is that of a cell");
        let sum: f64 = (0..cell.runs.len()).map(|_| quantity.of(&cell.runs[below(rng, cell.runs.len())])).sum();
        Point { mean: sum / cell.runs.len() as f64, ..*point }
    };
    points.iter().map(drawn).collect()
}

/// P(χ² > x) with one degree of freedom.
#[must_use]
pub fn chi2_tail_one(x: f64) -> f64 {
    libm::erfc((x.max(0.0) / 2.0).sqrt())
}

/// The slope in log₂ N over the sizes from 10¹⁴ to 10¹⁸ as a share of that from 10² to 10⁵: 1 for log N, 0 for what is bounded.
#[must_use]
pub fn slope_ratio(points: &[Point]) -> Option<f64> {
    let slope = |low: f64, high: f64| {
        let within: Vec<Point> =
            points.iter().filter(|point| (low..=high * 1.001).contains(&point.nodes)).copied().collect();
        fit(Form::Log, &within).filter(|_| within.len() >= 3).map(|fit| fit.coefficients[1])
    };
    Some(slope(1e14, 1e18)? / slope(1e2, 1e5)?)
}

/// How far the laws that were fitted on sizes up to `known` miss the larger ones: root mean square, rounds.
#[must_use]
pub fn out_of_sample(points: &[Point], known: f64) -> Vec<(Form, f64)> {
    let (below, above): (Vec<Point>, Vec<Point>) = points.iter().partition(|point| point.nodes <= known);
    let miss = |form: Form| {
        let fit = fit(form, &below)?;
        let square: f64 = above.iter().map(|point| (point.mean - predict(form, &fit, point.nodes)).powi(2)).sum();
        Some((form, (square / above.len() as f64).sqrt()))
    };
    if above.is_empty() { Vec::new() } else { Form::ALL.into_iter().filter_map(miss).collect() }
}

/// How often data made from one law, at these sizes and with this scatter and number of runs, make another look better by AIC.
#[must_use]
pub fn mistaken(truth: Form, other: Form, points: &[Point], rng: &mut impl Rng) -> Option<f64> {
    let fitted = fit(truth, points)?;
    let mut wrong = 0_usize;
    for _ in 0..REPLICATES {
        let made: Vec<Point> = points
            .iter()
            .map(|point| {
                let normal: f64 = StandardNormal.sample(rng);
                Point { mean: predict(truth, &fitted, point.nodes) + normal * point.variance().sqrt(), ..*point }
            })
            .collect();
        wrong += usize::from(fit(other, &made)?.aic < fit(truth, &made)?.aic);
    }
    Some(wrong as f64 / REPLICATES as f64)
}
