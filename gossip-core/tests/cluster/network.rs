//! A small in-memory network around the core: one queue of datagrams and timers, virtual time, seeded faults.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use gossip_core::{
    Command, Config, Event, EventId, EventOptions, Input, Instant, MemberState, Node, Order, Outcome, Setup,
    SharedView, Snapshot, Via,
};
use rand_core::{Rng as _, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// An event as a node's application got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub at: Instant,
    pub id: EventId<u16>,
    pub hops: u8,
    pub from: u16,
    pub via: Via,
    pub order: Order,
}

/// A node and what its application was told.
pub struct Host {
    pub node: Node<u16>,
    pub delivered: Vec<Delivery>,
    /// Every change of a member's state, with its time.
    pub changes: Vec<(Instant, u16, MemberState)>,
    pub messages: Vec<(u16, Vec<u8>)>,
    pub events: Vec<Event<u16>>,
    /// Answers to this node's queries: when, to which, of whom, what.
    pub answers: Vec<(Instant, EventId<u16>, u16, Vec<u8>)>,
    /// Queries that the application of this node was asked.
    pub asked: Vec<EventId<u16>>,
    /// What its application answers to each at once.
    pub answer: Option<Vec<u8>>,
    up: bool,
    /// Asleep until then: nothing in, nothing out. The node itself goes on.
    deaf_until: Instant,
    /// Not served until then: a stopped process. Datagrams wait.
    paused_until: Instant,
    waiting: Vec<(u16, Vec<u8>)>,
    /// Starved of the processor: after each time it was served it has to wait for so long, a random time up to the second one.
    starved: Option<(Duration, Duration)>,
    /// It takes so long over each datagram, and so many can wait.
    service: Option<(Duration, usize)>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    /// Reversed order for the heap: earliest first, then first sent.
    key: std::cmp::Reverse<(Instant, u64)>,
    from: u16,
    to: u16,
    bytes: Vec<u8>,
}

pub struct Cluster {
    pub now: Instant,
    pub hosts: BTreeMap<u16, Host>,
    pub config: Config,
    pub datagrams: u64,
    pub bytes: u64,
    pub largest: usize,
    /// Bytes that are offered for a datagram.
    pub buffer: usize,
    /// Datagrams that a node refused.
    pub refused: u64,
    /// Probability of loss, and one-way latency from one to another.
    pub loss: f64,
    /// Probability that a datagram comes twice, and the longest time by which it is late: both draw only if they are not zero.
    pub duplicates: f64,
    pub disorder: Duration,
    pub latency: fn(u16, u16) -> Duration,
    /// What nodes are started with.
    #[cfg(feature = "keyring")]
    pub keyring: Option<gossip_core::Keyring>,
    /// Everything that is sent, when somebody listens: from, to, bytes.
    pub capture: Option<Vec<(u16, u16, Vec<u8>)>>,
    /// Datagrams that came when too many waited.
    pub overflowed: u64,
    /// Bytes sent, by node.
    pub bytes_of: BTreeMap<u16, u64>,
    /// Nodes with an address that another has as well. Datagrams go to one and the other in turn.
    twins: BTreeMap<u16, (u16, bool)>,
    blocked: BTreeSet<(u16, u16)>,
    flights: BinaryHeap<Flight>,
    sent: u64,
    clockless: bool,
    rng: Xoshiro256PlusPlus,
}

