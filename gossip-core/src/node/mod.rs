//! The node: dispatch of inputs, the polls, the commands. What the protocol does is in the files beside: `receive` (what a
//! datagram brings), `failure` (probing and suspicion), `transmit` (what goes into a datagram), `spread` (gossip rounds,
//! goodbye), `sync` (anti-entropy), `read` (what an application may ask), `setup` (birth), `restore` (snapshots),
//! `reconfigure` (another configuration).

mod failure;
mod former;
#[cfg(any(test, fuzzing))]
mod invariants;
mod publish;
mod query;
mod queue;
mod read;
mod receive;
mod reconfigure;
mod relay;
mod restore;
#[cfg(feature = "keyring")]
mod seal;
mod setup;
mod spread;
mod sync;
mod transmit;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BinaryHeap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::address::Address;
use crate::awareness::Awareness;
use crate::backlog::Backlog;
use crate::brake::Brake;
use crate::config::{Config, ConfigError};
use crate::coordinate::{Coordinate, Coordinates};
use crate::counters::Counters;
use crate::io::{Command, CommandError, Event, Input, InputError, Outcome, Transmit};
#[cfg(feature = "keyring")]
use crate::keyring::Keyring;
use crate::member::{Claim, MemberState, Metadata};
use crate::members::{Entry, Members, SELF, Slot};
use crate::probe::{Probe, Relay, SEQUENCES};
use crate::queries::Queries;
use crate::rng::Rng;
use crate::rtt::RoundTrips;
use crate::rumors::Rumors;
use crate::suspicion::Suspicion;
use crate::sync::digest;
use crate::time::Instant;
use crate::timer::{self, Timer, Timers};
use crate::view::View;
use former::Former;
use queue::Queue;
pub use read::Change;
use restore::Acquaintances;
use sync::Sync;
use transmit::Outgoing;

/// The most seeds that a node remembers.
pub const SEEDS_MAX: usize = 64;

/// What a node is born with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup<'a, A> {
    /// The address under which the others know this node, and from which its datagrams come.
    pub local: A,
    /// Seed of all its randomness. Nodes of one cluster need different ones.
    pub seed: u64,
    /// Its first incarnation. 0 will do: a restarted node learns from the others that it must raise it.
    pub incarnation: u32,
    /// The number of its first event. It must exceed every number that this address used in a former life, or the others
    /// take new events for old ones. The time in milliseconds, shifted left by 16, will do.
    pub first_sequence: u64,
    /// Bytes that every member can read beside its address.
    pub metadata: &'a [u8],
    /// The number of this life of the address: greater than in every former one, whatever became of that, and so never taken
    /// from something stored. With 0 a node takes no keyring. The time in nanoseconds will do.
    ///
    /// Two lives with one number would seal different datagrams with one nonce, which gives away their contents and lets others
    /// forge. A smaller number than in a former life (a clock that was set back) is as bad, and has the node's datagrams
    /// dropped as replays by everyone who remembers that life.
    #[cfg(feature = "keyring")]
    pub session: u64,
    /// What datagrams are sealed and opened with; [`Command::SetKeyring`] replaces it.
    #[cfg(feature = "keyring")]
    pub keyring: Option<&'a Keyring>,
}

/// A member as a node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a, A> {
    /// Its address.
    pub addr: A,
    /// What is held to be true of it.
    pub state: MemberState,
    /// Its incarnation.
    pub incarnation: u32,
    /// Its metadata.
    pub metadata: &'a [u8],
    /// Their version: 0 when it never stated any, and higher with each change.
    pub metadata_version: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not asked to join, or nobody answered yet.
    Alone,
    /// In.
    Member,
    /// Saying goodbye for so many more rounds.
    Leaving(u8),
    /// Silent.
    Left,
}

/// One member of a cluster.
///
/// # How to drive it
/// Call [`handle`](Self::handle) with whatever happens. After each call, and before waiting, pull until they are empty:
/// [`poll_transmit`](Self::poll_transmit) (send each datagram), then [`poll_event`](Self::poll_event). Then wait for a
/// datagram, a command, or the time that [`poll_timeout`](Self::poll_timeout) names, which may have changed with every call.
/// Times must not run backwards; several calls may share an instant. Nothing is encoded before it is pulled, so a datagram
/// pulled late still carries the newest knowledge.
///
/// # Bounds
/// Members, events, identities of events, waiting messages, relayed probes and seeds are bounded by the [`Config`] or by
/// constants, and what happens at each bound is counted. Waiting [`Event`]s are bounded by the driver: one input makes at
/// most as many as one datagram has items, plus those of timers.
#[derive(Debug)]
pub struct Node<A: Address> {
    config: Config,
    rng: Rng,
    phase: Phase,
    seeds: Vec<A>,
    acquaintances: Acquaintances<A>,
    next_sequence: u64,

