//! What the core takes from the heap: nothing in steady state, and little per member.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;

use benches::{address, datagram, drain, rumor, sealed, settled_node, update};
use gossip_core::wire::sealed::{Seal, SenderKey};
use gossip_core::wire::{Encoder, Message, SEALED_HEADER_LEN, Sender, decode, decode_body};
use gossip_core::{
    ClusterTag, Command, Config, Event, Input, Instant, Key, Keyring, MemberState, Node, Setup, SharedView,
};

/// Counts what goes through to the system's allocator.
struct Counting;

thread_local! {
    /// What this thread did. The others do theirs, and the one that begins tests and tells of them has to allocate.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: every call is the system allocator's own.
#[allow(unsafe_code, reason = "an allocator cannot be counted otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        BYTES.set(BYTES.get() + layout.size() as i64);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as i64);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Pulls everything out of a node and answers its probes, or it would begin to suspect: that is no steady state.
fn answer_pings(node: &mut Node<SocketAddr>, now: Instant, sender: Sender) {
    let (mut buffer, mut answer) = ([0; 1400], [0; 64]);
    while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
        let sent = decode::<SocketAddr>(&buffer[..transmit.len], ClusterTag::default()).unwrap();
        if let Message::Ping { seq } = sent.message {
            let ack: Message<'_, SocketAddr> = Message::Ack { seq };
            let len = Encoder::new(&mut answer, ClusterTag::default(), sender, &ack).unwrap().finish();
            node.handle(now, Input::Datagram { from: transmit.to, bytes: &answer[..len] }).unwrap();
        }
    }
    drain(node, now);
}

#[test]
fn a_settled_node_serves_messages_and_timers_without_allocating() {
    let mut node = settled_node(1_000);
    let mut now = node.poll_timeout().unwrap();
    let digest = node.digest();
    let sender = Sender { incarnation: 0, digest };
    let ping = datagram(sender, &Message::Ping { seq: 9 }, []).0;
    let known = datagram(sender, &Message::Gossip { answer: false }, (1..1_000).map(|index| update(index, 0))).0;
    let fresh: Vec<_> = (1..=20)
        .map(|incarnation| {
            let updates = (1..140).map(|index| update(index, incarnation));
            datagram(sender, &Message::Gossip { answer: false }, updates).0
        })
        .collect();
    let known_rumors = datagram(sender, &Message::Gossip { answer: true }, (0..10).map(rumor)).0;
    let mut turn = |node: &mut Node<_>, fresh: &[Vec<u8>]| {
        for bytes in fresh.iter().chain([&ping, &known, &known_rumors]) {
            node.handle(now, Input::Datagram { from: address(1), bytes }).unwrap();
            drain(node, now);
        }
        // Some seconds: when the first events end after a minute, the list of places that are free begins to grow.
        for _ in 0..8 {
            now = node.poll_timeout().unwrap().max(now);
            node.handle(now, Input::Timeout).unwrap();
            answer_pings(node, now, sender);
        }
    };
    // The first turn fills what grows once: queues, the list of drawn peers, the events themselves.
    turn(&mut node, &fresh[..10]);
    assert_eq!(allocations_of(|| turn(&mut node, &fresh[10..])), 0);
}

/// One probe fails: helpers are asked, the target is suspected, the suspicion is told in gossip rounds, and refuted.
fn fail_a_probe(node: &mut Node<SocketAddr>, now: &mut Instant, sender: Sender, incarnation: u32) {
    let before = node.counters();
    let mut buffer = [0; 1400];
    let mut suspect = None;
    while suspect.is_none() {
        *now = node.poll_timeout().unwrap().max(*now);
        node.handle(*now, Input::Timeout).unwrap();
        while node.poll_transmit(*now, &mut buffer).is_some() {}
        while let Some(event) = node.poll_event() {
            if let Event::MemberChanged { addr, state: MemberState::Suspect, .. } = event {
                suspect = Some(addr);
            }
        }
    }
    let after = node.counters();
    assert!(after.probes_indirect > before.probes_indirect && after.suspicions == before.suspicions + 1);
    let SocketAddr::V4(suspect) = suspect.unwrap() else { panic!("all are of version 4") };
    let index = suspect.ip().to_bits() - 0x0a00_0000;
    let gossip: Message<'_, SocketAddr> = Message::Gossip { answer: false };
    let mut encoder = Encoder::new(&mut buffer, ClusterTag::default(), sender, &gossip).unwrap();
    assert!(encoder.push(&update(index, incarnation)));
    let len = encoder.finish();
    node.handle(*now, Input::Datagram { from: address(1), bytes: &buffer[..len] }).unwrap();
    for _ in 0..40 {
        *now = node.poll_timeout().unwrap().max(*now);
        node.handle(*now, Input::Timeout).unwrap();
        answer_pings(node, *now, sender);
    }
}

