//! A run of chaos as a value: who is there, how they are configured, and what happens to them when.
//!
//! The run is a function of this value and of nothing else. It is readable TOML, so that a failing plan can be kept beside the
//! fix, cut down by the shrinker, and changed by hand.

use core::time::Duration;
use std::collections::BTreeSet;

use event_log::protocol::Protocol;
use netem::spec::Span;
use serde::{Deserialize, Serialize};

use crate::addresses::NodeId;

/// Everything that a run is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The seed of all randomness of the run: that of the nodes and that of the network.
    pub seed: u64,
    /// For how long the adversary is at work. Whatever it did is undone then, as far as it can be.
    pub span: Span,
    /// Nodes that are there at the beginning and join through each other: 0..`nodes`.
    pub nodes: u32,
    /// Least and greatest one-way latency; uniform between them.
    pub latency: [Span; 2],
    /// Datagrams of a thousand that are lost at all times, also after the adversary has gone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub loss_per_mille: u32,
    /// Whether the cluster is sealed, with which key first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub key: u32,
    /// Clocks of the nodes run fast or slow by so many parts in a million, one after another and then from the first again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift_ppm: Vec<i32>,
    /// Length of the metadata that nodes are born with, likewise. With names in the configuration they begin with one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<u8>,
    /// Whether each application asks to join again when the adversary has gone. Otherwise the nodes find together by themselves.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub rejoin: bool,
    /// The configuration.
    #[serde(default)]
    pub protocol: Protocol,
    /// What happens, in any order.
    #[serde(default)]
    pub acts: Vec<Act>,
}

/// Something that happens, and is over after a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Act {
    /// When, from the beginning of the run.
    pub at: Span,
    /// For how long, where that means anything; cut off at the end of the adversary's time.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub lasts: Span,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What the adversary does, and what the applications do meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// A process is gone without a word, and comes back as told when the time is over.
    Crash {
        /// Who.
        node: NodeId,
        /// How it comes back.
        back: Back,
    },
    /// A node says goodbye, and joins again when the time is over if it is to.
    Leave {
        /// Who.
        node: NodeId,
        /// Whether it comes back.
        back: bool,
    },
    /// A new node starts, and joins through some of those that are there.
    Arrive {
        /// Its number: above all others.
        node: NodeId,
    },
    /// A process is stopped: datagrams wait for it, and its timers are served late.
    Pause {
        /// Who.
        node: NodeId,
    },
    /// A process gets the processor now and then only: it waits for up to `most` after each time it was served.
    Starve {
        /// Who.
        node: NodeId,
        /// The longest wait.
        most: Span,
    },
    /// A process takes its time over each datagram, and what comes when `waiting` are not read yet is lost.
    Slow {
        /// Who.
        node: NodeId,
        /// How long for each.
        service: Span,
        /// How many can wait.
        waiting: u32,
    },
    /// Nothing passes between two groups.
    Block {
        /// Some.
        from: Vec<NodeId>,
        /// Others.
        to: Vec<NodeId>,
        /// Only what the first send to the others is lost.
        one_way: bool,
    },
    /// Nothing passes between these and all others.
    Partition {
        /// One side.
        side: Vec<NodeId>,
    },
    /// Nodes are cut off one after the other, and let in again one after the other in this same order.
    Swizzle {
        /// Who.
        nodes: Vec<NodeId>,
    },
    /// Datagrams are lost.
    Loss {
        /// Of a thousand.
        per_mille: u32,
    },
    /// What one node sends is lost and held back: its own fault models, as an agent has them.
    Impair {
        /// Who.
        node: NodeId,
        /// Lost, of a thousand.
        per_mille: u32,
        /// Held back for up to so long.
        delay: Span,
    },
    /// Datagrams take longer, by up to so much.
    Delay {
        /// The most.
        most: Span,
    },
    /// Datagrams come twice.
    Duplicate {
        /// Of a thousand.
        per_mille: u32,
    },
    /// Datagrams overtake each other.
    Reorder {
        /// By up to so much.
        by: Span,
    },
    /// Bits are flipped on the way.
    Corrupt {
        /// Datagrams of a thousand.
        per_mille: u32,
    },
    /// Datagrams are cut short on the way.
    Truncate {
        /// Of a thousand.
        per_mille: u32,
    },
    /// What is longer does not pass.
    Mtu {
        /// Bytes of payload.
        bytes: u32,
    },
    /// Nodes get another configuration while they run, and keep it.
    Reconfigure {
        /// Who.
        nodes: Vec<NodeId>,
        /// The whole of it.
        protocol: Box<Protocol>,
    },
    /// The key of all nodes is replaced in three steps, evenly over the time.
    Rotate {
        /// The new one.
        key: u32,
    },
    /// Another process takes the address of a node, until the time is over.
    Twin {
        /// Whose address.
        node: NodeId,
    },
    /// A node states other metadata.
    Metadata {
        /// Who.
        node: NodeId,
        /// So many bytes.
        len: u8,
    },
    /// A node starts events, evenly over the time.
    Events {
        /// Who.
        node: NodeId,
        /// How many.
        count: u32,
        /// Bytes of payload.
        len: u32,
        /// Whether they are to come in order.
        #[serde(default)]
        ordered: bool,
        /// 0 low, 1 normal, 2 high, 3 urgent.
        #[serde(default)]
        priority: u8,
        /// Their lifetime; nothing: the configuration's.
        #[serde(default)]
        lifetime: Span,
    },
    /// A node asks everybody, and everybody answers at once.
    Query {
        /// Who.
        node: NodeId,
        /// How long it waits.
        deadline: Span,
        /// Whether it wants receipts.
        receipts: bool,
    },
    /// A node sends another messages, evenly over the time.
    Messages {
        /// Who.
        node: NodeId,
        /// Whom.
        to: NodeId,
        /// How many.
        count: u32,
    },
}