    members: Members<A>,
    /// Members of whom something is still to be told.
    updates: Backlog,
    rumors: Rumors<A>,
    queries: Queries<A>,
    /// The dead and the departed, in the order of their going: when to forget which incarnation of whom.
    tombstones: VecDeque<(Instant, Slot, u32)>,

    awareness: Awareness,
    probe: Option<Probe<A>>,
    relays: Vec<Relay<A>>,
    suspicions: BTreeMap<Slot, Suspicion<A>>,
    /// When to look at a suspicion. An entry may be outdated: the suspicion itself knows its deadline.
    suspicion_deadlines: BinaryHeap<Reverse<(Instant, Slot)>>,
    /// Numbers of the next ping, and of the last one for another.
    next_ping: u32,
    last_relay: u32,
    round_trips: RoundTrips,
    former: Former<A>,
    brake: Brake,
    /// Unless they are switched off.
    coordinates: Option<Box<Coordinates<A>>>,
    /// When the last datagram of another node was accepted.
    heard: Instant,
    /// Whether a member that is not suspected owes the answer to a probe since then.
    unanswered: bool,

    sync: Sync<A>,
    /// Datagrams sent since the last gossip round to tell events on at once.
    forwards: u16,

    timers: Timers,
    outgoing: Queue<A>,
    events: VecDeque<Event<A>>,
    counters: Counters,
    #[cfg(feature = "keyring")]
    sealing: seal::Sealing<A>,
    /// Reused, so that a draw of peers does not allocate.
    drawn: Vec<Slot>,
    /// Events that the datagram at hand brought, by their slots.
    fresh: Vec<u32>,
}

impl<A: Address> Node<A> {
    fn born(
        now: Instant,
        config: Config,
        setup: &Setup<'_, A>,
        view: Option<Arc<View<A>>>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        setup.check_incarnation()?;
        if setup.metadata.len() > config.metadata_max {
            return Err(ConfigError { name: "metadata_max", rule: "must not be less than the node's own metadata" });
        }
        let mut rng = Rng::new(setup.seed);
        let hash_seed = rng.next_u64();
        let common = view.as_ref().map_or(0, |view| view.slots());
        let mut node = Self {
            phase: Phase::Alone,
            seeds: Vec::new(),
            acquaintances: Acquaintances::default(),
            next_sequence: setup.first_sequence,
            updates: Backlog::sparse(common),
            members: Members::with_view(setup.local, setup.incarnation, setup.stated_metadata(), hash_seed, view),
            rumors: Rumors::new(hash_seed),
            queries: Queries::new(),
            tombstones: VecDeque::new(),
            awareness: Awareness::new(),
            probe: None,
            relays: Vec::new(),
            suspicions: BTreeMap::new(),
            suspicion_deadlines: BinaryHeap::new(),
            next_ping: rng.below(SEQUENCES),
            last_relay: 0,
            former: Former::default(),
            brake: Brake::default(),
            coordinates: (config.coordinates_max > 0).then(|| Box::new(Coordinates::new(config.coordinates_max))),
            round_trips: RoundTrips::sparse(common),
            heard: now,
            unanswered: false,
            sync: Sync::new(),
            forwards: 0,
            timers: Timers::default(),
            outgoing: Queue::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            #[cfg(feature = "keyring")]
            sealing: seal::Sealing::new(setup.session),
            drawn: Vec::new(),
            fresh: Vec::new(),
            config,
            rng,
        };
        node.members.changes_mut().keep(node.config.changes_max);
        node.members.keep_names(node.config.names);
        #[cfg(feature = "keyring")]
        node.sealing
            .set_keyring(&node.members.entry(SELF).addr(), setup.keyring)
            .map_err(|_| ConfigError { name: "session", rule: "must be given with a keyring" })?;
        node.arm(now);
        Ok(node)
    }

    /// Takes in what happened at `now`.
    ///
    /// # Errors
    /// Why the input was refused; see [`InputError`] for whose fault it is. A driver may ignore the error of a datagram: it
    /// was counted.
    pub fn handle(&mut self, now: Instant, input: Input<'_, A>) -> Result<Outcome<A>, InputError> {
        match input {
            Input::Datagram { from, bytes } => self.on_datagram(now, from, bytes).map(|()| Outcome::Done),
            Input::Timeout => {
                self.on_timeout(now);
                Ok(Outcome::Done)
            }
            Input::Command(command) => Ok(self.on_command(now, command)?),
        }
    }

