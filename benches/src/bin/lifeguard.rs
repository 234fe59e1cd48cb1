//! The experiment of "Lifeguard: Local Health Awareness for More Accurate Failure Detection" (Dadgar, Phillips, Currey, DSN 2018) in
//! virtual time, with Lifeguard's parts switched on one by one.
//!
//! ```sh
//! cargo run --release -p benches --bin lifeguard [-- [quick|tune] [lan] [SEED]]
//! ```
//! C of 128 members are slow together for D, run for I, are slow again, and so on for two minutes. What others think of the slow ones
//! is not counted as false. After a minute one of the other members crashes. Slow in two ways: messages stuck both ways while
//! the timers run on (the paper's, which blocks the sending and the receiving of messages), and the whole process stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use benches::watch::{Watched, converged};
use gossip_core::Config;
use gossip_sim::NodeId;

const MEMBERS: u32 = 128;
/// Who crashes: none of the slow ones, which are the first C but for the seed of the join.
const CRASHED: u32 = MEMBERS - 1;
/// C, D and I in milliseconds.
struct Grid {
    concurrent: &'static [u32],
    durations: &'static [u64],
    intervals: &'static [u64],
}
const FULL: Grid =
    Grid { concurrent: &[1, 4, 16, 32], durations: &[128, 512, 2_048, 8_192, 32_768], intervals: &[1, 256, 4_096] };
const QUICK: Grid = Grid { concurrent: &[4, 32], durations: &[2_048, 8_192, 32_768], intervals: &[1, 4_096] };

/// Makes a member slow for a while.
type Slow = fn(&mut Watched, NodeId, Duration);

/// What came of one cell of the grid, or of many.
#[derive(Default)]
struct Tally {
    /// Deaths declared of members that were well, anywhere; and those that members that were well declared themselves or believed.
    false_positives: u64,
    at_healthy: u64,
    /// Deaths of slow members at members that were well.
    slow_buried: u64,
    bytes: u64,
    first: Vec<Option<Duration>>,
    all: Vec<Option<Duration>>,
}

fn main() {
    let asked = |what: &str| std::env::args().any(|argument| argument == what);
    let grid = if asked("quick") || asked("tune") { QUICK } else { FULL };
    let mut rows = if asked("tune") { tuning() } else { parts() };
    if asked("lan") {
        rows.retain(|(name, _)| name.starts_with("preset"));
    }
    let seed: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1);
    let Grid { concurrent, durations, intervals } = grid;
    println!("N = {MEMBERS}, C = {concurrent:?}, D = {durations:?} ms, I = {intervals:?} ms, seed {seed}");
    let ways: [(Slow, _); 2] =
        [(Watched::block_process, "messages stuck, timers run on"), (Watched::pause, "process stopped")];
    for &(slow_down, what) in if asked("tune") { &ways[..1] } else { &ways } {
        println!(
            "\n{what}:\n\n| | FP | FP⁻ | FP, % of SWIM | FP⁻, % of SWIM | slow members buried | crash known first: median / 99 % | to all well: median / 99 % | B/s per node |"
        );
        println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
        let mut swim = None;
        for (name, config) in &rows {
            let mut total = Tally::default();
            for &concurrent in concurrent {
                for &duration in durations {
                    for &interval in intervals {
                        run(config, seed, slow_down, [concurrent.into(), duration, interval], &mut total);
                    }
                }
            }
            let (fp, healthy) = *swim.get_or_insert((total.false_positives, total.at_healthy));
            let cells = total.first.len() as u64;
            println!(
                "| {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
                total.false_positives,
                total.at_healthy,
                percent(total.false_positives, fp),
                percent(total.at_healthy, healthy),
                total.slow_buried,
                quantiles(&mut total.first),
                quantiles(&mut total.all),
                total.bytes / cells / 120 / u64::from(MEMBERS),
            );
        }
    }
}

/// The preset `lan`, and each of its values of suspicion changed.
fn tuning() -> Vec<(&'static str, Config)> {
    let lan = Config::lan;
    vec![
        ("preset `lan`: α = 1, least 3 s, β = 6, K = 3", lan()),
        ("K = 1", Config { suspicion_confirmations: 1, ..lan() }),
        ("K = 2", Config { suspicion_confirmations: 2, ..lan() }),
        ("K = 4", Config { suspicion_confirmations: 4, ..lan() }),
        ("β = 3", Config { suspicion_max_multiplier: 3, ..lan() }),
        ("β = 10", Config { suspicion_max_multiplier: 10, ..lan() }),
        ("least 2 s", Config { suspicion_min: Duration::from_secs(2), ..lan() }),
        ("least 4 s", Config { suspicion_min: Duration::from_secs(4), ..lan() }),
        ("α = 2", Config { suspicion_multiplier: 2, ..lan() }),
        ("helpers do not confirm", Config { helpers_confirm: false, ..lan() }),
        ("without self-doubt", Config { self_doubt: false, ..lan() }),
    ]
}

