//! From the lines of a log to what happened: who was in the cluster when, which events started where, who learnt of them
//! when, which faults took effect.
//!
//! Nothing is judged here; the metrics do that. Times are nanoseconds on the master's clock: a node's stamp plus the
//! latest [`What::ClockOffset`] that stands above it in the log (the first below it when there is none above, zero when
//! there is none at all).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use event_log::manifest::Manifest;
use event_log::plan::{Action, RunKey, Setting};
use event_log::read::{Log, ReadError};
use event_log::record::{EventKey, FaultCounts, Line, MASTER, MemberState, Via, What};

use crate::clock::Offsets;

/// Nanoseconds on the master's clock.
pub type Nanos = i64;

/// A whole log, understood.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Under what circumstances.
    pub manifest: Manifest,
    /// True when the log's last line was cut off.
    pub truncated: bool,
    /// Every stay of a node in the cluster, over all runs. A [`Stay`]'s index is the node's identity everywhere else.
    pub stays: Vec<Stay>,
    /// The runs that the log tells of, by index.
    pub runs: Vec<Run>,
    /// How far stamps of two nodes can be wrong against each other, nanoseconds: the manifest's bound, or the sum of the
    /// two largest errors of the measured offsets if that is more.
    pub clock_error_ns: u64,
    /// Nodes that read another clock than the master, so that their stamps were corrected.
    pub foreign_clocks: usize,
    /// What a reader should know about the log itself.
    pub notes: Vec<String>,
}

/// Index of a [`Stay`].
pub type StayId = usize;

/// One stay of a node in the cluster, from its start to its end.
#[derive(Debug, Clone)]
pub struct Stay {
    /// Name of the node.
    pub name: String,
    /// Gossip address, if the log has it.
    pub addr: Option<SocketAddr>,
    /// When it was added.
    pub from: Nanos,
    /// When and how it went, if it did.
    pub gone: Option<(Nanos, Gone)>,
    /// When its process said that it ends in good order, if it did.
    pub stopped: Option<Nanos>,
    /// Traffic counts, in order.
    pub traffic: Vec<Snapshot<Traffic>>,
    /// Counts of the fault shim, in order.
    pub faults: Vec<Snapshot<FaultCounts>>,
    /// Counters of the protocol, in order.
    pub counters: Vec<Snapshot<BTreeMap<String, u64>>>,
}

/// How a node went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The master killed it.
    Killed,
    /// It was told to leave and said goodbye.
    Left,
    /// Its process ended for another reason (the end of the experiment, as a rule).
    Stopped,
}

/// Cumulative counts at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snapshot<T> {
    /// The run in whose lines it stands.
    pub run: u32,
    /// When it was taken.
    pub at: Nanos,
    /// Which life of the node's process: counts begin anew with each.
    pub life: u32,
    /// The counts since the life began.
    pub counts: T,
}

/// What [`What::Traffic`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Datagrams given to the kernel.
    pub datagrams_sent: u64,
    /// Their UDP payload bytes.
    pub bytes_sent: u64,
    /// Datagrams read from the kernel.
    pub datagrams_received: u64,
    /// Their UDP payload bytes.
    pub bytes_received: u64,
    /// Datagrams that the kernel dropped at the full receive buffer.
    pub overflows: u64,
    /// Processor time, nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory, bytes (a level, not a count).
    pub resident_bytes: u64,
}

/// How far a run got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// To its end.
    Complete,
    /// The master broke it off and said so.
    BrokenOff,
    /// The log ends within it.
    Unfinished,
}

