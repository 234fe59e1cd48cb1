//! The fault models' price for a datagram.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use netem::spec::{Delay, Direction, Distribution, Loss, Probability, Span};
use netem::{Endpoint, Impairment, Netem};

fn judge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("netem");
    let mut run = |name: &str, impairments: Vec<Impairment>| {
        let mut netem = Netem::new(1, Endpoint(0));
        for (id, impairment) in (0..).zip(impairments) {
            netem.impair(Duration::ZERO, id, impairment);
        }
        let mut peer = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                peer = peer % 256 + 1;
                netem.judge(black_box(Duration::from_secs(1)), Direction::Out, Endpoint(peer), 200)
            });
        });
    };
    let loss = Loss { probability: Probability::new(0.1).expect("a probability"), direction: Direction::Out };
    let delay = Delay {
        mean: Span::from_millis(20),
        jitter: Span::from_millis(5),
        distribution: Distribution::Normal,
        direction: Direction::Out,
    };
    run("judge without faults", vec![]);
    run("judge with loss", vec![Impairment::Loss(loss)]);
    run("judge with loss and normal delay", vec![Impairment::Loss(loss), Impairment::Delay(delay)]);
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
