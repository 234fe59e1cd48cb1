//! One node and a world that does whatever it likes: forged and mutated datagrams, commands, time that crawls, jumps and
//! ends, polls at any moment. A twin is given the same inputs by way of a recording and must do the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;
use std::vec;
use std::vec::Vec;

use gossip_core::member::INCARNATION_MAX;
use gossip_core::wire::{self, Message, Sender};
use gossip_core::{
    Command, Config, Event, EventId, EventOptions, Fanout, Input, Instant, Member, MemberState, Node, Outcome,
    Priority, QueryOptions, Setup, SharedView, Snapshot, Strategy, event_payload_max, typed,
};

use super::script::{Script, World};
use super::{decode, forge, snapshot};

/// Long enough for every deadline of a node to be in the past, and not so long that a script is slow.
const STEPS_MAX: usize = 400;

/// Timeouts at one instant after which a node must have served all that is due.
const TIMEOUTS_MAX: usize = 4;

/// Datagrams of its own that the world remembers, to send them back.
const REMEMBERED: usize = 8;

/// A script: which addresses, the configuration, then step after step.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    if script.bool() { Subject::<SocketAddr>::live(&mut script) } else { Subject::<u16>::live(&mut script) }
}

struct Subject<A: World> {
    node: Node<A>,
    twin: Node<A>,
    /// What both refer to since they last shared a view, and how often they did.
    view: SharedView<A>,
    shares: u32,
    config: Config,
    /// The longest that were allowed so far: those that are there stay when the configuration changes.
    longest_metadata: usize,
    now: Instant,
    incarnation: u32,
    /// When an event was heard for the first time since it was delivered.
    heard: BTreeMap<EventId<A>, Instant>,
    /// When an event was heard that was delivered, or started, and how many identities had been forgotten early before that input.
    delivered: BTreeMap<EventId<A>, (Instant, u64)>,
    /// Identities that had been forgotten early before the last input.
    forgotten: u64,
    /// Identities that former lives forgot early.
    evicted: u64,
    mirror: Mirror<A>,
    /// Queries to which the node's application may respond, the newest first.
    asked: Vec<EventId<A>>,
    /// To whom the node sent what, the newest last.
    sent: Vec<(A, Vec<u8>)>,
}

impl<A: World> Subject<A> {
    fn live(script: &mut Script<'_>) {
        let mut subject = Self::born(script);
        for _ in 0..STEPS_MAX {
            if script.is_empty() {
                break;
            }
            subject.step(script);
            subject.check();
        }
        subject.drain();
    }

