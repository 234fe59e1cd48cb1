//! Times against N: reference curves in log2 N and in log2 log2 N, and what the measured sizes can tell apart.
//!
//! The points are the medians over the events at each size, each with the variance of its median (bootstrap). Both laws have
//! two parameters and are fitted by weighted least squares, so the difference of their AIC is the difference of their χ².
//! Intervals of the coefficients come from fits to resampled events within each size. The power is a parametric bootstrap:
//! data are made from one fitted law with the scatter that was measured, both laws are fitted to them, and it is counted how
//! often the wrong one is preferred.

use rand_core::Rng;

use crate::stats::{
    Interval, Line, aic, below, bootstrap_medians, mean_sd, median, percentile_interval, rng, weighted_line,
};

/// A law of growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// t = a + b·log2 N.
    Log,
    /// t = a + b·log2 log2 N.
    LogLog,
}

impl Law {
    /// The law's variable at N nodes.
    #[must_use]
    pub fn variable(self, nodes: f64) -> f64 {
        match self {
            Self::Log => nodes.log2(),
            Self::LogLog => nodes.log2().log2(),
        }
    }

    /// Its formula.
    #[must_use]
    pub fn formula(self) -> &'static str {
        match self {
            Self::Log => "a + b·log2 N",
            Self::LogLog => "a + b·log2 log2 N",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log N",
            Self::LogLog => "log log N",
        }
    }
}

/// The times of all events at one size.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeTimes {
    /// N.
    pub size: u32,
    /// One time per event, milliseconds; infinite when never reached.
    pub times_ms: Vec<f64>,
}

/// A fitted law.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fitted {
    /// Which.
    pub law: Law,
    /// Intercept, slope (milliseconds) and χ².
    pub line: Line,
    /// 95 % bootstrap interval of the intercept.
    pub a: Interval,
    /// 95 % bootstrap interval of the slope.
    pub b: Interval,
    /// Akaike's criterion.
    pub aic: f64,
}

impl Fitted {
    /// Its time at N nodes, milliseconds.
    #[must_use]
    pub fn at(&self, nodes: f64) -> f64 {
        self.line.at(self.law.variable(nodes))
    }
}

/// Both laws and what can be said.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Sizes that entered, with the median and the standard error of the median, milliseconds.
    pub points: Vec<(u32, f64, f64)>,
    /// Sizes left out: too few events, or a median that was never reached.
    pub left_out: Vec<u32>,
    /// The log law.
    pub log: Fitted,
    /// The log log law.
    pub loglog: Fitted,
    /// AIC of log log minus AIC of log: positive speaks for log.
    pub delta_aic: f64,
    /// Greatest distance of the two fitted curves over the measured range of N, milliseconds.
    pub gap_ms: f64,
    /// Typical scatter of one event's time (root mean square of the sizes' standard deviations), milliseconds.
    pub spread_ms: f64,
    /// Largest standard error of a median, milliseconds.
    pub error_ms: f64,
    /// Share of simulated data sets made from the log law in which log log was preferred.
    pub log_mistaken: f64,
    /// Share of simulated data sets made from the log log law in which log was preferred.
    pub loglog_mistaken: f64,
}

/// Bootstrap replicates for coefficients, and simulated data sets for the power, each way.
pub const REPLICATES: usize = 1000;

/// Fewest events at a size that enters.
const EVENTS_MIN: usize = 3;

/// Least standard error of a median, milliseconds: the nodes' timers are no finer.
const ERROR_FLOOR_MS: f64 = 0.1;

