//! What a run of the exact chain costs at 10¹⁸, and a round per node in the simulation of every node.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gossip_sim::kernel::{Detail, HeavyTail, Options, Spec, Strategy, simulate_chain, simulate_nodes};

const STRATEGIES: [(&str, Strategy); 6] = [
    ("push", Strategy::Push { fanout: 1 }),
    ("push-pull", Strategy::PushPull { fanout: 1 }),
    ("push-pull-3", Strategy::PushPull { fanout: 3 }),
    ("grow", Strategy::PushPullGrow),
    ("heavy-tail", Strategy::HeavyTail(HeavyTail::new(2.5))),
    ("one-answer", Strategy::OneAnswer),
];

fn chain(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kernel/chain/1e18");
    for (name, strategy) in STRATEGIES {
        let spec = Spec { strategy, nodes: 1_000_000_000_000_000_000, loss: 0.05, seed: 1 };
        let mut run = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                run += 1;
                simulate_chain(&spec, run).expect("a count")
            });
        });
    }
}

/// One thread; elements are nodes times rounds.
fn nodes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kernel/nodes/1e6");
    group.sample_size(10);
    for (name, strategy) in STRATEGIES {
        for detail in [Detail::Fast, Detail::EveryCall] {
            let spec = Spec { strategy, nodes: 1_000_000, loss: 0.0, seed: 1 };
            let options = Options { threads: 1, detail };
            let run = || simulate_nodes(&spec, 0, &options, &mut |_, _| {}).expect("a sound spec");
            let rounds = run().curve.len() as u64 - 1;
            group.throughput(Throughput::Elements(spec.nodes * rounds));
            group.bench_function(format!("{name}/{detail:?}"), |bencher| bencher.iter(run));
        }
    }
}

criterion_group!(benches, chain, nodes);
criterion_main!(benches);
