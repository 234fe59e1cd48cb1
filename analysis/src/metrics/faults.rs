//! What was asked of the fault shim against what it did: the proof that a fault really happened, or the warning that it did
//! not.
//!
//! The shim's counts are cumulative over a node's life. A run is charged with the difference between a node's last snapshot
//! in the run and its last one before the run (its start, if there is none). A crashed node takes its last counts with it;
//! what it had reported until then is in.

use event_log::plan::Action;
use event_log::record::{FaultCounts, MemberState};
use netem::spec::{Delay, Distribution};

use crate::load::{Experiment, Gone, Run, Stay};
use crate::metrics::times::ms;
use crate::stats::{Interval, binomial_z, wilson};

/// All evidence of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FaultEvidence {
    /// Sum of the counts of all nodes.
    pub counts: FaultCounts,
    /// Nodes with counts.
    pub nodes: usize,
    /// One entry per fault of the setting.
    pub faults: Vec<FaultRow>,
    /// Losses, when there was a trial.
    pub loss: Option<LossCheck>,
    /// Delays, when there was one.
    pub delay: Option<DelayCheck>,
}

/// One fault of the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRow {
    /// The fault in words.
    pub text: String,
    /// Nodes that were ordered to suffer it.
    pub ordered: usize,
    /// Nodes that reported it in effect; `None` for goodbyes and crashes, which a node cannot report.
    pub applied: Option<usize>,
    /// What shows that it happened, in words.
    pub evidence: String,
    /// False when it was due and nothing shows that it happened.
    pub happened: bool,
}

/// Losses asked against realised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossCheck {
    /// Datagrams on which a loss was tried.
    pub trials: u64,
    /// Losses expected from the probabilities asked for.
    pub expected: f64,
    /// Losses that happened.
    pub dropped: u64,
    /// Standard deviations between the two. `None` when the outcome was certain.
    pub z: Option<f64>,
    /// 95 % interval (Wilson) of the probability realised.
    pub interval: Interval,
}

/// Delays asked against realised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DelayCheck {
    /// Datagrams delayed.
    pub delayed: u64,
    /// Mean and standard deviation asked for, milliseconds; `None` when the setting has several delays or none.
    pub asked_ms: Option<(f64, f64)>,
    /// Mean realised, milliseconds.
    pub mean_ms: f64,
    /// Standard deviation realised, milliseconds.
    pub sd_ms: f64,
    /// 95 % interval of the mean, milliseconds.
    pub interval: Interval,
    /// Mean lateness of the release (what the timer added), milliseconds.
    pub late_ms: f64,
}

impl FaultEvidence {
    /// Collects the evidence of `run`.
    #[must_use]
    pub fn of(experiment: &Experiment, run: &Run) -> Self {
        let spent: Vec<FaultCounts> = experiment.stays.iter().filter_map(|stay| spent(stay, run.index)).collect();
        let counts = spent.iter().fold(FaultCounts::default(), |sum, counts| combine(sum, *counts, 1.0));
        let loss = wilson(counts.loss_dropped, counts.loss_trials).map(|interval| LossCheck {
            trials: counts.loss_trials,
            expected: counts.loss_expected,
            dropped: counts.loss_dropped,
            z: binomial_z(counts.loss_dropped, counts.loss_trials, counts.loss_expected),
            interval,
        });
        let faults = run.setting.as_ref().map_or(&[][..], |setting| &setting.faults);
        let delays: Vec<Delay> = faults.iter().filter_map(|fault| fault.delay).collect();
        let asked_ms = if let [delay] = delays.as_slice() { Some(asked(delay)) } else { None };
        let mut evidence =
            Self { counts, nodes: spent.len(), faults: Vec::new(), loss, delay: delay_check(&counts, asked_ms) };
        evidence.faults = (0..faults.len()).map(|fault| evidence.row(experiment, run, fault)).collect();
        evidence
    }

    /// Faults that were due and left no trace.
    pub fn without_evidence(&self) -> impl Iterator<Item = &FaultRow> {
        self.faults.iter().filter(|row| !row.happened)
    }