/// One size under one setting.
#[derive(Debug, Clone)]
pub struct Run {
    /// Index within the plan.
    pub index: u32,
    /// Size and setting.
    pub key: RunKey,
    /// The setting as the plan has it, if the plan has it.
    pub setting: Option<Setting>,
    /// The faults in words, as the master put them.
    pub fault_words: Vec<String>,
    /// False when the cluster never converged, so that the run did not begin.
    pub begun: bool,
    /// When it began (its first record if it did not).
    pub from: Nanos,
    /// When it ended (its last record if it did not).
    pub to: Nanos,
    /// How far it got.
    pub outcome: Outcome,
    /// Joining: nodes in the cluster, nodes that were new, how long it took in nanoseconds.
    pub converged: Vec<Convergence>,
    /// The master's warnings.
    pub warnings: Vec<String>,
    /// Events in the order of their start.
    pub events: Vec<Event>,
    /// Records of learning whose event has no start in the log (its origin's records were lost).
    pub orphans: BTreeMap<EventKey, u64>,
    /// Faults that the master ordered.
    pub orders: Vec<Order>,
    /// Faults that took effect or ended at a node.
    pub applied: Vec<Applied>,
    /// Changes of mind about members.
    pub changes: Vec<Change>,
}

/// The cluster was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convergence {
    /// Nodes.
    pub size: u32,
    /// Of them new.
    pub joined: u32,
    /// Time from the first start to the observation, nanoseconds.
    pub took_ns: u64,
}

/// An event and who learnt of it.
#[derive(Debug, Clone)]
pub struct Event {
    /// Identity.
    pub key: EventKey,
    /// Index within the run.
    pub index: u32,
    /// Where it started.
    pub origin: StayId,
    /// T0.
    pub t0: Nanos,
    /// Length of the payload, bytes.
    pub payload_bytes: u32,
    /// First learning of each node, in the order of the log; the origin is not among them.
    pub learnt: BTreeMap<StayId, Learning>,
    /// Deliveries beyond the first within one life of a node's process.
    pub duplicates: u64,
    /// What the master saw when it stopped to wait.
    pub settled: Option<Settled>,
}

/// How and when a node learnt of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learning {
    /// When.
    pub at: Nanos,
    /// Hops from the origin.
    pub hops: u32,
    /// How.
    pub via: Via,
}

/// The master stopped to wait for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// When.
    pub at: Nanos,
    /// Nodes waited for.
    pub expected: u32,
    /// Of them informed.
    pub informed: u32,
    /// Names of (at most 32 of) the others.
    pub missing: Vec<String>,
}

/// The master ordered a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which fault of the setting.
    pub fault: u32,
    /// In words.
    pub text: String,
    /// Name of the node that shall suffer it.
    pub target: String,
    /// When.
    pub at: Nanos,
}

/// A fault took effect or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Which fault of the setting.
    pub fault: u32,
    /// Where.
    pub node: StayId,
    /// True for the beginning.
    pub active: bool,
    /// When.
    pub at: Nanos,
}

/// A node changed its mind about a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Who.
    pub observer: StayId,
    /// About whom.
    pub member: SocketAddr,
    /// The new state.
    pub state: MemberState,
    /// The member's incarnation.
    pub incarnation: u32,
    /// When.
    pub at: Nanos,
}

/// A stretch during which a node was asleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nap {
    /// Who.
    pub node: StayId,
    /// Asleep from.
    pub from: Nanos,
    /// Awake from; `None` when the log does not show the awakening.
    pub to: Option<Nanos>,
    /// How long it was asked to sleep, nanoseconds.
    pub asked: Nanos,
}

impl Run {
    /// What fault number `fault` of the setting does.
    #[must_use]
    pub fn action(&self, fault: u32) -> Option<Action> {
        self.setting.as_ref()?.faults.get(fault as usize)?.action().ok()
    }

    /// Sleeps that took effect in this run.
    #[must_use]
    pub fn naps(&self) -> Vec<Nap> {
        let mut naps: Vec<Nap> = Vec::new();
        for applied in &self.applied {
            let Some(Action::Sleep(sleep)) = self.action(applied.fault) else { continue };
            if applied.active {
                let asked = Nanos::try_from(sleep.duration.get().as_nanos()).unwrap_or(Nanos::MAX);
                naps.push(Nap { node: applied.node, from: applied.at, to: None, asked });
            } else if let Some(nap) = naps.iter_mut().rev().find(|nap| nap.node == applied.node && nap.to.is_none()) {
                nap.to = Some(applied.at);
            }
        }
        naps
    }
}

