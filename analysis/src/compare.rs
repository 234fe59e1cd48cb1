//! Results held against each other, run by run: the same plan on two backends, above all a real cluster and the simulator.
//!
//! Each side may be several results (other seeds of one plan). Then what is exchanged are whole clusters: those of one kind differ, by
//! their phases and seeds, by more than the events within one of them tell.

use event_log::plan::RunKey;

use crate::curves::Curve;
use crate::load::{Experiment, Run};
use crate::metrics::times::{SHARE_NAMES, SHARES};
use crate::metrics::traffic::{NodeTraffic, per_node};
use crate::plot::slug;
use crate::stats::{Interval, rng};
use crate::twosample::{
    Area, Distance, Test, Unit, area_between, distance, energy, holm, kolmogorov_smirnov, lag_one, mean_of, median_of,
};

/// Permutations behind each p-value, and bootstrap replicates behind each interval.
pub const PERMUTATIONS: usize = 9_999;
const REPLICATES: usize = 4_000;

/// The probability of a false alarm that is put up with.
pub const LEVEL: f64 = 0.05;

/// Two results, or two sets of results.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What the two are called: their backends, or their folders' names where those are equal.
    pub names: [String; 2],
    /// Runs with events in all results.
    pub runs: Vec<RunComparison>,
    /// What stands in some of them only, and other things that a reader should know.
    pub notes: Vec<String>,
}

/// One run, as both sides have it.
#[derive(Debug, Clone)]
pub struct RunComparison {
    /// Size and setting, in words.
    pub title: String,
    /// The same as a part of a file name.
    pub slug: String,
    /// Nodes.
    pub size: u32,
    /// Clusters of each side.
    pub clusters: [usize; 2],
    /// One curve per event, of each side.
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
    /// Least and greatest of the medians of single clusters, where a side has several.
    pub of_clusters: [Option<Interval>; 2],
    /// Correlation of each event with the next one, where events are the unit.
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
    ///
    /// # Panics
    /// When a side has no result.
    #[must_use]
    pub fn of(sides: [&[Experiment]; 2]) -> Self {
        let firsts = sides.map(|side| &side.first().expect("a side has a result").manifest);
        let mut names = if firsts[0].backend == firsts[1].backend {
            firsts.map(|manifest| manifest.name.clone())
        } else {
            firsts.map(|manifest| manifest.backend.to_string())
        };
        for (name, side) in names.iter_mut().zip(sides).filter(|(_, side)| side.len() > 1) {
            *name = format!("{name} ({} clusters)", side.len());
        }
        let all = || sides.into_iter().flatten();
        let mut notes = Vec::new();
        if all().any(|result| result.manifest.plan.protocol != firsts[0].plan.protocol) {
            notes.push("The plans ask for different protocols: what differs may come from that.".to_owned());
        }
        let mut commits: Vec<&str> = all().map(|result| result.manifest.commit.as_str()).collect();
        commits.sort_unstable();
        commits.dedup();
        if commits.len() > 1 {
            notes.push(format!("The programs were built from different commits: {}.", commits.join(", ")));
        }
        notes.extend(all().map(circumstances));
        let usable = |run: &&Run| !run.events.is_empty();
        let mut keys: Vec<&RunKey> = Vec::new();
        for run in all().flat_map(|result| result.runs.iter().filter(usable)) {
            if !keys.contains(&&run.key) {
                keys.push(&run.key);
            }
        }
        let mut runs = Vec::new();
        for key in keys {
            let of =
                |result| Some(Cluster { result, run: result.runs.iter().filter(usable).find(|run| run.key == *key)? });
            let found = sides.map(|side| side.iter().filter_map(of).collect::<Vec<Cluster<'_>>>());
            if found[0].len() + found[1].len() == all().count() {
                runs.extend(RunComparison::of(&found));
            } else {
                let has: Vec<&str> =
                    found.iter().flatten().map(|cluster| cluster.result.manifest.name.as_str()).collect();
                notes.push(format!("N = {}, {}: only in {}.", key.size, key.setting, has.join(", ")));
            }
        }
        Self { names, runs, notes }
    }
}

fn circumstances(result: &Experiment) -> String {
    let manifest = &result.manifest;
    let machine = &manifest.machine;
    format!(
        "{} ({}): seed {}, started {}, {} processors ({}), load {}.",
        manifest.name, manifest.backend, manifest.seed, manifest.started, machine.cores, machine.cpu, machine.load
    )
}

/// A run of one result.
struct Cluster<'a> {
    result: &'a Experiment,
    run: &'a Run,
}