    fn row(&self, experiment: &Experiment, run: &Run, fault: usize) -> FaultRow {
        let number = u32::try_from(fault).unwrap_or(u32::MAX);
        let mut targets: Vec<&str> =
            run.orders.iter().filter(|order| order.fault == number).map(|order| order.target.as_str()).collect();
        targets.sort_unstable();
        targets.dedup();
        let mut nodes: Vec<usize> = run
            .applied
            .iter()
            .filter(|applied| applied.fault == number && applied.active)
            .map(|applied| applied.node)
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        let gone = |how: Gone| {
            let within = |at: i64| (run.from..=run.to).contains(&at);
            experiment
                .stays
                .iter()
                .filter(|stay| targets.contains(&stay.name.as_str()))
                .filter(|stay| stay.gone.is_some_and(|(at, why)| why == how && within(at)))
                .count()
        };
        let (evidence, mut happened) = match run.action(number) {
            Some(Action::Loss(loss)) => (
                format!("{} of {} datagrams tried were lost", self.counts.loss_dropped, self.counts.loss_trials),
                if loss.probability.value() > 0.0 { self.counts.loss_dropped > 0 } else { true },
            ),
            Some(Action::Delay(_)) => {
                (format!("{} datagrams were delayed", self.counts.delayed), self.counts.delayed > 0)
            }
            Some(Action::DropNext(next)) => {
                let due = u64::from(next.count) * targets.len().max(nodes.len()) as u64;
                (format!("{} datagrams dropped, {due} asked", self.counts.next_dropped), self.counts.next_dropped > 0)
            }
            Some(Action::Sleep(_)) => {
                let naps: Vec<f64> = run
                    .naps()
                    .iter()
                    .filter(|nap| nodes.contains(&nap.node))
                    .filter_map(|nap| nap.to.map(|to| ms(to - nap.from)))
                    .collect();
                let longest = naps.iter().copied().fold(0.0, f64::max);
                (
                    format!(
                        "{} awakenings, longest sleep {:.0} ms; {} datagrams dropped asleep",
                        naps.len(),
                        longest,
                        self.counts.sleep_dropped
                    ),
                    self.counts.sleep_dropped > 0,
                )
            }
            Some(Action::Partition(_)) => (
                format!("{} datagrams dropped at the partition", self.counts.partition_dropped),
                self.counts.partition_dropped > 0,
            ),
            Some(Action::Leave) => {
                let left = left(experiment, run, &targets);
                (format!("{left} of {} said goodbye and ended", targets.len()), left == targets.len())
            }
            Some(Action::Crash(_)) => {
                let killed = gone(Gone::Killed);
                (format!("{killed} of {} killed", targets.len()), killed == targets.len())
            }
            Some(Action::Churn(_)) => {
                let joined = experiment.stays.iter().filter(|stay| run.from < stay.from && stay.from <= run.to).count();
                let (left, killed) = (gone(Gone::Left), gone(Gone::Killed));
                (format!("{joined} joined, {left} left, {killed} killed"), joined + left + killed > 0)
            }
            None => ("the plan's fault cannot be understood".to_owned(), false),
        };
        let comes_and_goes = matches!(run.action(number), Some(Action::Churn(_)));
        happened &= !targets.is_empty() || !nodes.is_empty() || comes_and_goes;
        let text = run.setting.as_ref().and_then(|setting| setting.faults.get(fault));
        FaultRow {
            text: text.map_or_else(|| format!("fault {fault}"), ToString::to_string),
            ordered: targets.len(),
            applied: (!matches!(run.action(number), Some(Action::Leave | Action::Crash(_))) && !comes_and_goes)
                .then_some(nodes.len()),
            evidence,
            happened,
        }
    }
}

/// How many of the nodes called `targets` really left in `run`: their process ended in good order, or another node heard
/// the goodbye.
fn left(experiment: &Experiment, run: &Run, targets: &[&str]) -> usize {
    let heard = |stay: &Stay, since: i64| {
        run.changes
            .iter()
            .any(|change| Some(change.member) == stay.addr && change.state == MemberState::Left && change.at >= since)
    };
    let really = |stay: &&Stay| match stay.gone {
        Some((at, Gone::Left)) if (run.from..=run.to).contains(&at) => stay.stopped.is_some() || heard(stay, at),
        _ => false,
    };
    experiment.stays.iter().filter(|stay| targets.contains(&stay.name.as_str())).filter(really).count()
}

/// Mean and standard deviation that a delay asks for, milliseconds. A normal delay is cut off at zero, which is neglected
/// here: at a mean of four deviations it shifts the mean by less than 10⁻⁴ of a deviation.
#[must_use]
pub fn asked(delay: &Delay) -> (f64, f64) {
    let (mean, jitter) = (delay.mean.get().as_secs_f64() * 1e3, delay.jitter.get().as_secs_f64() * 1e3);
    match delay.distribution {
        Distribution::Fixed => (mean, 0.0),
        Distribution::Uniform => (mean, jitter / 3f64.sqrt()),
        Distribution::Normal => (mean, jitter),
    }
}

