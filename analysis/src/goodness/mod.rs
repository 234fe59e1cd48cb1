//! Clusters against the model without fitted parameters: goodness of fit, and what each strategy cost.
//!
//! For every run of every result: the model of the plan ([`crate::theory`]) plays as many events in as many clusters as it takes to
//! know how far chance alone goes; χ² over the model's deciles says how far the run is from that. The clusters of the model have the
//! events of the run: so many, at these times, from these nodes. Events of one cluster share its phases and calls, which makes χ²
//! scatter more than its textbook law says: the p-value is the share of the model's own clusters that lie as far out.

pub mod figures;
pub mod report;

use event_log::plan::Backend;
use event_log::protocol::{Fanout, Strategy};

use crate::curves::Curve;
use crate::load::{Experiment, Nanos, Run};
use crate::metrics::RunMetrics;
use crate::metrics::times::{SHARES, Summary, summarise};
use crate::stats::{Interval, median, percentile_interval, rng};
use crate::study::calls;
use crate::theory;
use crate::theory::phases::How;

/// Clusters that the model plays for a run of so many nodes; large ones cost more and scatter less. None beyond 20,000.
#[must_use]
pub const fn clusters(size: u32) -> usize {
    match size {
        0..=400 => 199,
        401..=2_000 => 49,
        2_001..=20_000 => 19,
        _ => 0,
    }
}

/// Bins of χ², before those are merged in which too few events are expected.
const BINS: usize = 10;

/// Fewest events that a bin may be expected to hold.
const EXPECTED_MIN: f64 = 5.0;

/// What of an event is held against the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// Time until half of the nodes know, milliseconds.
    Half,
    /// Time until all know, milliseconds.
    All,
    /// Nodes that know a quarter of a gossip interval after the start. For strategies that do not wait for rounds: how long a hop
    /// takes is the machine's, how many hops reach is the strategy's.
    Soon,
}

impl Quantity {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Half => "t50, ms",
            Self::All => "t100, ms",
            Self::Soon => "nodes after T_g/4",
        }
    }

    /// Those that a strategy is judged by.
    #[must_use]
    pub fn of_strategy(how: How) -> &'static [Self] {
        match how {
            How::Eager => &[Self::Soon],
            How::Push | How::Pull | How::PushPull => &[Self::Half, Self::All],
        }
    }

    /// Its value for an event of which the nodes learnt at these sorted times.
    fn of(self, times_ms: &[f64], size: usize, interval_ms: f64) -> f64 {
        let nth = |nth: usize| times_ms.get(nth.max(1) - 1).copied().unwrap_or(f64::INFINITY);
        match self {
            Self::Half => nth((SHARES[0] * size as f64).ceil() as usize),
            Self::All => nth(size),
            Self::Soon => times_ms.partition_point(|time| *time <= interval_ms / 4.0) as f64,
        }
    }
}

/// One quantity of one run beside the model's.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// What.
    pub quantity: Quantity,
    /// Over the run's events.
    pub measured: Summary,
    /// Median over the model's clusters of their medians.
    pub model: f64,
    /// The middle 95 % of those.
    pub model_interval: Interval,
    /// χ² of the run's events over the model's bins, and the bins.
    pub chi2: f64,
    /// Bins.
    pub bins: usize,
    /// Share of the model's clusters whose χ² is as great.
    pub p: f64,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Whether the nodes were the simulator's.
    pub simulated: bool,
    /// The strategy with its fan-out, as the plan has it.
    pub strategy: String,
    /// The setting's name.
    pub setting: String,
    /// N.
    pub size: u32,
    /// Events started, and those that every node learnt of that had to.
    pub events: usize,
    /// See there.
    pub complete: usize,
    /// Time to 50, 90, 99 and 100 %, milliseconds.
    pub times: Vec<Summary>,
    /// Time in milliseconds and the share of the nodes that do not know by then, mean over the events, until all know.
    pub uninformed: Vec<(f64, f64)>,
    /// What it cost.
    pub traffic: Option<crate::metrics::traffic::TrafficSummary>,
    /// The tests, or why there are none.
    pub tests: Result<Vec<Test>, String>,
}

/// Everything about some results.
#[derive(Debug, Clone)]
pub struct Goodness {
    /// Every run with events.
    pub cells: Vec<Cell>,
}