/// Plain SWIM, each part of Lifeguard alone, all of them, and this library's preset.
fn parts() -> Vec<(&'static str, Config)> {
    let swim = Config {
        probe_timeout_min: Config::lan().probe_timeout,
        probe_pings: 1,
        helpers_confirm: false,
        suspicion_multiplier: 5,
        suspicion_min: Duration::from_millis(1),
        suspicion_max_multiplier: 1,
        suspicion_confirmations: 3,
        awareness_max: 0,
        buddy_system: false,
        self_doubt: false,
        ..Config::lan()
    };
    let lifeguard = Config { suspicion_max_multiplier: 6, awareness_max: 8, buddy_system: true, ..swim.clone() };
    vec![
        ("SWIM (α = 5)", swim.clone()),
        ("SWIM + LHA-Probe", Config { awareness_max: 8, ..swim.clone() }),
        ("SWIM + LHA-Suspicion (β = 6, K = 3)", Config { suspicion_max_multiplier: 6, ..swim.clone() }),
        ("SWIM + Buddy System", Config { buddy_system: true, ..swim }),
        ("Lifeguard (α = 5, β = 6, K = 3)", lifeguard),
        ("all of ours, α = 5", Config { suspicion_multiplier: 5, ..Config::lan() }),
        ("preset `lan`", Config::lan()),
    ]
}

/// One cell: so many slow at once, for how long, how often, milliseconds.
fn run(
    config: &Config,
    seed: u64,
    slow_down: Slow,
    [concurrent, duration_ms, interval_ms]: [u64; 3],
    total: &mut Tally,
) {
    let (duration, interval) = (Duration::from_millis(duration_ms), Duration::from_millis(interval_ms));
    let mut cluster = converged(MEMBERS, seed, config);
    cluster.run_for(Duration::from_secs(15));
    cluster.clear_stats();
    cluster.observer_mut().deaths.clear();
    let start = cluster.now();
    let slow = 1..=concurrent as NodeId;
    let mut crashed = None;
    while cluster.now() - start < Duration::from_secs(120) {
        for index in slow.clone() {
            slow_down(&mut cluster, index, duration);
        }
        for span in [duration, interval] {
            let crash = Duration::from_secs(60);
            let passed = cluster.now() - start;
            if crashed.is_none() && passed + span >= crash {
                cluster.run_for(crash.saturating_sub(passed));
                cluster.crash(CRASHED);
                crashed = Some(cluster.now());
                cluster.run_for(passed + span - crash.max(passed));
            } else {
                cluster.run_for(span);
            }
        }
    }
    for death in cluster.observer().deaths.iter().filter(|death| !death.is_true) {
        let healthy = !slow.contains(&death.by);
        if slow.contains(&death.of) {
            total.slow_buried += u64::from(healthy);
        } else {
            total.false_positives += 1;
            total.at_healthy += u64::from(healthy);
        }
    }
    total.bytes += cluster.stats().bytes * 120 / (cluster.now() - start).as_secs();
    let since = |at: Duration| at - crashed.expect("the run is longer than a minute");
    let times: Vec<_> = cluster.observer().deaths_of(CRASHED).filter(|death| !slow.contains(&death.by)).collect();
    total.first.push(times.first().map(|death| since(death.at)));
    let well = MEMBERS as usize - 1 - concurrent as usize;
    // Each once: who forgot the dead in the end may hear of it from one who was slow all the time, and bury it again.
    let mut first_at = BTreeMap::new();
    times.iter().for_each(|death| _ = first_at.entry(death.by).or_insert(death.at));
    total.all.push(first_at.values().max().filter(|_| first_at.len() == well).map(|&at| since(at)));
}

fn percent(count: u64, of: u64) -> String {
    if of == 0 { "–".to_owned() } else { format!("{:.2}", 100.0 * count as f64 / of as f64) }
}

fn quantiles(times: &mut [Option<Duration>]) -> String {
    // Never comes last.
    times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
    [times.len() / 2, times.len() * 99 / 100]
        .map(|i| times[i].map_or_else(|| "never".to_owned(), |time| format!("{:.1} s", time.as_secs_f64())))
        .join(" / ")
}