fn delay_check(counts: &FaultCounts, asked_ms: Option<(f64, f64)>) -> Option<DelayCheck> {
    if counts.delayed == 0 {
        return None;
    }
    let n = counts.delayed as f64;
    let mean_ns = counts.delay_sum_ns / n;
    let sd_ns = (counts.delay_square_sum_ns2 / n - mean_ns * mean_ns).max(0.0).sqrt();
    let (mean_ms, sd_ms) = (mean_ns / 1e6, sd_ns / 1e6);
    let half = 1.96 * sd_ms / n.sqrt();
    Some(DelayCheck {
        delayed: counts.delayed,
        asked_ms,
        mean_ms,
        sd_ms,
        interval: Interval { low: mean_ms - half, high: mean_ms + half },
        late_ms: counts.delay_late_sum_ns / n / 1e6,
    })
}

/// `a` + `sign`·`b`, field by field; counts never fall below zero.
fn combine(a: FaultCounts, b: FaultCounts, sign: f64) -> FaultCounts {
    let count = |a: u64, b: u64| if sign < 0.0 { a.saturating_sub(b) } else { a + b };
    let sum = |a: f64, b: f64| sign.mul_add(b, a).max(0.0);
    FaultCounts {
        judged_out: count(a.judged_out, b.judged_out),
        judged_in: count(a.judged_in, b.judged_in),
        loss_trials: count(a.loss_trials, b.loss_trials),
        loss_expected: sum(a.loss_expected, b.loss_expected),
        loss_dropped: count(a.loss_dropped, b.loss_dropped),
        next_dropped: count(a.next_dropped, b.next_dropped),
        sleep_dropped: count(a.sleep_dropped, b.sleep_dropped),
        partition_dropped: count(a.partition_dropped, b.partition_dropped),
        queue_dropped: count(a.queue_dropped, b.queue_dropped),
        delayed: count(a.delayed, b.delayed),
        delay_sum_ns: sum(a.delay_sum_ns, b.delay_sum_ns),
        delay_square_sum_ns2: sum(a.delay_square_sum_ns2, b.delay_square_sum_ns2),
        delay_late_sum_ns: sum(a.delay_late_sum_ns, b.delay_late_sum_ns),
    }
}

fn spent(stay: &Stay, run: u32) -> Option<FaultCounts> {
    let last = stay.faults.iter().rfind(|snapshot| snapshot.run == run)?;
    let base = stay.faults.iter().rfind(|snapshot| snapshot.run < run && snapshot.life == last.life);
    Some(base.map_or(last.counts, |base| combine(last.counts, base.counts, -1.0)))
}

#[cfg(test)]
mod tests {
    use netem::spec::{Direction, Span};

    use super::*;
    use crate::load::Snapshot;

    #[test]
    fn a_delays_mean_and_deviation_by_its_distribution() {
        let delay = |distribution| Delay {
            mean: Span::from_millis(20),
            jitter: Span::from_millis(6),
            distribution,
            direction: Direction::Out,
        };
        assert_eq!(asked(&delay(Distribution::Fixed)), (20.0, 0.0));
        assert_eq!(asked(&delay(Distribution::Normal)), (20.0, 6.0));
        let (mean, sd) = asked(&delay(Distribution::Uniform));
        assert!(mean == 20.0 && (sd - 3.4641).abs() < 1e-4, "{sd}");
    }

    /// Delays of 10 and 30 ms: mean 20, sd 10; timers late by 1 ms each.
    #[test]
    fn realised_delays_come_from_the_sums() {
        let counts = FaultCounts {
            delayed: 2,
            delay_sum_ns: 40e6,
            delay_square_sum_ns2: 100e12 + 900e12,
            delay_late_sum_ns: 2e6,
            ..FaultCounts::default()
        };
        let check = delay_check(&counts, None).expect("delays");
        assert!((check.mean_ms - 20.0).abs() < 1e-9 && (check.sd_ms - 10.0).abs() < 1e-9, "{check:?}");
        assert!((check.late_ms - 1.0).abs() < 1e-9);
        assert_eq!(delay_check(&FaultCounts::default(), None), None);
    }

    #[test]
    fn a_run_is_charged_with_what_came_after_the_run_before_it() {
        let snapshot = |run, life, loss_dropped| Snapshot {
            run,
            at: 0,
            life,
            counts: FaultCounts { loss_dropped, ..FaultCounts::default() },
        };
        let stay = |faults| Stay {
            name: "a".into(),
            addr: None,
            from: 0,
            gone: None,
            stopped: None,
            traffic: vec![],
            faults,
            counters: vec![],
        };
        let two = stay(vec![snapshot(0, 0, 5), snapshot(1, 0, 6), snapshot(1, 0, 9)]);
        assert_eq!(spent(&two, 1).expect("counts").loss_dropped, 4);
        let restarted = stay(vec![snapshot(0, 0, 5), snapshot(1, 1, 9)]);
        assert_eq!(spent(&restarted, 1).expect("counts").loss_dropped, 9);
    }
}