impl RunComparison {
    fn of(sides: &[Vec<Cluster<'_>>; 2]) -> Option<Self> {
        let Cluster { result: first, run } = sides[0].first()?;
        let key = &run.key;
        let label = |what: &str| format!("analysis/compare/{}/{}/{what}", key.size, key.setting);
        let rng = |what: &str| rng(first.manifest.seed, &label(what));
        let curves_of = |Cluster { result, run }: &Cluster<'_>| -> Vec<Curve> {
            run.events.iter().map(|event| Curve::of(result, run, event)).collect()
        };
        let curves = sides.each_ref().map(|side| side.iter().map(curves_of).collect::<Vec<Vec<Curve>>>());
        let [a, b] = &curves;
        let mut times: Vec<TimeComparison> = std::iter::once(("mean", None))
            .chain(SHARE_NAMES.into_iter().zip(SHARES.map(Some)))
            .filter_map(|(name, share)| {
                let column =
                    |curves: &Vec<Curve>| curves.iter().map(|curve| time_of(curve, share)).collect::<Vec<f64>>();
                let columns = |side: &[Vec<Curve>]| side.iter().map(column).collect::<Vec<Vec<f64>>>();
                TimeComparison::of(name, &[columns(a), columns(b)], &mut rng(name))
            })
            .collect();
        let adjusted = holm(&times.iter().map(|time| time.test.p).collect::<Vec<f64>>());
        times.iter_mut().zip(adjusted).for_each(|(time, p)| time.adjusted_p = p);
        let spent_by = |cluster: &Cluster<'_>| per_node(cluster.result, cluster.run);
        let spent = sides.each_ref().map(|side| side.iter().map(spent_by).collect::<Vec<Vec<NodeTraffic>>>());
        Some(Self {
            title: format!("N = {}, {}", key.size, key.setting),
            slug: format!("{}-{}", key.size, slug(&key.setting)),
            size: key.size,
            clusters: [a.len(), b.len()],
            energy: energy(a, b, PERMUTATIONS, &mut rng("energy"))?,
            area: area_between(a, b, PERMUTATIONS / 5, &mut rng("area"))?,
            times,
            rates: rates(&spent, &mut rng("rates")),
            curves: curves.map(|side| side.concat()),
        })
    }

    /// What was exchanged between the sides.
    #[must_use]
    pub fn unit(&self) -> Unit {
        Unit::of(self.clusters)
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
    fn of(name: &'static str, columns: &[Vec<Vec<f64>>; 2], rng: &mut impl rand_core::Rng) -> Option<Self> {
        let [a, b] = columns;
        let test = kolmogorov_smirnov(a, b, PERMUTATIONS, rng)?;
        let unit = Unit::of([a.len(), b.len()]);
        Some(Self {
            name,
            medians: columns.each_ref().map(|side| median_of(&mut side.concat())),
            distance: distance(a, b, median_of, REPLICATES, rng),
            test,
            adjusted_p: test.p,
            of_clusters: columns.each_ref().map(|side| range_of_medians(side)),
            lag_one: columns
                .each_ref()
                .map(|side| side.first().filter(|_| unit == Unit::Event).and_then(|one| lag_one(one))),
        })
    }
}

fn range_of_medians(clusters: &[Vec<f64>]) -> Option<Interval> {
    let medians = clusters.iter().map(|cluster| median_of(&mut cluster.clone()));
    let (low, high) = medians.fold((f64::INFINITY, 0.0_f64), |(low, high), median| (low.min(median), high.max(median)));
    (clusters.len() > 1).then_some(Interval { low, high })
}

type Rate = fn(&NodeTraffic) -> Option<f64>;

fn rates(spent: &[Vec<Vec<NodeTraffic>>; 2], rng: &mut impl rand_core::Rng) -> Vec<RateComparison> {
    let all: [(&'static str, Rate); 4] = [
        ("datagrams per node and second", |node| Some(node.datagrams as f64 / node.seconds)),
        ("bytes per node and second", |node| Some(node.bytes as f64 / node.seconds)),
        ("datagrams per node and event", |node| node.events.map(|events| node.datagrams as f64 / events)),
        ("bytes per node and event", |node| node.events.map(|events| node.bytes as f64 / events)),
    ];
    all.into_iter()
        .filter_map(|(name, rate)| {
            let of = |nodes: &Vec<NodeTraffic>| nodes.iter().filter_map(rate).collect::<Vec<f64>>();
            let [a, b] = spent.each_ref().map(|side| side.iter().map(of).collect::<Vec<Vec<f64>>>());
            let (mut all_a, mut all_b) = (a.concat(), b.concat());
            if all_a.is_empty() || all_b.is_empty() {
                return None;
            }
            let means = [mean_of(&mut all_a), mean_of(&mut all_b)];
            Some(RateComparison { name, means, distance: distance(&a, &b, mean_of, REPLICATES, rng) })
        })
        .collect()
}
