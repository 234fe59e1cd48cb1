//! `gossip-sim seeds A..B`: the plans of many seeds, on several threads.

use std::cell::Cell;
use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gossip_sim::chaos::{Tally, plan_of, run as run_plan};

/// Arguments of `seeds`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// First seed and the one after the last: 0..200.
    #[arg(value_parser = range)]
    seeds: Range<u64>,
    /// Threads; what a seed does, does not depend on them.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Go on after a seed that fails.
    #[arg(long)]
    all: bool,
    /// Print what happened, by kind.
    #[arg(long)]
    report: bool,
}

/// Reads `A..B`.
fn range(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    parsed.filter(|range: &Range<u64>| !range.is_empty()).ok_or_else(|| "seeds are given as 0..200".to_owned())
}

/// What the threads share.
struct Shared {
    next: AtomicU64,
    stop: AtomicBool,
    done: AtomicU64,
    tally: Mutex<Tally>,
    failed: Mutex<Vec<u64>>,
}

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, String> {
    name_the_seed_of_a_panic();
    let shared = Shared {
        next: AtomicU64::new(args.seeds.start),
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
        tally: Mutex::new(Tally::default()),
        failed: Mutex::new(Vec::new()),
    };
    let begin = Instant::now();
    let total = args.seeds.end - args.seeds.start;
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..args.threads.max(1)).map(|_| scope.spawn(|| work(&shared, args.seeds.end, args.all))).collect();
        let mut last = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            if last.elapsed() > Duration::from_secs(5) {
                last = Instant::now();
                progress(shared.done.load(Ordering::Relaxed), total, begin.elapsed());
            }
        }
    });
    let failed = shared.failed.into_inner().map_err(|_| "a thread died")?;
    let tally = shared.tally.into_inner().map_err(|_| "a thread died")?;
    let seconds = begin.elapsed().as_secs_f64();
    say(&format!(
        "{} of {total} seeds ({}..{}) in {seconds:.1} s, {:.1} a second, {} failed; {} virtual seconds, {} datagrams",
        tally.runs,
        args.seeds.start,
        args.seeds.end,
        tally.runs as f64 / seconds,
        failed.len(),
        tally.virtual_time.as_secs(),
        tally.datagrams
    ));
    if args.report {
        say(&tally.report());
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn work(shared: &Shared, end: u64, all: bool) {
    while !shared.stop.load(Ordering::Relaxed) {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        SEED.set(Some(seed));
        let outcome = run_plan(&plan_of(seed), None);
        SEED.set(None);
        if let Ok(mut tally) = shared.tally.lock() {
            tally.add(&outcome.tally);
        }
        shared.done.fetch_add(1, Ordering::Relaxed);
        if let Some(violation) = outcome.violation {
            say(&format!("seed {seed} FAILED: {violation}\n    gossip-sim replay {seed}"));
            if let Ok(mut failed) = shared.failed.lock() {
                failed.push(seed);
            }
            shared.stop.store(!all, Ordering::Relaxed);
        }
    }
}

/// A broken invariant panics, and the process may end with it: the seed is told before.
fn name_the_seed_of_a_panic() {
    let former = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(seed) = SEED.get() {
            say(&format!("seed {seed} FAILED: invariants: {panic}\n    gossip-sim replay {seed}"));
        }
        former(panic);
    }));
}

fn progress(done: u64, total: u64, elapsed: Duration) {
    let rate = done as f64 / elapsed.as_secs_f64();
    let left = if rate > 0.0 { (total - done) as f64 / rate } else { f64::NAN };
    let _ = writeln!(std::io::stderr(), "{done} of {total} seeds, {rate:.1} a second, {left:.0} s left");
}

/// Not println: it panics where nobody reads any more.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_seeds_is_read_or_refused() {
        assert_eq!(range("5..9"), Ok(5..9));
        assert!(["5", "9..5", "a..b", "3..3"].iter().all(|text| range(text).is_err()));
    }
}
