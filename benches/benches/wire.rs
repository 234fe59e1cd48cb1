//! Encoding and decoding of datagrams.

use std::hint::black_box;
use std::net::SocketAddr;

use benches::{datagram, rumor, update};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gossip_core::ClusterTag;
use gossip_core::wire::{Message, Sender, decode};

const SENDER: Sender = Sender { incarnation: 3, digest: 0x1234_5678 };

fn wire(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    let updates = || (1..1_000).map(|index| update(index, index % 3));
    let rumors = || (0..1_000).map(rumor);
    let call = Message::Gossip { answer: true };
    let (ping, _) = datagram(SENDER, &Message::Ping { seq: 77 }, []);
    let (full_of_updates, count) = datagram(SENDER, &call, updates());
    let (full_of_rumors, rumor_count) = datagram(SENDER, &call, rumors());

    group.bench_function("decode a ping", |bencher| {
        bencher.iter(|| decode::<SocketAddr>(black_box(&ping), ClusterTag::default()).is_ok());
    });
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("decode a datagram full of updates, per update", |bencher| {
        bencher
            .iter(|| decode::<SocketAddr>(black_box(&full_of_updates), ClusterTag::default()).map(|d| d.items.count()));
    });
    group.bench_function("encode a datagram full of updates, per update", |bencher| {
        bencher.iter(|| datagram(SENDER, &call, updates()).1);
    });
    group.throughput(Throughput::Elements(rumor_count as u64));
    group.bench_function("decode a datagram full of rumors, per rumor", |bencher| {
        bencher
            .iter(|| decode::<SocketAddr>(black_box(&full_of_rumors), ClusterTag::default()).map(|d| d.items.count()));
    });
    group.finish();
}

criterion_group!(benches, wire);
criterion_main!(benches);
