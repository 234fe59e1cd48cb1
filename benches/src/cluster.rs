//! A whole cluster in virtual time: one queue of datagrams, timers and stops, one-way latency 1 ms, seeded loss.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use gossip_core::{Command, Config, Event, EventId, Input, Instant, MemberState, Node, Outcome, Setup};
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::address;

/// One-way latency of every datagram.
pub const LATENCY: Duration = Duration::from_millis(1);

/// Datagrams that wait for a stopped process; later ones are lost. The receive buffer of a Linux socket holds about as many
/// small ones (212,992 bytes, 768 for each).
pub const INBOX_MAX: usize = 277;

/// A member that somebody declared dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// When.
    pub at: Instant,
    /// Who learnt or decided it.
    pub by: u32,
    /// Of whom.
    pub of: u32,
    /// Whether that member had crashed.
    pub is_true: bool,
}

/// How a member is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slowness {
    /// The whole process is stopped. When it wakes, its timers come first, late, and then the datagrams that waited.
    Stopped,
    /// Its messages are stuck, in and out, and its timers are not: it goes on to judge. At the end what it wanted to say goes out,
    /// and then it reads what waited.
    Blocked,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrival { from: u32, to: u32, bytes: Vec<u8> },
    Timer { node: u32 },
    Join { node: u32 },
    Wake { node: u32 },
}

struct Host {
    node: Node<SocketAddr>,
    up: bool,
    /// Slow until then, and how.
    slow: Option<(Instant, Slowness)>,
    inbox: VecDeque<(u32, Vec<u8>)>,
    outbox: VecDeque<(u32, Vec<u8>)>,
    /// The deadline for which the node's timer stands in the queue.
    scheduled: Option<Instant>,
}

/// The cluster. Everything in it is a function of the seed.
pub struct Cluster {
    now: Instant,
    hosts: Vec<Host>,
    queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    serial: u64,
    rng: Xoshiro256PlusPlus,
    /// Probability with which a datagram is lost.
    pub loss: f64,
    /// UDP payload bytes sent by all nodes.
    pub bytes: u64,
    /// Every death as each node learnt it, in the order of time.
    pub deaths: Vec<Death>,
    events: BTreeMap<EventId<SocketAddr>, Deliveries>,
}

/// What became of an event.
struct Deliveries {
    /// How often it was handed to each node's application.
    counts: Vec<u8>,
    /// When the last node got it that had not had it before.
    last: Instant,
}

