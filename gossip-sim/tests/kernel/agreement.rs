//! Methods against each other.

use gossip_sim::kernel::{Detail, HeavyTail, Options, Outcome, Spec, Strategy, Stream, simulate_chain, simulate_nodes};

use crate::brute;
use crate::stats::{counts, kolmogorov, passes, runs as scaled, same};

const ALL: [Strategy; 10] = [
    Strategy::Push { fanout: 1 },
    Strategy::Push { fanout: 3 },
    Strategy::Pull { fanout: 1 },
    Strategy::PushPull { fanout: 1 },
    Strategy::PushPull { fanout: 3 },
    Strategy::PushPullGrow,
    Strategy::PushPullAging,
    Strategy::HeavyTail(HeavyTail::new(2.5)),
    Strategy::OneAnswer,
    Strategy::Poisson,
];

fn nodes(spec: &Spec, run: u64, detail: Detail) -> Outcome {
    simulate_nodes(spec, run, &Options { threads: 1, detail }, &mut |_, _| {}).expect("a sound spec")
}

fn chain(spec: &Spec, run: u64) -> Outcome {
    simulate_chain(spec, run).expect("a count")
}

/// Compares when all and when 99 % knew, and what it cost.
fn compare(name: &str, a: &[Outcome], b: &[Outcome], continuous: bool) {
    for (what, time) in
        [("all", (|o| o.reached.all) as fn(&Outcome) -> Option<f64>), ("99 %", |o| o.reached.ninety_nine)]
    {
        let times = |of: &[Outcome]| of.iter().map(|o| time(o).expect("it ends")).collect::<Vec<f64>>();
        let (x, y) = (times(a), times(b));
        let whole = |times: Vec<f64>| counts(times.into_iter().map(|time| time as u64));
        let p = if continuous { kolmogorov(x, y) } else { same(&whole(x), &whole(y)) };
        passes(&format!("{name}: rounds to {what}"), p);
    }
    for (what, cost) in
        [("copies", (|o| o.traffic.rumor) as fn(&Outcome) -> u128), ("datagrams", |o| o.traffic.datagrams)]
    {
        let costs = |of: &[Outcome]| of.iter().map(|o| cost(o) as f64).collect::<Vec<f64>>();
        // The chain of Poisson clocks has no fluctuation of its own in what it sends: of order 1/√N, not compared.
        if !continuous {
            passes(&format!("{name}: {what}"), kolmogorov(costs(a), costs(b)));
        }
    }
}

#[test]
fn the_chain_agrees_with_every_node_from_a_hundred_to_a_million() {
    // A tenth of forty runs tells nothing apart: a debug build plays more of smaller clusters, whose nodes still fill two chunks.
    let largest = if cfg!(debug_assertions) { (70_000, 200, 2000) } else { (1_000_000, 40, 1000) };
    for (size, played, drawn) in [(100, 8000, 8000), (1000, 2000, 4000), (10_000, 400, 2000), largest] {
        for strategy in ALL {
            for loss in [0.0, 0.1] {
                let spec = Spec { strategy, nodes: size, loss, seed: size };
                let played: Vec<Outcome> = (0..scaled(played)).map(|run| nodes(&spec, run, Detail::Fast)).collect();
                let drawn: Vec<Outcome> = (0..scaled(drawn)).map(|run| chain(&spec, run)).collect();
                let name = format!("{strategy}, N = {size}, p = {loss}: nodes and chain");
                compare(&name, &played, &drawn, strategy == Strategy::Poisson);
            }
        }
    }
}

#[test]
fn calls_that_are_left_out_would_have_changed_nothing() {
    for strategy in &ALL[..8] {
        for loss in [0.0, 0.2] {
            let spec = Spec { strategy: *strategy, nodes: 1000, loss, seed: 5 };
            let fast: Vec<Outcome> = (0..scaled(2000)).map(|run| nodes(&spec, run, Detail::Fast)).collect();
            let every: Vec<Outcome> =
                (2000..2000 + scaled(2000)).map(|run| nodes(&spec, run, Detail::EveryCall)).collect();
            compare(&format!("{strategy}, p = {loss}: fast and every call"), &fast, &every, false);
        }
    }
}

/// A strategy as the naive simulation plays it.
fn naive(strategy: Strategy, n: usize, loss: f64, stream: &mut Stream) -> brute::Naive {
    let same = |fanout: u32| vec![fanout as usize; n];
    match strategy {
        Strategy::Push { fanout } => brute::calls(&same(fanout), true, false, loss, stream),
        Strategy::Pull { fanout } => brute::calls(&same(fanout), false, true, loss, stream),
        Strategy::PushPull { fanout } => brute::calls(&same(fanout), true, true, loss, stream),
        // At 100 nodes (100^(1/log2 log2 100) − 1)/2 = 2.2 by hand.
        Strategy::PushPullGrow => brute::calls(&same(3), true, true, loss, stream),
        Strategy::PushPullAging => brute::aging(n, loss, stream),
        Strategy::HeavyTail(tail) => {
            let fanouts = brute::heavy_tail(n, tail.beta, stream);
            brute::calls(&fanouts, true, true, loss, stream)
        }
        Strategy::OneAnswer => brute::one_answer(n, loss, stream),
        Strategy::MedianCounter => brute::median_counter(n, loss, stream),
        Strategy::SqrtTree { split_max, .. } => {
            brute::sqrt_tree(n, loss, split_max.map_or(usize::MAX, |split| split as usize), stream)
        }
        Strategy::Poisson | Strategy::Cluster => panic!("has a test of its own"),
    }
}

