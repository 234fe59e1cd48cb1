//! The great run: a hundred thousand real nodes, each with a membership of all, in one process; and what happens to them.
//!
//! ```text
//!   born        nodes that know each other, of one view          memory per node
//!   settled     they probe and are silent otherwise              memory per node, cost of idling
//!   joined      newcomers join over some time                    how long until all know all
//!   informed    an event spreads                                 when half, 99 % and all know it; none twice
//!   detected    a node crashes                                   when it is suspected, and dead for one, half and all; nobody else
//!   converged   all views are equal                              by digest, and member by member
//!   forgotten   what happened is forgotten                       memory is as it was
//! ```
//! Every second the cluster's view is renewed after one node, and all refer to it (see [`Node::share`](gossip_core::Node::share)): what
//! they have come to know in common is held once. The run is a function of the plan; the [`Meter`] only watches.

mod phases;
mod watch;

use std::time::Duration;

use gossip_core::{Config, Fanout, Strategy};

pub use phases::{Failure, run};

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// Nodes that know each other from birth.
    pub nodes: u32,
    /// Nodes that join,
    pub joins: u32,
    /// those of them that know nobody then: the others come with the membership, as from a snapshot.
    pub from_nothing: u32,
    /// Over this time.
    pub join_span: Duration,
    /// The master seed.
    pub seed: u64,
    /// What all nodes are configured with.
    pub config: Config,
    /// One-way times of datagrams: evenly between the two.
    pub latency: (Duration, Duration),
    /// Time between two renewals of the view.
    pub share_every: Duration,
    /// How long the idle cluster is watched.
    pub idle: Duration,
    /// Heap that a node may take beside the views at rest, what simulates it included, but for eight mebibytes that any simulation
    /// may. Not looked at where the [`Meter`] knows none.
    pub bytes_per_node_max: u64,
}

impl Scale {
    /// As many nodes, a two-hundredth of which joins over ten seconds.
    #[must_use]
    pub fn of(nodes: u32) -> Self {
        Self {
            nodes,
            joins: (nodes / 200).max(1),
            from_nothing: 1,
            join_span: Duration::from_secs(10),
            seed: 1,
            config: config(nodes),
            latency: (Duration::from_micros(500), Duration::from_millis(5)),
            share_every: Duration::from_secs(1),
            idle: Duration::from_secs(5),
            bytes_per_node_max: 2048,
        }
    }
}

/// The preset of one data centre, for so many nodes in one process.
#[must_use]
pub fn config(nodes: u32) -> Config {
    let preset = Config::lan();
    Config {
        strategy: Strategy::PushPull { fanout: Fanout::Fixed(3) },
        members_max: (nodes as usize * 2).max(preset.members_max),
        // Nobody reads it, and with a hundred thousand of them it would be gigabytes.
        changes_max: 0,
        // In a cluster of this size a member is probed again after a day: what was measured then is no help.
        probe_timeout_min: preset.probe_timeout,
        ..preset
    }
}

/// Who knows what the machine knows: a run may not ask it.
pub trait Meter {
    /// What was used so far.
    fn sample(&mut self) -> Sample;

    /// A phase is over.
    fn on_phase(&mut self, phase: &Phase) {
        let _ = phase;
    }

    /// The run is in a phase and this is where it stands.
    fn on_progress(&mut self, phase: &str, now: Duration, of: String) {
        let _ = (phase, now, of);
    }
}

/// What a process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Time since some beginning.
    pub wall: Duration,
    /// Processor time.
    pub cpu: Duration,
    /// Bytes that are allocated now, if that is known.
    pub heap: Option<u64>,
    /// Bytes of memory that the process holds now, and that it held at most.
    pub resident: u64,
    /// At most so far.
    pub resident_peak: u64,
}

/// What a phase took and found.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// How much virtual time it took.
    pub virtual_time: Duration,
    /// And how much of ours.
    pub wall: Duration,
    /// And of the processor's.
    pub cpu: Duration,
    /// Datagrams sent.
    pub datagrams: u64,
    /// What was used at its end.
    pub after: Sample,
    /// Bytes of the view.
    pub view: Option<u64>,
    /// Heap per node beside the view.
    pub bytes_per_node: Option<u64>,
    /// What it found, by name.
    pub found: Vec<(&'static str, String)>,
}
