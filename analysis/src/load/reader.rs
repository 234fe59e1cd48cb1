//! Goes through the lines of a log once and sorts what they say into runs, stays and events.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use event_log::manifest::Manifest;
use event_log::plan::{Action, RunKey};
use event_log::read::{Log, ReadError, Summary, Visit, visit};
use event_log::record::{EventKey, Line, MASTER, What};

use super::{
    Applied, Change, Convergence, Event, Experiment, Gone, Learning, Nanos, Order, Outcome, Run, Settled, Snapshot,
    Stay, StayId, Traffic,
};
use crate::clock::Offsets;

/// Makes sense of the lines of `log`.
#[must_use]
pub fn understand(log: Log) -> Experiment {
    let mut offsets = Offsets::default();
    log.lines.iter().for_each(|line| offsets.add(line));
    let mut loader = Loader::new(log.manifest, offsets);
    log.lines.into_iter().for_each(|line| loader.line(&line));
    loader.finish(log.truncated, log.unknown)
}

/// Reads the log at `path` twice, first for the clocks and then for the rest, so that it never stands in memory as a whole.
pub(super) fn load(path: &Path) -> Result<Experiment, ReadError> {
    let mut clocks = Clocks(Offsets::default());
    let Summary { manifest, .. } = visit(path, &mut clocks)?;
    let mut loader = Loader::new(manifest, clocks.0);
    let Summary { truncated, unknown, .. } = visit(path, &mut loader)?;
    Ok(loader.finish(truncated, unknown))
}

struct Clocks(Offsets);

impl Visit for Clocks {
    fn line(&mut self, line: Line) {
        self.0.add(&line);
    }
}

impl Visit for Loader {
    fn line(&mut self, line: Line) {
        Self::line(self, &line);
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

struct Loader {
    manifest: Manifest,
    planned: Vec<RunKey>,
    offsets: Offsets,
    /// Lines so far.
    position: usize,
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

impl Loader {
    fn new(manifest: Manifest, offsets: Offsets) -> Self {
        Self {
            planned: manifest.plan.runs(),
            manifest,
            offsets,
            position: 0,
            stays: Vec::new(),
            current: BTreeMap::new(),
            runs: BTreeMap::new(),
            events: BTreeMap::new(),
            delivered: BTreeSet::new(),
            pending: Vec::new(),
            settled: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn finish(mut self, truncated: bool, unknown: u64) -> Experiment {
        if unknown > 0 {
            let text = format!(
                "{unknown} records are of kinds that this version does not know and are left out: the log was written by a newer one."
            );
            self.notes.insert(0, text);
        }
        self.place_settled();
        self.place_learnings();
        Experiment {
            clock_error_ns: self.offsets.pair_error_ns().max(self.manifest.clock_error_ns),
            foreign_clocks: self.offsets.foreign(),
            manifest: self.manifest,
            truncated,
            stays: self.stays,
            runs: self.runs.into_values().collect(),
            notes: self.notes,
        }
    }

    fn line(&mut self, line: &Line) {
        let at = self.offsets.correct(self.position, &line.node, line.record.at_ns);
        self.position += 1;
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
        let manifest = &self.manifest;
        let run = self.runs.entry(index).or_insert_with(|| {
            let key = planned.cloned().unwrap_or(RunKey { size: 0, setting: "unknown".to_owned() });
            Run {
                index,
                setting: manifest.plan.setting(&key.setting).cloned(),
                key,
                fault_words: Vec::new(),
                begun: false,
                first: at,
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
                let leaves = matches!(run.action(*fault), Some(Action::Leave | Action::Churn(_)));
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