impl Cluster {
    pub fn new(seed: u64, config: Config) -> Self {
        Self {
            now: Instant::from_millis(1_000),
            hosts: BTreeMap::new(),
            config,
            datagrams: 0,
            bytes: 0,
            largest: 0,
            buffer: 1500,
            refused: 0,
            loss: 0.0,
            duplicates: 0.0,
            disorder: Duration::ZERO,
            latency: |_, _| Duration::from_millis(1),
            #[cfg(feature = "keyring")]
            keyring: None,
            capture: None,
            overflowed: 0,
            bytes_of: BTreeMap::new(),
            twins: BTreeMap::new(),
            blocked: BTreeSet::new(),
            flights: BinaryHeap::new(),
            sent: 0,
            clockless: false,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }

    /// A cluster of nodes 1..=`size` that all joined through node 1, run until everybody knows everybody.
    pub fn converged(seed: u64, config: Config, size: u16) -> Self {
        let mut cluster = Self::new(seed, config);
        for addr in 1..=size {
            cluster.start(addr);
            cluster.join(addr, &[1]);
        }
        let took = cluster.run_until(Duration::from_secs(60), Self::is_complete);
        assert!(took.is_some(), "{size} nodes did not find together: {:?}", cluster.sizes());
        cluster
    }

    /// A cluster of nodes 1..=`size` that know each other from birth.
    pub fn with_view(seed: u64, config: Config, size: u16) -> Self {
        let mut cluster = Self::new(seed, config);
        let setups: Vec<_> = (1..=size).map(|addr| cluster.setup(addr)).collect();
        let view = SharedView::new(setups.iter().copied()).expect("good setups");
        for setup in &setups {
            let node = Node::with_view(cluster.now, cluster.config.clone(), setup, &view).expect("a valid view");
            cluster.host_node(setup.local, node);
        }
        cluster
    }

    pub fn start(&mut self, addr: u16) {
        self.start_with(addr, &[]);
    }

    pub fn start_with(&mut self, addr: u16, metadata: &[u8]) {
        let setup = Setup { metadata, ..self.setup(addr) };
        #[cfg(feature = "keyring")]
        let setup = Setup { keyring: self.keyring.as_ref(), ..setup };
        let node = Node::new(self.now, self.config.clone(), &setup).expect("a valid configuration");
        self.host_node(addr, node);
    }

    /// Starts another node with the address of one that is there. The stories call it by its own number.
    pub fn start_twin(&mut self, id: u16, addr: u16, metadata: &[u8]) {
        let first = self.hosts.remove(&addr).expect("a node of the cluster");
        self.start_with(addr, metadata);
        let twin = self.hosts.insert(addr, first).expect("it was just started");
        self.hosts.insert(id, twin);
        self.twins.insert(addr, (id, false));
    }

    /// Starts a node again from a snapshot, with nothing told to it beside.
    pub fn restore(&mut self, addr: u16, snapshot: &[u8], taken_ago: Duration) {
        let setup = self.setup(addr);
        #[cfg(feature = "keyring")]
        let setup = Setup { keyring: self.keyring.as_ref(), ..setup };
        let snapshot = Snapshot::parse(snapshot).expect("a good snapshot");
        let node =
            Node::restore(self.now, self.config.clone(), &setup, &snapshot, taken_ago).expect("its own snapshot");
        self.host_node(addr, node);
        self.drain(addr);
    }

    /// Nodes that are started from now on have no clock that tells them numbers of events which they never used.
    pub fn restart_numbers_from_zero(&mut self) {
        self.clockless = true;
    }

    fn setup(&mut self, addr: u16) -> Setup<'static, u16> {
        let first_sequence = if self.clockless { 0 } else { self.now.as_nanos() };
        Setup {
            seed: self.rng.next_u64(),
            first_sequence,
            #[cfg(feature = "keyring")]
            session: self.now.as_nanos(),
            ..Setup::new(addr)
        }
    }

    fn host_node(&mut self, addr: u16, node: Node<u16>) {
        let host = Host {
            node,
            delivered: Vec::new(),
            changes: Vec::new(),
            messages: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
            asked: Vec::new(),
            answer: None,
            up: true,
            deaf_until: Instant::ZERO,
            paused_until: Instant::ZERO,
            waiting: Vec::new(),
            starved: None,
            service: None,
        };
        self.hosts.insert(addr, host);
    }

    pub fn join(&mut self, addr: u16, seeds: &[u16]) {
        self.command(addr, Command::Join { seeds }).unwrap();
    }

    pub fn start_event(&mut self, addr: u16, payload: &[u8]) -> EventId<u16> {
        self.start_event_with(addr, payload, EventOptions::default())
    }

    pub fn start_event_with(&mut self, addr: u16, payload: &[u8], options: EventOptions) -> EventId<u16> {
        match self.command(addr, Command::StartEvent { payload, options }).unwrap() {
            Outcome::Started(id) => id,
            Outcome::Done => panic!("an event was asked for"),
        }
    }

    pub fn command(&mut self, addr: u16, command: Command<'_, u16>) -> Result<Outcome<u16>, gossip_core::InputError> {
        let now = self.now;
        let outcome = self.host(addr).node.handle(now, Input::Command(command));
        self.drain(addr);
        outcome
    }

    pub fn host(&mut self, addr: u16) -> &mut Host {
        self.hosts.get_mut(&addr).expect("a node of the cluster")
    }

    pub fn crash(&mut self, addr: u16) {
        self.host(addr).up = false;
    }

