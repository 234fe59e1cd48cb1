//! What a whole cluster does in virtual time: how long a join takes, what idling costs, how soon a crash is known, what loss
//! does. One table, the same for the same seed on every machine.
//!
//! ```sh
//! cargo run --release -p benches --bin cluster-figures -- [SIZE ...]
//! ```
//! One-way latency 1 ms, preset `lan`, datagrams alone. All nodes join through one seed within one second. Bytes are UDP
//! payload sent, per node.

use std::time::Duration;

use benches::watch::{Watched, converged, joining};
use gossip_core::{Config, Fanout, Strategy};

/// What every event carries.
const PAYLOAD: [u8; 64] = [7; 64];

fn main() {
    let arguments: Vec<u32> = std::env::args().skip(1).map(|size| size.parse().expect("a number of nodes")).collect();
    let sizes = if arguments.is_empty() { vec![64, 256, 1024] } else { arguments };
    println!(
        "| N | all know all after | bytes per node to there | idle B/s | event at all after | crash known: first / all | false deaths |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for &size in &sizes {
        let mut cluster = joining(size, 1, &Config::lan());
        let joined = cluster.run_until(Duration::from_secs(300), Watched::is_full);
        let join_bytes = cluster.stats().bytes / u64::from(size);
        cluster.run_for(Duration::from_secs(30));
        cluster.clear_stats();
        cluster.run_for(Duration::from_secs(60));
        let idle = cluster.stats().bytes as f64 / 60.0 / f64::from(size);
        let event = cluster.start_event(0, &PAYLOAD);
        let spread =
            cluster.run_until(Duration::from_secs(60), |cluster| cluster.observer().delivered(event) == size - 1);
        cluster.crash(size - 1);
        let first = cluster.run_until(Duration::from_secs(120), |cluster| !cluster.observer().deaths.is_empty());
        let rest =
            cluster.run_until(Duration::from_secs(60), |cluster| cluster.observer().deaths.len() as u32 == size - 1);
        let all = first.zip(rest).map(|(first, rest)| first + rest);
        println!(
            "| {size} | {} | {join_bytes} | {idle:.1} | {} | {} / {} | {} |",
            show(joined),
            show(spread),
            show(first),
            show(all),
            cluster.observer().false_deaths()
        );
    }
    strategies(&sizes);
    println!("\nwith 20 % loss, after the join:\n");
    println!("| N | B/s over 120 s | suspicions raised | false deaths | 20 events at all, slowest |");
    println!("|---:|---:|---:|---:|---:|");
    for &size in sizes.iter().filter(|&&size| size <= 256) {
        let mut cluster = joining(size, 2, &Config::lan());
        let _ = cluster.run_until(Duration::from_secs(300), Watched::is_full);
        cluster.set_loss(0.2);
        cluster.clear_stats();
        cluster.run_for(Duration::from_secs(120));
        let rate = cluster.stats().bytes as f64 / 120.0 / f64::from(size);
        let suspicions: u64 = cluster.ids().map(|id| cluster.node(id).counters().suspicions).sum();
        let mut slowest = Some(Duration::ZERO);
        for origin in 0..20 {
            let event = cluster.start_event(origin % size, &PAYLOAD);
            let took =
                cluster.run_until(Duration::from_secs(60), |cluster| cluster.observer().delivered(event) == size - 1);
            slowest = slowest.zip(took).map(|(slowest, took)| slowest.max(took));
        }
        println!("| {size} | {rate:.1} | {suspicions} | {} | {} |", cluster.observer().false_deaths(), show(slowest));
    }
    events_under_loss(&sizes);
}