    fn born(script: &mut Script<'_>) -> Self {
        let config = config(script);
        config.check().expect("the script only makes good ones");
        let now = Instant::from_nanos(script.pick(&[0, 1, 1_000_000_000, u64::MAX - 1]));
        let incarnation = script.pick(&[0, 0, 1, INCARNATION_MAX - 1, INCARNATION_MAX]);
        let first_sequence = script.pick(&[0, 1, u64::MAX]);
        let metadata = script.bytes(config.metadata_max.min(5));
        let setup =
            Setup { seed: u64::from(script.u8()), incarnation, first_sequence, metadata, ..Setup::new(A::numbered(1)) };
        let node = || Node::new(now, config.clone(), &setup).expect("a good setup");
        Self {
            node: node(),
            twin: node(),
            view: SharedView::new([]).expect("nobody is too much"),
            shares: 0,
            config: config.clone(),
            longest_metadata: config.metadata_max,
            now,
            incarnation,
            heard: BTreeMap::new(),
            delivered: BTreeMap::new(),
            forgotten: 0,
            evicted: 0,
            mirror: Mirror::default(),
            asked: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.u8() % 16 {
            0..4 => {
                let from = A::numbered(script.u8());
                let bytes = forge::datagram::<A>(script, self.config.cluster, self.node.digest());
                self.hear(from, &bytes);
            }
            4 => {
                let from = A::numbered(script.u8());
                let version = wire::VERSION + script.u8() % 2;
                let body = script.string();
                self.hear(from, &forge::sealed(body, self.config.cluster, version));
            }
            5 => self.hear(A::numbered(script.u8()), script.string()),
            6 => self.reflect(script),
            7 => self.answer(script),
            8 => self.command(script),
            14 => self.restart(script),
            9 | 10 => self.wait_for_timeout(),
            11 => {
                self.now += script.pick(&SPANS);
                self.timeouts();
            }
            12 => self.now += script.pick(&SPANS),
            13 => {
                let len = script.pick(&[0, 8, 9, 20, 30, 50, 100, 511, 1_400, 65_535]);
                self.pull(len);
            }
            _ => {
                self.drain();
                self.share();
            }
        }
    }

    /// The node refers to a view of what it knows, now to the last one renewed and now to one that knows nothing else.
    fn share(&mut self) {
        self.shares += 1;
        if self.shares.is_multiple_of(3) {
            self.view = SharedView::new([Setup::new(A::numbered(2)), Setup::new(A::numbered(3))]).expect("good setups");
        }
        if !self.shares.is_multiple_of(4) {
            self.view = self.view.renewed(&self.node);
        }
        let observed = |node: &Node<A>| {
            let member = |member: Member<'_, A>| {
                let Member { addr, state, incarnation, metadata, metadata_version } = member;
                let known = (node.round_trip(&addr), node.coordinate_of(&addr));
                (addr, (state, incarnation, metadata.to_vec(), metadata_version, known))
            };
            let members: BTreeMap<_, _> = node.members().map(member).collect();
            (members, node.digest(), node.live_members(), node.counters(), node.version(), node.health_score())
        };
        let before = (observed(&self.node), self.node.poll_timeout());
        let shared = self.node.share(&self.view);
        assert_eq!(self.twin.share(&self.view), shared, "the twin does the same");
        assert_eq!(observed(&self.node), before.0, "nothing that the node knows is otherwise");
        let late = |timeout: Option<Instant>| timeout.unwrap_or(Instant::from_nanos(u64::MAX));
        assert!(late(self.node.poll_timeout()) >= late(before.1), "there may be less to look at, not more");
    }

    fn input(&mut self, input: Input<'_, A>) -> Result<Outcome<A>, gossip_core::InputError> {
        self.forgotten = self.seen_evicted();
        if let Input::Datagram { bytes, .. } = input {
            for item in wire::decode::<A>(bytes, self.config.cluster).into_iter().flat_map(|datagram| datagram.items) {
                if let wire::Item::Rumor(wire::Rumor { origin, sequence, .. }) = item {
                    self.heard.entry(EventId { origin, sequence }).or_insert(self.now);
                }
            }
        }
        let result = self.node.handle(self.now, input);
        let mut recording = Vec::new();
        typed::record(&mut recording, self.now, &input).expect("every input can be recorded");
        let mut played = 0;
        typed::replay::<A>(&recording, |now, input| {
            assert_eq!(self.twin.handle(now, input), result, "the twin does the same");
            played += 1;
        })
        .expect("a recording can be replayed");
        assert_eq!(played, 1);
        while self.event() {}
        result
    }

    fn hear(&mut self, from: A, bytes: &[u8]) {
        let before = self.node.counters();
        let result = self.input(Input::Datagram { from, bytes });
        let after = self.node.counters();
        let accepted =
            after.datagrams_accepted + after.datagrams_ignored - before.datagrams_accepted - before.datagrams_ignored;
        assert_eq!(accepted, u64::from(result.is_ok()), "taken in or refused: {result:?}");
    }

