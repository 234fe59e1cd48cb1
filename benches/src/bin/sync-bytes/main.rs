//! What anti-entropy costs: bytes and datagrams until two nodes of N members that differ in d agree again, beside the full
//! state that memberlist exchanges. One table, the same on every machine.
//!
//! ```sh
//! cargo run --release -p benches --bin sync-bytes [-- --figure FOLDER]
//! ```
//! Of the d members half are known to one node only and half to the other. Bytes are UDP payload of both directions, from the
//! datagram that shows the difference to the last one.

mod draw;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use benches::{address, datagram, drain, update};
use gossip_core::wire::{Message, Sender};
use gossip_core::{Config, Input, Instant, Node, Setup};

/// Exchanges in which two nodes must have come to agree.
const EXCHANGES_MAX: u32 = 10;

const SIZES: [u32; 3] = [100, 1_000, 10_000];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => None,
        (Some("--figure"), Some(folder)) => Some(folder),
        _ => {
            eprintln!("usage: sync-bytes [--figure FOLDER]");
            std::process::exit(2);
        }
    };
    let mut curves = Vec::new();
    println!(
        "| N | d | bytes, both directions | datagrams | round trips | bytes per item of d | memberlist's full state | ratio |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for size in SIZES {
        let differences: BTreeSet<u32> =
            [0, 1, 3, 10, 30, 100, 300, 1_000, 3_000, size].into_iter().filter(|&d| d <= size).collect();
        let mut points = Vec::new();
        for difference in differences {
            let cost = Cost::of(size, difference);
            let full = 2 * full_state(size - difference / 2);
            let each = if difference == 0 {
                "–".to_owned()
            } else {
                format!("{:.1}", cost.bytes as f64 / f64::from(difference))
            };
            println!(
                "| {size} | {difference} | {} | {} | {} | {each} | {full} | {:.4} |",
                cost.bytes,
                cost.datagrams,
                cost.rounds,
                cost.bytes as f64 / full as f64
            );
            points.push((difference, cost.bytes, full));
        }
        curves.push((size, points));
    }
    if let Some(folder) = folder {
        let written = draw::figure(&curves).and_then(|figure| figure.write(folder.as_ref()));
        if let Err(error) = written {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}

/// What one exchange took.
struct Cost {
    bytes: usize,
    datagrams: u32,
    rounds: u32,
}

impl Cost {
    /// Two nodes, one of whom hears from the other.
    fn of(size: u32, difference: u32) -> Self {
        let common: Vec<u32> = (2 + difference..size.max(2 + difference)).collect();
        let half = difference / 2;
        let mut one = node(0, 1, (2..2 + half).chain(common.iter().copied()));
        let mut other = node(1, 0, (2 + half..2 + difference).chain(common.iter().copied()));
        let mut now = Instant::from_millis(3_600_000);
        let mut cost = Self { bytes: 0, datagrams: 0, rounds: 0 };
        // What one exchange leaves to be done, the next one does: a node does not let others ask anything of it at once.
        for _ in 0..EXCHANGES_MAX {
            now += Duration::from_secs(60);
            for node in [&mut one, &mut other] {
                let _ = node.handle(now, Input::Timeout);
                drain(node, now);
            }
            cost.exchange(now, &mut one, &mut other);
            if one.digest() == other.digest() {
                break;
            }
        }
        assert_eq!(one.digest(), other.digest(), "N = {size}, d = {difference}: they do not agree");
        assert_eq!(one.live_members(), other.live_members());
        cost
    }

    fn exchange(&mut self, now: Instant, one: &mut Node<SocketAddr>, other: &mut Node<SocketAddr>) {
        // A datagram like any other tells one node what the other knows.
        let sender = Sender { incarnation: 0, digest: other.digest() };
        let (call, _) = datagram(sender, &Message::Gossip { answer: false }, []);
        self.count(&call);
        let mut to_one = vec![call];
        loop {
            let to_other = deliver(one, now, address(1), &to_one);
            to_one = deliver(other, now, address(0), &to_other);
            if to_one.is_empty() && to_other.is_empty() {
                break;
            }
            self.rounds += 1;
            to_other.iter().chain(&to_one).for_each(|bytes| self.count(bytes));
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.datagrams += 1;
    }
}

/// A node that knows `peer` and `members` and has nothing to tell.
fn node(local: u32, peer: u32, members: impl Iterator<Item = u32>) -> Node<SocketAddr> {
    let start = Instant::from_millis(1);
    // So that it tells of nothing by itself: what is learnt long before is told once, into the void.
    let config = Config { retransmit_multiplier: 1, probe_interval: Duration::from_secs(86_400), ..Config::lan() };
    let setup = Setup { seed: u64::from(local), ..Setup::new(address(local)) };
    let mut node = Node::new(start, config, &setup).expect("a valid configuration");
    let members: Vec<u32> = members.collect();
    let mut rest = &members[..];
    loop {
        let sender = Sender { incarnation: 0, digest: 0 };
        let (bytes, count) = datagram(sender, &Message::Members, rest.iter().map(|&index| update(index, 0)));
        node.handle(start, Input::Datagram { from: address(peer), bytes: &bytes }).expect("a valid datagram");
        rest = &rest[count..];
        if rest.is_empty() {
            break;
        }
    }
    let mut buffer = [0; 1400];
    let mut now = start;
    let mut silent = 0;
    while silent < 50 {
        now += Duration::from_millis(200);
        let _ = node.handle(now, Input::Timeout);
        silent += 1;
        while node.poll_transmit(now, &mut buffer).is_some() {
            silent = 0;
        }
        while node.poll_event().is_some() {}
    }
    node
}

/// What a node sends when it gets these datagrams.
fn deliver(node: &mut Node<SocketAddr>, now: Instant, from: SocketAddr, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut buffer = [0; 1400];
    let mut sent = Vec::new();
    for bytes in datagrams {
        node.handle(now, Input::Datagram { from, bytes }).expect("a valid datagram");
        while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
            if transmit.to == from {
                sent.push(buffer[..transmit.len].to_vec());
            }
        }
        while node.poll_event().is_some() {}
    }
    sent
}

/// Bytes that memberlist 0.5 sends for the state of `members` nodes, one direction: each node is a MessagePack map with the
/// names of its fields (`pushNodeState` of its net.go: Name, Addr, Port, Meta, Incarnation, State, Vsn), a name of ten letters
/// and no metadata, as small as the format can say it.
fn full_state(members: u32) -> usize {
    let names: usize =
        ["Name", "Addr", "Port", "Meta", "Incarnation", "State", "Vsn"].iter().map(|name| 1 + name.len()).sum();
    let values = (1 + 10) + (2 + 4) + 3 + 1 + 1 + 1 + (2 + 6);
    // A map of seven fields; and once the header: three fields of a map, and the type of the message.
    let header = 1 + 1 + ["Nodes", "UserStateLen", "Join"].iter().map(|name| 1 + name.len()).sum::<usize>() + 3 + 1 + 1;
    header + members as usize * (1 + names + values)
}
