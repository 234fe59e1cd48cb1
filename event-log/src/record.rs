//! Records: one thing that happened, at one node, at one time.
//!
//! # Time
//! `at_ns` is the reading of `CLOCK_MONOTONIC`, in nanoseconds, on the machine of the node that tells; nothing that a node
//! did is stamped at the master. On one machine all containers and processes share this clock, so the stamps compare
//! without a correction. A node on another machine has an offset, which the master estimates over the control connection
//! and notes as [`What::ClockOffset`]; `at_ns + offset_ns` is then the time on the master's clock, within `error_ns`.
//! In a simulated result all stamps are virtual time, which is exact whatever the nodes' own clocks say; each run has a stretch of
//! it to itself.
//!
//! # Order
//! Lines stand in the order in which the master got them. `run` says to which run a line belongs, `node` and `number`
//! together are unique within a log (a node sends its records again after a lost connection; the writer drops repeats).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::plan::RunKey;

/// One line of a log after the first: a record and where it belongs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Index of the run within the plan, from 0. A run is one size under one setting.
    pub run: u32,
    /// Name of the node, or [`MASTER`].
    pub node: String,
    /// What happened and when.
    #[serde(flatten)]
    pub record: Record,
}

/// The node name under which the master's own records stand.
pub const MASTER: &str = "master";

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts the records of one life of one node, from 0 (the master counts its own). A restarted node starts again
    /// at 0 and says so with [`What::NodeStarted`].
    pub number: u64,
    /// When, in nanoseconds of the telling node's monotonic clock.
    pub at_ns: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// Identity of an event: the address of the node that started it and that node's sequence number, written
/// `address#sequence`. Unique over restarts of the origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventKey(pub String);

impl EventKey {
    /// The key of event `sequence` of the node at `origin`.
    #[must_use]
    pub fn new(origin: SocketAddr, sequence: u64) -> Self {
        Self(format!("{origin}#{sequence}"))
    }
}

/// How an event reached a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The teller called the learner (gossip round).
    Push,
    /// The learner called and the teller answered.
    Pull,
    /// It rode on a probe, its answer, or another message of failure detection.
    Probe,
    /// Anti-entropy found the difference.
    Sync,
    /// It rode on a message between applications.
    Message,
}

/// What a node holds to be true of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Answers.
    Alive,
    /// Did not answer; may refute.
    Suspect,
    /// Declared faulty (SWIM's Confirm).
    Dead,
    /// Said goodbye.
    Left,
    /// No longer remembered.
    Forgotten,
}

/// What happened. In JSON the field `what` names the variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    // ---- told by the master ----
    /// A run begins: the cluster has this many nodes and every node sees every node.
    RunStarted {
        /// Size and setting.
        key: RunKey,
        /// The faults in words, one phrase each, as the report prints them.
        faults: Vec<String>,
    },
    /// The cluster was complete: every node saw every node.
    Converged {
        /// Nodes.
        size: u32,
        /// From the start of the first of the new nodes to the observation, in nanoseconds (polled, so an upper bound).
        took_ns: u64,
        /// How many nodes were new.
        joined: u32,
    },
    /// The master told a node to do something about a fault.
    FaultOrdered {
        /// Which fault of the setting, from 0.
        fault: u32,
        /// The fault in words.
        text: String,
        /// Name of the node that shall suffer it.
        target: String,
    },
    /// A node belongs to the cluster from now on.
    NodeAdded {
        /// Its name.
        name: String,
        /// Its gossip address.
        addr: SocketAddr,
    },
    /// A node was killed by the master (a crash).
    NodeKilled {
        /// Its name.
        name: String,
    },
    /// Estimate of a node's clock against the master's, made over the control connection.
    ClockOffset {
        /// Node.
        name: String,
        /// Add this to the node's `at_ns` to get the master's clock. Nanoseconds.
        offset_ns: i64,
        /// Bound of the error: half the shortest round trip. 0 when both read the same clock.
        error_ns: u64,
    },
    /// All living nodes that were waited for know the event, or the limit passed.
    EventSettled {
        /// Which event.
        event: EventKey,
        /// How many nodes were waited for (the origin included).
        expected: u32,
        /// How many of them know it.
        informed: u32,
        /// Names of those that do not (the first 32).
        missing: Vec<String>,
    },
    /// A run is over and all its records that could be had stand above.
    RunEnded {
        /// True when it went to its end, false when it was broken off.
        complete: bool,
    },
    /// Something that a reader of the result should know.
    Warning {
        /// In words.
        text: String,
    },

    // ---- told by a node ----
    /// A node's process began.
    NodeStarted {
        /// Gossip address.
        addr: SocketAddr,
        /// Version of the agent.
        version: String,
        /// Receive buffer of the socket that the kernel granted, bytes.
        receive_buffer_bytes: u64,
    },
    /// A node's process ends in good order.
    NodeStopped,
    /// The application at this node started an event. `at_ns` is T0.
    EventStarted {
        /// Which.
        event: EventKey,
        /// Index of the event within the run, as ordered by the master, from 0.
        index: u32,
        /// Length of its payload.
        payload_bytes: u32,
    },
    /// A node learnt of an event for the first time. `at_ns` is when the datagram was read from the socket and had passed
    /// the fault models.
    EventLearnt {
        /// Which.
        event: EventKey,
        /// Hops from the origin, 1 for a node told by the origin itself.
        hops: u32,
        /// Gossip address of the node that told.
        from: SocketAddr,
        /// How.
        via: Via,
    },
    /// A node changed its mind about a member.
    MemberChanged {
        /// Gossip address of the member.
        member: SocketAddr,
        /// The state it has now.
        state: MemberState,
        /// Its incarnation.
        incarnation: u32,
        /// Who told, if it was told rather than found out.
        from: Option<SocketAddr>,
    },
    /// A fault took effect at this node or ended.
    FaultApplied {
        /// Which fault of the setting.
        fault: u32,
        /// True when it took effect, false when it ended.
        active: bool,
    },
    /// Cumulative counts since the node started, on the wire side of the fault shim (what the kernel was given or gave).
    Traffic {
        /// Datagrams given to the kernel.
        datagrams_sent: u64,
        /// UDP payload bytes given to the kernel.
        bytes_sent: u64,
        /// Datagrams read from the kernel.
        datagrams_received: u64,
        /// UDP payload bytes read from the kernel.
        bytes_received: u64,
        /// Datagrams that the kernel dropped because the receive buffer was full (`SO_RXQ_OVFL`).
        receive_buffer_overflows: u64,
        /// Processor time of the agent's process, user and system, nanoseconds. A simulated node has none of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cpu_ns: Option<u64>,
        /// Resident memory of the agent's process, bytes. A simulated node has no process of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resident_bytes: Option<u64>,
    },
    /// Cumulative counts of the fault shim since the node started: what it was asked for and what it did.
    Faults(FaultCounts),
    /// Cumulative counters of the protocol since the node started, by name (dropped, refused, bounded, retried …).
    Counters {
        /// Name → count.
        counts: BTreeMap<String, u64>,
    },
}

