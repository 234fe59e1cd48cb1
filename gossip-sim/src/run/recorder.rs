//! Who watches a run: writes the records that agents and master would write, and keeps what the conductor has to know.
//!
//! A line is written when what it tells happens, so a log is in order of virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::time::Duration;

use event_log::plan::node_name;
use event_log::record::{EventKey, FaultCounts, Line, MASTER, MemberState, Record, What, of_event};
use event_log::trace::write_line;
use gossip_core::{Event, EventId};

use crate::{Addresses as _, Cause, Fate, Handled, Lifecycle, NodeId, Observer};

/// In larger clusters the records of the formation, in which each node tells of its first sight of each other, are left out: they
/// would be N² lines of which no report uses any.
pub const FORMATION_TOLD_MAX: u32 = 256;

/// What went over the wire at one node, on the network's side of its fault models.
#[derive(Debug, Clone, Copy, Default)]
struct Wire {
    datagrams_sent: u64,
    bytes_sent: u64,
    datagrams_received: u64,
    bytes_received: u64,
    overflows: u64,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    /// The number of its next record.
    next: u64,
    wire: Wire,
    /// Faults in force, by number.
    faults: Vec<u32>,
    joined: bool,
}

/// An event of the run and who knows it.
#[derive(Debug)]
struct Known {
    key: EventKey,
    informed: Vec<u64>,
}

/// Writes the records of one run.
#[derive(Debug)]
pub(crate) struct Recorder {
    out: BufWriter<File>,
    failed: Option<io::Error>,
    run: u32,
    /// What virtual time 0 of the run is on the axis of the whole log, nanoseconds.
    base_ns: u64,
    told: u64,
    nodes: Vec<Seen>,
    by_id: BTreeMap<EventId<SocketAddr>, usize>,
    events: Vec<(u32, Known)>,
    /// Whom each holds for dead, or has forgotten after that: member, observer.
    dead: BTreeSet<(NodeId, NodeId)>,
    /// Nodes that said goodbye and were not seen to since.
    left: Vec<NodeId>,
    /// True while first sights are left out.
    silent: bool,
}

impl Recorder {
    pub(super) fn new(out: File, run: u32, base_ns: u64, silent: bool) -> Self {
        Self {
            out: BufWriter::with_capacity(1 << 18, out),
            failed: None,
            run,
            base_ns,
            // Unique within the log, as a master's are.
            told: u64::from(run) << 32,
            nodes: Vec::new(),
            by_id: BTreeMap::new(),
            events: Vec::new(),
            dead: BTreeSet::new(),
            left: Vec::new(),
            silent,
        }
    }

    /// From now on nothing is left out.
    pub(super) fn formed(&mut self) {
        self.silent = false;
    }

    /// A record of the master.
    pub(super) fn tell(&mut self, now: Duration, what: What) {
        let number = self.told;
        self.told += 1;
        self.write(MASTER.to_owned(), number, now, what);
    }

    /// A record of a node.
    pub(super) fn node(&mut self, now: Duration, id: NodeId, what: What) {
        let seen = self.seen(id);
        let number = seen.next;
        seen.next += 1;
        self.write(node_name(id), number, now, what);
    }

    fn write(&mut self, node: String, number: u64, now: Duration, what: What) {
        let at_ns = self.base_ns + now.as_nanos() as u64;
        let line = Line { run: self.run, node, record: Record { number, at_ns, what } };
        if let Err(error) = write_line(&mut self.out, &line) {
            self.failed.get_or_insert(error);
        }
    }

    /// Whether all could be written so far.
    pub(super) fn check(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Hands everything to the operating system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        self.out.flush()
    }

    fn seen(&mut self, id: NodeId) -> &mut Seen {
        let index = id as usize;
        if index >= self.nodes.len() {
            self.nodes.resize_with(index + 1, Seen::default);
        }
        &mut self.nodes[index]
    }

    // ---- lives ----

    /// A node begins a life: its process has just started.
    pub(super) fn born(&mut self, now: Duration, id: NodeId) {
        let addr = SocketAddr::of(id);
        *self.seen(id) = Seen::default();
        self.dead.retain(|(member, observer)| *member != id && *observer != id);
        self.tell(now, What::NodeAdded { name: node_name(id), addr });
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.node(now, id, What::NodeStarted { addr, version, receive_buffer_bytes: 0 });
    }

    /// A node of a new life knows nothing of the events of the old one.
    pub(super) fn forgets(&mut self, id: NodeId) {
        for (_, known) in &mut self.events {
            known.set(id, false);
        }
    }

    /// Whether a node has become a member.
    pub(super) fn has_joined(&self, id: NodeId) -> bool {
        self.nodes.get(id as usize).is_some_and(|seen| seen.joined)
    }