    /// Encodes the next datagram into `buffer`, which should hold [`datagram_max`](Config::datagram_max) bytes: a shorter one
    /// shortens the datagrams. `None` when nothing is to be sent, or not yet: see
    /// [`datagrams_per_second_max`](Config::datagrams_per_second_max).
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit<A>> {
        self.encode_next(now, buffer)
    }

    /// The next thing that the application may want to know.
    pub fn poll_event(&mut self) -> Option<Event<A>> {
        self.events.pop_front()
    }

    /// When to call [`handle`](Self::handle) with [`Input::Timeout`], unless something else happens before. `None` when time
    /// changes nothing: the node has left.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let transmit = self.outgoing.due(self.config.datagrams_per_second_max);
        if self.phase == Phase::Left {
            return transmit;
        }
        [
            transmit,
            self.timers.next(),
            self.suspicion_deadlines.peek().map(|Reverse((deadline, _))| *deadline),
            self.rumors.next_expiry(),
            self.queries.next_wake(),
            self.tombstones.front().map(|&(forget, ..)| forget),
            self.relays.iter().map(Relay::deadline).min(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// This node's address.
    #[must_use]
    pub fn local(&self) -> A {
        self.members.entry(SELF).addr()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Live members, this node included: what an application calls the size of the cluster.
    #[must_use]
    pub fn live_members(&self) -> u32 {
        self.members.live_count()
    }

    /// All remembered members, this node first. The order is stable: as long as a member is remembered it keeps its place
    /// among the others, whatever happens to them; a newcomer takes the place of one that was forgotten, or the last. It
    /// follows from the inputs alone, so it is the same on every machine.
    pub fn members(&self) -> impl Iterator<Item = Member<'_, A>> {
        self.members.slots_from(SELF).map(|slot| self.member_at(slot))
    }

    /// The member at an address.
    #[must_use]
    pub fn member(&self, addr: &A) -> Option<Member<'_, A>> {
        self.members.find(addr).map(|slot| self.member_at(slot))
    }

    /// What was dropped, refused, bounded and repaired so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Lifeguard's local health score: 0 is healthy.
    #[must_use]
    pub fn health_score(&self) -> u8 {
        self.awareness.score()
    }

    /// The smoothed round trip to a member (SRTT of RFC 6298). `None` when it was not measured since the member last failed to
    /// answer, or when the configuration does not ask for it ([`Config::probe_timeout_min`]).
    #[must_use]
    pub fn round_trip(&self, addr: &A) -> Option<core::time::Duration> {
        self.members.find(addr).and_then(|slot| self.round_trips.smoothed(slot))
    }

    /// Where this node is in the space of round trips. `None` when coordinates are switched off
    /// ([`Config::coordinates_max`]).
    #[must_use]
    pub fn coordinate(&self) -> Option<Coordinate> {
        self.coordinates.as_ref().map(|coordinates| coordinates.own())
    }

    /// Where a live member is, if it told so and that is remembered.
    #[must_use]
    pub fn coordinate_of(&self, addr: &A) -> Option<Coordinate> {
        let coordinates = self.coordinates.as_ref()?;
        self.members.find(addr).filter(|&slot| self.members.entry(slot).state.is_live())?;
        if *addr == self.local() { Some(coordinates.own()) } else { coordinates.of(addr) }
    }

    /// Digest of the live members and of the kept events: two nodes with equal digests know the same, but for a chance of
    /// 2⁻³².
    #[must_use]
    pub fn digest(&self) -> u32 {
        digest(self.members.digests().total(), self.rumors.digests().total())
    }

    fn member_at(&self, slot: Slot) -> Member<'_, A> {
        let entry = self.members.entry(slot);
        let Metadata { version, bytes } = self.members.metadata(slot);
        Member {
            addr: entry.addr(),
            state: entry.state,
            incarnation: entry.incarnation,
            metadata: bytes,
            metadata_version: version,
        }
    }

    /// Starts the periodic timers at random phases, so that the nodes of a cluster do not beat together.
    fn arm(&mut self, now: Instant) {
        for (timer, interval) in
            [(Timer::Gossip, self.config.gossip_interval), (Timer::Probe, self.config.probe_interval)]
        {
            let phase = u64::from(self.rng.below(1 << 16)) * (interval.as_nanos() as u64 >> 16);
            self.timers.set(timer, now + core::time::Duration::from_nanos(phase));
        }
        self.align(now);
    }

