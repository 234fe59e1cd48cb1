//! Nodes informed versus time: one step curve per event, the median and the 10–90 % band over events.
//!
//! The origin counts as informed at time 0. A curve keeps two lists. `expected` holds those nodes which every event had to
//! reach at once: in the cluster from the event's start until the master stopped to wait, and not asleep in between. `all`
//! holds everybody who was in the cluster at the event's start, sleepers and nodes that went included; it is what the thin
//! curves draw.

use crate::load::{Event, Experiment, Nanos, Run, StayId};
use crate::stats::quantile;

/// Whom an event had to reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audience {
    /// In the cluster throughout and awake throughout, the origin included.
    pub awake: Vec<StayId>,
    /// In the cluster throughout, but asleep at some time: expected to catch up.
    pub asleep: Vec<StayId>,
    /// In the cluster at the start, but gone before the master stopped to wait: not waited for.
    pub gone: Vec<StayId>,
}

/// When the wait for `event` ended: when it was settled, or at the end of the run.
#[must_use]
pub fn waited_until(run: &Run, event: &Event) -> Nanos {
    event.settled.as_ref().map_or(run.to, |settled| settled.at).max(event.t0)
}

/// Sorts the nodes of the cluster into who had to be reached by `event` and who had not.
#[must_use]
pub fn audience(experiment: &Experiment, run: &Run, event: &Event) -> Audience {
    let until = waited_until(run, event);
    let naps = run.naps();
    let mut audience = Audience::default();
    for (id, stay) in experiment.stays.iter().enumerate() {
        if id != event.origin && !stay.present(event.t0) {
            continue;
        }
        let slept =
            naps.iter().any(|nap| nap.node == id && nap.from <= until && nap.to.is_none_or(|to| to >= event.t0));
        if id == event.origin {
            audience.awake.push(id);
        } else if !stay.covers(event.t0, until) {
            audience.gone.push(id);
        } else if slept {
            audience.asleep.push(id);
        } else {
            audience.awake.push(id);
        }
    }
    audience
}

/// The spread of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Index of the event within its run.
    pub event: u32,
    /// Number of nodes that had to be reached.
    pub expected: usize,
    /// When each of them learnt, milliseconds since T0, sorted; shorter than `expected` when some never did.
    pub reached_ms: Vec<f64>,
    /// When each node that was there learnt, milliseconds since T0, sorted.
    pub all_ms: Vec<f64>,
}

impl Curve {
    /// The curve of `event`.
    #[must_use]
    pub fn of(experiment: &Experiment, run: &Run, event: &Event) -> Self {
        let audience = audience(experiment, run, event);
        let time = |id: &StayId| {
            if *id == event.origin {
                Some(0.0)
            } else {
                event.learnt.get(id).map(|learning| (learning.at - event.t0) as f64 / 1e6)
            }
        };
        let sorted = |mut times: Vec<f64>| {
            times.sort_unstable_by(f64::total_cmp);
            times
        };
        Self {
            event: event.index,
            expected: audience.awake.len(),
            reached_ms: sorted(audience.awake.iter().filter_map(time).collect()),
            all_ms: sorted(
                audience.awake.iter().chain(&audience.asleep).chain(&audience.gone).filter_map(time).collect(),
            ),
        }
    }

    /// When the share `q` of the expected nodes knew: the time of node ⌈q·expected⌉ in the order of learning.
    /// `f64::INFINITY` when that many never did.
    #[must_use]
    pub fn time_to(&self, q: f64) -> f64 {
        // The tolerance keeps 0.9·10 from becoming node 10 through the binary form of 0.9.
        let rank = ((q * self.expected as f64 - 1e-9).ceil() as usize).max(1);
        self.reached_ms.get(rank - 1).copied().unwrap_or(f64::INFINITY)
    }

    /// The share of the expected nodes that knew at `ms`.
    #[must_use]
    pub fn share_at(&self, ms: f64) -> f64 {
        self.reached_ms.partition_point(|time| *time <= ms) as f64 / self.expected.max(1) as f64
    }

    /// The number of all nodes that knew at `ms`.
    #[must_use]
    pub fn informed_at(&self, ms: f64) -> usize {
        self.all_ms.partition_point(|time| *time <= ms)
    }
}

