//! Two results held against each other, run by run: the same plan on two backends, above all a real cluster and the simulator.

use crate::curves::Curve;
use crate::load::{Experiment, Run};
use crate::metrics::times::{SHARE_NAMES, SHARES};
use crate::metrics::traffic::{NodeTraffic, per_node};
use crate::plot::slug;
use crate::stats::rng;
use crate::twosample::{
    Area, Distance, Test, area_between, distance, energy, holm, kolmogorov_smirnov, lag_one, mean_of, median_of,
};

/// Permutations behind each p-value, and bootstrap replicates behind each interval.
pub const PERMUTATIONS: usize = 9_999;
const REPLICATES: usize = 4_000;

/// The probability of a false alarm that is put up with.
pub const LEVEL: f64 = 0.05;

/// Two results.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What the two are called: their backends, or their folders' names where those are equal.
    pub names: [String; 2],
    /// Runs with events in both.
    pub runs: Vec<RunComparison>,
    /// What stands in one of them only, and other things that a reader should know.
    pub notes: Vec<String>,
}

/// One run, as both results have it.
#[derive(Debug, Clone)]
pub struct RunComparison {
    /// Size and setting, in words.
    pub title: String,
    /// The same as a part of a file name.
    pub slug: String,
    /// Nodes.
    pub size: u32,
    /// One curve per event, of each result.
    pub curves: [Vec<Curve>; 2],
    /// The test over whole curves, which decides.
    pub energy: Test,
    /// The area between the mean curves.
    pub area: Area,
    /// The mean time to learn and the times to inform a share of the nodes, each by itself.
    pub times: Vec<TimeComparison>,
    /// Datagrams and bytes.
    pub rates: Vec<RateComparison>,
}

/// One time per event.
#[derive(Debug, Clone)]
pub struct TimeComparison {
    /// Its name.
    pub name: &'static str,
    /// Medians over the events, milliseconds.
    pub medians: [f64; 2],
    /// The difference of those; `None` where half of the events never got there.
    pub distance: Option<Distance>,
    /// Kolmogorov and Smirnov's test.
    pub test: Test,
    /// Its p-value, adjusted for the number of times that are tested.
    pub adjusted_p: f64,
    /// Correlation of each event with the next one.
    pub lag_one: [Option<f64>; 2],
}

/// One rate per node.
#[derive(Debug, Clone)]
pub struct RateComparison {
    /// Its name and unit.
    pub name: &'static str,
    /// Means over the nodes.
    pub means: [f64; 2],
    /// The difference of those.
    pub distance: Option<Distance>,
}

impl Comparison {
    /// Compares the runs of equal key. Everything random is seeded by the first result.
    #[must_use]
    pub fn of(results: [&Experiment; 2]) -> Self {
        let manifests = results.map(|result| &result.manifest);
        let names = if manifests[0].backend == manifests[1].backend {
            manifests.map(|manifest| manifest.name.clone())
        } else {
            manifests.map(|manifest| manifest.backend.to_string())
        };
        let mut notes = Vec::new();
        if manifests[0].plan.protocol != manifests[1].plan.protocol {
            notes.push("The two plans ask for different protocols: what differs may come from that.".to_owned());
        }
        if manifests[0].commit != manifests[1].commit {
            let [a, b] = manifests.map(|manifest| &manifest.commit);
            notes.push(format!("The programs were built from different commits, {a} and {b}."));
        }
        for (result, name) in results.iter().zip(&names) {
            let manifest = &result.manifest;
            let machine = &manifest.machine;
            notes.push(format!(
                "{name}: {}, seed {}, started {}, {} processors ({}), load {}.",
                manifest.name, manifest.seed, manifest.started, machine.cores, machine.cpu, machine.load
            ));
        }
        let usable = |run: &&Run| !run.events.is_empty();
        let mut runs = Vec::new();
        for run in results[0].runs.iter().filter(usable) {
            match results[1].runs.iter().filter(usable).find(|other| other.key == run.key) {
                Some(other) => runs.extend(RunComparison::of(results, [run, other])),
                None => notes.push(format!("N = {}, {}: only in {}.", run.key.size, run.key.setting, names[0])),
            }
        }
        for run in results[1].runs.iter().filter(usable) {
            if !results[0].runs.iter().filter(usable).any(|other| other.key == run.key) {
                notes.push(format!("N = {}, {}: only in {}.", run.key.size, run.key.setting, names[1]));
            }
        }
        Self { names, runs, notes }
    }
}

