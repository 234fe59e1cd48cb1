//! The same work for gossip-core and for foca 2.0, side by side in one run: quote the ratios, not the times.
//!
//! foca gets a hand-written binary codec (7 bytes of address, 2 of incarnation, 1 of state), so that the protocols are
//! compared and not the codecs.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU32;
use std::time::Duration;

use benches::{SIZES, address, datagram, settled_node, update};
use bytes::{Buf, BufMut};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
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
        let mut theirs = settled_foca(size);
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

fn settled_foca(size: u32) -> Peer {
    let config = foca::Config::new_lan(NonZeroU32::new(size).expect("a size above 0"));
    let rng = rand::SeedableRng::seed_from_u64(1);
    let mut foca = Foca::new(v4(0), config, rng, Binary);
    foca.apply_many(alive(1..size, 0).into_iter(), false, Sink).expect("fresh members");
    assert_eq!(foca.num_members(), size as usize - 1);
    foca
}

/// A datagram from member 1 to member 0 as foca's own encoder lays it out: header, number of updates, updates.
fn foca_datagram(message: FocaMessage<SocketAddrV4>, updates: &[Member<SocketAddrV4>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1400);
    let header = Header { src: v4(1), src_incarnation: 0, dst: v4(0), message };
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

/// What a datagram of these benches cannot hold.
#[derive(Debug)]
struct CodecError;

impl std::fmt::Display for CodecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut off, or a message that these benches do not send")
    }
}

impl std::error::Error for CodecError {}

/// A binary codec for foca.
struct Binary;

impl Binary {
    fn put(addr: SocketAddrV4, buf: &mut impl BufMut) {
        buf.put_slice(&addr.ip().octets());
        buf.put_u16(addr.port());
    }

    fn get(buf: &mut impl Buf) -> Result<SocketAddrV4, CodecError> {
        if buf.remaining() < 6 {
            return Err(CodecError);
        }
        Ok(SocketAddrV4::new(Ipv4Addr::from(buf.get_u32()), buf.get_u16()))
    }
}

impl Codec<SocketAddrV4> for Binary {
    type Error = CodecError;

    fn encode_header(&mut self, header: &Header<SocketAddrV4>, mut buf: impl BufMut) -> Result<(), CodecError> {
        Self::put(header.src, &mut buf);
        buf.put_u16(header.src_incarnation);
        Self::put(header.dst, &mut buf);
        match header.message {
            FocaMessage::Ping(number) => buf.put_slice(&[1, number]),
            FocaMessage::Ack(number) => buf.put_slice(&[2, number]),
            FocaMessage::Gossip => buf.put_slice(&[3, 0]),
            _ => return Err(CodecError),
        }
        Ok(())
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<SocketAddrV4>, CodecError> {
        let src = Self::get(&mut buf)?;
        if buf.remaining() < 10 {
            return Err(CodecError);
        }
        let src_incarnation = buf.get_u16();
        let dst = Self::get(&mut buf)?;
        let message = match (buf.get_u8(), buf.get_u8()) {
            (1, number) => FocaMessage::Ping(number),
            (2, number) => FocaMessage::Ack(number),
            (3, _) => FocaMessage::Gossip,
            _ => return Err(CodecError),
        };
        Ok(Header { src, src_incarnation, dst, message })
    }

    fn encode_member(&mut self, member: &Member<SocketAddrV4>, mut buf: impl BufMut) -> Result<(), CodecError> {
        if buf.remaining_mut() < 9 {
            return Err(CodecError);
        }
        Self::put(*member.id(), &mut buf);
        buf.put_u16(member.incarnation());
        buf.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        Ok(())
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<SocketAddrV4>, CodecError> {
        let id = Self::get(&mut buf)?;
        if buf.remaining() < 3 {
            return Err(CodecError);
        }
        let incarnation = buf.get_u16();
        let state = match buf.get_u8() {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Down,
            _ => return Err(CodecError),
        };
        Ok(Member::new(id, incarnation, state))
    }
}

criterion_group!(benches, peers);
criterion_main!(benches);
