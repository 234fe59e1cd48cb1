//! The simulator's price for an event and for a datagram. In processor time, so that other work on the machine shows less.

use std::time::Duration;

use benches::sim::{Hold, cpu_time, loaded};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gossip_sim::queue::{Heap, Queue, Wheel};

const BATCH: usize = 1_000;

fn queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sim/queue");
    group.throughput(Throughput::Elements(BATCH as u64));
    for pending in [1_000, 100_000, 10_000_000] {
        hold::<Heap>(&mut group, &format!("heap, {pending} pending"), pending, 0);
        hold::<Wheel>(&mut group, &format!("wheel, {pending} pending"), pending, 0);
        hold::<Wheel>(&mut group, &format!("wheel, {pending} pending, 8 ahead"), pending, 8);
    }
    group.finish();
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn hold<Q: Queue>(group: &mut Group<'_>, name: &str, pending: usize, ahead: usize) {
    // Made when it is first run: a filter may leave it out.
    let mut hold = None;
    group.bench_function(name, |bencher| {
        let hold = hold.get_or_insert_with(|| Hold::<Q>::new(pending, ahead));
        bencher.iter_custom(|rounds| {
            let start = cpu_time();
            hold.run(BATCH * rounds as usize);
            cpu_time() - start
        });
    });
}

fn datagrams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sim/datagrams");
    group.sample_size(10).throughput(Throughput::Elements(BATCH as u64));
    for size in [1_000_u32, 10_000, 100_000] {
        let mut cluster = None;
        group.bench_function(format!("N = {size}"), |bencher| {
            let cluster = cluster.get_or_insert_with(|| loaded::<Wheel>(size));
            // A thousand messages of applications; probes and their answers come on top.
            let span = Duration::from_nanos(100_000_000 * BATCH as u64 / u64::from(size));
            bencher.iter_custom(|rounds| {
                let start = cpu_time();
                cluster.run_for(span * rounds as u32);
                cpu_time() - start
            });
        });
    }
    group.finish();
}

criterion_group!(benches, queue, datagrams);
criterion_main!(benches);