impl Goodness {
    /// Judges all runs of `results`; `progress` is called after each.
    pub fn of(results: &[Experiment], mut progress: impl FnMut(&Cell)) -> Self {
        let mut cells = Vec::new();
        for experiment in results {
            for run in experiment.runs.iter().filter(|run| !run.events.is_empty() && run.key.size > 1) {
                let cell = Cell::of(experiment, run);
                progress(&cell);
                cells.push(cell);
            }
        }
        Self { cells }
    }

    /// All tests, each with its cell.
    pub fn tests(&self) -> impl Iterator<Item = (&Cell, &Test)> {
        self.cells.iter().flat_map(|cell| cell.tests.iter().flatten().map(move |test| (cell, test)))
    }

    /// The settings in the order in which they first come.
    #[must_use]
    pub fn settings(&self) -> Vec<&str> {
        firsts(self.cells.iter().map(|cell| cell.setting.as_str()))
    }

    /// The runs under one setting.
    #[must_use]
    pub fn under(&self, setting: &str) -> Vec<&Cell> {
        self.cells.iter().filter(|cell| cell.setting == setting).collect()
    }
}

/// What an iterator yields, each once.
pub(crate) fn firsts<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

impl Cell {
    fn of(experiment: &Experiment, run: &Run) -> Self {
        let metrics = RunMetrics::of(experiment, run);
        let complete = metrics.times.events.iter().filter(|times| times[SHARES.len() - 1].is_finite()).count();
        Self {
            simulated: experiment.manifest.backend == Backend::Sim,
            strategy: strategy(experiment),
            setting: run.key.setting.clone(),
            size: run.key.size,
            events: run.events.len(),
            complete,
            tests: tests(experiment, run, &metrics),
            uninformed: uninformed(&metrics.curves),
            times: metrics.times.summary,
            traffic: metrics.traffic,
        }
    }
}

/// The mean share of nodes that do not know, at 400 times until the last event is everywhere.
fn uninformed(curves: &[Curve]) -> Vec<(f64, f64)> {
    let last = curves.iter().filter_map(|curve| curve.reached_ms.last()).copied().fold(0.0, f64::max);
    let mean = |ms: f64| curves.iter().map(|curve| 1.0 - curve.share_at(ms)).sum::<f64>() / curves.len().max(1) as f64;
    (0..=400).map(|step| last * f64::from(step) / 400.0).map(|ms| (ms, mean(ms))).collect()
}

/// The strategy's name and its fan-out.
fn strategy(experiment: &Experiment) -> String {
    let Ok(config) = experiment.manifest.plan.protocol.config() else { return "unknown".to_owned() };
    let name = match config.strategy {
        Strategy::Push { .. } => "push",
        Strategy::Pull { .. } => "pull",
        Strategy::PushPull { .. } => "push-pull",
        Strategy::MedianCounter { .. } => "median counter",
        Strategy::Eager { .. } => "eager",
        Strategy::SqrtTree { .. } => "sqrt-tree",
    };
    match config.strategy.fanout() {
        Fanout::Fixed(fanout) => format!("{name} {fanout}"),
        Fanout::Growing => format!("{name}, growing"),
        Fanout::Logarithmic => format!("{name}, logarithmic"),
        Fanout::Aging => format!("{name}, aging"),
        Fanout::HeavyTail { .. } => format!("{name}, heavy tail"),
    }
}

fn tests(experiment: &Experiment, run: &Run, metrics: &RunMetrics) -> Result<Vec<Test>, String> {
    let plan = &experiment.manifest.plan;
    let setting = run.setting.as_ref().ok_or("The plan has no such setting.")?;
    let model = theory::model(plan, setting)?;
    let size = run.key.size as usize;
    let clusters = clusters(run.key.size);
    if clusters == 0 {
        return Err(format!("N = {size} is more than the model is played for."));
    }
    let calls = calls(&model, experiment, run);
    let starts = starts(experiment, run, size);
    let label = format!("analysis/goodness/{}/{}", run.key.size, run.key.setting);
    let mut rng = rng(experiment.manifest.seed, &label);
    let played: Vec<Vec<Vec<f64>>> = (0..clusters).map(|_| model.cluster(&calls, &starts, &mut rng)).collect();
    let one = |quantity: Quantity| {
        let of = |times: &[f64]| quantity.of(times, size, model.interval_ms);
        let observed: Vec<f64> = metrics.curves.iter().map(|curve| of(&curve.reached_ms)).collect();
        let expected: Vec<Vec<f64>> =
            played.iter().map(|cluster| cluster.iter().map(|event| of(event)).collect()).collect();
        let label = format!("{label}/{}", quantity.name());
        let measured = summarise(&observed, experiment.manifest.seed, &label)?;
        let (chi2, bins, p) = chi_square(&observed, &expected)?;
        let mut medians: Vec<f64> = expected.iter().filter_map(|cluster| median(cluster)).collect();
        medians.sort_unstable_by(f64::total_cmp);
        let (model, model_interval) = (median(&medians)?, percentile_interval(&medians)?);
        Some(Test { quantity, measured, model, model_interval, chi2, bins, p })
    };
    Ok(Quantity::of_strategy(model.how).iter().filter_map(|quantity| one(*quantity)).collect())
}