#[test]
fn every_strategy_does_what_its_naive_simulation_does() {
    let more = [
        Strategy::MedianCounter,
        Strategy::SqrtTree { split_max: None, repair: true },
        Strategy::SqrtTree { split_max: Some(4), repair: true },
    ];
    for strategy in ALL[..9].iter().chain(&more).copied() {
        for loss in [0.0, 0.15] {
            let spec = Spec { strategy, nodes: 100, loss, seed: 3 };
            let ours: Vec<Outcome> = (0..scaled(5000)).map(|run| nodes(&spec, run, Detail::Loads)).collect();
            let mut stream = Stream::new(17);
            let theirs: Vec<brute::Naive> =
                (0..scaled(5000)).map(|_| naive(strategy, 100, loss, &mut stream)).collect();
            let all = counts(ours.iter().map(|o| o.reached.all.map_or(0, |all| all as u64)));
            let name = format!("{strategy}, p = {loss}: nodes and naive");
            passes(&format!("{name}: rounds"), same(&all, &counts(theirs.iter().map(|n| n.all))));
            let costs = ours.iter().map(|o| o.traffic.rumor as f64).collect();
            passes(&format!("{name}: copies"), kolmogorov(costs, theirs.iter().map(|n| n.rumor as f64).collect()));
            let costs = ours.iter().map(|o| o.traffic.datagrams as f64).collect();
            passes(
                &format!("{name}: datagrams"),
                kolmogorov(costs, theirs.iter().map(|n| n.datagrams as f64).collect()),
            );
        }
    }
}

#[test]
fn clocks_that_ring_by_themselves_give_the_same_times() {
    for loss in [0.0, 0.3] {
        let spec = Spec { strategy: Strategy::Poisson, nodes: 50, loss, seed: 3 };
        let time = |o: Outcome| o.reached.all.expect("it ends");
        let ours = (0..scaled(5000)).map(|run| time(nodes(&spec, run, Detail::Fast))).collect();
        let mut stream = Stream::new(1);
        let theirs = (0..scaled(5000)).map(|_| brute::poisson(50, loss, &mut stream)).collect();
        passes(&format!("Poisson clocks, p = {loss}: nodes and naive"), kolmogorov(ours, theirs));
    }
}

#[test]
fn a_run_is_the_same_on_any_number_of_threads() {
    let more = [Strategy::MedianCounter, Strategy::SqrtTree { split_max: Some(32), repair: true }];
    // Poisson clocks and clusters are played by one thread whatever is asked for.
    for strategy in ALL.into_iter().filter(|strategy| *strategy != Strategy::Poisson).chain(more) {
        for detail in [Detail::Fast, Detail::Loads] {
            // Three chunks, the last of them not full.
            let spec = Spec { strategy, nodes: 140_000, loss: 0.05, seed: 9 };
            let run =
                |threads| simulate_nodes(&spec, 1, &Options { threads, detail }, &mut |_, _| {}).expect("a sound spec");
            let alone = run(1);
            assert_eq!(run(2), alone, "{strategy}");
            assert_eq!(run(5), alone, "{strategy}");
        }
    }
}

/// What stands here was drawn on one machine: another, or another build, must draw the same.
#[test]
fn a_run_is_a_function_of_its_seed() {
    let spec = Spec { strategy: Strategy::PushPull { fanout: 1 }, nodes: 100_000, loss: 0.05, seed: 1 };
    let played = nodes(&spec, 0, Detail::Fast);
    let drawn = chain(&Spec { nodes: 1_000_000_000_000_000_000, ..spec }, 0);
    assert_eq!(nodes(&spec, 0, Detail::Fast), played);
    let hash = |outcome: &Outcome| {
        outcome
            .curve
            .iter()
            .fold(0_u64, |hash, &informed| (hash ^ informed).wrapping_mul(0x0100_0000_01b3).rotate_left(23))
    };
    assert_eq!((hash(&played), hash(&drawn)), (14_570_593_502_049_027_362, 18_001_490_529_760_933_783));
}

/// There is no second implementation of the clusters: what is asserted is what their authors promise. Rounds hardly grow with N, the
/// datagrams per node do not, and loss stops nobody.
#[test]
fn clusters_inform_all_in_rounds_that_hardly_grow() {
    const RUNS: u64 = 4;
    for loss in [0.0, 0.05] {
        for size in [1_000, 10_000, 100_000] {
            let spec = Spec { strategy: Strategy::Cluster, nodes: size, loss, seed: 3 };
            let runs: Vec<Outcome> = (0..RUNS).map(|run| nodes(&spec, run, Detail::Fast)).collect();
            let rounds =
                crate::stats::mean(&runs.iter().map(|o| o.reached.all.expect("it ends")).collect::<Vec<_>>()).0;
            let datagrams = runs.iter().map(|o| o.traffic.datagrams).sum::<u128>() as f64 / (RUNS * size) as f64;
            println!("clusters, N = {size}, p = {loss}: {rounds:.1} rounds, {datagrams:.1} datagrams per node");
            assert!((30.0..60.0).contains(&rounds) && (10.0..25.0).contains(&datagrams));
        }
    }
}
