//! What a whole cluster does in virtual time: how long a join takes, what idling costs, how soon a crash is known, what loss
//! does. One table, the same for the same seed on every machine.
//!
//! ```sh
//! cargo run --release -p benches --bin cluster-figures -- [SIZE ...]
//! ```
//! One-way latency 1 ms, preset `lan`, datagrams alone. All nodes join through one seed within one second. Bytes are UDP
//! payload sent, per node.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use benches::address;
use gossip_core::{Command, Config, Event, Input, Instant, MemberState, Node, Setup, Strategy};
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const LATENCY: Duration = Duration::from_millis(1);

fn main() {
    let arguments: Vec<u32> = std::env::args().skip(1).map(|size| size.parse().expect("a number of nodes")).collect();
    let sizes = if arguments.is_empty() { vec![64, 256, 1024] } else { arguments };
    println!(
        "| N | all know all after | bytes per node to there | idle B/s | event at all after | crash known: first / all | false deaths |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for &size in &sizes {
        let mut cluster = Cluster::new(size, 1, &Config::lan());
        let joined = cluster.run_until(Duration::from_secs(300), Cluster::is_complete);
        let join_bytes = cluster.bytes / u64::from(size);
        cluster.run_for(Duration::from_secs(30));
        cluster.bytes = 0;
        cluster.run_for(Duration::from_secs(60));
        let idle = cluster.bytes as f64 / 60.0 / f64::from(size);
        cluster.start_event(0);
        let spread = cluster.run_until(Duration::from_secs(60), |cluster| cluster.delivered == size - 1);
        cluster.crash(size - 1);
        let first = cluster.run_until(Duration::from_secs(120), |cluster| !cluster.deaths.is_empty());
        let rest = cluster.run_until(Duration::from_secs(60), |cluster| cluster.deaths.len() as u32 == size - 1);
        let all = first.zip(rest).map(|(first, rest)| first + rest);
        println!(
            "| {size} | {} | {join_bytes} | {idle:.1} | {} | {} / {} | {} |",
            show(joined),
            show(spread),
            show(first),
            show(all),
            cluster.false_deaths()
        );
    }
    strategies(&sizes);
    println!("\nwith 20 % loss, after the join:\n");
    println!("| N | B/s over 120 s | suspicions raised | false deaths | 20 events at all, slowest |");
    println!("|---:|---:|---:|---:|---:|");
    for &size in sizes.iter().filter(|&&size| size <= 256) {
        let mut cluster = Cluster::new(size, 2, &Config::lan());
        let _ = cluster.run_until(Duration::from_secs(300), Cluster::is_complete);
        cluster.loss = 0.2;
        cluster.bytes = 0;
        cluster.run_for(Duration::from_secs(120));
        let rate = cluster.bytes as f64 / 120.0 / f64::from(size);
        let suspicions: u64 = cluster.nodes.iter().map(|node| node.counters().suspicions).sum();
        let mut slowest = Some(Duration::ZERO);
        for origin in 0..20 {
            cluster.delivered = 0;
            cluster.start_event(origin % size);
            let took = cluster.run_until(Duration::from_secs(60), |cluster| cluster.delivered == size - 1);
            slowest = slowest.zip(took).map(|(slowest, took)| slowest.max(took));
        }
        println!("| {size} | {rate:.1} | {suspicions} | {} | {} |", cluster.false_deaths(), show(slowest));
    }
}

/// How quick an event is under each strategy, and what it costs.
fn strategies(sizes: &[u32]) {
    println!("\n20 events one after the other, medians:\n");
    println!("| N | strategy | at 99 % after | at all after | bytes per node and event |");
    println!("|---:|---|---:|---:|---:|");
    let lan = Config::lan();
    let configs = [
        ("push 3", Config { strategy: Strategy::Push { fanout: 3 }, ..lan.clone() }),
        (
            "push-pull 1, idle calls",
            Config { strategy: Strategy::PushPull { fanout: 1 }, idle_calls: true, ..lan.clone() },
        ),
        ("push-pull 3", lan.clone()),
        ("eager 3", Config { strategy: Strategy::Eager { fanout: 3 }, ..lan.clone() }),
        ("eager 4", Config { strategy: Strategy::Eager { fanout: 4 }, ..lan.clone() }),
        ("eager 6", Config { strategy: Strategy::Eager { fanout: 6 }, ..lan }),
    ];
    for &size in sizes {
        for (name, config) in &configs {
            let mut cluster = Cluster::new(size, 3, config);
            let _ = cluster.run_until(Duration::from_secs(300), Cluster::is_complete);
            cluster.run_for(Duration::from_secs(30));
            cluster.bytes = 0;
            let (mut most, mut all) = (Vec::new(), Vec::new());
            for origin in 0..20 {
                cluster.delivered = 0;
                cluster.start_event(origin % size);
                let at = |cluster: &mut Cluster, goal| {
                    cluster.run_until(Duration::from_secs(5), |cluster| cluster.delivered >= goal)
                };
                let first = at(&mut cluster, (size * 99).div_ceil(100) - 1);
                let rest = at(&mut cluster, size - 1);
                most.push(first);
                all.push(first.zip(rest).map(|(first, rest)| first + rest));
                cluster.run_for(Duration::from_secs(5));
            }
            let median = |times: &mut Vec<Option<Duration>>| {
                // Never comes last.
                times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
                show_ms(times[times.len() / 2])
            };
            let bytes = cluster.bytes / 20 / u64::from(size);
            println!("| {size} | {name} | {} | {} | {bytes} |", median(&mut most), median(&mut all));
        }
    }
}