/// The median curve and the band that holds the middle 80 % of the events, as values at given times.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// Times, milliseconds.
    pub at_ms: Vec<f64>,
    /// 10 % quantile over events.
    pub low: Vec<f64>,
    /// Median over events.
    pub median: Vec<f64>,
    /// 90 % quantile over events.
    pub high: Vec<f64>,
}

impl Band {
    /// Takes the quantiles of `value(curve, time)` over `curves` at `points + 1` times from 0 to `until_ms`.
    pub fn of(curves: &[Curve], until_ms: f64, points: u32, value: impl Fn(&Curve, f64) -> f64) -> Self {
        let mut band = Self { at_ms: Vec::new(), low: Vec::new(), median: Vec::new(), high: Vec::new() };
        if curves.is_empty() {
            return band;
        }
        let mut column = vec![0.0; curves.len()];
        for point in 0..=points {
            let at = until_ms * f64::from(point) / f64::from(points);
            column.iter_mut().zip(curves).for_each(|(cell, curve)| *cell = value(curve, at));
            let mut take = |q| quantile(&mut column, q).expect("there is a curve");
            let (low, median, high) = (take(0.1), take(0.5), take(0.9));
            band.at_ms.push(at);
            band.low.push(low);
            band.median.push(median);
            band.high.push(high);
        }
        band
    }
}

/// A good right end for a time axis: the latest time at which an expected node learnt, but at most three times the median of
/// those of the events, so that one late event does not squeeze the rest. The second value counts the curves cut off.
#[must_use]
pub fn axis_end(curves: &[Curve]) -> (f64, usize) {
    let mut ends: Vec<f64> = curves.iter().filter_map(|curve| curve.reached_ms.last().copied()).collect();
    let Some(median) = quantile(&mut ends, 0.5) else { return (1.0, 0) };
    let end = ends.last().copied().unwrap_or(1.0).min(3.0 * median).max(1.0);
    (end * 1.04, ends.iter().filter(|last| **last > end * 1.04).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(expected: usize, reached_ms: &[f64]) -> Curve {
        Curve { event: 0, expected, reached_ms: reached_ms.to_vec(), all_ms: reached_ms.to_vec() }
    }

    #[test]
    fn the_time_to_a_share_is_the_time_of_the_node_that_completes_it() {
        let times: Vec<f64> = (0..10).map(f64::from).collect();
        let curve = curve(10, &times);
        for (q, expected) in [(0.5, 4.0), (0.9, 8.0), (0.91, 9.0), (0.99, 9.0), (1.0, 9.0), (0.1, 0.0), (0.0, 0.0)] {
            assert_eq!(curve.time_to(q), expected, "share {q}");
        }
    }

    #[test]
    fn a_node_that_never_learnt_makes_the_last_time_infinite_and_only_that() {
        let curve = curve(4, &[0.0, 1.0, 2.0]);
        assert_eq!(curve.time_to(0.75), 2.0);
        assert_eq!(curve.time_to(0.76), f64::INFINITY);
        assert_eq!(curve.share_at(5.0), 0.75);
    }

    #[test]
    fn the_band_holds_the_quantiles_over_events_at_each_time() {
        let curves: Vec<Curve> = (1..=11).map(|late| curve(2, &[0.0, f64::from(late)])).collect();
        let band = Band::of(&curves, 11.0, 11, Curve::share_at);
        assert_eq!(band.at_ms[6], 6.0);
        assert_eq!(band.median[5], 0.5, "at 5 ms five of eleven events have reached both nodes");
        assert_eq!(band.median[6], 1.0, "at 6 ms six have");
        assert_eq!((band.high[1], band.high[2]), (0.5, 1.0), "the second of eleven decides the 90 % quantile");
        assert_eq!((band.low[9], band.low[10]), (0.5, 1.0));
    }

    #[test]
    fn one_straggler_does_not_stretch_the_axis() {
        let mut curves = vec![curve(2, &[0.0, 10.0]); 9];
        curves.push(curve(2, &[0.0, 1000.0]));
        let (end, cut) = axis_end(&curves);
        assert!((end - 31.2).abs() < 1e-9 && cut == 1, "{end} {cut}");
        assert_eq!(axis_end(&[]), (1.0, 0));
    }
}
