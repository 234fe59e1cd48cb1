//! From the lines of a log to what happened: who was in the cluster when, which events started where, who learnt of them
//! when, which faults took effect.
//!
//! Nothing is judged here; the metrics do that. Times are nanoseconds on the master's clock: a node's stamp plus the
//! latest `ClockOffset` that stands above it in the log (the first below it when there is none above, zero when
//! there is none at all).

mod reader;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use event_log::manifest::Manifest;
use event_log::plan::{Action, RunKey, Setting};
use event_log::read::ReadError;
use event_log::record::{EventKey, FaultCounts, MemberState, Via};

pub use self::reader::understand;

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

/// What [`Traffic`](event_log::record::What::Traffic) says.
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
    /// Processor time, nanoseconds, if the node has a process of its own.
    pub cpu_ns: Option<u64>,
    /// Resident memory, bytes (a level, not a count), if the node has a process of its own.
    pub resident_bytes: Option<u64>,
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
    /// Its first record.
    pub first: Nanos,
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
    /// Whether the node was in the cluster during all of `from..=to`. One that went at the very end was: in virtual time a run's
    /// last wait and the stop of its nodes fall together.
    #[must_use]
    pub fn covers(&self, from: Nanos, to: Nanos) -> bool {
        self.from <= from && self.gone.is_none_or(|(gone, _)| gone > from && gone >= to)
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
    reader::load(&log_path(path))
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