fn show_ms(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{} ms", time.as_millis()))
}

fn show(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrival { from: u32, to: u32, bytes: Vec<u8> },
    Timer { node: u32 },
    Join { node: u32 },
}

struct Cluster {
    now: Instant,
    nodes: Vec<Node<SocketAddr>>,
    up: Vec<bool>,
    /// The deadline for which each node's timer stands in the queue.
    scheduled: Vec<Option<Instant>>,
    queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    serial: u64,
    rng: Xoshiro256PlusPlus,
    loss: f64,
    bytes: u64,
    delivered: u32,
    /// By whom, of whom.
    deaths: BTreeSet<(u32, u32)>,
}

impl Cluster {
    fn new(size: u32, seed: u64, config: &Config) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let start = Instant::from_millis(1_000);
        let nodes = (0..size).map(|index| {
            let setup = Setup { seed: rng.next_u64(), ..Setup::new(address(index)) };
            Node::new(start, config.clone(), &setup).expect("a preset")
        });
        let mut cluster = Self {
            now: start,
            nodes: nodes.collect(),
            up: vec![true; size as usize],
            scheduled: vec![None; size as usize],
            queue: BinaryHeap::new(),
            serial: 0,
            rng,
            loss: 0.0,
            bytes: 0,
            delivered: 0,
            deaths: BTreeSet::new(),
        };
        for node in 0..size {
            let at = start + Duration::from_nanos(u64::from(node) * 1_000_000_000 / u64::from(size));
            cluster.push(at, Happening::Join { node });
        }
        cluster
    }

    fn push(&mut self, at: Instant, happening: Happening) {
        self.serial += 1;
        self.queue.push(Reverse((at, self.serial, happening)));
    }

    fn crash(&mut self, node: u32) {
        self.up[node as usize] = false;
    }

    fn start_event(&mut self, node: u32) {
        let command = Command::event(&[7; 64]);
        self.nodes[node as usize].handle(self.now, Input::Command(command)).expect("short enough");
        self.drain(node);
    }

    fn is_complete(&self) -> bool {
        self.nodes.iter().all(|node| node.live_members() as usize == self.nodes.len())
    }

    /// Deaths declared of nodes that were not crashed.
    fn false_deaths(&self) -> usize {
        self.deaths.iter().filter(|&&(_, of)| self.up[of as usize]).count()
    }

    fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let start = self.now;
        while self.now < start + limit {
            if done(self) {
                return Some(self.now.since(start));
            }
            self.run_for(Duration::from_millis(1));
        }
        None
    }

    fn step(&mut self, end: Instant) -> bool {
        if self.queue.peek().is_none_or(|Reverse((at, ..))| *at > end) {
            return false;
        }
        let Some(Reverse((at, _, happening))) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        let node = match happening {
            Happening::Arrival { from, to, bytes } => {
                if !self.up[to as usize] {
                    return true;
                }
                let input = Input::Datagram { from: address(from), bytes: &bytes };
                self.nodes[to as usize].handle(self.now, input).expect("our own datagram");
                to
            }
            Happening::Timer { node } => {
                if self.scheduled[node as usize] != Some(at) || !self.up[node as usize] {
                    return true;
                }
                self.scheduled[node as usize] = None;
                self.nodes[node as usize].handle(self.now, Input::Timeout).expect("never refused");
                node
            }
            Happening::Join { node } => {
                let command = Command::Join { seeds: &[address(0)] };
                self.nodes[node as usize].handle(self.now, Input::Command(command)).expect("one seed");
                node
            }
        };
        self.drain(node);
        true
    }

    fn drain(&mut self, index: u32) {
        let mut buffer = [0; 1400];
        while let Some(transmit) = self.nodes[index as usize].poll_transmit(self.now, &mut buffer) {
            self.bytes += transmit.len as u64;
            let lost = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            if lost >= self.loss {
                let bytes = buffer[..transmit.len].to_vec();
                self.push(self.now + LATENCY, Happening::Arrival { from: index, to: index_of(transmit.to), bytes });
            }
        }
        let node = &mut self.nodes[index as usize];
        while let Some(event) = node.poll_event() {
            match event {
                Event::UserEvent { .. } => self.delivered += 1,
                Event::MemberChanged { addr, state: MemberState::Dead, .. } => {
                    self.deaths.insert((index, index_of(addr)));
                }
                _ => {}
            }
        }
        let due = node.poll_timeout();
        if due != self.scheduled[index as usize] {
            self.scheduled[index as usize] = due;
            if let Some(due) = due {
                self.push(due, Happening::Timer { node: index });
            }
        }
    }
}

/// The inverse of [`address`].
fn index_of(addr: SocketAddr) -> u32 {
    match addr {
        SocketAddr::V4(addr) => addr.ip().to_bits() - 0x0a00_0000,
        SocketAddr::V6(addr) => unreachable!("{addr} is no address of this cluster"),
    }
}
