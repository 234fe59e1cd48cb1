//! What the core takes from the heap: nothing in steady state, and little per member.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use benches::{address, datagram, drain, rumor, settled_node, update};
use gossip_core::wire::{Encoder, Message, Sender, decode};
use gossip_core::{ClusterTag, Config, Input, Instant, Node, Setup, SharedView};

/// Counts what goes through to the system's allocator.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is the system allocator's own.
#[allow(unsafe_code, reason = "an allocator cannot be counted otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The counters are one for the whole process: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work();
    ALLOCATIONS.load(Ordering::Relaxed) - before
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
    let _guard = ONE_AT_A_TIME.lock().unwrap();
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
        for _ in 0..50 {
            now = node.poll_timeout().unwrap().max(now);
            node.handle(now, Input::Timeout).unwrap();
            answer_pings(node, now, sender);
        }
    };
    // The first turn fills what grows once: queues, the list of drawn peers, the events themselves.
    turn(&mut node, &fresh[..10]);
    assert_eq!(allocations_of(|| turn(&mut node, &fresh[10..])), 0);
}

#[test]
fn a_member_costs_at_most_64_bytes_of_heap() {
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let start = Instant::from_millis(1);
    let mut node = Node::new(start, Config::lan(), &Setup { seed: 1, ..Setup::new(address(0)) }).unwrap();
    let sender = Sender { incarnation: 0, digest: 0 };
    let before = BYTES.load(Ordering::Relaxed);
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
    let per_member = (BYTES.load(Ordering::Relaxed) - before) as f64 / 10_000.0;
    assert!(per_member <= 64.0, "{per_member:.1} bytes per member");
    println!("{per_member:.1} bytes of heap per member at 10,000");
}

#[test]
fn a_node_that_shares_its_view_costs_little_more_than_what_it_knows_otherwise() {
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let (nodes, members) = (1_000_u32, 10_000_u32);
    let start = Instant::from_millis(1);
    let used = || BYTES.load(Ordering::Relaxed);
    let empty = used();
    let setup = |index| Setup { seed: u64::from(index), ..Setup::new(address(index)) };
    let view = SharedView::new((0..members).map(setup)).unwrap();
    let per_member = (used() - empty) / i64::from(members);
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