impl Stay {
    /// Whether the node was in the cluster during all of `from..=to`.
    #[must_use]
    pub fn covers(&self, from: Nanos, to: Nanos) -> bool {
        self.from <= from && self.gone.is_none_or(|(gone, _)| gone > to)
    }

    /// Whether the node was in the cluster at `at`.
    #[must_use]
    pub fn present(&self, at: Nanos) -> bool {
        self.covers(at, at)
    }
}

/// The log that a result folder or a path to a log means.
#[must_use]
pub fn log_path(given: &Path) -> PathBuf {
    if given.is_dir() { given.join("records.jsonl") } else { given.to_path_buf() }
}

/// Reads and understands the log at `path` (a result folder or the log itself).
///
/// # Errors
/// [`ReadError`] when the log cannot be read.
pub fn load(path: &Path) -> Result<Experiment, ReadError> {
    Ok(understand(event_log::read::read(&log_path(path))?))
}

/// Makes sense of the lines of `log`.
#[must_use]
pub fn understand(log: Log) -> Experiment {
    let offsets = Offsets::of(&log.lines);
    let mut loader = Loader {
        manifest: &log.manifest,
        planned: log.manifest.plan.runs(),
        offsets: &offsets,
        stays: Vec::new(),
        current: BTreeMap::new(),
        runs: BTreeMap::new(),
        events: BTreeMap::new(),
        delivered: BTreeSet::new(),
        pending: Vec::new(),
        settled: Vec::new(),
        notes: Vec::new(),
    };
    if log.unknown > 0 {
        loader.notes.push(format!(
            "{} records are of kinds that this version does not know and are left out: the log was written by a newer one.",
            log.unknown
        ));
    }
    for (position, line) in log.lines.iter().enumerate() {
        loader.line(position, line);
    }
    loader.place_settled();
    loader.place_learnings();
    let (stays, runs, notes) = (loader.stays, loader.runs.into_values().collect(), loader.notes);
    Experiment {
        clock_error_ns: offsets.pair_error_ns().max(log.manifest.clock_error_ns),
        foreign_clocks: offsets.foreign(),
        manifest: log.manifest,
        truncated: log.truncated,
        stays,
        runs,
        notes,
    }
}

/// Where a node stands while the lines pass by.
#[derive(Debug, Clone, Copy)]
struct Current {
    stay: StayId,
    life: u32,
    /// The number that the next record of this life has at least.
    next: u64,
}

struct Loader<'a> {
    manifest: &'a Manifest,
    planned: Vec<RunKey>,
    offsets: &'a Offsets,
    stays: Vec<Stay>,
    current: BTreeMap<String, Current>,
    runs: BTreeMap<u32, Run>,
    /// Run and place of each event with a start.
    events: BTreeMap<EventKey, (u32, usize)>,
    /// Deliveries seen: who, in which life, which event.
    delivered: BTreeSet<(StayId, u32, EventKey)>,
    /// Learnings, kept until all starts are known: lines of several nodes are collected in no particular order.
    pending: Vec<(u32, StayId, u32, EventKey, Learning)>,
    /// What the master saw, kept likewise.
    settled: Vec<(EventKey, Settled)>,
    notes: Vec<String>,
}

