//! What LHA-Suspicion's α, β and K do to the time in which a crash is known, and to the living: the table behind
//! `docs/decisions/0006-suspicion.md`.
//!
//! ```sh
//! cargo run --release -p benches --bin suspicion
//! ```
//! Preset `lan` but for the values in the row, one-way latency 1 ms. Per row and size several clusters (one per seed), each of
//! which loses some members, one after the other; after that, for each rate of loss, two minutes in which nobody crashes; and
//! a minute in which healthy members are stopped for 2.5 s, one after the other.

use std::time::Duration;

use benches::watch::converged;
use gossip_core::Config;

const S: fn(u64) -> Duration = Duration::from_secs;

fn main() {
    let sizes: Vec<u32> = std::env::args().skip(1).map(|size| size.parse().expect("a number of nodes")).collect();
    let sizes = if sizes.is_empty() { vec![64, 256, 1024] } else { sizes };
    let rows = [
        // α, least, β, K, helpers
        (4, 0, 3, 3, false),
        (2, 0, 3, 3, false),
        (1, 0, 6, 3, false),
        (1, 3000, 6, 3, false),
        (1, 3000, 6, 3, true),
        (1, 3000, 6, 2, true),
        (1, 3000, 6, 4, true),
        (1, 3000, 3, 3, true),
        (1, 2500, 6, 3, true),
        (1, 2000, 6, 3, true),
        (1, 0, 6, 3, true),
    ];
    println!(
        "| N | α | least s | β | K | helpers confirm | crash known first: median / p90 / max s | to all: median / p90 / max s | false deaths at 0 / 10 / 20 / 30 % loss | B/s at 20 % | of stopped 2.5 s |"
    );
    println!("|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|");
    for &size in &sizes {
        for &(alpha, least, beta, k, helpers) in &rows {
            let config = Config {
                suspicion_multiplier: alpha,
                suspicion_min: Duration::from_millis(least.max(1)),
                suspicion_max_multiplier: beta,
                suspicion_confirmations: k,
                helpers_confirm: helpers,
                ..Config::lan()
            };
            row(size, &config);
        }
    }
}

fn row(size: u32, config: &Config) {
    let (mut first, mut all) = (Vec::new(), Vec::new());
    let mut false_deaths = [0; 4];
    for seed in 1..=3 {
        let mut cluster = converged(size, seed, config);
        for crashed in 0..10 {
            let index = (13 + 97 * crashed) % size;
            let start = cluster.now();
            cluster.crash(index);
            let survivors = (size - 1 - crashed) as usize;
            cluster.run_until_every(Duration::from_millis(20), S(120), |cluster| {
                cluster.observer().deaths_of(index).count() == survivors
            });
            let times: Vec<_> = cluster.observer().deaths_of(index).map(|death| death.at - start).collect();
            first.push(times.first().copied().unwrap_or(Duration::MAX));
            all.push(if times.len() == survivors { times[survivors - 1] } else { Duration::MAX });
        }
        false_deaths[0] += cluster.observer().false_deaths();
    }
    let mut rate = 0;
    for (i, loss) in [0.1, 0.2, 0.3].into_iter().enumerate() {
        let mut cluster = converged(size.min(256), 7, config);
        cluster.set_loss(loss);
        cluster.clear_stats();
        cluster.run_for(S(120));
        if i == 1 {
            rate = cluster.stats().bytes / 120 / u64::from(size.min(256));
        }
        false_deaths[i + 1] += cluster.observer().false_deaths();
    }
    let mut cluster = converged(size.min(256), 8, config);
    for index in 0..20 {
        cluster.pause(index, Duration::from_millis(2500));
        cluster.run_for(S(3));
    }
    cluster.run_for(S(10));
    let of_stopped = cluster.observer().false_deaths();
    let [zero, ten, twenty, thirty] = false_deaths;
    println!(
        "| {size} | {} | {} | {} | {} | {} | {} | {} | {zero} / {ten} / {twenty} / {thirty} | {rate} | {of_stopped} |",
        config.suspicion_multiplier,
        config.suspicion_min.as_secs_f64(),
        config.suspicion_max_multiplier,
        config.suspicion_confirmations,
        config.helpers_confirm,
        quantiles(&mut first),
        quantiles(&mut all),
    );
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    [times.len() / 2, times.len() * 9 / 10, times.len() - 1]
        .map(|i| if times[i] == Duration::MAX { "never".to_owned() } else { format!("{:.1}", times[i].as_secs_f64()) })
        .join(" / ")
}