/// How a crashed node comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Back {
    /// Not at all.
    Never,
    /// As a new process that joins through some that are there.
    Fresh,
    /// From a snapshot of its last moment, with nothing told to it.
    Snapshot,
}

/// Whom an act disturbs: nothing is promised about these while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbed {
    /// Nobody: what is promised holds all the same.
    Nobody,
    /// These.
    Nodes(Vec<NodeId>),
    /// Everybody.
    All,
}

impl Plan {
    /// Reads a plan and checks it.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plan: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        plan.check()?;
        Ok(plan)
    }

    /// The text that [`parse`](Self::parse) reads.
    ///
    /// # Panics
    /// Never: every plan has a text.
    #[must_use]
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("a plan is made of what TOML has")
    }

    /// Whether the plan can be run.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        let config = self.protocol.config()?;
        let [least, most] = self.latency.map(Span::get);
        if !(1..=10_000).contains(&self.nodes) || least > most || self.loss_per_mille > 1000 {
            return Err("1 to 10,000 nodes, a least latency below the greatest, at most 1,000 lost of 1,000".into());
        }
        let hosts = self.hosts();
        for (place, act) in self.acts.iter().enumerate() {
            let refuse = |why: &str| Err(format!("act {place} ({}): {why}", act.what.name()));
            if act.what.nodes().iter().any(|node| !hosts.contains(node)) {
                return refuse("a node that is not there");
            }
            if act.at > self.span {
                return refuse("after the adversary's time");
            }
            if let What::Reconfigure { protocol, .. } = &act.what
                && protocol.config()?.cluster != config.cluster
            {
                return refuse("another cluster");
            }
        }
        Ok(())
    }

    /// All nodes that ever are.
    #[must_use]
    pub fn hosts(&self) -> BTreeSet<NodeId> {
        let arrivals = self.acts.iter().filter_map(|act| match act.what {
            What::Arrive { node } => Some(node),
            _ => None,
        });
        (0..self.nodes).chain(arrivals).collect()
    }

    /// When an act is over: at the end of the adversary's time at the latest.
    #[must_use]
    pub fn end_of(&self, act: &Act) -> Duration {
        (act.at.get() + act.lasts.get()).min(self.span.get())
    }

    /// The drift of a node's clock, parts in a million.
    #[must_use]
    pub fn drift_of(&self, node: NodeId) -> i32 {
        nth(&self.drift_ppm, node).unwrap_or(0)
    }

    /// The length of the metadata that a node is born with.
    #[must_use]
    pub fn metadata_of(&self, node: NodeId) -> usize {
        nth(&self.metadata, node).map_or(0, usize::from)
    }
}