/// When and where the run's events started, as the model counts: milliseconds after some moment before the first, and the node's
/// place among those that were there.
fn starts(experiment: &Experiment, run: &Run, size: usize) -> Vec<(f64, usize)> {
    let there: Vec<usize> =
        (0..experiment.stays.len()).filter(|stay| experiment.stays[*stay].present(run.from)).collect();
    let first = run.events.iter().map(|event| event.t0).min().unwrap_or(0);
    let ms = |nanos: Nanos| nanos as f64 / 1e6;
    let place = |stay: usize| there.iter().position(|id| *id == stay).filter(|place| *place < size).unwrap_or(0);
    run.events.iter().map(|event| (ms(event.t0 - first), place(event.origin))).collect()
}

/// χ² of `observed` over bins that hold about equal shares of all that `clusters` have, the number of bins, and the share of the
/// clusters (the run counted as one of them) whose own χ² is as great. Where nearly all values of the model are one, so that there are
/// no two bins: the square of the distance of the means, and one bin. `None` without clusters.
#[must_use]
pub fn chi_square(observed: &[f64], clusters: &[Vec<f64>]) -> Option<(f64, usize, f64)> {
    let mut pooled: Vec<f64> = clusters.iter().flatten().copied().collect();
    // A mean of what was never reached says nothing.
    let finite = pooled.iter().chain(observed).all(|value| value.is_finite());
    pooled.sort_unstable_by(f64::total_cmp);
    let (total, n) = (pooled.len() as f64, observed.len() as f64);
    let below = |bound: f64| pooled.partition_point(|value| *value <= bound) as f64 / total;
    // Upper ends of the bins, themselves included; the last has none.
    let mut bounds: Vec<f64> = Vec::new();
    let mut taken = 0.0;
    for cut in 1..BINS {
        let Some(&bound) = pooled.get(pooled.len() * cut / BINS) else { break };
        let share = below(bound);
        if (share - taken) * n >= EXPECTED_MIN && (1.0 - share) * n >= EXPECTED_MIN {
            bounds.push(bound);
            taken = share;
        }
    }
    let as_far = |value: f64, statistic: &dyn Fn(&[f64]) -> f64| {
        // Sums in another order differ in the last places.
        let far = clusters.iter().filter(|cluster| statistic(cluster) >= value - 1e-9).count();
        (far + 1) as f64 / (clusters.len() + 1) as f64
    };
    if bounds.is_empty() {
        let mean = |sample: &[f64]| sample.iter().sum::<f64>() / sample.len() as f64;
        let centre = mean(&pooled);
        let distance = |sample: &[f64]| (mean(sample) - centre).powi(2);
        let value = distance(observed);
        return (finite && !pooled.is_empty()).then(|| (value, 1, as_far(value, &distance)));
    }
    let shares: Vec<f64> = bounds.iter().map(|bound| below(*bound)).chain([1.0]).collect();
    let statistic = |sample: &[f64]| {
        let mut counts = vec![0.0; shares.len()];
        for value in sample {
            counts[bounds.partition_point(|bound| bound < value)] += 1.0;
        }
        let mut before = 0.0;
        let mut chi2 = 0.0;
        for (share, count) in shares.iter().zip(counts) {
            let expected = (share - before) * sample.len() as f64;
            chi2 += (count - expected).powi(2) / expected;
            before = *share;
        }
        chi2
    };
    let chi2 = statistic(observed);
    Some((chi2, shares.len(), as_far(chi2, &statistic)))
}