#[test]
fn failed_probes_and_gossip_rounds_allocate_nothing() {
    let mut node = settled_node(1_000);
    let mut now = node.poll_timeout().unwrap();
    let sender = Sender { incarnation: 0, digest: node.digest() };
    let mut turn = |incarnations: std::ops::Range<u32>| {
        for incarnation in incarnations {
            fail_a_probe(&mut node, &mut now, sender, incarnation);
        }
    };
    turn(1..40);
    assert_eq!(allocations_of(|| turn(40..80)), 0);
}

#[test]
fn a_member_costs_at_most_64_bytes_of_heap() {
    let start = Instant::from_millis(1);
    let mut node = Node::new(start, Config::lan(), &Setup { seed: 1, ..Setup::new(address(0)) }).unwrap();
    let sender = Sender { incarnation: 0, digest: 0 };
    let before = BYTES.get();
    let mut index = 1;
    while index < 10_000 {
        let (bytes, count) = datagram(sender, &Message::Members, (index..10_000).map(|index| update(index, 0)));
        node.handle(start, Input::Datagram { from: address(1), bytes: &bytes }).unwrap();
        while node.poll_event().is_some() {}
        index += count as u32;
    }
    // Every member was probed once: its round trips are known.
    let sender = Sender { digest: node.digest(), ..sender };
    while node.counters().probes < 10_000 {
        let now = node.poll_timeout().unwrap();
        node.handle(now, Input::Timeout).unwrap();
        answer_pings(&mut node, now, sender);
    }
    assert!(node.members().skip(1).all(|member| node.round_trip(&member.addr).is_some()));
    let per_member = (BYTES.get() - before) as f64 / 10_000.0;
    assert!(per_member <= 64.0, "{per_member:.1} bytes per member");
    println!("{per_member:.1} bytes of heap per member at 10,000");
}

#[test]
fn a_node_that_shares_its_view_costs_little_more_than_what_it_knows_otherwise() {
    let (nodes, members) = (1_000_u32, 10_000_u32);
    let start = Instant::from_millis(1);
    let used = || BYTES.get();
    let empty = used();
    let setup = |index| Setup { seed: u64::from(index), ..Setup::new(address(index)) };
    let view = SharedView::new((0..members).map(setup)).unwrap();
    // A large view keeps sums for anti-entropy, 2 MiB once, however many nodes share it.
    let sums = 2 << 20;
    let per_member = (used() - empty - sums) / i64::from(members);
    let before = used();
    let mut cluster = Vec::with_capacity(nodes as usize);
    for index in 0..nodes {
        cluster.push(Node::with_view(start, Config::lan(), &setup(index), &view).unwrap());
    }
    let at_birth = (used() - before) / i64::from(nodes);
    let mut draw = 1_u32;
    for node in &mut cluster {
        let heard = (0..100).map(|_| {
            draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            update(draw % members, 1)
        });
        let sender = Sender { incarnation: 0, digest: 0 };
        let (bytes, count) = datagram(sender, &Message::Answer, heard);
        assert_eq!(count, 100);
        node.handle(start, Input::Datagram { from: address(members - 1), bytes: &bytes }).unwrap();
        drain(node, start);
    }
    let informed = (used() - before) / i64::from(nodes);
    println!("{per_member} B per member of the view; {at_birth} B per node at birth, {informed} B after 100 updates");
    assert!(cluster.iter().all(|node| node.live_members() == members));
    assert!(per_member <= 64, "{per_member} bytes per member of the view");
    assert!(at_birth <= 4 * 1024, "{at_birth} bytes per node");
    assert!(informed <= 16 * 1024, "{informed} bytes per node after 100 updates");
}