impl What {
    /// Its name, as the plan writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash { back: Back::Never, .. } => "crash",
            Self::Crash { back: Back::Fresh, .. } => "crash, restart fresh",
            Self::Crash { back: Back::Snapshot, .. } => "crash, restart from snapshot",
            Self::Leave { back: false, .. } => "leave",
            Self::Leave { back: true, .. } => "leave and rejoin",
            Self::Arrive { .. } => "arrive",
            Self::Pause { .. } => "pause",
            Self::Starve { .. } => "starve",
            Self::Slow { .. } => "slow",
            Self::Block { one_way: false, .. } => "block",
            Self::Block { one_way: true, .. } => "block one way",
            Self::Partition { .. } => "partition",
            Self::Swizzle { .. } => "swizzle",
            Self::Loss { .. } => "loss",
            Self::Impair { .. } => "impair",
            Self::Delay { .. } => "delay",
            Self::Duplicate { .. } => "duplicate",
            Self::Reorder { .. } => "reorder",
            Self::Corrupt { .. } => "corrupt",
            Self::Truncate { .. } => "truncate",
            Self::Mtu { .. } => "mtu",
            Self::Reconfigure { .. } => "reconfigure",
            Self::Rotate { .. } => "rotate keys",
            Self::Twin { .. } => "twin",
            Self::Metadata { .. } => "metadata",
            Self::Events { ordered: false, .. } => "events",
            Self::Events { ordered: true, .. } => "ordered events",
            Self::Query { .. } => "query",
            Self::Messages { .. } => "messages",
        }
    }

    /// The nodes that it names.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::Crash { node, .. }
            | Self::Leave { node, .. }
            | Self::Arrive { node }
            | Self::Pause { node }
            | Self::Starve { node, .. }
            | Self::Slow { node, .. }
            | Self::Impair { node, .. }
            | Self::Twin { node }
            | Self::Metadata { node, .. }
            | Self::Events { node, .. }
            | Self::Query { node, .. } => vec![*node],
            Self::Messages { node, to, .. } => vec![*node, *to],
            Self::Block { from, to, .. } => from.iter().chain(to).copied().collect(),
            Self::Partition { side: nodes } | Self::Swizzle { nodes } | Self::Reconfigure { nodes, .. } => {
                nodes.clone()
            }
            Self::Loss { .. }
            | Self::Delay { .. }
            | Self::Duplicate { .. }
            | Self::Reorder { .. }
            | Self::Corrupt { .. }
            | Self::Truncate { .. }
            | Self::Mtu { .. }
            | Self::Rotate { .. } => Vec::new(),
        }
    }

    /// Without one of the nodes that it names; `None` where it is nothing then.
    #[must_use]
    pub fn without(&self, gone: NodeId) -> Option<Self> {
        let rest = |nodes: &[NodeId]| -> Vec<NodeId> { nodes.iter().copied().filter(|&node| node != gone).collect() };
        let what = match self {
            Self::Block { from, to, one_way } => Self::Block { from: rest(from), to: rest(to), one_way: *one_way },
            Self::Partition { side } => Self::Partition { side: rest(side) },
            Self::Swizzle { nodes } => Self::Swizzle { nodes: rest(nodes) },
            Self::Reconfigure { nodes, protocol } => {
                Self::Reconfigure { nodes: rest(nodes), protocol: protocol.clone() }
            }
            other if other.nodes().contains(&gone) => return None,
            other => other.clone(),
        };
        let empty = match &what {
            Self::Block { from, to, .. } => from.is_empty() || to.is_empty(),
            Self::Partition { side: nodes } | Self::Swizzle { nodes } | Self::Reconfigure { nodes, .. } => {
                nodes.is_empty()
            }
            _ => false,
        };
        (!empty).then_some(what)
    }

    /// With other numbers for the nodes that it names.
    #[must_use]
    pub fn renumbered(mut self, number: impl Fn(NodeId) -> NodeId) -> Self {
        match &mut self {
            Self::Crash { node, .. }
            | Self::Leave { node, .. }
            | Self::Arrive { node }
            | Self::Pause { node }
            | Self::Starve { node, .. }
            | Self::Slow { node, .. }
            | Self::Impair { node, .. }
            | Self::Twin { node }
            | Self::Metadata { node, .. }
            | Self::Events { node, .. }
            | Self::Query { node, .. } => *node = number(*node),
            Self::Messages { node, to, .. } => (*node, *to) = (number(*node), number(*to)),
            Self::Block { from, to, .. } => from.iter_mut().chain(to).for_each(|node| *node = number(*node)),
            Self::Partition { side: nodes } | Self::Swizzle { nodes } | Self::Reconfigure { nodes, .. } => {
                nodes.iter_mut().for_each(|node| *node = number(*node));
            }
            Self::Loss { .. }
            | Self::Delay { .. }
            | Self::Duplicate { .. }
            | Self::Reorder { .. }
            | Self::Corrupt { .. }
            | Self::Truncate { .. }
            | Self::Mtu { .. }
            | Self::Rotate { .. } => {}
        }
        self
    }

    /// Whom it disturbs.
    #[must_use]
    pub fn disturbs(&self) -> Disturbed {
        match self {
            Self::Loss { .. }
            | Self::Delay { .. }
            | Self::Corrupt { .. }
            | Self::Truncate { .. }
            | Self::Mtu { .. } => Disturbed::All,
            // A cut between two sides disturbs everybody on both.
            Self::Partition { .. } | Self::Rotate { .. } => Disturbed::All,
            // Whoever is gone is known to be: who comes and goes disturbs no other.
            Self::Duplicate { .. }
            | Self::Reorder { .. }
            | Self::Metadata { .. }
            | Self::Events { .. }
            | Self::Query { .. }
            | Self::Messages { .. }
            | Self::Crash { .. }
            | Self::Leave { .. }
            | Self::Arrive { .. } => Disturbed::Nobody,
            Self::Pause { .. }
            | Self::Starve { .. }
            | Self::Slow { .. }
            | Self::Impair { .. }
            | Self::Block { .. }
            | Self::Swizzle { .. }
            | Self::Reconfigure { .. }
            | Self::Twin { .. } => Disturbed::Nodes(self.nodes()),
        }
    }
}

