//! What the master and a node say to each other over their TCP connection: one JSON object a line.
//!
//! The node connects, says [`Report::Hello`] and then does as it is told. It stays silent unless asked: records wait in
//! the node until the master collects them, so that watching does not disturb what is watched. A record is forgotten by
//! the node only when the master has acknowledged it, so nothing is lost with a connection.

use std::net::SocketAddr;

use netem::spec::{Delay, DropNext, Loss, Sleep};
use serde::{Deserialize, Serialize};

use crate::Version;
use crate::record::Record;

/// The longest line that either side accepts, bytes. A longer one ends the connection.
pub const LINE_MAX: usize = 1 << 20;

/// Master to node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// The node is expected; the answer to [`Report::Hello`].
    Welcome,
    /// The node is refused; it ends.
    Reject {
        /// Why.
        reason: String,
    },
    /// Join the cluster through these gossip addresses.
    Join {
        /// Seeds.
        seeds: Vec<SocketAddr>,
    },
    /// Start an event now. The node records [`crate::record::What::EventStarted`].
    StartEvent {
        /// Index within the run.
        index: u32,
        /// Length of the payload to send.
        payload_bytes: u32,
    },
    /// Let a fault take effect. The node records [`crate::record::What::FaultApplied`].
    Impair {
        /// Which fault of the setting.
        fault: u32,
        /// What.
        impairment: Impairment,
    },
    /// End all faults of the network side.
    Heal,
    /// Say goodbye and end.
    Leave,
    /// Send all records that were neither acknowledged nor sent on this connection before, then [`Report::Collected`].
    /// Records numbered below `acknowledged` are with the master and may be forgotten.
    Collect {
        /// The number of the first record that the master does not have.
        acknowledged: u64,
    },
    /// Say how many members are seen alive, or who they are.
    View {
        /// True for the list.
        list: bool,
    },
    /// Read the clock; the answer is [`Report::Clock`].
    ReadClock {
        /// The master's clock when it sent this, nanoseconds; comes back unchanged.
        sent_ns: u64,
    },
    /// End without a goodbye: the experiment is over.
    Stop,
}

/// A fault that a node lets its socket shim do to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impairment {
    /// Datagrams are lost.
    Loss(Loss),
    /// Datagrams are late.
    Delay(Delay),
    /// The next ones are dropped.
    DropNext(DropNext),
    /// Nothing in, nothing out.
    Sleep(Sleep),
    /// Nothing to and from these gossip addresses.
    Block {
        /// The other side.
        peers: Vec<SocketAddr>,
        /// For how long.
        duration: netem::spec::Span,
    },
}

/// Node to master.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// First line of a connection.
    Hello {
        /// What the node speaks.
        schema: Version,
        /// The node's name.
        name: String,
        /// Its gossip address.
        addr: SocketAddr,
        /// Its process id, as it sees it.
        pid: u32,
        /// Identity of the running kernel: equal to the master's where both read the same clock.
        boot_id: String,
        /// Distinguishes the lives of a node that was restarted.
        life: u64,
    },
    /// One record.
    Record {
        /// The record.
        record: Record,
    },
    /// All records up to here were sent.
    Collected {
        /// The number that the next record will get.
        next: u64,
    },
    /// Answer to [`Order::View`].
    View {
        /// Members seen alive, the node itself included.
        alive: u32,
        /// Who they are, when the list was asked for; empty otherwise.
        members: Vec<SocketAddr>,
    },
    /// Answer to [`Order::ReadClock`].
    Clock {
        /// As it came.
        sent_ns: u64,
        /// The node's clock when it had read the order, nanoseconds.
        clock_ns: u64,
    },
    /// An order could not be carried out.
    Refused {
        /// Which order, and why.
        reason: String,
    },
}