const KEY: Key = Key::new(1, [7; 32]);

/// Pulls everything out of a node that seals, and answers its probes.
fn answer_sealed_pings(node: &mut Node<SocketAddr>, now: Instant, sender: Sender, counter: &mut u64) {
    let (mut buffer, mut opened, mut answer) = ([0; 1400], [0; 1400], [0; 128]);
    let key = SenderKey::new(&KEY, &address(0), 1);
    while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
        let bytes = &buffer[..transmit.len];
        let seal = Seal::read(bytes, ClusterTag::default()).unwrap();
        let len = key.open(bytes, &seal, &transmit.to, &mut opened).unwrap();
        let Message::Ping { seq } = decode_body::<SocketAddr>(seal.version, &opened[..len]).unwrap().message else {
            continue;
        };
        let ack: Message<'_, SocketAddr> = Message::Ack { seq };
        let len = Encoder::body(&mut answer[SEALED_HEADER_LEN..], sender, &ack).unwrap().finish();
        *counter += 1;
        let seal = Seal::new(KEY.id(), 1, *counter);
        let peer = SenderKey::new(&KEY, &transmit.to, 1);
        let len = peer.seal(&mut answer, len, &seal, ClusterTag::default(), &address(0)).unwrap();
        node.handle(now, Input::Datagram { from: transmit.to, bytes: &answer[..len] }).unwrap();
    }
    drain(node, now);
}

#[test]
fn a_settled_node_with_a_keyring_does_not_allocate_either() {
    let mut node = settled_node(50);
    let mut now = node.poll_timeout().unwrap();
    let keyring = Keyring::new(&[KEY]).unwrap();
    node.handle(now, Input::Command(Command::SetKeyring { keyring: Some(&keyring) })).unwrap();
    let sender = Sender { incarnation: 0, digest: node.digest() };
    let pings = |counter| -> Vec<_> {
        (1..50).map(|from| sealed(&KEY, address(from), counter, sender, &Message::Ping { seq: 9 })).collect()
    };
    let mut turn = |node: &mut Node<_>, mut counter: u64, pings: &[Vec<u8>]| {
        for (from, bytes) in (1..).zip(pings) {
            node.handle(now, Input::Datagram { from: address(from), bytes }).unwrap();
            assert!(node.handle(now, Input::Datagram { from: address(from), bytes }).is_err(), "a replay");
            drain(node, now);
        }
        for _ in 0..600 {
            now = node.poll_timeout().unwrap().max(now);
            node.handle(now, Input::Timeout).unwrap();
            answer_sealed_pings(node, now, sender, &mut counter);
        }
    };
    // The first turns fill what grows once, and see the end of the probes that were not answered before.
    turn(&mut node, 0, &pings(0));
    turn(&mut node, 10_000, &pings(10_000));
    let before = node.counters();
    let third = pings(20_000);
    assert_eq!(allocations_of(|| turn(&mut node, 20_000, &third)), 0);
    let after = node.counters();
    assert_eq!(after.datagrams_replayed - before.datagrams_replayed, 49);
    assert_eq!(after.probes_failed, before.probes_failed, "the answers were understood");
    assert!(after.probes > before.probes + 50);
}

#[test]
fn a_sender_of_sealed_datagrams_costs_at_most_160_bytes_of_heap() {
    let mut node = settled_node(10_000);
    let now = node.poll_timeout().unwrap();
    let keyring = Keyring::new(&[KEY]).unwrap();
    node.handle(now, Input::Command(Command::SetKeyring { keyring: Some(&keyring) })).unwrap();
    let sender = Sender { incarnation: 0, digest: node.digest() };
    let before = BYTES.get();
    for from in 1..10_000 {
        let bytes = sealed(&KEY, address(from), 0, sender, &Message::Nack { seq: 9 });
        node.handle(now, Input::Datagram { from: address(from), bytes: &bytes }).unwrap();
        drain(&mut node, now);
    }
    let per_sender = (BYTES.get() - before) as f64 / 10_000.0;
    assert!(per_sender <= 160.0, "{per_sender:.1} bytes per sender");
    println!("{per_sender:.1} bytes of heap per sender at 10,000");
}