    /// Nodes that have said goodbye since the last question.
    pub(super) fn take_left(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.left)
    }

    // ---- counts ----

    /// The cumulative counts of a node.
    pub(super) fn counts(
        &mut self,
        now: Duration,
        id: NodeId,
        faults: Option<&netem::Counts>,
        counters: impl Iterator<Item = (&'static str, u64)>,
    ) {
        let wire = self.seen(id).wire;
        let traffic = What::Traffic {
            datagrams_sent: wire.datagrams_sent,
            bytes_sent: wire.bytes_sent,
            datagrams_received: wire.datagrams_received,
            bytes_received: wire.bytes_received,
            receive_buffer_overflows: wire.overflows,
            cpu_ns: None,
            resident_bytes: None,
        };
        self.node(now, id, traffic);
        self.node(now, id, What::Faults(faults.map(FaultCounts::from).unwrap_or_default()));
        let counts = counters.filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect();
        self.node(now, id, What::Counters { counts });
    }

    // ---- events ----

    /// A node has started event `index`.
    pub(super) fn started(
        &mut self,
        now: Duration,
        origin: NodeId,
        id: EventId<SocketAddr>,
        index: u32,
        payload_bytes: u32,
    ) {
        let key = EventKey::new(id.origin, id.sequence);
        self.by_id.insert(id, self.events.len());
        let mut known = Known { key: key.clone(), informed: Vec::new() };
        known.set(origin, true);
        self.events.push((index, known));
        self.node(now, origin, What::EventStarted { event: key, index, payload_bytes });
    }

    /// The identity of the event with this number in the order of starts.
    pub(super) fn key(&self, place: usize) -> &EventKey {
        &self.events[place].1.key
    }

    /// How many events were started.
    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// Whether a node knows an event.
    pub(super) fn knows(&self, place: usize, id: NodeId) -> bool {
        self.events[place].1.get(id)
    }

    /// Whether `observer` holds `member` for dead, or has forgotten it after that.
    pub(super) fn holds_dead(&self, observer: NodeId, member: NodeId) -> bool {
        self.dead.contains(&(member, observer))
    }
}

impl Known {
    fn get(&self, id: NodeId) -> bool {
        self.informed.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    fn set(&mut self, id: NodeId, on: bool) {
        let (index, bit) = (id as usize / 64, 1 << (id % 64));
        if index >= self.informed.len() {
            self.informed.resize(index + 1, 0);
        }
        if on { self.informed[index] |= bit } else { self.informed[index] &= !bit }
    }
}

impl Observer<SocketAddr> for Recorder {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<SocketAddr>) {
        match event {
            Event::UserEvent { id, .. } => {
                if let Some(&place) = self.by_id.get(id) {
                    self.events[place].1.set(node, true);
                }
            }
            Event::MemberChanged { addr, state, .. } => {
                if let Some(member) = addr.id() {
                    match MemberState::from(*state) {
                        MemberState::Dead => drop(self.dead.insert((member, node))),
                        _ => drop(self.dead.remove(&(member, node))),
                    }
                }
                if self.silent && *state == gossip_core::MemberState::Alive {
                    return;
                }
            }
            Event::Joined { .. } => self.seen(node).joined = true,
            Event::Left => {
                self.node(now, node, What::NodeStopped);
                self.left.push(node);
            }
            _ => {}
        }
        if let Some(what) = of_event(event) {
            self.node(now, node, what);
        }
    }

    fn on_sent(&mut self, _: Duration, from: NodeId, _: SocketAddr, bytes: &[u8], fate: Fate) {
        // What the node's own fault models kept never reached the network.
        if matches!(fate, Fate::Waits) || matches!(fate, Fate::Dropped(cause) if is_own(cause)) {
            return;
        }
        let wire = &mut self.seen(from).wire;
        wire.datagrams_sent += 1;
        wire.bytes_sent += bytes.len() as u64;
    }

    fn on_delivered(&mut self, _: Duration, _: SocketAddr, to: NodeId, bytes: &[u8], _: &Handled<SocketAddr>) {
        self.received(to, bytes);
    }

    fn on_lost(&mut self, _: Duration, _: SocketAddr, to: NodeId, bytes: &[u8], cause: Cause) {
        if is_own(cause) {
            self.received(to, bytes);
        } else if cause == Cause::InboxFull {
            self.seen(to).wire.overflows += 1;
        }
    }

    fn on_lifecycle(&mut self, now: Duration, node: NodeId, lifecycle: Lifecycle) {
        match lifecycle {
            Lifecycle::Impaired { fault } => {
                self.seen(node).faults.push(fault);
                self.node(now, node, What::FaultApplied { fault, active: true });
            }
            Lifecycle::FaultEnded { fault } => {
                self.seen(node).faults.retain(|active| *active != fault);
                self.node(now, node, What::FaultApplied { fault, active: false });
            }
            Lifecycle::Healed => {
                let mut faults = std::mem::take(&mut self.seen(node).faults);
                faults.sort_unstable();
                for fault in faults {
                    self.node(now, node, What::FaultApplied { fault, active: false });
                }
            }
            _ => {}
        }
    }
}

impl Recorder {
    fn received(&mut self, to: NodeId, bytes: &[u8]) {
        let wire = &mut self.seen(to).wire;
        wire.datagrams_received += 1;
        wire.bytes_received += bytes.len() as u64;
    }
}

/// Whether it was a node's own fault models that kept a datagram.
fn is_own(cause: Cause) -> bool {
    matches!(cause, Cause::Asleep | Cause::Partitioned | Cause::DropNext | Cause::Loss)
}
