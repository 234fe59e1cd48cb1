//! The simulator's speed, and how it stands beside what was stored: `sim-figures [--store] [hold|datagrams] [N...]`.
//!
//! Processor time, medians of five. The baseline is `benches/baselines/sim.tsv`; on another machine, or one that does other work, its
//! figures are no measure, but their ratios to each other are: so every figure is also told as a multiple of the reference heap's,
//! measured in the same minute.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use benches::sim::{Hold, cpu_time, loaded};
use gossip_sim::queue::{Heap, Queue, Wheel};

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/sim.tsv");

/// Messages of applications in one round.
const MESSAGES: u64 = 500_000;

const EVENTS: usize = 2_000_000;

const ROUNDS: usize = 5;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|name| ["hold", "datagrams"].contains(name)).collect();
    let wanted = |what: &str| names.is_empty() || names.contains(&what);
    let mut figures = BTreeMap::new();
    if wanted("hold") {
        for pending in [1_000, 100_000, 10_000_000] {
            figures.insert(format!("heap, {pending} pending"), hold::<Heap>(pending, 0));
            figures.insert(format!("wheel, {pending} pending"), hold::<Wheel>(pending, 0));
            figures.insert(format!("wheel, {pending} pending, 8 ahead"), hold::<Wheel>(pending, 8));
        }
    }
    if wanted("datagrams") {
        let sizes: Vec<u32> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
        for size in if sizes.is_empty() { vec![1_000, 10_000, 100_000] } else { sizes } {
            let [plain, ahead] = datagrams(size);
            figures.insert(format!("datagrams, N = {size}, nothing ahead"), plain);
            figures.insert(format!("datagrams, N = {size}"), ahead);
        }
    }
    let baseline = read(Path::new(BASELINE));
    let reference = |figures: &BTreeMap<String, f64>| figures.get("heap, 100000 pending").copied();
    println!(
        "| per second of processor time | millions | of the heap's | stored | of the heap's then |\n|---|---:|---:|---:|---:|"
    );
    for (name, figure) in &figures {
        let share = |figures: &BTreeMap<String, f64>, figure: f64| reference(figures).map(|heap| figure / heap);
        let before = baseline.get(name).copied();
        println!(
            "| {name} | {figure:.3} | {} | {} | {} |",
            shown(share(&figures, *figure)),
            shown(before),
            shown(before.and_then(|before| share(&baseline, before))),
        );
    }
    if arguments.iter().any(|argument| argument == "--store") {
        let lines: String = figures.iter().map(|(name, figure)| format!("{name}\t{figure:.3}\n")).collect();
        std::fs::write(BASELINE, lines)?;
    }
    Ok(())
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.3}"))
}

fn read(path: &Path) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let figure =
        |line: &str| line.split_once('\t').and_then(|(name, figure)| Some((name.to_owned(), figure.parse().ok()?)));
    text.lines().filter_map(figure).collect()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Millions of events per second through a queue in which so many wait.
fn hold<Q: Queue>(pending: usize, ahead: usize) -> f64 {
    let mut hold = Hold::<Q>::new(pending, ahead);
    let round = |_| {
        let start = cpu_time();
        hold.run(EVENTS);
        EVENTS as f64 / (cpu_time() - start).as_secs_f64() / 1e6
    };
    median((0..ROUNDS).map(round).collect())
}

/// Millions of datagrams that were delivered per second: with nothing looked after ahead, and as usual. In turn, so that other work on
/// the machine meets both.
fn datagrams(size: u32) -> [f64; 2] {
    let mut cluster = loaded::<Wheel>(size);
    let span = Duration::from_nanos(100_000_000 * MESSAGES / u64::from(size));
    let mut rates = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        for (rates, ahead) in rates.iter_mut().zip([false, true]) {
            cluster.set_look_ahead(ahead);
            let before = cluster.stats().delivered;
            let start = cpu_time();
            cluster.run_for(span);
            let spent = (cpu_time() - start).as_secs_f64();
            rates.push((cluster.stats().delivered - before) as f64 / spent / 1e6);
        }
    }
    rates.map(median)
}