    /// A datagram of its own comes back, from somebody, perhaps changed.
    fn reflect(&mut self, script: &mut Script<'_>) {
        let from = A::numbered(script.u8());
        let at = usize::from(script.u8());
        if self.sent.is_empty() {
            return;
        }
        let mut bytes = self.sent[at % self.sent.len()].1.clone();
        for _ in 0..script.u8() % 4 {
            let at = wire::HEADER_LEN + usize::from(script.u8()) % (bytes.len() - wire::HEADER_LEN);
            bytes[at] = script.u8();
        }
        wire::reseal(&mut bytes);
        self.hear(from, &bytes);
    }

    /// Whom it asked answers, as it should.
    fn answer(&mut self, script: &mut Script<'_>) {
        let at = usize::from(script.u8());
        if self.sent.is_empty() {
            return;
        }
        let (to, bytes) = self.sent[at % self.sent.len()].clone();
        let asked = wire::decode::<A>(&bytes, self.config.cluster).expect("the node's own");
        let answer: Message<'_, A> = match asked.message {
            Message::Ping { seq } => Message::Ack { seq },
            Message::PingReq { seq, .. } if script.bool() => Message::Nack { seq },
            Message::PingReq { seq, .. } => Message::Ack { seq },
            _ => Message::Answer,
        };
        let incarnation = self.node.member(&to).map_or(0, |member| member.incarnation);
        let sender = Sender { incarnation, digest: self.node.digest() };
        self.hear(to, &forge::encoded(self.config.cluster, sender, &answer, &[]));
    }

    fn command(&mut self, script: &mut Script<'_>) {
        let max = event_payload_max::<A>(&self.config);
        let (filler, lens) = (vec![7; max + 1], [0, 1, 30, 256, max, max + 1]);
        let result = match script.u8() % 12 {
            0 | 1 => {
                let seeds: Vec<A> = (0..script.u8() % 70).map(|_| A::numbered(script.u8())).collect();
                self.input(Input::Command(Command::Join { seeds: &seeds }))
            }
            2 => self.input(Input::Command(Command::Leave)),
            3 | 4 => {
                let payload = &filler[..script.pick(&lens)];
                let options = EventOptions {
                    priority: script.pick(&[Priority::Normal, Priority::Low, Priority::High, Priority::Urgent]),
                    lifetime: script.bool().then(|| script.pick(&SPANS)),
                    ordered: script.bool(),
                };
                self.input(Input::Command(Command::StartEvent { payload, options }))
            }
            5 | 6 => {
                let to = A::numbered(script.u8());
                self.input(Input::Command(Command::Send { to, payload: &filler[..script.pick(&lens)] }))
            }
            7 => {
                let payload = &filler[..script.pick(&lens)];
                let options = QueryOptions {
                    priority: script.pick(&[Priority::Normal, Priority::Low, Priority::High, Priority::Urgent]),
                    receipts: script.bool(),
                };
                self.input(Input::Command(Command::StartQuery { payload, deadline: script.pick(&SPANS), options }))
            }
            8 | 9 => {
                let asked = self.asked.get(usize::from(script.u8() % 4)).copied();
                let id = asked.unwrap_or(EventId { origin: A::numbered(script.u8()), sequence: script.number() });
                self.input(Input::Command(Command::Respond { id, payload: &filler[..script.pick(&lens)] }))
            }
            10 => {
                let config = config(script);
                let result = self.input(Input::Command(Command::Reconfigure { config: &config }));
                if result.is_ok() {
                    if config.event_lifetime != self.config.event_lifetime {
                        // Identities are remembered for another time from now on.
                        self.delivered.clear();
                    }
                    self.longest_metadata = self.longest_metadata.max(config.metadata_max);
                    self.config = config;
                }
                result
            }
            _ => {
                let metadata = script.string();
                self.input(Input::Command(Command::SetMetadata { metadata }))
            }
        };
        if let Ok(Outcome::Started(id)) = result {
            self.deliver(id);
        }
    }

    /// The node's process ends and begins again from its snapshot.
    fn restart(&mut self, script: &mut Script<'_>) {
        let (mut bytes, mut others) = (Vec::new(), Vec::new());
        self.node.snapshot(self.now, &mut bytes);
        self.twin.snapshot(self.now, &mut others);
        assert_eq!(bytes, others, "the twin writes down the same");
        let before = snapshot::check::<A>(&bytes).expect("what a node writes down can be read");
        let away = script.pick(&SPANS[..8]);
        if !self.time_ends() {
            self.now += away;
        }
        let setup = Setup { seed: u64::from(script.u8()), ..Setup::new(self.node.local()) };
        let restore = || {
            Node::restore(self.now, self.config.clone(), &setup, &before, Duration::ZERO)
                .expect("it is its own snapshot")
        };
        let (node, twin) = (restore(), restore());
        self.evicted += self.node.counters().seen_evicted;
        (self.node, self.twin) = (node, twin);
        self.mirror = Mirror::default();
        let mut after = Vec::new();
        self.node.snapshot(self.now, &mut after);
        let after = snapshot::check::<A>(&after).expect("what a node writes down can be read");
        assert!(before.incarnation < after.incarnation || after.incarnation == INCARNATION_MAX);
        assert!(before.next_sequence < after.next_sequence || after.next_sequence == u64::MAX);
        assert!(before.seeds().eq(after.seeds()), "the same seeds");
        let known = |snapshot: &Snapshot<'_, A>| snapshot.members().collect::<BTreeSet<_>>();
        assert!(known(&after).is_subset(&known(&before)), "nobody is invented");
        let count = before.members().count().min(self.config.members_max);
        assert_eq!(after.members().count(), count, "nobody is forgotten for whom there is room");
    }

    /// Close to the end of all time a deadline cannot lie in the future.
    fn time_ends(&self) -> bool {
        self.now + Duration::from_secs(100 * 86_400) == Instant::from_nanos(u64::MAX)
    }

    /// The driver waits for the time that the node named, and serves it.
    fn wait_for_timeout(&mut self) {
        if let Some(due) = self.node.poll_timeout() {
            self.now = self.now.max(due);
        }
        self.timeouts();
    }

    fn timeouts(&mut self) {
        let early = self.node.poll_timeout().is_none_or(|due| due > self.now);
        let before = (self.node.poll_timeout(), self.node.counters(), self.node.digest());
        let _ = self.input(Input::Timeout);
        if early {
            let after = (self.node.poll_timeout(), self.node.counters(), self.node.digest());
            assert_eq!(before, after, "a timeout too early does nothing");
        }
        let mut served = 1;
        while !self.time_ends() && self.node.poll_timeout().is_some_and(|due| due <= self.now) {
            assert!(served < TIMEOUTS_MAX, "busy at {:?}: {:?} is still due", self.now, self.node.poll_timeout());
            // Under a limit on datagrams per second it is also the time to pull.
            self.drain();
            let _ = self.input(Input::Timeout);
            served += 1;
        }
    }

    /// Pulls one datagram into a buffer of `len` bytes; false when there is none.
    fn pull(&mut self, len: usize) -> bool {
        let (mut buffer, mut other) = (vec![0; len], vec![0; len]);
        let transmit = self.node.poll_transmit(self.now, &mut buffer);
        assert_eq!(transmit, self.twin.poll_transmit(self.now, &mut other), "the twin sends the same");
        let Some(transmit) = transmit else { return false };
        let bytes = &buffer[..transmit.len];
        assert_eq!(bytes, &other[..transmit.len], "byte for byte");
        assert!(bytes.len() <= self.config.datagram_max, "{} bytes", bytes.len());
        assert_ne!(transmit.to, self.node.local(), "nobody talks to himself");
        decode::check::<A>(bytes, self.config.cluster).expect("what a node sends can be read");
        let sender = wire::decode::<A>(bytes, self.config.cluster).expect("it was just decoded").sender;
        assert_eq!((sender.incarnation, sender.digest), (self.incarnation_now(), self.node.digest()));
        if self.sent.len() == REMEMBERED {
            self.sent.remove(0);
        }
        self.sent.push((transmit.to, bytes.to_vec()));
        true
    }

    /// Takes what the node tells its application; false when that is nothing.
    fn event(&mut self) -> bool {
        let event = self.node.poll_event();
        assert_eq!(event, self.twin.poll_event(), "the twin tells the same");
        match &event {
            Some(Event::UserEvent { id, payload, .. }) => {
                assert!(payload.len() <= event_payload_max::<A>(&self.config));
                self.deliver(*id);
            }
            Some(Event::Query { id, .. }) => {
                self.deliver(*id);
                self.asked.insert(0, *id);
                self.asked.truncate(4);
            }
            Some(Event::MemberChanged { addr, .. }) => assert_ne!(*addr, self.node.local(), "not its own application"),
            _ => {}
        }
        event.is_some()
    }

    /// At most once for as long as the identity is remembered: one and a half lifetimes from the hearing on, unless it fell to the
    /// bound. A delivery may be much later than that, for the sake of the order, or of a driver that was late.
    fn deliver(&mut self, id: EventId<A>) {
        let forgotten = self.seen_evicted();
        let heard = self.heard.remove(&id).unwrap_or(self.now);
        if let Some((at, forgotten_then)) = self.delivered.insert(id, (heard, self.forgotten)) {
            let window = self.config.event_lifetime + self.config.event_lifetime / 2;
            assert!(
                self.now >= at + window || forgotten > forgotten_then,
                "{id:?} again after {:?}",
                self.now.since(at)
            );
        }
    }

    fn seen_evicted(&self) -> u64 {
        self.evicted + self.node.counters().seen_evicted
    }

    /// Pulls until there is nothing left, as a driver does.
    fn drain(&mut self) {
        // A message takes one datagram, or one for each item, or so many of symbols.
        let pages = (self.config.members_max + self.config.events_max + 1).max(8);
        let mut datagrams = self.config.transmits_max * pages + 1;
        while self.pull(1_500) {
            datagrams -= 1;
            assert!(datagrams > 0, "no end of datagrams");
        }
        self.check();
    }

    fn incarnation_now(&self) -> u32 {
        self.node.members().next().expect("the node itself is first").incarnation
    }

    fn check(&mut self) {
        self.node.check_invariants();
        let members: Vec<_> = self.node.members().collect();
        let live = members.iter().filter(|member| member.state.is_live()).count();
        assert_eq!(self.node.live_members() as usize, live);
        assert!(members.len() <= self.config.members_max);
        for (i, member) in members.iter().enumerate() {
            assert!(members[..i].iter().all(|other| other.addr != member.addr), "{member:?} is listed twice");
            assert_eq!(self.node.member(&member.addr), Some(*member));
            assert!(member.metadata.len() <= self.longest_metadata || i == 0, "{member:?}");
            assert!(member.incarnation <= INCARNATION_MAX);
        }
        assert_eq!(members[0].addr, self.node.local());
        assert!(matches!(members[0].state, MemberState::Alive | MemberState::Left));
        assert!(self.incarnation <= members[0].incarnation, "a node never lowers its incarnation");
        self.incarnation = members[0].incarnation;
        assert!(self.node.health_score() <= self.config.awareness_max);
        self.mirror.follow(&self.node);
        assert_eq!(self.node.digest(), self.twin.digest());
        assert_eq!(self.node.counters(), self.twin.counters());
        assert_eq!(self.node.poll_timeout(), self.twin.poll_timeout());
    }
}

