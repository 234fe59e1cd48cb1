//! A whole log, measured: every run, and for every setting its times against N with fits and predictions.

use std::net::SocketAddr;

use crate::fit::{Comparison, SizeTimes, compare};
use crate::load::{Experiment, Run};
use crate::metrics::RunMetrics;
use crate::metrics::times::{SHARE_NAMES, SHARES};
use crate::plot::slug;
use crate::stats::{kolmogorov_smirnov, median, rng};
use crate::theory;
use crate::theory::phases::Model;

/// Everything that the report shows.
#[derive(Debug, Clone)]
pub struct Study {
    /// What happened.
    pub experiment: Experiment,
    /// The metrics of each run, in the order of [`Experiment::runs`].
    pub metrics: Vec<RunMetrics>,
    /// Each setting that has a run with events, in the order of the plan.
    pub settings: Vec<SettingStudy>,
}

/// One setting over all sizes.
#[derive(Debug, Clone)]
pub struct SettingStudy {
    /// Name of the setting.
    pub name: String,
    /// The name as a part of file names, different from that of every other setting.
    pub slug: String,
    /// Places of its runs in [`Experiment::runs`], from the smallest size to the largest; only runs with events.
    pub runs: Vec<usize>,
    /// For each share the comparison of the laws, or why there is none.
    pub fits: Vec<Result<Comparison, String>>,
    /// The prediction without fitted parameters, or why there is none.
    pub prediction: Result<Prediction, String>,
}

/// What the random-phase model predicts for one setting.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// The model with its parameters, all of them from the plan.
    pub model: Model,
    /// Time per doubling of N in the growth phase, milliseconds, from the eigenvalue equation.
    pub doubling_ms: Option<f64>,
    /// For each size.
    pub sizes: Vec<PredictedSize>,
}

/// The prediction at one size.
#[derive(Debug, Clone)]
pub struct PredictedSize {
    /// N.
    pub size: u32,
    /// Medians of the simulated times in the order of [`SHARES`], milliseconds.
    pub medians_ms: [f64; 4],
    /// Kolmogorov and Smirnov's distance between measured and simulated times, and its p-value, in the same order.
    pub tests: [(f64, f64); 4],
}

/// Simulated events per size; fewer for large clusters, whose events vary less and cost more.
fn simulations(size: u32) -> usize {
    match size {
        0..=600 => 400,
        601..=1500 => 150,
        _ => 50,
    }
}

impl Study {
    /// Measures everything in `experiment`.
    #[must_use]
    pub fn of(experiment: Experiment) -> Self {
        let metrics: Vec<RunMetrics> = experiment.runs.iter().map(|run| RunMetrics::of(&experiment, run)).collect();
        let mut names: Vec<String> = experiment.manifest.plan.settings.iter().map(|s| s.name.clone()).collect();
        for run in &experiment.runs {
            if !names.contains(&run.key.setting) {
                names.push(run.key.setting.clone());
            }
        }
        let mut settings: Vec<SettingStudy> = Vec::new();
        for name in &names {
            let taken = |candidate: &String| settings.iter().any(|setting| setting.slug == *candidate);
            let numbered = (2..).map(|number| format!("{}-{number}", slug(name)));
            let slug = std::iter::once(slug(name)).chain(numbered).find(|candidate| !taken(candidate));
            settings.extend(slug.and_then(|slug| SettingStudy::of(&experiment, &metrics, name, slug)));
        }
        Self { experiment, metrics, settings }
    }
}

impl SettingStudy {
    fn of(experiment: &Experiment, metrics: &[RunMetrics], name: &str, slug: String) -> Option<Self> {
        let runs = &experiment.runs;
        let mut places: Vec<usize> = (0..runs.len())
            .filter(|place| {
                let run = &runs[*place];
                run.key.setting == name && run.key.size > 0 && !run.events.is_empty()
            })
            .collect();
        if places.is_empty() {
            return None;
        }
        places.sort_by_key(|place| runs[*place].key.size);
        let seed = experiment.manifest.seed;
        let times = |share: usize| -> Vec<SizeTimes> {
            places
                .iter()
                .map(|place| SizeTimes { size: runs[*place].key.size, times_ms: metrics[*place].times.column(share) })
                .collect()
        };
        let fits = (0..SHARES.len())
            .map(|share| compare(&times(share), seed, &format!("{name}/{}", SHARE_NAMES[share])))
            .collect();
        let prediction = match experiment.manifest.plan.setting(name) {
            Some(setting) => theory::model(&experiment.manifest.plan, setting)
                .map(|model| predict(model, &places, experiment, metrics, name)),
            None => Err(format!("No prediction is drawn: the plan has no setting \"{name}\".")),
        };
        Some(Self { name: name.to_owned(), slug, runs: places, fits, prediction })
    }
}

fn predict(model: Model, places: &[usize], experiment: &Experiment, metrics: &[RunMetrics], name: &str) -> Prediction {
    let sizes = places
        .iter()
        .map(|place| {
            let size = experiment.runs[*place].key.size;
            let run = &experiment.runs[*place];
            let simulated = simulate(&model, &calls(&model, experiment, run), experiment.manifest.seed, name);
            let column = |share: usize| simulated.iter().map(|times| times[share]).collect::<Vec<f64>>();
            let each: [usize; 4] = [0, 1, 2, 3];
            PredictedSize {
                size,
                medians_ms: each.map(|share| median(&column(share)).unwrap_or(f64::INFINITY)),
                tests: each.map(|share| {
                    kolmogorov_smirnov(&metrics[*place].times.column(share), &column(share)).unwrap_or((0.0, 1.0))
                }),
            }
        })
        .collect();
    Prediction { doubling_ms: model.doubling_ms(), model, sizes }
}

/// Calls in a round of each node of `run`: under a heavy tail its address decides.
pub(crate) fn calls(model: &Model, experiment: &Experiment, run: &Run) -> Vec<u32> {
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let there = experiment.stays.iter().filter(|stay| stay.present(run.from));
    let addrs: Vec<SocketAddr> = there.map(|stay| stay.addr.unwrap_or(nowhere)).collect();
    (0..run.key.size as usize)
        .map(|node| model.fanout.calls(addrs.get(node).unwrap_or(&nowhere), run.key.size))
        .collect()
}

/// Times of simulated events in the order of [`SHARES`].
fn simulate(model: &Model, calls: &[u32], seed: u64, name: &str) -> Vec<[f64; 4]> {
    let size = calls.len();
    let mut rng = rng(seed, &format!("analysis/theory/{name}/{size}"));
    (0..simulations(size as u32))
        .map(|_| {
            let reached_ms = model.spread(calls, &mut rng);
            let curve = crate::curves::Curve { event: 0, expected: size, all_ms: Vec::new(), reached_ms };
            SHARES.map(|share| curve.time_to(share))
        })
        .collect()
}