/// Pairs of strategies that the model puts in one order and the cluster in the other, at one size and setting: the model by what single
/// clusters vary by, the cluster beyond what both intervals allow.
#[must_use]
pub fn swapped<'a>(cells: &[&'a Cell], quantity: Quantity) -> Vec<(&'a Cell, &'a Cell)> {
    let value = |cell: &'a Cell| {
        let tests = cell.tests.as_ref().ok()?;
        tests.iter().find(|test| test.quantity == quantity).map(|test| (cell, test))
    };
    let all: Vec<(&Cell, &Test)> = cells.iter().copied().filter_map(value).collect();
    let mut swapped = Vec::new();
    for (place, (a, of_a)) in all.iter().enumerate() {
        for (b, of_b) in &all[place + 1..] {
            for (quick, slow, first, second) in [(of_a, of_b, *a, *b), (of_b, of_a, *b, *a)] {
                let ordered = quick.model_interval.high < slow.model_interval.low;
                if ordered && quick.measured.interval.low > slow.measured.interval.high {
                    swapped.push((first, second));
                }
            }
        }
    }
    swapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::phases::Model;

    /// Four bins would be 1..=25, ..50, ..75, ..100 of 400 values; by hand for 40 observations.
    #[test]
    fn chi_square_is_that_of_the_hand() {
        let clusters: Vec<Vec<f64>> = (0..4).map(|_| (1..=100).map(f64::from).collect()).collect();
        // Ten deciles of 4 expected events each are too thin: every second bound is taken, five bins of 8.
        let observed: Vec<f64> = (0..40).map(|i| if i < 20 { 5.0 } else { 95.0 }).collect();
        let (chi2, bins, p) = chi_square(&observed, &clusters).expect("bins");
        // The bounds are the values at places 80, 160, 240 and 320 of 400 from 0: 21, 41, 61 and 81. 21 % of 40 are 8.4, 20 % are 8.0
        // and 19 % are 7.6.
        let by_hand = (20.0_f64 - 8.4).powi(2) / 8.4 + 3.0 * 8.0 + (20.0_f64 - 7.6).powi(2) / 7.6;
        assert_eq!(bins, 5);
        assert!((chi2 - by_hand).abs() < 1e-9, "{chi2} {by_hand}");
        assert!((p - 0.2).abs() < 1e-12, "none of the four clusters is as far out: (0 + 1) / (4 + 1), not {p}");
    }

    #[test]
    fn where_the_model_always_says_the_same_the_means_are_compared() {
        let clusters = vec![vec![32.0; 50]; 19];
        assert_eq!(chi_square(&[32.0; 50], &clusters), Some((0.0, 1, 1.0)));
        let (distance, bins, p) = chi_square(&[31.0; 50], &clusters).expect("clusters");
        assert_eq!((distance, bins), (1.0, 1));
        assert!((p - 0.05).abs() < 1e-12, "none of 19 is as far out: 1 / 20, not {p}");
        assert_eq!(chi_square(&[1.0], &[]), None);
    }

    /// Runs of the model itself, held against the model: p is uniform, so of 200 about 10 are at most 0.05 (four standard deviations:
    /// 12). Runs of another model are found.
    #[test]
    fn runs_of_the_model_fit_it_and_runs_of_another_do_not() {
        let model = Model::plain(100.0, 1);
        let slower = Model { loss: 0.25, ..model };
        let starts: Vec<(f64, usize)> = (0..60).map(|event| (f64::from(event) * 137.0, event as usize % 16)).collect();
        let calls = [1; 16];
        let mut rng = rng(5, "goodness");
        let mut play = |model: &Model, clusters: usize| -> Vec<Vec<f64>> {
            let half = |times: &Vec<f64>| Quantity::Half.of(times, 16, 100.0);
            (0..clusters).map(|_| model.cluster(&calls, &starts, &mut rng).iter().map(half).collect()).collect()
        };
        let clusters = play(&model, 199);
        let same = play(&model, 200);
        let rejected = same.iter().filter(|run| chi_square(run, &clusters).expect("bins").2 <= 0.05).count();
        assert!(rejected <= 22, "{rejected} of 200");
        let other = play(&slower, 20);
        let found = other.iter().filter(|run| chi_square(run, &clusters).expect("bins").2 <= 0.05).count();
        assert!(found >= 16, "{found} of 20");
    }
}
