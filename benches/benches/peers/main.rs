//! The same work for gossip-core and for foca 2.0, side by side in one run: quote the ratios, not the times.
//!
//! foca gets a hand-written binary codec (7 bytes of address, 2 of incarnation, 1 of state), so that the protocols are
//! compared and not the codecs.

mod codec;
mod timers;

use std::hint::black_box;
use std::net::{SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::time::Duration;

use benches::{SIZES, address, datagram, settled_node, update};
use bytes::BufMut;
use codec::Binary;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use foca::{
    Codec, Foca, Header, Member, Message as FocaMessage, NoCustomBroadcast, Notification, Runtime, State, Timer,
};
use gossip_core::Input;
use gossip_core::wire::{Message, Sender};
use rand_xoshiro::Xoshiro256PlusPlus;

type Peer = Foca<SocketAddrV4, Binary, Xoshiro256PlusPlus, NoCustomBroadcast>;

fn peers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("peers");
    for size in SIZES {
        let mut ours = settled_node(size);
        let mut theirs = settled_foca(size, Sink);
        let now = ours.poll_timeout().expect("a living node has timers");
        let digest = ours.digest();
        let sender = Sender { incarnation: 0, digest };
        let mut buffer = [0; 1400];

        let ping = datagram(sender, &Message::Ping { seq: 9 }, []).0;
        group.bench_function(BenchmarkId::new("ping in, ack out: gossip-core", size), |bencher| {
            bencher.iter(|| {
                let _ = ours.handle(now, Input::Datagram { from: address(1), bytes: black_box(&ping) });
                ours.poll_transmit(now, &mut buffer)
            });
        });
        let ping = foca_datagram(FocaMessage::Ping(9), &[]);
        group.bench_function(BenchmarkId::new("ping in, ack out: foca", size), |bencher| {
            bencher.iter(|| theirs.handle_data(black_box(&ping), Sink).is_ok());
        });

        // Members from all over the table, so that a search through it takes the average time.
        let count = 126.min(size - 2);
        let chosen: Vec<u32> = (0..count).map(|i| 2 + i * (size - 2) / count).collect();
        group.throughput(Throughput::Elements(count.into()));
        let known =
            datagram(sender, &Message::Gossip { answer: false }, chosen.iter().map(|&index| update(index, 0))).0;
        group.bench_function(BenchmarkId::new("known updates: gossip-core", size), |bencher| {
            bencher.iter(|| ours.handle(now, Input::Datagram { from: address(1), bytes: black_box(&known) }).is_ok());
        });
        let known = foca_datagram(FocaMessage::Gossip, &alive(chosen.iter().copied(), 0));
        group.bench_function(BenchmarkId::new("known updates: foca", size), |bencher| {
            bencher.iter(|| theirs.handle_data(black_box(&known), Sink).is_ok());
        });

        let mut incarnation = 0;
        group.bench_function(BenchmarkId::new("fresh updates: gossip-core", size), |bencher| {
            let mut fresh = || {
                incarnation += 1;
                let updates = chosen.iter().map(|&index| update(index, incarnation));
                datagram(sender, &Message::Gossip { answer: false }, updates).0
            };
            bencher.iter_batched(
                &mut fresh,
                |bytes| {
                    let _ = ours.handle(now, Input::Datagram { from: address(1), bytes: black_box(&bytes) });
                    while ours.poll_event().is_some() {}
                },
                BatchSize::SmallInput,
            );
        });
        let mut incarnation = 0;
        group.bench_function(BenchmarkId::new("fresh updates: foca", size), |bencher| {
            let mut fresh = || {
                incarnation += 1;
                foca_datagram(FocaMessage::Gossip, &alive(chosen.iter().copied(), incarnation))
            };
            bencher.iter_batched(
                &mut fresh,
                |bytes| theirs.handle_data(black_box(&bytes), Sink).is_ok(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn v4(index: u32) -> SocketAddrV4 {
    match address(index) {
        SocketAddr::V4(addr) => addr,
        SocketAddr::V6(addr) => unreachable!("{addr} is no address of these benches"),
    }
}

fn alive(members: impl IntoIterator<Item = u32>, incarnation: u16) -> Vec<Member<SocketAddrV4>> {
    members.into_iter().map(|index| Member::new(v4(index), incarnation, State::Alive)).collect()
}

fn settled_foca(size: u32, runtime: impl Runtime<SocketAddrV4>) -> Peer {
    let config = foca::Config::new_lan(NonZeroU32::new(size).expect("a size above 0"));
    let rng = rand::SeedableRng::seed_from_u64(1);
    let mut foca = Foca::new(v4(0), config, rng, Binary);
    foca.apply_many(alive(1..size, 0).into_iter(), false, runtime).expect("fresh members");
    assert_eq!(foca.num_members(), size as usize - 1);
    foca
}

/// A datagram from member 1 to member 0 as foca's own encoder lays it out: header, number of updates, updates.
fn foca_datagram(message: FocaMessage<SocketAddrV4>, updates: &[Member<SocketAddrV4>]) -> Vec<u8> {
    foca_datagram_from(v4(1), message, updates)
}

fn foca_datagram_from(
    src: SocketAddrV4,
    message: FocaMessage<SocketAddrV4>,
    updates: &[Member<SocketAddrV4>],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1400);
    let header = Header { src, src_incarnation: 0, dst: v4(0), message };
    Binary.encode_header(&header, &mut bytes).expect("memory takes it");
    if !updates.is_empty() {
        bytes.put_u16(updates.len() as u16);
        for member in updates {
            Binary.encode_member(member, &mut bytes).expect("memory takes it");
        }
    }
    assert!(bytes.len() <= 1400, "{} bytes", bytes.len());
    bytes
}

/// Takes everything and does nothing.
struct Sink;

impl Runtime<SocketAddrV4> for Sink {
    fn notify(&mut self, notification: Notification<'_, SocketAddrV4>) {
        black_box(notification);
    }

    fn send_to(&mut self, to: SocketAddrV4, data: &[u8]) {
        black_box((to, data));
    }

    fn submit_after(&mut self, event: Timer<SocketAddrV4>, after: Duration) {
        black_box((event, after));
    }
}

criterion_group!(benches, peers);

fn main() {
    // `cargo test` only asks whether it runs, and a filter names a bench of the other kind.
    if std::env::args().skip(1).all(|argument| argument == "--bench") {
        timers::table();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