/// A span as a plan writes it: whole milliseconds, so that it comes back as it was.
#[must_use]
pub fn span(time: Duration) -> Span {
    Span::from_millis(u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
}

fn nth<T: Copy>(of: &[T], node: NodeId) -> Option<T> {
    of.get((node as usize).checked_rem(of.len())?).copied()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_nothing(span: &Span) -> bool {
    span.get().is_zero()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(at: u32, what: What) -> Act {
        Act { at: Span::from_millis(at), lasts: Span::from_millis(500), what }
    }

    fn plan(acts: Vec<Act>) -> Plan {
        Plan {
            seed: 1,
            span: Span::from_millis(60_000),
            nodes: 4,
            latency: [Span::from_millis(1), Span::from_millis(5)],
            loss_per_mille: 0,
            key: 0,
            drift_ppm: vec![100, -100, 0],
            metadata: Vec::new(),
            rejoin: false,
            protocol: Protocol::default(),
            acts,
        }
    }

    #[test]
    fn a_plan_comes_back_from_its_text() {
        let plan = plan(vec![
            act(1, What::Crash { node: 1, back: Back::Snapshot }),
            act(2, What::Block { from: vec![0], to: vec![1, 2], one_way: true }),
            act(3, What::Loss { per_mille: 300 }),
            act(4, What::Reconfigure { nodes: vec![3], protocol: Box::default() }),
        ]);
        let text = plan.to_text();
        assert_eq!(Plan::parse(&text), Ok(plan), "{text}");
        assert!(text.contains("what = \"crash\"\nnode = 1\nback = \"snapshot\""), "{text}");
    }

    #[test]
    fn who_is_not_there_cannot_be_meant() {
        let error = plan(vec![act(1, What::Pause { node: 4 })]).check().unwrap_err();
        assert_eq!(error, "act 0 (pause): a node that is not there");
        assert_eq!(plan(vec![act(1, What::Pause { node: 4 }), act(0, What::Arrive { node: 4 })]).check(), Ok(()));
        assert!(plan(vec![act(60_001, What::Loss { per_mille: 1 })]).check().is_err());
    }

    #[test]
    fn an_act_without_the_node_that_it_is_about_is_none() {
        let block = What::Block { from: vec![0, 1], to: vec![2], one_way: false };
        assert_eq!(block.without(0), Some(What::Block { from: vec![1], to: vec![2], one_way: false }));
        assert_eq!(block.without(2), None);
        assert_eq!(What::Pause { node: 1 }.without(1), None);
        assert_eq!(What::Pause { node: 1 }.without(2), Some(What::Pause { node: 1 }));
    }

    #[test]
    fn drifts_go_round() {
        let plan = plan(Vec::new());
        assert_eq!([0, 1, 2, 3].map(|node| plan.drift_of(node)), [100, -100, 0, 100]);
    }
}
