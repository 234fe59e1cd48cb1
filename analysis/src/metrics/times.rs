//! Time to inform 50, 90, 99 and 100 % of the expected nodes.

use crate::curves::Curve;
use crate::load::Nanos;
use crate::stats::{Interval, bootstrap_medians, mean_sd, median, percentile_interval, rng};

/// The shares that are reported.
pub const SHARES: [f64; 4] = [0.5, 0.9, 0.99, 1.0];

/// Their names.
pub const SHARE_NAMES: [&str; 4] = ["t50", "t90", "t99", "t100"];

/// Bootstrap replicates behind each interval.
pub const REPLICATES: usize = 2000;

/// The times of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    /// For each event its times in the order of [`SHARES`], milliseconds; infinite when never reached.
    pub events: Vec<[f64; 4]>,
    /// Over the events, in the order of [`SHARES`]. Empty without events.
    pub summary: Vec<Summary>,
    /// Learnings with a stamp before T0: what the clocks' error does, or worse.
    pub before_start: u64,
}

/// One share's times over the events of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Median, milliseconds. Infinite when half of the events or more never got there.
    pub median: f64,
    /// 95 % bootstrap interval of the median.
    pub interval: Interval,
    /// Standard deviation over those events that got there, milliseconds; `None` below two.
    pub sd: Option<f64>,
    /// Events that never got there. They count as later than all others.
    pub censored: usize,
}

impl Times {
    /// Takes the times from `curves`.
    #[must_use]
    pub fn of(curves: &[Curve], seed: u64, run: u32) -> Self {
        let events: Vec<[f64; 4]> = curves.iter().map(|curve| SHARES.map(|share| curve.time_to(share))).collect();
        let summary = (0..SHARES.len())
            .filter_map(|place| {
                let column: Vec<f64> = events.iter().map(|times| times[place]).collect();
                summarise(&column, seed, &format!("analysis/median/{run}/{}", SHARE_NAMES[place]))
            })
            .collect();
        let before_start = curves.iter().map(|curve| curve.all_ms.iter().filter(|ms| **ms < 0.0).count() as u64).sum();
        Self { events, summary, before_start }
    }

    /// The times of one share (an index into [`SHARES`]) of all events.
    #[must_use]
    pub fn column(&self, share: usize) -> Vec<f64> {
        self.events.iter().map(|times| times[share]).collect()
    }
}

/// Median, interval and spread of one column. `None` of an empty one.
#[must_use]
pub fn summarise(column: &[f64], seed: u64, label: &str) -> Option<Summary> {
    let median = median(column)?;
    let medians = bootstrap_medians(column, REPLICATES, &mut rng(seed, label));
    let finite: Vec<f64> = column.iter().copied().filter(|x| x.is_finite()).collect();
    Some(Summary {
        median,
        interval: percentile_interval(&medians)?,
        sd: mean_sd(&finite).map(|(_, sd)| sd),
        censored: column.len() - finite.len(),
    })
}

/// Nanoseconds as milliseconds.
#[must_use]
pub fn ms(nanos: Nanos) -> f64 {
    nanos as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(expected: usize, reached: &[f64]) -> Curve {
        Curve { event: 0, expected, reached_ms: reached.to_vec(), all_ms: reached.to_vec() }
    }

    #[test]
    fn events_that_never_reach_the_last_node_are_counted_and_rank_last() {
        let curves =
            [curve(2, &[0.0, 1.0]), curve(2, &[0.0]), curve(2, &[0.0, 5.0]), curve(2, &[0.0, 3.0]), curve(2, &[0.0])];
        let times = Times::of(&curves, 1, 0);
        let last = times.summary[3];
        assert_eq!((last.median, last.censored), (5.0, 2), "1, 3, 5, never, never");
        assert_eq!(last.interval.high, f64::INFINITY);
        assert_eq!(times.summary[0].median, 0.0, "half of two nodes is the origin");
    }

    #[test]
    fn a_run_without_events_has_no_times() {
        assert!(Times::of(&[], 1, 0).summary.is_empty());
    }

    #[test]
    fn stamps_before_the_start_are_counted_not_hidden() {
        let times = Times::of(&[curve(3, &[-0.5, 0.0, 2.0])], 1, 0);
        assert_eq!(times.before_start, 1);
        assert_eq!(times.events[0][3], 2.0);
    }
}
