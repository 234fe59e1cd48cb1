//! Two to four nodes and an adversary who owns the network, the clocks' pace and the power switches, but who cannot forge.
//! When it lets go, and datagrams arrive again, all who are there find together and every event that was kept is delivered,
//! exactly once in each life of a node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use std::vec::Vec;

use gossip_core::{Command, Config, Event, EventId, Fanout, Input, Instant, Node, Outcome, Setup, Strategy};

use super::decode;
use super::script::Script;

const STEPS_MAX: usize = 300;

/// Datagrams that the network holds at a time; beyond that the oldest is lost.
const FLIGHTS_MAX: usize = 64;

/// Within which everything must be well again. The slowest way back: both sides have buried each other, and one protocol
/// period in eight calls a seed.
const BENIGN: Duration = Duration::from_secs(600);

const LATENCY: Duration = Duration::from_millis(1);

/// A script: how many nodes and which strategy, then the adversary's steps.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let size = u16::from(script.u8() % 3) + 2;
    let fanout = match script.u8() {
        fixed @ 0..240 => Fanout::Fixed(fixed % 2 + 1),
        240..242 => Fanout::Growing,
        242..244 => Fanout::Logarithmic,
        244..248 => Fanout::Aging,
        tail => Fanout::HeavyTail { beta_hundredths: 150 + 25 * (u16::from(tail) - 248) },
    };
    let strategy = script.pick(&[
        Strategy::PushPull { fanout },
        Strategy::Push { fanout },
        Strategy::Eager { fanout },
        Strategy::Pull { fanout },
        Strategy::SqrtTree { split_max: 3, fanout },
        Strategy::MedianCounter { fanout },
    ]);
    let coordinates_max = usize::from(script.u8() % 3);
    let config = Config { strategy, coordinates_max, event_lifetime: Duration::from_secs(86_400), ..Config::local() };
    let mut cluster = Cluster::new(size, config);
    for _ in 0..STEPS_MAX {
        if script.is_empty() {
            break;
        }
        cluster.step(&mut script);
        cluster.check();
    }
    cluster.recover();
}

struct Host {
    addr: u16,
    /// `None` while the power is off.
    node: Option<Node<u16>>,
    lives: u64,
    /// What this life's application knows: started by it or delivered to it.
    known: BTreeSet<EventId<u16>>,
    away: bool,
}

struct Flight {
    arrives: Instant,
    from: u16,
    to: u16,
    bytes: Vec<u8>,
}

struct Cluster {
    config: Config,
    now: Instant,
    hosts: Vec<Host>,
    flights: VecDeque<Flight>,
}

impl Cluster {
    fn new(size: u16, config: Config) -> Self {
        let host = |addr| Host { addr, node: None, lives: 0, known: BTreeSet::new(), away: false };
        let hosts = (1..=size).map(host).collect();
        let mut cluster = Self { config, now: Instant::from_millis(1_000), hosts, flights: VecDeque::new() };
        for at in 0..usize::from(size) {
            cluster.power_on(at);
        }
        cluster
    }

    fn power_on(&mut self, at: usize) {
        let Self { config, now, hosts, .. } = self;
        let host = &mut hosts[at];
        host.lives += 1;
        host.known.clear();
        host.away = false;
        let seed = host.lives << 16 | u64::from(host.addr);
        let setup = Setup { seed, first_sequence: host.lives << 32, ..Setup::new(host.addr) };
        host.node = Some(Node::new(*now, config.clone(), &setup).expect("a good configuration"));
        self.join(at);
    }

    fn join(&mut self, at: usize) {
        let addr = self.hosts[at].addr;
        let others: Vec<u16> = self.hosts.iter().map(|host| host.addr).filter(|other| *other != addr).collect();
        self.hosts[at].away = false;
        self.input(at, Input::Command(Command::Join { seeds: &others }));
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let op = script.u8() % 16;
        let choice = usize::from(script.u8());
        let at = choice % self.hosts.len();
        match op {
            0..3 => drop(self.take(choice).map(|flight| self.arrive(&flight))),
            3 => drop(self.take(choice)),
            4 => {
                if let Some(flight) = self.take(choice) {
                    self.arrive(&flight);
                    self.flights.push_back(flight);
                }
            }
            5 => {
                // All that is under way arrives, in order; what is sent meanwhile is the adversary's again.
                for _ in 0..self.flights.len() {
                    let flight = self.flights.pop_front().expect("it was counted");
                    self.arrive(&flight);
                }
            }
            6 | 7 => self.pass(SPANS[choice % SPANS.len()], |_| false),
            8 => self.pass(SPANS[choice % SPANS.len()], |_| true),
            9 => {
                // All clocks jump: the drivers were stopped.
                self.now += SPANS[choice % SPANS.len()];
                (0..self.hosts.len()).for_each(|at| self.input(at, Input::Timeout));
            }
            10 | 11 => self.input(at, Input::Command(Command::event(b"event"))),
            12 => {
                let metadata = script.bytes(3);
                self.input(at, Input::Command(Command::SetMetadata { metadata }));
            }
            13 => {
                self.hosts[at].away = self.hosts[at].node.is_some();
                self.input(at, Input::Command(Command::Leave));
            }
            14 => self.join(at),
            _ if self.hosts[at].node.take().is_none() => self.power_on(at),
            _ => {}
        }
    }