impl RunComparison {
    fn of(results: [&Experiment; 2], runs: [&Run; 2]) -> Option<Self> {
        let key = &runs[0].key;
        let label = |what: &str| format!("analysis/compare/{}/{}/{what}", key.size, key.setting);
        let rng = |what: &str| rng(results[0].manifest.seed, &label(what));
        let curves = [0, 1].map(|place| {
            let (result, run) = (results[place], runs[place]);
            run.events.iter().map(|event| Curve::of(result, run, event)).collect::<Vec<Curve>>()
        });
        let [a, b] = &curves;
        let mut times: Vec<TimeComparison> = std::iter::once(("mean", None))
            .chain(SHARE_NAMES.into_iter().zip(SHARES.map(Some)))
            .filter_map(|(name, share)| {
                let column = |curves: &[Curve]| curves.iter().map(|curve| time_of(curve, share)).collect::<Vec<f64>>();
                TimeComparison::of(name, [column(a), column(b)], &mut rng(name))
            })
            .collect();
        let adjusted = holm(&times.iter().map(|time| time.test.p).collect::<Vec<f64>>());
        times.iter_mut().zip(adjusted).for_each(|(time, p)| time.adjusted_p = p);
        let spent = [0, 1].map(|place| per_node(results[place], runs[place]));
        Some(Self {
            title: format!("N = {}, {}", key.size, key.setting),
            slug: format!("{}-{}", key.size, slug(&key.setting)),
            size: key.size,
            energy: energy(a, b, PERMUTATIONS, &mut rng("energy"))?,
            area: area_between(a, b, PERMUTATIONS / 5, &mut rng("area"))?,
            times,
            rates: rates(&spent, &mut rng("rates")),
            curves,
        })
    }

    /// Whether the test over whole curves tells the two apart.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.energy.p <= LEVEL
    }
}

/// The time to inform a share of the nodes, or the mean time to learn; infinite when not all that it takes have learnt.
fn time_of(curve: &Curve, share: Option<f64>) -> f64 {
    match share {
        Some(share) => curve.time_to(share),
        None if curve.reached_ms.len() < curve.expected || curve.expected == 0 => f64::INFINITY,
        None => curve.reached_ms.iter().sum::<f64>() / curve.expected as f64,
    }
}

impl TimeComparison {
    fn of(name: &'static str, [a, b]: [Vec<f64>; 2], rng: &mut impl rand_core::Rng) -> Option<Self> {
        let test = kolmogorov_smirnov(&a, &b, PERMUTATIONS, rng)?;
        Some(Self {
            name,
            medians: [median_of(&mut a.clone()), median_of(&mut b.clone())],
            distance: distance(&a, &b, median_of, REPLICATES, rng),
            test,
            adjusted_p: test.p,
            lag_one: [lag_one(&a), lag_one(&b)],
        })
    }
}

type Rate = fn(&NodeTraffic) -> Option<f64>;

fn rates(spent: &[Vec<NodeTraffic>; 2], rng: &mut impl rand_core::Rng) -> Vec<RateComparison> {
    let all: [(&'static str, Rate); 4] = [
        ("datagrams per node and second", |node| Some(node.datagrams as f64 / node.seconds)),
        ("bytes per node and second", |node| Some(node.bytes as f64 / node.seconds)),
        ("datagrams per node and event", |node| node.events.map(|events| node.datagrams as f64 / events)),
        ("bytes per node and event", |node| node.events.map(|events| node.bytes as f64 / events)),
    ];
    all.into_iter()
        .filter_map(|(name, rate)| {
            let [a, b] = [0, 1].map(|place| spent[place].iter().filter_map(rate).collect::<Vec<f64>>());
            if a.is_empty() || b.is_empty() {
                return None;
            }
            let means = [mean_of(&mut a.clone()), mean_of(&mut b.clone())];
            Some(RateComparison { name, means, distance: distance(&a, &b, mean_of, REPLICATES, rng) })
        })
        .collect()
}
