//! The experiment of "Lifeguard: Local Health Awareness for More Accurate Failure Detection" (Dadgar, Phillips, Currey, DSN 2018) in
//! virtual time, with Lifeguard's parts switched on one by one.
//!
//! ```sh
//! cargo run --release -p benches --bin lifeguard
//! ```
//! C of 128 members are stopped together for D, run for I, are stopped again, and so on for two minutes. What they are told
//! meanwhile waits; what they do at once when they wake up, timers first, is what a slow process does. They are slow, not dead,
//! and what others think of them is not counted as false. After a minute one of the other members crashes.

use std::time::Duration;

use benches::cluster::Cluster;
use gossip_core::{Config, Instant};

const MEMBERS: u32 = 128;
/// Who crashes: none of the slow ones, which are the first C but for the seed of the join.
const CRASHED: u32 = MEMBERS - 1;
const CONCURRENT: [u32; 5] = [1, 4, 8, 16, 32];
const DURATIONS_MS: [u64; 5] = [128, 512, 2_048, 8_192, 32_768];
const INTERVALS_MS: [u64; 4] = [1, 64, 1_024, 16_384];
const SEED: u64 = 1;

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
    println!("N = {MEMBERS}, C = {CONCURRENT:?}, D = {DURATIONS_MS:?} ms, I = {INTERVALS_MS:?} ms, seed {SEED}\n");
    println!(
        "| | FP | FP⁻ | FP, % of SWIM | FP⁻, % of SWIM | slow members buried | crash known first: median / 99 % | at all well: median / 99 % | B/s per node |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut swim = None;
    for (name, config) in configurations() {
        let mut total = Tally::default();
        for concurrent in CONCURRENT {
            for duration in DURATIONS_MS {
                for interval in INTERVALS_MS {
                    run(&config, concurrent, duration, interval, &mut total);
                }
            }
        }
        let (fp, healthy) = *swim.get_or_insert((total.false_positives, total.at_healthy));
        let cells = (CONCURRENT.len() * DURATIONS_MS.len() * INTERVALS_MS.len()) as u64;
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

/// Plain SWIM, each part of Lifeguard alone, all of them, and this library's preset.
fn configurations() -> [(&'static str, Config); 7] {
    let swim = Config {
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
    [
        ("SWIM (α = 5)", swim.clone()),
        ("SWIM + LHA-Probe", Config { awareness_max: 8, ..swim.clone() }),
        ("SWIM + LHA-Suspicion (β = 6, K = 3)", Config { suspicion_max_multiplier: 6, ..swim.clone() }),
        ("SWIM + Buddy System", Config { buddy_system: true, ..swim }),
        ("Lifeguard (α = 5, β = 6, K = 3)", lifeguard.clone()),
        ("all of ours, α = 5", Config { probe_pings: 4, helpers_confirm: true, self_doubt: true, ..lifeguard }),
        ("preset `lan`", Config::lan()),
    ]
}

fn run(config: &Config, concurrent: u32, duration_ms: u64, interval_ms: u64, total: &mut Tally) {
    let (duration, interval) = (Duration::from_millis(duration_ms), Duration::from_millis(interval_ms));
    let mut cluster = Cluster::converged(MEMBERS, SEED, config);
    cluster.run_for(Duration::from_secs(15));
    (cluster.bytes, cluster.deaths) = (0, Vec::new());
    let start = cluster.now();
    let slow = 1..=concurrent;
    let mut crashed = None;
    while cluster.now().since(start) < Duration::from_secs(120) {
        for index in slow.clone() {
            cluster.stop(index, duration);
        }
        for span in [duration, interval] {
            let crash = Duration::from_secs(60);
            let passed = cluster.now().since(start);
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
    for death in cluster.deaths.iter().filter(|death| !death.is_true) {
        let healthy = !slow.contains(&death.by);
        if slow.contains(&death.of) {
            total.slow_buried += u64::from(healthy);
        } else {
            total.false_positives += 1;
            total.at_healthy += u64::from(healthy);
        }
    }
    total.bytes += cluster.bytes * 120 / cluster.now().since(start).as_secs();
    let since = |at: Instant| at.since(crashed.expect("the run is longer than a minute"));
    let times: Vec<_> = cluster.deaths_of(CRASHED).filter(|death| !slow.contains(&death.by)).collect();
    total.first.push(times.first().map(|death| since(death.at)));
    let well = (MEMBERS - 1 - concurrent) as usize;
    let mut known: Vec<u32> = times.iter().map(|death| death.by).collect();
    known.sort_unstable();
    known.dedup();
    total.all.push(times.last().filter(|_| known.len() == well).map(|death| since(death.at)));
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