    pub fn deafen(&mut self, addr: u16, span: Duration) {
        self.host(addr).deaf_until = self.now + span;
    }

    pub fn pause(&mut self, addr: u16, span: Duration) {
        self.host(addr).paused_until = self.now + span;
    }

    /// From now on a node is served late, with all that came in between at once.
    pub fn starve(&mut self, addr: u16, least: Duration, most: Duration) {
        let until = self.now + least;
        let host = self.host(addr);
        (host.starved, host.paused_until) = (Some((least, most)), until);
    }

    pub fn feed(&mut self, addr: u16) {
        self.host(addr).starved = None;
    }

    /// From now on a node takes `span` over each datagram, and drops what comes when `waiting` are not read yet.
    pub fn slow_down(&mut self, addr: u16, span: Duration, waiting: usize) {
        self.host(addr).service = Some((span, waiting));
    }

    /// Cuts all links between the two groups, both ways.
    pub fn block(&mut self, ours: &[u16], theirs: &[u16]) {
        for &a in ours {
            for &b in theirs {
                self.blocked.insert((a, b));
                self.blocked.insert((b, a));
            }
        }
    }

    /// What the first send does not arrive at the others; the other way it does.
    pub fn block_one_way(&mut self, senders: &[u16], receivers: &[u16]) {
        self.blocked.extend(senders.iter().flat_map(|&from| receivers.iter().map(move |&to| (from, to))));
    }

    pub fn unblock_all(&mut self) {
        self.blocked.clear();
    }

