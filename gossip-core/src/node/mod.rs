//! The node: dispatch of inputs, the polls, the commands. What the protocol does is in the files beside:
//!
//! - from birth on: `setup`, `restore` (snapshots), `former` (whom it once knew), `reconfigure` (another configuration),
//!   `share` (memory in common with others);
//! - what comes in: `receive` (what a datagram brings), `belief` (what follows when a member is held for something else);
//! - failure detection: `failure` (probing and suspicion), `relay` (probing for others);
//! - what goes out: `spread` (gossip rounds, goodbye), `settle` (what need not be told any more), `tree` (ranges of members told on),
//!   `sync` (anti-entropy), `queue` (what waits, and the limit on datagrams), `transmit` (what goes into a datagram), `seal` (the keyring);
//! - the application's part: `publish` (events and messages), `query`, `read` (what it may ask).

mod belief;
mod failure;
mod former;
#[cfg(any(test, fuzzing, feature = "check"))]
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
mod settle;
mod setup;
mod share;
mod spread;
mod sync;
mod transmit;
mod tree;
mod warm;
mod watch;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::address::Address;
use crate::awareness::Awareness;
use crate::backlog::Backlog;
use crate::brake::Brake;
use crate::config::{Config, ConfigError};
use crate::coordinate::Coordinates;
use crate::counters::Counts;
use crate::fifo::Fifo;
use crate::io::{Command, CommandError, Event, Input, InputError, Outcome, Transmit};
use crate::member::Metadata;
use crate::members::{Members, SELF, Slot};
use crate::probe::{Probe, SEQUENCES};
use crate::queries::Queries;
use crate::rare::Rare;
use crate::rng::Rng;
use crate::rtt::RoundTrips;
use crate::rumors::Rumors;
use crate::suspicion::Suspicion;
use crate::time::Instant;
use crate::timer::{self, Deadlines, Timer, Timers};
use crate::view::View;
use former::Former;
use queue::Queue;
pub use read::{Change, Member};
use restore::Acquaintances;
use settle::Agreement;
pub use setup::Setup;
use sync::Sync;
use transmit::Outgoing;
use tree::Branches;
pub use warm::Need;
pub(crate) use warm::lines_of;
use watch::Watch;

/// The most seeds that a node remembers.
pub const SEEDS_MAX: usize = 64;

/// That there is a node. In an `Option<Node>` the compiler has the field with the most values to spare tell so, and this is the one: it
/// stands where a driver looks in any case, and not in a line of memory that nothing else needs.
#[derive(Debug)]
#[repr(u64)]
enum Mark {
    Node = 1,
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
///
/// # Layout
/// In C's order and on whole lines of memory: what every input needs, what a timer needs, and what is seldom needed, so that an input
/// takes few lines next to each other. Who drives many nodes waits for these: see `warm`.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Node<A: Address> {
    // What every input needs, and then the first event and the first message that waits, if there is one.
    mark: Mark,
    config: Arc<Config>,
    timers: Timers,
    /// When the last datagram of another node was accepted, and how many were.
    heard: Instant,
    accepted: u64,
    events: Fifo<Event<A>>,
    outgoing: Queue<A>,
    // The message's end belongs to this again.
    phase: Phase,
    /// Whether a member that is not suspected owes the answer to a probe since then.
    unanswered: bool,
    awareness: Awareness,
    /// Whether the datagram at hand lists the members for a newcomer.
    listed: bool,
    /// Datagrams sent since the last gossip round to tell events on at once.
    forwards: u16,
    /// Parts of the gossip round that are made.
    part: u32,
    /// Members of whom something is still to be told.
    updates: Backlog,
    watch: Rare<Watch<A>>,
    /// Unless there are none.
    queries: Option<Box<Queries<A>>>,
    #[cfg(feature = "keyring")]
    sealing: seal::Sealing<A>,
    rumors: Rumors<A>,
    members: Members<A>,

    // What timers need besides, and the answer to a probe.
    deadlines: Deadlines,
    rng: Rng,
    /// Numbers of the next ping, and of the last one for another.
    next_ping: u32,
    last_relay: u32,
    probe: Option<Probe<A>>,
    round_trips: RoundTrips,
    /// Unless they are switched off.
    coordinates: Option<Box<Coordinates<A>>>,
    seeds: Vec<A>,
    former: Former<A>,
    counters: Counts,

    sync: Sync<A>,
    /// Reused, so that a draw of peers does not allocate.
    drawn: Vec<Slot>,
    /// Reused: events that the datagram at hand brought, by their slots.
    fresh: Vec<u32>,
    /// Once this node was the head of one.
    branches: Option<Box<Branches<A>>>,
    /// Unless it was never here before.
    acquaintances: Option<Box<Acquaintances<A>>>,
    suspicions: BTreeMap<Slot, Suspicion<A>>,
    next_sequence: u64,
    #[cfg(feature = "keyring")]
    session: u64,
    brake: Brake,
    /// Looked at while something is still to be told.
    agreement: Agreement<A>,
}