    /// Rounds that are to begin together begin at the next multiple of their interval.
    fn align(&mut self, now: Instant) {
        if self.config.aligned_rounds && self.timers.is_set(Timer::Gossip) {
            self.timers.set(Timer::Gossip, next_multiple(now, self.config.gossip_interval));
        }
    }

    fn on_command(&mut self, now: Instant, command: Command<'_, A>) -> Result<Outcome<A>, CommandError> {
        let leaving = matches!(self.phase, Phase::Leaving(_) | Phase::Left);
        match command {
            Command::Join { seeds } => {
                if seeds.len() > SEEDS_MAX {
                    return Err(CommandError::TooManySeeds { count: seeds.len(), max: SEEDS_MAX });
                }
                if leaving {
                    self.come_back(now);
                }
                let local = self.local();
                self.seeds = seeds.iter().copied().map(stored).filter(|seed| *seed != local).collect();
                self.call_seeds();
            }
            #[cfg(feature = "keyring")]
            Command::SetKeyring { keyring } => {
                let local = self.local();
                self.sealing.set_keyring(&local, keyring)?;
            }
            Command::Reconfigure { config } => self.reconfigure(now, config)?,
            _ if leaving => return Err(CommandError::Left),
            Command::Leave => self.begin_leave(),
            Command::StartEvent { payload, options } => {
                return self.start_event(now, payload, &options).map(Outcome::Started);
            }
            Command::StartQuery { payload, deadline, options } => {
                return self.start_query(now, payload, deadline, &options).map(Outcome::Started);
            }
            Command::Respond { id, payload } => self.respond(now, id, payload)?,
            Command::Send { to, payload } => self.send_message(to, payload)?,
            Command::SetMetadata { metadata } => {
                let max = self.config.metadata_max;
                if metadata.len() > max {
                    return Err(CommandError::MetadataTooLong { len: metadata.len(), max });
                }
                let version = self.members.metadata(SELF).version.saturating_add(1);
                let claim = self.members.entry(SELF).claim();
                self.members.set(SELF, claim, Some(Metadata { version, bytes: metadata }));
                self.updates.insert(SELF);
                self.check_name(SELF);
            }
        }
        Ok(Outcome::Done)
    }