/// 100 events, ten a second, while datagrams are lost: whether each comes to each node once, how soon, and what it costs beside
/// what the cluster costs without events.
fn events_under_loss(sizes: &[u32]) {
    const EVENTS: u32 = 100;
    println!("\n{EVENTS} events, one every 100 ms:\n");
    println!(
        "| N | strategy | loss | deliveries missing | repeated | at all after: median | slowest | bytes per node and event |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|---:|");
    let rounds = Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(3) }, ..Config::lan() };
    for &size in sizes.iter().filter(|&&size| size <= 256) {
        for (name, config) in [("push-pull 3", &rounds), ("eager ln N + 1, the preset", &Config::lan())] {
            for percent in [0_u32, 10, 25, 50] {
                let mut cluster = converged(size, 4, config);
                cluster.set_loss(f64::from(percent) / 100.0);
                cluster.run_for(Duration::from_secs(10));
                cluster.clear_stats();
                cluster.run_for(Duration::from_secs(30));
                let without = cluster.stats().bytes;
                cluster.clear_stats();
                let mut events = Vec::new();
                for i in 0..EVENTS {
                    events.push((cluster.now(), cluster.start_event(i * 7 % size, &PAYLOAD)));
                    cluster.run_for(Duration::from_millis(100));
                }
                cluster.run_for(Duration::from_secs(20));
                let missing: u32 = events.iter().map(|&(_, id)| size - 1 - cluster.observer().delivered(id)).sum();
                let repeated: u32 = events.iter().map(|&(_, id)| cluster.observer().repeated(id)).sum();
                let took =
                    |&(start, id)| cluster.observer().last_delivery(id).map_or(Duration::ZERO, |last| last - start);
                let mut times: Vec<_> = events.iter().map(took).collect();
                times.sort_unstable();
                println!(
                    "| {size} | {name} | {percent} % | {missing} | {repeated} | {} | {} | {} |",
                    show(Some(times[times.len() / 2])),
                    show(times.last().copied()),
                    cluster.stats().bytes.saturating_sub(without) / u64::from(EVENTS * size),
                );
            }
        }
    }
}

/// How quick an event is under each strategy, and what it costs.
fn strategies(sizes: &[u32]) {
    println!("\n20 events one after the other, medians:\n");
    println!("| N | strategy | at 99 % after | at all after | bytes per node and event |");
    println!("|---:|---|---:|---:|---:|");
    let lan = Config::lan();
    let configs = [
        ("push 3", Config { strategy: Strategy::Push { fanout: Fanout::Fixed(3) }, ..lan.clone() }),
        (
            "push-pull 1, idle calls",
            Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) }, idle_calls: true, ..lan.clone() },
        ),
        ("push-pull 3", Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(3) }, ..lan.clone() }),
        ("eager 3", Config { strategy: Strategy::Eager { fanout: Fanout::Fixed(3) }, ..lan.clone() }),
        ("eager 4", Config { strategy: Strategy::Eager { fanout: Fanout::Fixed(4) }, ..lan.clone() }),
        ("eager 6", Config { strategy: Strategy::Eager { fanout: Fanout::Fixed(6) }, ..lan.clone() }),
        ("eager ln N + 1, the preset", lan),
    ];
    for &size in sizes {
        for (name, config) in &configs {
            let mut cluster = joining(size, 3, config);
            let _ = cluster.run_until(Duration::from_secs(300), Watched::is_full);
            cluster.run_for(Duration::from_secs(30));
            cluster.clear_stats();
            let (mut most, mut all) = (Vec::new(), Vec::new());
            for origin in 0..20 {
                let event = cluster.start_event(origin % size, &PAYLOAD);
                let at = |cluster: &mut Watched, goal| {
                    cluster.run_until(Duration::from_secs(5), |cluster| cluster.observer().delivered(event) >= goal)
                };
                let first = at(&mut cluster, (size * 99).div_ceil(100) - 1);
                let rest = at(&mut cluster, size - 1);
                most.push(first);
                all.push(first.zip(rest).map(|(first, rest)| first + rest));
                cluster.run_for(Duration::from_secs(5));
            }
            let median = |times: &mut Vec<Option<Duration>>| {
                // Never comes last.
                times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
                show_ms(times[times.len() / 2])
            };
            let bytes = cluster.stats().bytes / 20 / u64::from(size);
            println!("| {size} | {name} | {} | {} | {bytes} |", median(&mut most), median(&mut all));
        }
    }
}

fn show_ms(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{} ms", time.as_millis()))
}

fn show(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
}