impl Cluster {
    /// `size` nodes that join through node 0, evenly spread over one second.
    #[must_use]
    pub fn new(size: u32, seed: u64, config: &Config) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let start = Instant::from_millis(1_000);
        let hosts = (0..size).map(|index| {
            let setup = Setup { seed: rng.next_u64(), ..Setup::new(address(index)) };
            let node = Node::new(start, config.clone(), &setup).expect("a valid configuration");
            Host { node, up: true, slow: None, inbox: VecDeque::new(), outbox: VecDeque::new(), scheduled: None }
        });
        let mut cluster = Self {
            now: start,
            hosts: hosts.collect(),
            queue: BinaryHeap::new(),
            serial: 0,
            rng,
            loss: 0.0,
            bytes: 0,
            deaths: Vec::new(),
            events: BTreeMap::new(),
        };
        for node in 0..size {
            let at = start + Duration::from_nanos(u64::from(node) * 1_000_000_000 / u64::from(size));
            cluster.push(at, Happening::Join { node });
        }
        cluster
    }

    /// A cluster in which all know all.
    #[must_use]
    pub fn converged(size: u32, seed: u64, config: &Config) -> Self {
        let mut cluster = Self::new(size, seed, config);
        cluster.run_until(Duration::from_secs(300), Self::is_complete).expect("all find together");
        cluster.run_for(Duration::from_secs(5));
        cluster
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A node.
    #[must_use]
    pub fn node(&self, index: u32) -> &Node<SocketAddr> {
        &self.hosts[index as usize].node
    }

    /// All nodes, crashed ones included.
    pub fn nodes(&self) -> impl Iterator<Item = &Node<SocketAddr>> {
        self.hosts.iter().map(|host| &host.node)
    }

    /// Whether a node has not crashed.
    #[must_use]
    pub fn is_up(&self, index: u32) -> bool {
        self.hosts[index as usize].up
    }

    /// A node falls silent for ever.
    pub fn crash(&mut self, index: u32) {
        self.hosts[index as usize].up = false;
    }

    /// A node neither receives nor sends for a while. What waits is bounded: [`INBOX_MAX`] datagrams each way.
    pub fn slow_down(&mut self, index: u32, how: Slowness, span: Duration) {
        let until = self.now + span;
        self.hosts[index as usize].slow = Some((until, how));
        self.push(until, Happening::Wake { node: index });
    }

    /// A node starts an event of 64 bytes.
    ///
    /// # Panics
    /// Never: the event is short enough.
    pub fn start_event(&mut self, index: u32) -> EventId<SocketAddr> {
        let command = Command::event(&[7; 64]);
        let outcome = self.hosts[index as usize].node.handle(self.now, Input::Command(command));
        self.drain(index);
        match outcome {
            Ok(Outcome::Started(id)) => id,
            other => panic!("an event of 64 bytes is allowed: {other:?}"),
        }
    }

    /// How many nodes were told of an event by others.
    #[must_use]
    pub fn delivered(&self, id: EventId<SocketAddr>) -> u32 {
        self.events.get(&id).map_or(0, |event| event.counts.iter().map(|&count| u32::from(count > 0)).sum())
    }

    /// How many deliveries of an event were not the first to their node.
    #[must_use]
    pub fn repeated(&self, id: EventId<SocketAddr>) -> u32 {
        let again = |event: &Deliveries| event.counts.iter().map(|&count| u32::from(count.saturating_sub(1))).sum();
        self.events.get(&id).map_or(0, again)
    }

    /// When the last of the nodes got an event that have it.
    #[must_use]
    pub fn last_delivery(&self, id: EventId<SocketAddr>) -> Option<Instant> {
        self.events.get(&id).map(|event| event.last)
    }

    /// Whether every node knows as many members as there are nodes.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.nodes().all(|node| node.live_members() as usize == self.hosts.len())
    }

    /// Deaths declared of nodes that had not crashed.
    #[must_use]
    pub fn false_deaths(&self) -> usize {
        self.deaths.iter().filter(|death| !death.is_true).count()
    }

    /// When a member's death was learnt, by each of the nodes in the order of learning.
    pub fn deaths_of(&self, index: u32) -> impl Iterator<Item = Death> + '_ {
        self.deaths.iter().copied().filter(move |death| death.of == index && death.is_true)
    }

    /// Lets `span` pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until `done`, looked at every millisecond; how long that took, or `None` if `limit` was not enough.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let start = self.now;
        while self.now < start + limit {
            if done(self) {
                return Some(self.now.since(start));
            }
            self.run_for(Duration::from_millis(1));
        }
        None
    }

    fn push(&mut self, at: Instant, happening: Happening) {
        self.serial += 1;
        self.queue.push(Reverse((at, self.serial, happening)));
    }

    fn step(&mut self, end: Instant) -> bool {
        if self.queue.peek().is_none_or(|Reverse((at, ..))| *at > end) {
            return false;
        }
        let Some(Reverse((at, _, happening))) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        match happening {
            Happening::Arrival { from, to, bytes } => {
                let host = &mut self.hosts[to as usize];
                if host.slow.is_none() {
                    self.receive(to, from, &bytes);
                } else if host.inbox.len() < INBOX_MAX {
                    host.inbox.push_back((from, bytes));
                }
            }
            Happening::Timer { node } => {
                let host = &mut self.hosts[node as usize];
                if host.scheduled == Some(at) {
                    host.scheduled = None;
                    if host.slow.is_none_or(|(_, how)| how == Slowness::Blocked) {
                        self.serve_timers(node);
                    }
                }
            }
            Happening::Join { node } => {
                let command = Command::Join { seeds: &[address(0)] };
                self.hosts[node as usize].node.handle(self.now, Input::Command(command)).expect("one seed");
                self.drain(node);
            }
            Happening::Wake { node } => {
                let host = &mut self.hosts[node as usize];
                let Some((_, how)) = host.slow.take_if(|(until, _)| *until == at) else { return true };
                match how {
                    Slowness::Stopped => self.serve_timers(node),
                    Slowness::Blocked => {
                        for (to, bytes) in std::mem::take(&mut host.outbox) {
                            self.send(node, to, bytes);
                        }
                    }
                }
                while let Some((from, bytes)) = self.hosts[node as usize].inbox.pop_front() {
                    self.receive(node, from, &bytes);
                }
            }
        }
        true
    }

    fn receive(&mut self, index: u32, from: u32, bytes: &[u8]) {
        let host = &mut self.hosts[index as usize];
        if host.up {
            let input = Input::Datagram { from: address(from), bytes };
            host.node.handle(self.now, input).expect("our own datagram");
            self.drain(index);
        }
    }

    fn serve_timers(&mut self, index: u32) {
        let host = &mut self.hosts[index as usize];
        if host.up {
            host.node.handle(self.now, Input::Timeout).expect("never refused");
            self.drain(index);
        }
    }

    fn drain(&mut self, index: u32) {
        let mut buffer = [0; 1400];
        while let Some(transmit) = self.hosts[index as usize].node.poll_transmit(self.now, &mut buffer) {
            let (to, bytes) = (index_of(transmit.to), buffer[..transmit.len].to_vec());
            let host = &mut self.hosts[index as usize];
            if host.slow.is_none() {
                self.send(index, to, bytes);
            } else if host.outbox.len() < INBOX_MAX {
                host.outbox.push_back((to, bytes));
            }
        }
        let count = self.hosts.len();
        while let Some(event) = self.hosts[index as usize].node.poll_event() {
            match event {
                Event::UserEvent { id, .. } => {
                    let none = || Deliveries { counts: vec![0; count], last: self.now };
                    let event = self.events.entry(id).or_insert_with(none);
                    let times = &mut event.counts[index as usize];
                    if *times == 0 {
                        event.last = self.now;
                    }
                    *times = times.saturating_add(1);
                }
                Event::MemberChanged { addr, state: MemberState::Dead, .. } => {
                    let of = index_of(addr);
                    self.deaths.push(Death { at: self.now, by: index, of, is_true: !self.hosts[of as usize].up });
                }
                _ => {}
            }
        }
        let host = &mut self.hosts[index as usize];
        let due = host.node.poll_timeout();
        if due != host.scheduled {
            host.scheduled = due;
            if let Some(due) = due {
                self.push(due, Happening::Timer { node: index });
            }
        }
    }

    fn send(&mut self, from: u32, to: u32, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        let lost = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        if lost >= self.loss && self.hosts[to as usize].up {
            self.push(self.now + LATENCY, Happening::Arrival { from, to, bytes });
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