/// The membership as an application knows it that reads only what changed.
struct Mirror<A> {
    version: u64,
    members: BTreeMap<A, (MemberState, u32, Vec<u8>)>,
}

impl<A> Default for Mirror<A> {
    fn default() -> Self {
        Self { version: 0, members: BTreeMap::new() }
    }
}

impl<A: World> Mirror<A> {
    fn follow(&mut self, node: &Node<A>) {
        let copy = |member: Member<'_, A>| (member.state, member.incarnation, member.metadata.to_vec());
        let now: BTreeMap<_, _> = node.members().map(|member| (member.addr, copy(member))).collect();
        if let Some(changes) = node.changes_since(self.version) {
            for change in changes {
                match change.member {
                    Some(member) => self.members.insert(change.addr, copy(member)),
                    None => self.members.remove(&change.addr),
                };
            }
            assert_eq!(self.members, now, "who reads what changed has what is there");
        } else {
            self.members = now;
        }
        self.version = node.version();
    }
}

const SPANS: [Duration; 12] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_millis(1),
    Duration::from_millis(20),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(70),
    Duration::from_secs(86_400),
    Duration::from_secs(100 * 86_400),
    Duration::MAX,
];

/// Every value that matters, mostly small, so that bounds are met.
fn config(script: &mut Script<'_>) -> Config {
    let fanout = match script.u8() {
        fixed @ 0..240 => Fanout::Fixed(fixed % 4 + 1),
        240..242 => Fanout::Growing,
        242..244 => Fanout::Logarithmic,
        244..248 => Fanout::Aging,
        tail => Fanout::HeavyTail { beta_hundredths: 150 + 25 * (u16::from(tail) - 248) },
    };
    let strategy = script.pick(&[
        Strategy::Push { fanout },
        Strategy::PushPull { fanout },
        Strategy::Eager { fanout },
        Strategy::Pull { fanout },
        Strategy::SqrtTree { split_max: 3, fanout },
        Strategy::MedianCounter { fanout },
    ]);
    let intervals = [1, 10, 200, 1_000, 60_000].map(Duration::from_millis);
    let probe_interval = script.pick(&intervals[1..]);
    let probe_timeout = script.pick(&[Duration::from_millis(1), probe_interval / 2]);
    let event_lifetime = script.pick(&intervals);
    let events_max = usize::from(script.u8() % 8) + 1;
    Config {
        gossip_interval: script.pick(&intervals),
        strategy,
        idle_calls: script.bool(),
        forwards_max: script.pick(&[0, 1, 5, 64]),
        retransmit_multiplier: script.u8() % 4 + 1,
        probe_interval,
        probe_timeout,
        probe_timeout_min: script.pick(&[Duration::from_millis(1), probe_timeout]),
        datagrams_per_second_max: script.pick(&[0, 0, 1, 5, 1_000]),
        indirect_probes: script.u8() % 5,
        suspicion_multiplier: script.u8() % 4 + 1,
        suspicion_max_multiplier: script.u8() % 4 + 1,
        suspicion_confirmations: script.u8() % 4,
        awareness_max: script.pick(&[0, 1, 8, 255]),
        sync_interval: script.pick(&intervals),
        event_lifetime,
        events_max,
        event_bytes_max: script.pick(&[0, 10, 1_000, 1 << 20]),
        seen_max: events_max + usize::from(script.u8() % 8),
        ordered_wait: event_lifetime.min(script.pick(&intervals)),
        ordered_max: script.pick(&[1, 2, 3, 64]),
        tombstone_lifetime: script.pick(&intervals),
        members_max: usize::from(script.u8() % 15) + 2,
        queries_max: script.pick(&[1, 2, 64]),
        answers_per_second_max: script.pick(&[1, 2_000]),
        names: script.bool(),
        coordinates_max: script.pick(&[0, 0, 1, 4]),
        changes_max: script.pick(&[0, 1, 5, 64]),
        metadata_max: script.pick(&[0, 10, 256]),
        datagram_max: script.pick(&[512, 600, 1_400, 65_000]),
        transmits_max: usize::from(script.u8() % 32) + 1,
        ..Config::lan()
    }
}