    fn take(&mut self, choice: usize) -> Option<Flight> {
        let count = self.flights.len();
        if count == 0 { None } else { self.flights.remove(choice % count) }
    }

    fn arrive(&mut self, flight: &Flight) {
        let at = usize::from(flight.to) - 1;
        self.input(at, Input::Datagram { from: flight.from, bytes: &flight.bytes });
    }

    /// An input to a node, if its power is on, and all that comes of it.
    fn input(&mut self, at: usize, input: Input<'_, u16>) {
        let Self { config, now, hosts, flights } = self;
        let (now, host) = (*now, &mut hosts[at]);
        let Some(node) = &mut host.node else { return };
        match node.handle(now, input) {
            Ok(Outcome::Started(id)) => assert!(host.known.insert(id), "{id:?} was started twice"),
            Ok(Outcome::Done) => {}
            Err(error) => assert!(matches!(input, Input::Command(_)), "nobody forges: {error}"),
        }
        let mut buffer = [0; 1400];
        while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
            let bytes = &buffer[..transmit.len];
            decode::check::<u16>(bytes, config.cluster).expect("what a node sends can be read");
            if flights.len() == FLIGHTS_MAX {
                flights.pop_front();
            }
            flights.push_back(Flight {
                arrives: now + LATENCY,
                from: host.addr,
                to: transmit.to,
                bytes: bytes.to_vec(),
            });
        }
        while let Some(event) = node.poll_event() {
            if let Event::UserEvent { id, .. } = event {
                assert!(host.known.insert(id), "node {} got {id:?} again", host.addr);
            }
        }
    }

    /// Serves everybody for a while. `arrives` says whether datagrams do.
    fn pass(&mut self, span: Duration, arrives: impl Fn(&Flight) -> bool) {
        let end = self.now + span;
        loop {
            let timer = self
                .hosts
                .iter()
                .enumerate()
                .filter_map(|(at, host)| Some((host.node.as_ref()?.poll_timeout()?, at)))
                .min()
                .filter(|(due, _)| *due <= end);
            let flight = self.flights.front().filter(|flight| flight.arrives <= end && arrives(flight));
            match (flight, timer) {
                (Some(flight), timer) if timer.is_none_or(|(due, _)| flight.arrives <= due) => {
                    self.now = self.now.max(flight.arrives);
                    let flight = self.flights.pop_front().expect("it was just seen");
                    self.arrive(&flight);
                }
                (_, Some((due, at))) => {
                    self.now = self.now.max(due);
                    self.input(at, Input::Timeout);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// The adversary has let go.
    fn recover(&mut self) {
        for at in 0..self.hosts.len() {
            // Who is there wants to be in: its application asks again.
            if !self.hosts[at].away {
                self.join(at);
            }
        }
        let start = self.now;
        // What was still under way may be a last word of somebody who is gone.
        self.pass(Duration::from_secs(1), |_| true);
        while !self.is_well() {
            assert!(self.now.since(start) < BENIGN, "not well: {}", self.report());
            self.pass(Duration::from_secs(1), |_| true);
            self.check();
        }
        // And it stays so.
        self.pass(Duration::from_secs(20), |_| true);
        assert!(self.is_well(), "well and ill again: {}", self.report());
    }

    fn check(&self) {
        self.hosts.iter().filter_map(|host| host.node.as_ref()).for_each(Node::check_invariants);
    }

    fn present(&self) -> impl Iterator<Item = (&Host, &Node<u16>)> {
        self.hosts.iter().filter(|host| !host.away).filter_map(|host| Some((host, host.node.as_ref()?)))
    }

    /// Everybody who is there sees just those, and all know the same.
    fn is_well(&self) -> bool {
        let present: Vec<u16> = self.present().map(|(host, _)| host.addr).collect();
        let Some((first, reference)) = self.present().next() else { return true };
        self.present().all(|(host, node)| {
            let mut live: Vec<u16> =
                node.members().filter(|member| member.state.is_live()).map(|member| member.addr).collect();
            live.sort_unstable();
            live == present && node.digest() == reference.digest() && host.known == first.known
        })
    }

    fn report(&self) -> std::string::String {
        let lines: BTreeMap<u16, _> = self
            .present()
            .map(|(host, node)| {
                let members: Vec<_> =
                    node.members().map(|member| (member.addr, member.state, member.incarnation)).collect();
                (host.addr, (members, node.digest(), &host.known))
            })
            .collect();
        std::format!("{lines:?}")
    }
}

const SPANS: [Duration; 8] = [
    Duration::from_millis(1),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
    Duration::from_secs(70),
    Duration::from_secs(200),
];