impl Loader<'_> {
    fn line(&mut self, position: usize, line: &Line) {
        let at = self.offsets.correct(position, &line.node, line.record.at_ns);
        self.run(line.run, at);
        if line.node == MASTER {
            self.master_line(line, at);
        } else {
            let current = self.follow(line, at);
            self.node_line(line, at, current);
        }
    }

    /// The run with this index, which is made when it is met first.
    fn run(&mut self, index: u32, at: Nanos) -> &mut Run {
        let planned = self.planned.get(index as usize);
        let manifest = self.manifest;
        let run = self.runs.entry(index).or_insert_with(|| {
            let key = planned.cloned().unwrap_or(RunKey { size: 0, setting: "unknown".to_owned() });
            Run {
                index,
                setting: manifest.plan.setting(&key.setting).cloned(),
                key,
                fault_words: Vec::new(),
                begun: false,
                from: at,
                to: at,
                outcome: Outcome::Unfinished,
                converged: Vec::new(),
                warnings: Vec::new(),
                events: Vec::new(),
                orphans: BTreeMap::new(),
                orders: Vec::new(),
                applied: Vec::new(),
                changes: Vec::new(),
            }
        });
        if run.outcome == Outcome::Unfinished {
            run.to = run.to.max(at);
        }
        run
    }

    fn master_line(&mut self, line: &Line, at: Nanos) {
        match &line.record.what {
            What::NodeAdded { name, addr } => self.added(name, *addr, at),
            What::NodeKilled { name } => self.gone(name, at, Gone::Killed),
            What::FaultOrdered { fault, text, target } => {
                let order = Order { fault: *fault, text: text.clone(), target: target.clone(), at };
                let run = self.run(line.run, at);
                let leaves = matches!(run.action(*fault), Some(Action::Leave));
                run.orders.push(order);
                if leaves {
                    self.gone(target, at, Gone::Left);
                }
            }
            What::RunStarted { key, faults } => {
                let setting = self.manifest.plan.setting(&key.setting).cloned();
                let run = self.run(line.run, at);
                run.key = key.clone();
                run.setting = setting;
                run.fault_words.clone_from(faults);
                run.begun = true;
                run.from = at;
            }
            What::Converged { size, took_ns, joined } => {
                let converged = Convergence { size: *size, joined: *joined, took_ns: *took_ns };
                self.run(line.run, at).converged.push(converged);
            }
            What::RunEnded { complete } => {
                let run = self.run(line.run, at);
                run.outcome = if *complete { Outcome::Complete } else { Outcome::BrokenOff };
                run.to = at;
            }
            What::Warning { text } => self.run(line.run, at).warnings.push(text.clone()),
            What::EventSettled { event, expected, informed, missing } => {
                let settled = Settled { at, expected: *expected, informed: *informed, missing: missing.clone() };
                self.settled.push((event.clone(), settled));
            }
            What::ClockOffset { .. } => {}
            _ => self.notes.push(format!("Record {} of the master is one that only nodes write.", line.record.number)),
        }
    }

    fn node_line(&mut self, line: &Line, at: Nanos, current: Current) {
        let Current { stay, life, .. } = current;
        let run = line.run;
        match &line.record.what {
            What::NodeStarted { addr, .. } => {
                self.stays[stay].addr.get_or_insert(*addr);
            }
            What::NodeStopped => {
                self.stays[stay].stopped = Some(at);
                self.gone(&line.node, at, Gone::Stopped);
            }
            What::EventStarted { event, index, payload_bytes } => {
                self.delivered.insert((stay, life, event.clone()));
                let events = &mut self.runs.get_mut(&run).expect("a line's run is in the table").events;
                if self.events.insert(event.clone(), (run, events.len())).is_some() {
                    self.notes.push(format!("Event {} starts twice in the log.", event.0));
                }
                events.push(Event {
                    key: event.clone(),
                    index: *index,
                    origin: stay,
                    t0: at,
                    payload_bytes: *payload_bytes,
                    learnt: BTreeMap::new(),
                    duplicates: 0,
                    settled: None,
                });
            }
            What::EventLearnt { event, hops, via, .. } => {
                let learning = Learning { at, hops: *hops, via: *via };
                self.pending.push((run, stay, life, event.clone(), learning));
            }
            What::MemberChanged { member, state, incarnation, .. } => {
                let (member, state, incarnation) = (*member, *state, *incarnation);
                self.run(run, at).changes.push(Change { observer: stay, member, state, incarnation, at });
            }
            What::FaultApplied { fault, active } => {
                let applied = Applied { fault: *fault, node: stay, active: *active, at };
                self.run(run, at).applied.push(applied);
            }
            What::Traffic {
                datagrams_sent,
                bytes_sent,
                datagrams_received,
                bytes_received,
                receive_buffer_overflows,
                cpu_ns,
                resident_bytes,
            } => {
                let counts = Traffic {
                    datagrams_sent: *datagrams_sent,
                    bytes_sent: *bytes_sent,
                    datagrams_received: *datagrams_received,
                    bytes_received: *bytes_received,
                    overflows: *receive_buffer_overflows,
                    cpu_ns: *cpu_ns,
                    resident_bytes: *resident_bytes,
                };
                self.stays[stay].traffic.push(Snapshot { run, at, life, counts });
            }
            What::Faults(counts) => self.stays[stay].faults.push(Snapshot { run, at, life, counts: *counts }),
            What::Counters { counts } => {
                self.stays[stay].counters.push(Snapshot { run, at, life, counts: counts.clone() });
            }
            _ => self
                .notes
                .push(format!("Record {} of {} is one that only the master writes.", line.record.number, line.node)),
        }
    }

    /// Finds the stay and the life that a node's line belongs to. A number below the expected one means that the node's
    /// process began anew.
    fn follow(&mut self, line: &Line, at: Nanos) -> Current {
        let number = line.record.number;
        let (mut current, known) = match self.current.get(&line.node) {
            Some(current) => (*current, true),
            None => (self.open(&line.node, None, at), false),
        };
        if known && number < current.next {
            if self.stays[current.stay].gone.is_some() {
                current = self.open(&line.node, None, at);
            } else {
                current.life += 1;
                self.notes.push(format!(
                    "Node {} began anew in run {} although nobody had ended it: its process must have died by itself.",
                    line.node, line.run
                ));
            }
        }
        current.next = number + 1;
        self.current.insert(line.node.clone(), current);
        current
    }

    fn added(&mut self, name: &str, addr: SocketAddr, at: Nanos) {
        let stay = match self.current.get(name) {
            Some(current) if self.stays[current.stay].gone.is_none() => current.stay,
            _ => self.open(name, Some(addr), at).stay,
        };
        self.stays[stay].addr = Some(addr);
        self.stays[stay].from = self.stays[stay].from.min(at);
    }

    fn open(&mut self, name: &str, addr: Option<SocketAddr>, at: Nanos) -> Current {
        let stay = self.stays.len();
        self.stays.push(Stay {
            name: name.to_owned(),
            addr,
            from: at,
            gone: None,
            stopped: None,
            traffic: Vec::new(),
            faults: Vec::new(),
            counters: Vec::new(),
        });
        let current = Current { stay, life: 0, next: 0 };
        self.current.insert(name.to_owned(), current);
        current
    }

    /// Notes the end of a stay. What is told first counts: a leaver's process also stops.
    fn gone(&mut self, name: &str, at: Nanos, how: Gone) {
        match self.current.get(name) {
            Some(current) => {
                self.stays[current.stay].gone.get_or_insert((at, how));
            }
            None => self.notes.push(format!("Node {name} went ({how:?}) but was never added.")),
        }
    }

    fn place_settled(&mut self) {
        for (key, settled) in std::mem::take(&mut self.settled) {
            match self.events.get(&key) {
                Some((run, place)) => {
                    let run = self.runs.get_mut(run).expect("an event's run is in the table");
                    run.events[*place].settled = Some(settled);
                }
                None => self.notes.push(format!(
                    "The master waited for event {}, but the log has no record of its start: it is left out.",
                    key.0
                )),
            }
        }
    }

    fn place_learnings(&mut self) {
        for (run, stay, life, key, learning) in std::mem::take(&mut self.pending) {
            let Some(&(home, place)) = self.events.get(&key) else {
                *self.runs.get_mut(&run).expect("a line's run is in the table").orphans.entry(key).or_default() += 1;
                continue;
            };
            let first = self.delivered.insert((stay, life, key));
            let event = &mut self.runs.get_mut(&home).expect("an event's run is in the table").events[place];
            if first && stay != event.origin {
                event.learnt.entry(stay).or_insert(learning);
            } else if !first {
                event.duplicates += 1;
            }
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
pub(crate) mod tests;