/// Compares the laws on `sizes`. The label seeds the bootstrap.
///
/// # Errors
/// Why nothing can be fitted, as a sentence for the report.
pub fn compare(sizes: &[SizeTimes], seed: u64, label: &str) -> Result<Comparison, String> {
    let mut rng = rng(seed, &format!("analysis/fit/{label}"));
    let (mut used, mut left_out): (Vec<&SizeTimes>, Vec<u32>) = (Vec::new(), Vec::new());
    for size in sizes {
        let usable =
            size.size >= 2 && size.times_ms.len() >= EVENTS_MIN && median(&size.times_ms).is_some_and(f64::is_finite);
        if usable { used.push(size) } else { left_out.push(size.size) }
    }
    // log2 log2 2 = 0 is fine; the laws need N ≥ 2.
    let points: Vec<(u32, f64, f64)> = used.iter().map(|size| point(size, &mut rng)).collect();
    if points.len() < 2 {
        return Err(match (points.len(), left_out.is_empty()) {
            (_, false) => format!(
                "No law is fitted: fewer than two sizes have a finite median of at least {EVENTS_MIN} events (left out: N = {}).",
                list(&left_out)
            ),
            (1, true) => format!(
                "No law is fitted: N = {} is the only size, and one size says nothing about growth.",
                points[0].0
            ),
            _ => "No law is fitted: there are no times.".to_owned(),
        });
    }
    let errors: Vec<f64> = points.iter().map(|(_, _, error)| *error).collect();
    let resampled: Vec<Vec<f64>> = (0..REPLICATES).map(|_| resample(&used, &mut rng)).collect();
    let fitted = |law| fit(law, &points, &errors, &resampled);
    let (Some(log), Some(loglog)) = (fitted(Law::Log), fitted(Law::LogLog)) else {
        return Err("No law is fitted: the sizes do not differ enough to fix a line.".to_owned());
    };
    let scatter: Vec<f64> = used.iter().filter_map(|size| finite_sd(&size.times_ms)).collect();
    let mistaken = |truth: &Fitted, rng: &mut _| mistaken(truth, &used, &points, rng);
    Ok(Comparison {
        delta_aic: loglog.aic - log.aic,
        gap_ms: gap(&log, &loglog, &points),
        spread_ms: (scatter.iter().map(|sd| sd * sd).sum::<f64>() / scatter.len().max(1) as f64).sqrt(),
        error_ms: errors.iter().copied().fold(0.0, f64::max),
        log_mistaken: mistaken(&log, &mut rng),
        loglog_mistaken: mistaken(&loglog, &mut rng),
        points,
        left_out,
        log,
        loglog,
    })
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Two sizes, through which both laws pass exactly.
    TwoSizes,
    /// Data like these would prefer the wrong law too often.
    CannotTell,
    /// The data could tell, but the laws came out too close to call (AIC difference below 4).
    TooClose,
    /// Between these two laws the data decide.
    Prefers(Law),
}

/// What holds for every comparison, whatever it concludes.
pub const CAVEAT: &str = "Even where the data decide between these two curves, they do not decide about the law as such: over a few \
    doublings of N a third law, or a log N spread with a log log N end phase, can lie closer to either curve than the curves lie to each \
    other. More events sharpen the medians; only larger N separate the laws.";

impl Comparison {
    /// What the measured sizes can tell.
    #[must_use]
    pub fn conclusion(&self) -> Conclusion {
        if self.points.len() == 2 {
            Conclusion::TwoSizes
        } else if self.log_mistaken.max(self.loglog_mistaken) > 0.05 {
            Conclusion::CannotTell
        } else if self.delta_aic.abs() < 4.0 {
            Conclusion::TooClose
        } else if self.delta_aic > 0.0 {
            Conclusion::Prefers(Law::Log)
        } else {
            Conclusion::Prefers(Law::LogLog)
        }
    }

    /// Smallest and largest size that entered.
    #[must_use]
    pub fn range(&self) -> (u32, u32) {
        (self.points.first().map_or(0, |point| point.0), self.points.last().map_or(0, |point| point.0))
    }

    /// What these sizes can and cannot tell apart, in sentences.
    #[must_use]
    pub fn verdict(&self) -> String {
        let (first, last) = self.range();
        let mut text = match self.conclusion() {
            Conclusion::TwoSizes => {
                return format!(
                    "Two sizes (N = {first} and {last}) fix any law of two parameters exactly: nothing can be compared. Measure more sizes."
                );
            }
            Conclusion::CannotTell => "These sizes cannot tell log N from log log N with 95 % confidence. ".to_owned(),
            Conclusion::TooClose => {
                "These sizes could tell the laws apart, but the fits came out too close to call. ".to_owned()
            }
            Conclusion::Prefers(law) => format!("Of these two curves the data prefer {}. ", law.name()),
        };
        let (better, worse) = if self.delta_aic > 0.0 { (Law::Log, Law::LogLog) } else { (Law::LogLog, Law::Log) };
        text.push_str(&format!(
            "Over N = {first} to {last} the two fitted curves are at most {:.1} ms apart, while single events scatter by {:.1} ms (standard \
             deviation) and the least certain median is known to ±{:.1} ms (standard error). AIC prefers {} over {} by {:.1}. If log N were \
             true, data like these would make log log N look better in {} of repetitions; if log log N were true, log N would look better in {}.",
            self.gap_ms,
            self.spread_ms,
            self.error_ms,
            better.name(),
            worse.name(),
            self.delta_aic.abs(),
            percent(self.log_mistaken),
            percent(self.loglog_mistaken)
        ));
        if let Some((log, loglog)) = self.misfit() {
            text.push_str(&format!(
                " The residuals (χ² {:.1} for log N, {:.1} for log log N with {} degrees of freedom) say that {log}{loglog}.",
                self.log.line.chi2,
                self.loglog.line.chi2,
                self.points.len() - 2
            ));
        }
        text
    }