    /// Gives a node a datagram out of nowhere.
    pub fn inject(&mut self, to: u16, from: u16, bytes: &[u8]) {
        let now = self.now;
        let _ = self.host(to).node.handle(now, Input::Datagram { from, bytes });
        self.drain(to);
    }

    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done` or `limit` has passed; how long it took.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let start = self.now;
        let end = start + limit;
        loop {
            if done(self) {
                return Some(self.now.since(start));
            }
            let next = (self.now + Duration::from_millis(5)).min(end);
            if self.now >= end {
                return None;
            }
            while self.step(next) {}
            self.now = next;
        }
    }

    pub fn up(&self) -> impl Iterator<Item = (u16, &Host)> {
        self.hosts.iter().filter(|(_, host)| host.up).map(|(&addr, host)| (addr, host))
    }

    /// Every node that is up sees exactly the nodes that are up.
    pub fn is_complete(&self) -> bool {
        let up: BTreeSet<u16> = self.up().map(|(addr, _)| addr).collect();
        self.up().all(|(_, host)| {
            host.node.live_members() as usize == up.len()
                && host.node.members().filter(|member| member.state.is_live()).all(|member| up.contains(&member.addr))
        })
    }

    pub fn sizes(&self) -> Vec<u32> {
        self.up().map(|(_, host)| host.node.live_members()).collect()
    }

    /// How many nodes that are up got the event.
    pub fn informed(&self, id: EventId<u16>) -> usize {
        self.up().filter(|(addr, host)| *addr == id.origin || host.delivered.iter().any(|d| d.id == id)).count()
    }

    pub fn assert_delivered_once(&self, id: EventId<u16>) {
        for (addr, host) in self.up() {
            let times = host.delivered.iter().filter(|delivery| delivery.id == id).count();
            assert_eq!(times, usize::from(addr != id.origin), "node {addr} got {id:?} {times} times");
        }
    }

    /// All deaths that somebody declared: by whom, of whom.
    pub fn deaths(&self) -> BTreeSet<(u16, u16)> {
        let deaths = |(&by, host): (&u16, &Host)| -> Vec<(u16, u16)> {
            host.changes.iter().filter(|(.., state)| *state == MemberState::Dead).map(|&(_, of, _)| (by, of)).collect()
        };
        self.hosts.iter().flat_map(deaths).collect()
    }

    /// The next thing that happens before `end`; false when there is none.
    fn step(&mut self, end: Instant) -> bool {
        let flight = self.flights.peek().map(|flight| flight.key.0.0);
        let timer = self
            .hosts
            .iter()
            .filter(|(_, host)| host.up)
            .filter_map(|(&addr, host)| {
                let due = host.node.poll_timeout()?;
                Some((if host.waiting.is_empty() { due.max(host.paused_until) } else { host.paused_until }, addr))
            })
            .min();
        match (flight, timer) {
            (Some(at), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                let flight = self.flights.pop().expect("it was just seen");
                self.now = self.now.max(at);
                self.arrive(flight);
            }
            (_, Some((due, addr))) if due <= end => {
                self.now = self.now.max(due);
                let now = self.now;
                // A stopped process finds its timers overdue when it wakes, and its datagrams waiting.
                let host = self.hosts.get_mut(&addr).expect("a node of the cluster");
                let _ = host.node.handle(now, Input::Timeout);
                let count = if host.service.is_some() { host.waiting.len().min(1) } else { host.waiting.len() };
                for (from, bytes) in host.waiting.drain(..count) {
                    let _ = host.node.handle(now, Input::Datagram { from, bytes: &bytes });
                }
                if let Some((least, most)) = host.starved {
                    let share = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                    host.paused_until = now + least + (most - least).mul_f64(share);
                }
                if let Some((span, _)) = host.service.filter(|_| count > 0) {
                    host.paused_until = now + span;
                }
                self.drain(addr);
            }
            _ => return false,
        }
        true
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight { from, mut to, bytes, .. } = flight;
        if let Some((twin, turn)) = self.twins.get_mut(&to) {
            *turn = !*turn;
            to = if *turn { *twin } else { to };
        }
        let now = self.now;
        let Some(host) = self.hosts.get_mut(&to).filter(|host| host.up && host.deaf_until <= now) else { return };
        if host.paused_until > now {
            if host.service.is_some_and(|(_, most)| host.waiting.len() >= most) {
                self.overflowed += 1;
            } else {
                host.waiting.push((from, bytes));
            }
            return;
        }
        if let Some((span, _)) = host.service {
            host.paused_until = now + span;
        }
        self.refused += u64::from(host.node.handle(now, Input::Datagram { from, bytes: &bytes }).is_err());
        self.drain(to);
    }

    fn drain(&mut self, addr: u16) {
        let mut buffer = vec![0; self.buffer];
        let now = self.now;
        let host = self.hosts.get_mut(&addr).expect("a node of the cluster");
        let mut out = Vec::new();
        while let Some(transmit) = host.node.poll_transmit(now, &mut buffer) {
            out.push((transmit.to, buffer[..transmit.len].to_vec()));
        }
        while let Some(event) = host.node.poll_event() {
            match &event {
                Event::UserEvent { id, hops, from, via, order, .. } => {
                    let (id, hops, from, via, order) = (*id, *hops, *from, *via, *order);
                    host.delivered.push(Delivery { at: now, id, hops, from, via, order });
                }
                Event::MemberChanged { addr, state, .. } => host.changes.push((now, *addr, *state)),
                Event::Query { id, .. } => host.asked.push(*id),
                Event::QueryAnswer { id, from, payload } => host.answers.push((now, *id, *from, payload.to_vec())),
                Event::Message { from, payload } => host.messages.push((*from, payload.to_vec())),
                _ => {}
            }
            let asked = if let Event::Query { id, .. } = event { Some(id) } else { None };
            host.events.push(event);
            if let Some((id, answer)) = asked.zip(host.answer.as_ref()) {
                let command = Command::Respond { id, payload: answer };
                // It may have given way to another that came with it.
                let _ = host.node.handle(now, Input::Command(command));
            }
        }
        while let Some(transmit) = host.node.poll_transmit(now, &mut buffer) {
            out.push((transmit.to, buffer[..transmit.len].to_vec()));
        }
        let mute = host.deaf_until > now;
        let local = host.node.local();
        for (to, bytes) in out {
            self.datagrams += 1;
            self.bytes += bytes.len() as u64;
            *self.bytes_of.entry(addr).or_default() += bytes.len() as u64;
            self.largest = self.largest.max(bytes.len());
            if let Some(capture) = &mut self.capture {
                capture.push((addr, to, bytes.clone()));
            }
            let lost = self.draw() < self.loss;
            if mute || lost || self.blocked.contains(&(addr, to)) {
                continue;
            }
            let twice = self.duplicates > 0.0 && self.draw() < self.duplicates;
            for bytes in std::iter::repeat_n(bytes, 1 + usize::from(twice)) {
                let late = if self.disorder.is_zero() { Duration::ZERO } else { self.disorder.mul_f64(self.draw()) };
                self.sent += 1;
                let key = std::cmp::Reverse((now + (self.latency)(addr, to) + late, self.sent));
                self.flights.push(Flight { key, from: local, to, bytes });
            }
        }
    }

    /// Uniform on 0..1.
    fn draw(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