impl<A: Address> Node<A> {
    fn born(
        now: Instant,
        config: Arc<Config>,
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
        let round_trips = if view.is_some() { RoundTrips::of_few() } else { RoundTrips::default() };
        let mut node = Self {
            phase: Phase::Alone,
            seeds: Vec::new(),
            acquaintances: None,
            next_sequence: setup.first_sequence,
            updates: if view.is_some() { Backlog::of_few() } else { Backlog::default() },
            members: Members::with_view(setup.local, setup.incarnation, setup.stated_metadata(), hash_seed, view),
            rumors: Rumors::new(hash_seed),
            queries: None,
            awareness: Awareness::new(),
            agreement: Agreement::default(),
            listed: false,
            probe: None,
            watch: Rare::new(),
            suspicions: BTreeMap::new(),
            next_ping: rng.below(SEQUENCES),
            last_relay: 0,
            former: Former::default(),
            brake: Brake::default(),
            coordinates: (config.coordinates_max > 0).then(|| Box::new(Coordinates::new(config.coordinates_max))),
            round_trips,
            heard: now,
            unanswered: false,
            sync: Sync::new(),
            branches: None,
            forwards: 0,
            part: 0,
            timers: Timers::default(),
            deadlines: Deadlines::default(),
            mark: Mark::Node,
            #[cfg(feature = "keyring")]
            session: setup.session,
            outgoing: Queue::new(),
            events: Fifo::new(),
            counters: Counts::default(),
            accepted: 0,
            #[cfg(feature = "keyring")]
            sealing: seal::Sealing::new(),
            drawn: Vec::new(),
            fresh: Vec::new(),
            config,
            rng,
        };
        node.members.changes_mut().keep(node.config.changes_max);
        node.members.keep_names(node.config.names);
        node.members.keep_ring(node.config.strategy.keeps_ring());
        #[cfg(feature = "keyring")]
        node.sealing
            .set_keyring(&node.members.local(), setup.session, setup.keyring)
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
        self.notice_lateness(now, matches!(input, Input::Timeout));
        let outcome = match input {
            Input::Datagram { from, bytes } => self.on_datagram(now, from, bytes).map(|()| Outcome::Done),
            Input::Timeout => {
                self.on_timeout(now);
                Ok(Outcome::Done)
            }
            Input::Command(command) => self.on_command(now, command).map_err(InputError::from),
        };
        if self.has_news() {
            self.beat(now);
        }
        outcome
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
        let mut next = transmit;
        // One after the other, rather than from a list of them: this is asked after every input.
        let mut consider = |deadline: Option<Instant>| match (next, deadline) {
            (Some(earlier), Some(deadline)) if earlier <= deadline => {}
            (_, None) => {}
            (_, deadline) => next = deadline,
        };
        consider(self.timers.next());
        consider(self.watch.get().and_then(Watch::next));
        consider(self.rumors.next_expiry());
        consider(self.queries.as_ref().and_then(|queries| queries.next_wake()));
        next
    }

    /// Starts the periodic timers at random phases, so that the nodes of a cluster do not beat together.
    fn arm(&mut self, now: Instant) {
        for (timer, interval) in
            [(Timer::Gossip, self.config.gossip_interval), (Timer::Probe, self.config.probe_interval)]
        {
            let phase = u64::from(self.rng.below(1 << 16)) * (interval.as_nanos() as u64 >> 16);
            self.timers.set(&mut self.deadlines, timer, now + core::time::Duration::from_nanos(phase));
        }
        self.align(now);
    }

    /// Rounds that are to begin together begin at the next multiple of their interval.
    fn align(&mut self, now: Instant) {
        if self.config.aligned_rounds && self.timers.is_set(Timer::Gossip) {
            self.timers.set(
                &mut self.deadlines,
                Timer::Gossip,
                next_beat(now, Instant::ZERO, self.config.gossip_interval),
            );
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
                self.sealing.set_keyring(&local, self.session, keyring)?;
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
            let Some((timer, deadline)) = self.timers.take_due(&self.deadlines, now) else { break };
            match timer {
                Timer::Gossip => {
                    let parts = self.parts(now);
                    self.timers.set(
                        &mut self.deadlines,
                        Timer::Gossip,
                        next_tick(now, deadline, self.config.gossip_interval / parts),
                    );
                    self.align(now);
                    self.on_gossip_round(now, parts);
                    self.rest();
                }
                Timer::ProbeRetry => self.on_probe_retry(now),
                Timer::ProbeTimeout => self.on_probe_timeout(now, deadline),
                Timer::Probe => {
                    // First, since it changes the score: the period and the timeout within it are scaled by the same one.
                    self.finish_probe(now);
                    let period = self.awareness.scale(self.config.probe_interval);
                    self.timers.set(&mut self.deadlines, Timer::Probe, next_tick(now, deadline, period));
                    self.on_probe_period(now);
                }
            }
        }
        if self.watch.get().is_some() {
            self.expire_suspicions(now);
            self.serve_relays(now);
        }
        self.rumors.expire(now);
        self.deliver_overdue(now);
        self.serve_queries(now);
        if self.watch.get().is_some() {
            self.forget_tombstones(now);
        }
        // The last of the others may have died and been forgotten at once: then nothing is left to tell.
        if self.members.peers().is_empty() {
            self.beat(now);
        }
    }

    fn enqueue(&mut self, outgoing: Outgoing<A>) {
        if self.outgoing.len() >= self.config.transmits_max {
            self.counters.add(1, |cold| &mut cold.transmits_refused);
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

/// The first time after `now` that is a multiple of `interval` after or before `beat`.
fn next_beat(now: Instant, beat: Instant, interval: core::time::Duration) -> Instant {
    let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
    let (now_in, beat_in) = (now.as_nanos() % interval, beat.as_nanos() % interval);
    let after = if beat_in > now_in { beat_in - now_in } else { interval - (now_in - beat_in) };
    Instant::from_nanos(now.as_nanos().saturating_add(after))
}

/// The next beat of a periodic timer. A driver that is a whole interval late skips beats rather than serve them in a burst.
fn next_tick(now: Instant, deadline: Instant, interval: core::time::Duration) -> Instant {
    let next = deadline + interval;
    if next <= now { now + interval } else { next }
}

#[cfg(test)]
mod tests;