    /// In words, whether each law fits: within two standard deviations of χ² above its mean.
    fn misfit(&self) -> Option<(&'static str, &'static str)> {
        let free = self.points.len().checked_sub(2).filter(|free| *free > 0)? as f64;
        let limit = free + 2.0 * (2.0 * free).sqrt();
        Some(match (self.log.line.chi2 > limit, self.loglog.line.chi2 > limit) {
            (false, false) => ("both laws fit within the errors", ""),
            (true, false) => ("log N misses the points by more than their errors", ", log log N does not"),
            (false, true) => ("log log N misses the points by more than their errors", ", log N does not"),
            (true, true) => {
                ("both laws miss the points by more than their errors", ": neither is the whole truth here")
            }
        })
    }
}

fn list(sizes: &[u32]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A share as a percentage; what was never seen in the simulations is only known to be below one in their number.
fn percent(share: f64) -> String {
    if share == 0.0 {
        format!("fewer than {:.1} %", 100.0 / REPLICATES as f64)
    } else {
        format!("{:.1} %", share * 100.0)
    }
}

fn finite_sd(times: &[f64]) -> Option<f64> {
    let finite: Vec<f64> = times.iter().copied().filter(|time| time.is_finite()).collect();
    mean_sd(&finite).map(|(_, sd)| sd)
}

/// Size, median and the median's standard error (standard deviation of its bootstrap replicates).
fn point(size: &SizeTimes, rng: &mut impl Rng) -> (u32, f64, f64) {
    let centre = median(&size.times_ms).expect("a size that is used has events");
    let medians = bootstrap_medians(&size.times_ms, REPLICATES, rng);
    let error = finite_sd(&medians).unwrap_or(0.0);
    (size.size, centre, error.max(ERROR_FLOOR_MS))
}

/// Medians of events drawn anew within each size. A resample may be infinite where nearly half is censored.
fn resample(sizes: &[&SizeTimes], rng: &mut impl Rng) -> Vec<f64> {
    sizes.iter().map(|size| bootstrap_medians(&size.times_ms, 1, rng)[0]).collect()
}

fn line(law: Law, points: &[(u32, f64, f64)], medians: &[f64], errors: &[f64]) -> Option<Line> {
    let row = |((point, median), error): ((&(u32, f64, f64), &f64), &f64)| {
        (law.variable(f64::from(point.0)), *median, error * error)
    };
    weighted_line(&points.iter().zip(medians).zip(errors).map(row).collect::<Vec<_>>())
}

fn fit(law: Law, points: &[(u32, f64, f64)], errors: &[f64], resampled: &[Vec<f64>]) -> Option<Fitted> {
    let medians: Vec<f64> = points.iter().map(|(_, median, _)| *median).collect();
    let best = line(law, points, &medians, errors)?;
    let lines: Vec<Line> = resampled.iter().filter_map(|medians| line(law, points, medians, errors)).collect();
    let interval = |of: fn(&Line) -> f64| {
        let mut values: Vec<f64> = lines.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        percentile_interval(&values)
    };
    Some(Fitted { law, line: best, a: interval(|line| line.a)?, b: interval(|line| line.b)?, aic: aic(best.chi2, 2) })
}

fn gap(log: &Fitted, loglog: &Fitted, points: &[(u32, f64, f64)]) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0.0 };
    let (low, high) = (f64::from(first.0).log2(), f64::from(last.0).log2());
    (0..=100)
        .map(|step| 2f64.powf(low + (high - low) * f64::from(step) / 100.0))
        .map(|nodes| (log.at(nodes) - loglog.at(nodes)).abs())
        .fold(0.0, f64::max)
}

/// Share of data sets made from `truth`, with the residuals of the events around their medians, in which the other law
/// fits better.
fn mistaken(truth: &Fitted, sizes: &[&SizeTimes], points: &[(u32, f64, f64)], rng: &mut impl Rng) -> f64 {
    let residuals: Vec<Vec<f64>> = sizes
        .iter()
        .zip(points)
        .map(|(size, point)| size.times_ms.iter().filter(|t| t.is_finite()).map(|t| t - point.1).collect())
        .collect();
    let errors: Vec<f64> = points.iter().map(|point| point.2).collect();
    let other = if truth.law == Law::Log { Law::LogLog } else { Law::Log };
    let mut wrong = 0;
    for _ in 0..REPLICATES {
        let medians: Vec<f64> = residuals
            .iter()
            .zip(points)
            .map(|(residuals, point)| {
                let draw: Vec<f64> = residuals.iter().map(|_| residuals[below(rng, residuals.len())]).collect();
                truth.at(f64::from(point.0)) + median(&draw).unwrap_or(0.0)
            })
            .collect();
        let chi2 = |law| line(law, points, &medians, &errors).map_or(f64::INFINITY, |line| line.chi2);
        if chi2(other) < chi2(truth.law) {
            wrong += 1;
        }
    }
    f64::from(wrong) / REPLICATES as f64
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
