//! What a seal costs: beside the same work without one, and by the byte.

use std::hint::black_box;
use std::net::SocketAddr;

use benches::{address, datagram, sealed, settled_node};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gossip_core::wire::sealed::{Seal, SenderKey};
use gossip_core::wire::{Message, SEALED_HEADER_LEN, Sender, TAG_LEN};
use gossip_core::{ClusterTag, Command, Input, Key, Keyring};

const KEY: Key = Key::new(1, [7; 32]);

fn node(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keyring");
    let keyring = Keyring::new(&[KEY]).expect("one key");
    for (name, keyring) in [("plain", None), ("sealed", Some(&keyring))] {
        let mut node = settled_node(1_000);
        let now = node.poll_timeout().expect("a living node has timers");
        node.handle(now, Input::Command(Command::SetKeyring { keyring })).expect("it has a session");
        let sender = Sender { incarnation: 0, digest: node.digest() };
        let mut buffer = [0; 1400];
        let mut counter = 1_000_000;
        group.bench_function(BenchmarkId::new("ping in, ack out, 1,000 members", name), |bencher| {
            bencher.iter_batched_ref(
                || {
                    counter += 1;
                    match keyring {
                        None => datagram(sender, &Message::Ping { seq: 9 }, []).0,
                        Some(_) => sealed(&KEY, address(1), counter, sender, &Message::Ping { seq: 9 }),
                    }
                },
                |bytes| {
                    let taken = node.handle(now, Input::Datagram { from: address(1), bytes: black_box(bytes) });
                    (taken.is_ok(), node.poll_transmit(now, &mut buffer))
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    let v6: SocketAddr = "[2001:db8::1]:7400".parse().expect("an address");
    for (name, from) in [("IPv4", address(1)), ("IPv6", v6)] {
        group.bench_function(BenchmarkId::new("the key of a sender", name), |bencher| {
            bencher.iter(|| SenderKey::new(&KEY, black_box(&from), 1));
        });
    }
    let key = SenderKey::new(&KEY, &address(1), 1);
    let seal = Seal::new(1, 1, 5);
    for len in [12, 64, 1_024] {
        let mut buffer = vec![0; SEALED_HEADER_LEN + len + TAG_LEN];
        let mut opened = buffer.clone();
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("seal", len), |bencher| {
            bencher.iter(|| key.seal(black_box(&mut buffer), len, &seal, ClusterTag::default(), &address(0)));
        });
        buffer[SEALED_HEADER_LEN..].fill(0);
        key.seal(&mut buffer, len, &seal, ClusterTag::default(), &address(0)).expect("it fits");
        group.bench_function(BenchmarkId::new("open", len), |bencher| {
            bencher.iter(|| key.open(black_box(&buffer), &seal, &address(0), &mut opened).expect("unchanged"));
        });
    }
    group.finish();
}

criterion_group!(benches, node, seal);
criterion_main!(benches);