    fn on_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Left {
            return;
        }
        self.notice_stall(now);
        // Each once: at the end of all time a timer that is set anew is due at once.
        for _ in 0..timer::COUNT {
            let Some((timer, deadline)) = self.timers.take_due(now) else { break };
            match timer {
                Timer::Gossip => {
                    self.timers.set(Timer::Gossip, next_tick(now, deadline, self.config.gossip_interval));
                    self.align(now);
                    self.on_gossip_round();
                }
                Timer::ProbeRetry => self.on_probe_retry(now),
                Timer::ProbeTimeout => self.on_probe_timeout(now, deadline),
                Timer::Probe => {
                    // First, since it changes the score: the period and the timeout within it are scaled by the same one.
                    self.finish_probe(now);
                    let period = self.awareness.scale(self.config.probe_interval);
                    self.timers.set(Timer::Probe, next_tick(now, deadline, period));
                    self.on_probe_period(now);
                }
            }
        }
        self.expire_suspicions(now);
        self.serve_relays(now);
        self.rumors.expire(now);
        self.deliver_overdue(now);
        self.serve_queries(now);
        self.forget_tombstones(now);
    }

    /// Records a claim as the truth about a member that is in the table, with all that follows from it.
    fn apply(
        &mut self,
        now: Instant,
        slot: Slot,
        claim: Claim,
        metadata: Option<Metadata<'_>>,
        told_by: Option<A>,
        accuser: A,
    ) {
        let old = self.members.entry(slot).claim();
        let held = self.members.metadata(slot);
        let newer = metadata.filter(|told| *told > held);
        let changed = newer.is_some_and(|told| told.bytes != held.bytes);
        self.members.set(slot, claim, newer);
        self.after_change(now, slot, Some(old), told_by, accuser);
        if changed && old.state == claim.state {
            self.events.push_back(Event::MetadataChanged { addr: self.members.entry(slot).addr() });
        }
        if changed || !old.state.is_live() {
            self.check_name(slot);
        }
    }

    /// Adds a member, unless the table is full.
    fn admit(
        &mut self,
        now: Instant,
        addr: A,
        claim: Claim,
        metadata: Option<Metadata<'_>>,
        told_by: Option<A>,
        accuser: A,
    ) -> Option<Slot> {
        if self.members.len() >= self.config.members_max {
            self.counters.members_refused += 1;
            return None;
        }
        let slot = self.members.insert(addr, claim, metadata);
        self.round_trips.forget(slot);
        self.after_change(now, slot, None, told_by, accuser);
        self.check_name(slot);
        Some(slot)
    }

    fn after_change(&mut self, now: Instant, slot: Slot, old: Option<Claim>, told_by: Option<A>, accuser: A) {
        let entry = self.members.entry(slot);
        let (addr, claim) = (entry.addr(), entry.claim());
        self.counters.updates_applied += 1;
        self.updates.insert(slot);
        let suspicion = self.suspicions.remove(&slot);
        if claim.state == MemberState::Suspect {
            let suspicion = Suspicion::new(now, accuser, self.members.live_count(), &self.config);
            let deadline = suspicion.deadline();
            self.suspicions.insert(slot, suspicion);
            self.watch_suspicion(deadline, slot);
            self.second(slot);
        }
        if !claim.state.is_live() {
            self.bury(now, slot, claim.incarnation);
            if claim.state == MemberState::Dead {
                self.former.on_death(now, addr);
            }
            if self.probe.as_ref().is_some_and(|probe| probe.target == slot) {
                self.probe = None;
                self.clear_probe_timers();
            }
        }
        if old.map(|old| old.state) != Some(claim.state) {
            self.events.push_back(Event::MemberChanged {
                addr,
                state: claim.state,
                incarnation: claim.incarnation,
                told_by,
                accuser: match claim.state {
                    MemberState::Suspect => Some(accuser),
                    MemberState::Dead => suspicion.as_ref().map(Suspicion::first_accuser),
                    MemberState::Alive | MemberState::Left => None,
                },
                confirmations: match claim.state {
                    MemberState::Dead => suspicion.as_ref().map_or(0, Suspicion::confirmations),
                    MemberState::Alive | MemberState::Suspect | MemberState::Left => 0,
                },
            });
        }
    }

    /// Remembers when to forget who died or departed.
    fn bury(&mut self, now: Instant, slot: Slot, incarnation: u32) {
        self.tombstones.push_back((now + self.config.tombstone_lifetime, slot, incarnation));
        // A member that dies again and again leaves outdated ones behind. At most half of them are, for a constant cost each.
        self.sweep_tombstones();
    }

    fn sweep_tombstones(&mut self) {
        if self.tombstones.len() > 2 * self.members.len() + 16 {
            let members = &self.members;
            self.tombstones.retain(|&(_, slot, incarnation)| {
                members.get(slot).is_some_and(|entry| !entry.state.is_live() && entry.incarnation == incarnation)
            });
        }
    }

    fn forget_tombstones(&mut self, now: Instant) {
        while self.tombstones.front().is_some_and(|(forget, ..)| *forget <= now) {
            self.forget_tombstone();
        }
    }

    /// Forgets who died or departed first; false when there is nobody.
    fn forget_tombstone(&mut self) -> bool {
        while let Some((_, slot, incarnation)) = self.tombstones.pop_front() {
            let gone =
                self.members.get(slot).filter(|entry| !entry.state.is_live() && entry.incarnation == incarnation);
            if let Some(addr) = gone.map(Entry::addr) {
                self.updates.remove(slot);
                self.members.remove(slot);
                self.events.push_back(Event::MemberForgotten { addr });
                return true;
            }
        }
        false
    }

    fn enqueue(&mut self, outgoing: Outgoing<A>) {
        if self.outgoing.len() >= self.config.transmits_max {
            self.counters.transmits_refused += 1;
        } else {
            self.outgoing.push_back(outgoing, self.config.datagrams_per_second_max);
        }
    }

    /// Numbers of pings for others stand apart from those of this node's own.
    fn next_relay(&mut self) -> u32 {
        self.last_relay = (self.last_relay + 1) % SEQUENCES;
        SEQUENCES + self.last_relay
    }
}

/// An address as the table keeps it: what is left out there must not tell two members apart anywhere.
fn stored<A: Address>(addr: A) -> A {
    A::Stored::from(addr).into()
}

/// The first multiple of `interval` after `now`.
fn next_multiple(now: Instant, interval: core::time::Duration) -> Instant {
    let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
    Instant::from_nanos((now.as_nanos() / interval).saturating_add(1).saturating_mul(interval))
}

/// The next beat of a periodic timer. A driver that is a whole interval late skips beats rather than serve them in a burst.
fn next_tick(now: Instant, deadline: Instant, interval: core::time::Duration) -> Instant {
    let next = deadline + interval;
    if next <= now { now + interval } else { next }
}

#[cfg(test)]
mod tests;