/// What the fault shim did, cumulative, to be held against what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FaultCounts {
    /// Datagrams judged on the way out, dropped ones included.
    pub judged_out: u64,
    /// Datagrams judged on the way in.
    pub judged_in: u64,
    /// Datagrams on which a loss of probability p > 0 was tried.
    pub loss_trials: u64,
    /// Sum of those probabilities: the expected number of losses.
    pub loss_expected: f64,
    /// Datagrams lost so.
    pub loss_dropped: u64,
    /// Datagrams dropped by "drop the next n".
    pub next_dropped: u64,
    /// Datagrams dropped while asleep.
    pub sleep_dropped: u64,
    /// Datagrams dropped at a partition.
    pub partition_dropped: u64,
    /// Datagrams dropped because the delay queue was full.
    pub queue_dropped: u64,
    /// Datagrams delayed.
    pub delayed: u64,
    /// Sum of the delays drawn, nanoseconds.
    pub delay_sum_ns: f64,
    /// Sum of their squares, ns².
    pub delay_square_sum_ns2: f64,
    /// Sum of the lateness of the release over the drawn delay (what the timer added), nanoseconds.
    pub delay_late_sum_ns: f64,
}

impl From<&netem::Counts> for FaultCounts {
    /// What the fault models counted; nothing of queues and timers, which are the driver's.
    fn from(counts: &netem::Counts) -> Self {
        Self {
            judged_out: counts.judged_out,
            judged_in: counts.judged_in,
            loss_trials: counts.loss_trials,
            loss_expected: counts.loss_expected,
            loss_dropped: counts.loss_dropped,
            next_dropped: counts.next_dropped,
            sleep_dropped: counts.sleep_dropped,
            partition_dropped: counts.partition_dropped,
            delayed: counts.delayed,
            delay_sum_ns: counts.delay_sum_ns,
            delay_square_sum_ns2: counts.delay_square_sum_ns2,
            ..Self::default()
        }
    }
}

/// What a record needs of what a node tells its application; nothing for what no report looks at. The agent and the simulator
/// write the same.
#[must_use]
pub fn of_event(event: &gossip_core::Event<SocketAddr>) -> Option<What> {
    use gossip_core::Event;
    Some(match event {
        Event::UserEvent { id, hops, from, via, .. } => What::EventLearnt {
            event: EventKey::new(id.origin, id.sequence),
            hops: u32::from(*hops),
            from: *from,
            via: (*via).into(),
        },
        Event::MemberChanged { addr, state, incarnation, told_by, .. } => {
            What::MemberChanged { member: *addr, state: (*state).into(), incarnation: *incarnation, from: *told_by }
        }
        Event::MemberForgotten { addr } => {
            What::MemberChanged { member: *addr, state: MemberState::Forgotten, incarnation: 0, from: None }
        }
        _ => return None,
    })
}

impl From<gossip_core::MemberState> for MemberState {
    fn from(state: gossip_core::MemberState) -> Self {
        match state {
            gossip_core::MemberState::Alive => Self::Alive,
            gossip_core::MemberState::Suspect => Self::Suspect,
            gossip_core::MemberState::Dead => Self::Dead,
            gossip_core::MemberState::Left => Self::Left,
        }
    }
}

impl From<gossip_core::Via> for Via {
    fn from(via: gossip_core::Via) -> Self {
        match via {
            gossip_core::Via::Push => Self::Push,
            gossip_core::Via::Pull => Self::Pull,
            gossip_core::Via::Probe => Self::Probe,
            gossip_core::Via::Sync => Self::Sync,
            gossip_core::Via::Message => Self::Message,
        }
    }
}
