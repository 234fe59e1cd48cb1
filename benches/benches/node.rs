//! One step of a node, at several numbers of members: the cost must not grow with them.

use benches::{SIZES, address, datagram, drain, settled_node, update};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gossip_core::Input;
use gossip_core::wire::{Message, Sender};
use std::hint::black_box;

fn node(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("node");
    for size in SIZES {
        let mut node = settled_node(size);
        let mut now = node.poll_timeout().expect("a living node has timers");
        let digest = node.digest();
        let sender = Sender { incarnation: 0, digest };
        let mut buffer = [0; 1400];

        let (ping, _) = datagram(sender, &Message::Ping { seq: 9 }, []);
        group.bench_function(BenchmarkId::new("ping in, ack out", size), |bencher| {
            bencher.iter(|| {
                let _ = node.handle(now, Input::Datagram { from: address(1), bytes: black_box(&ping) });
                node.poll_transmit(now, &mut buffer)
            });
        });

        let (known, count) =
            datagram(sender, &Message::Gossip { answer: false }, (1..size).map(|index| update(index, 0)));
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("a datagram full of known updates, per update", size), |bencher| {
            bencher.iter(|| node.handle(now, Input::Datagram { from: address(1), bytes: black_box(&known) }).is_ok());
        });

        let mut incarnation = 0;
        group.bench_function(BenchmarkId::new("a datagram full of fresh updates, per update", size), |bencher| {
            let fresh = |incarnation: &mut u32| {
                *incarnation += 1;
                datagram(
                    sender,
                    &Message::Gossip { answer: false },
                    (1..=count as u32).map(|index| update(index, *incarnation)),
                )
                .0
            };
            bencher.iter_batched(
                || fresh(&mut incarnation),
                |bytes| {
                    let _ = node.handle(now, Input::Datagram { from: address(1), bytes: black_box(&bytes) });
                    while node.poll_event().is_some() {}
                },
                BatchSize::SmallInput,
            );
        });
        drop(node);

        let mut node = settled_node(size);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("next timer served and datagrams encoded", size), |bencher| {
            bencher.iter(|| {
                now = node.poll_timeout().expect("a living node has timers").max(now);
                let _ = node.handle(now, Input::Timeout);
                drain(&mut node, now);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, node);
criterion_main!(benches);
