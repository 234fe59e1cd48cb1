//! Every value that can be set, with what larger and smaller values cost.

use core::fmt;
use core::time::Duration;

use crate::address::Address;
use crate::fanout::Fanout;
use crate::member::METADATA_MAX;
use crate::probe::HELPERS_MAX;
use crate::suspicion::ACCUSERS_MAX;
use crate::wire;

/// Keeps clusters on one network apart: a datagram with another tag is dropped and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "typed", derive(serde::Serialize, serde::Deserialize))]
pub struct ClusterTag(pub u16);

impl ClusterTag {
    /// The tag of the cluster called `name`: the low half of its CRC-32.
    ///
    /// Two names share a tag with probability 2⁻¹⁶. The tag prevents accidents; it does not keep an attacker out.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self((crc32fast::hash(name.as_bytes()) & 0xffff) as u16)
    }
}

/// How rumors spread in the periodic gossip round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "typed", derive(serde::Serialize, serde::Deserialize))]
pub enum Strategy {
    /// A node with something to tell calls some random members per round.
    Push {
        /// Calls per round. More: quicker, and as many times the datagrams while a rumor is hot.
        fanout: Fanout,
    },
    /// Every node calls some random members in every round, tells them no rumor and is told in their answers. Quicker
    /// than push once half of the nodes know; a rumor that nobody knows yet waits to be asked for, and an idle cluster calls
    /// all the same.
    Pull {
        /// Calls per round.
        fanout: Fanout,
    },
    /// The called answer: they tell the caller what it lacks (Karp, Schindelhauer, Shenker, Vöcking, FOCS 2000).
    /// With [`Config::idle_calls`] everybody calls in every round, as the theory has it.
    PushPull {
        /// Calls per round.
        fanout: Fanout,
    },
    /// Push-pull that falls silent by counters and not by a number of times: each copy says how far its teller has come, and who hears
    /// of more that are as far as itself than that are not counts on (the median counter of Karp, Schindelhauer, Shenker, Vöcking,
    /// FOCS 2000, §3). So a rumor is told O(log log N) times per node: about 11 copies at 1,000 members and 15 at
    /// 10,000 with fan-out 1, in place of λ·⌈log10(N + 1)⌉, 16 and 20. Rumors ride on the messages of rounds alone, and who is called answers whenever it has a counter to tell. Needs
    /// [`Config::idle_calls`] for the pull. Stragglers are left to anti-entropy.
    MedianCounter {
        /// Calls per round; 1 in the paper. More: quicker, and as many times the copies of each round.
        fanout: Fanout,
    },
    /// An event is told on as soon as it is learnt, so that it spreads in network latencies and not in rounds. The rounds of
    /// push-pull repair what this misses: a share of about e^−k of the nodes, more under loss. Bounded by
    /// [`Config::forwards_max`].
    Eager {
        /// Members to whom an event is told on when it is learnt, and calls per round.
        fanout: Fanout,
    },
    /// An event goes down a tree of ranges of hashed identities as soon as it is learnt: each head of a range of m members splits it
    /// into about √m parts, each with a random head, so that N are told in about log₂ log₂ N hops with one telling each. Heads
    /// acknowledge; where one does not, another is tried once. The rounds of push-pull repair what this misses, and tell an
    /// event `retransmit_multiplier` times per node. Bounded by [`Config::forwards_max`]. Keeps an order of the members, about 16
    /// bytes each. Least datagrams of all; without loss the quickest, and under loss slower than [`Strategy::Eager`].
    SqrtTree {
        /// Parts of one split, at most (2 to 255). More: fewer hops, and more datagrams of one node at once.
        split_max: u8,
        /// Calls per round.
        fanout: Fanout,
    },
}

impl Strategy {
    /// Whether nodes keep the members in the order of their identities.
    pub(crate) const fn keeps_ring(self) -> bool {
        matches!(self, Self::SqrtTree { .. })
    }

    /// Whether copies of rumors carry a counter.
    pub(crate) const fn counts(self) -> bool {
        matches!(self, Self::MedianCounter { .. })
    }

    /// How many members a node calls.
    #[must_use]
    pub const fn fanout(self) -> Fanout {
        match self {
            Self::Push { fanout }
            | Self::Pull { fanout }
            | Self::PushPull { fanout }
            | Self::MedianCounter { fanout }
            | Self::Eager { fanout }
            | Self::SqrtTree { fanout, .. } => fanout,
        }
    }
}

/// The configuration of a node. Start from a preset and change what you need.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "typed", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// The cluster that this node belongs to.
    pub cluster: ClusterTag,

    /// Time between two gossip rounds (T_g). Smaller: rumors spread in proportion quicker, and more datagrams while
    /// there is something to tell (with `idle_calls`: always).
    pub gossip_interval: Duration,
    /// Whether rounds begin at the multiples of `gossip_interval` after the driver's origin, so that nodes with one clock beat
    /// together, as the theory of synchronous rounds has it. For experiments: on a real network all would call at once. Without it
    /// each node has a random phase.
    pub aligned_rounds: bool,
    /// What a gossip round does.
    pub strategy: Strategy,
    /// Call in every round, even with nothing to tell, so that the called can tell *us*. The pull half of push-pull needs
    /// it to spread in rounds; without it a node that missed a rumor learns of it with its next probe (`probe_interval`).
    /// Costs `fanout` small datagrams per interval and node. No effect under [`Strategy::Push`].
    pub idle_calls: bool,
    /// Most datagrams that [`Strategy::Eager`] sends in one gossip interval. At the bound events wait for the round, and it is
    /// counted. Smaller: a burst of events costs less and spreads slower.
    pub forwards_max: u16,
    /// λ: an update or event is sent λ·⌈log10(N + 1)⌉ times by each node before it counts as told (SWIM §4.1).
    /// Larger: fewer stragglers for anti-entropy under loss, more redundant bytes. 3 to 6 is usual. Events under
    /// [`Strategy::MedianCounter`] stop by their counters instead.
    pub retransmit_multiplier: u8,

    /// SWIM's protocol period T′: one member is probed per period. Smaller: quicker detection, more datagrams.
    pub probe_interval: Duration,
    /// How long a direct probe waits for its answer before others are asked. Must exceed nearly all round trips, and be
    /// less than `probe_interval`.
    pub probe_timeout: Duration,
    /// Least time to which measured round trips shorten `probe_timeout` for a member (RFC 6298: the margin beyond the smoothed
    /// round trip, its G, is at least `probe_timeout_min / probe_pings`). Equal to `probe_timeout`: nothing is measured, all members
    /// are waited for alike. Smaller: helpers are asked earlier about a quick member; more needless pings where answers are
    /// irregular. It does not change when a member is suspected: that is at the end of the period. Costs two bytes of memory
    /// per member.
    pub probe_timeout_min: Duration,
    /// SWIM's k: how many members are asked to probe a member that did not answer. More: fewer false suspicions under
    /// loss, more datagrams per failed probe.
    pub indirect_probes: u8,
    /// How often the target is pinged within one probe timeout, and on to the end of the period, while it does not answer; a
    /// helper pings as often. 1 is SWIM's single ping. More: fewer false suspicions under loss, more datagrams where round trips
    /// are longer than `probe_timeout / probe_pings`.
    pub probe_pings: u8,
    /// Whether a helper that pinged in vain for a whole protocol period confirms the asker's suspicion (not in the papers).
    /// Without it confirmations come only from members whose turn it is to probe the suspect: one per protocol period in
    /// all the cluster.
    pub helpers_confirm: bool,
    /// α of Lifeguard (LHA-Suspicion): an unconfirmed suspicion turns into a death after β·min, a well-confirmed one after
    /// min = α·max(1, log10 N)·T′, or `suspicion_min` if that is longer. Larger: more time to refute, slower detection.
    pub suspicion_multiplier: u8,
    /// Shortest suspicion, however small the cluster. The longest pause of a healthy member and the time in which its refutation
    /// spreads must fit into it and the protocol period before it. Larger: longer pauses are forgiven, slower detection in
    /// clusters of less than 10^(`suspicion_min`/(α·T′)) members.
    pub suspicion_min: Duration,
    /// β of Lifeguard (LHA-Suspicion). 1 switches the dynamic timeout off (plain SWIM).
    pub suspicion_max_multiplier: u8,
    /// K of Lifeguard (LHA-Suspicion): independent confirmations after which the timeout is the shortest.
    pub suspicion_confirmations: u8,
    /// S of Lifeguard (LHA-Probe): greatest local health score. 0 switches LHA-Probe off.
    pub awareness_max: u8,
    /// Lifeguard's Buddy System: whatever is sent to a member that is held for suspect says so first. Without it the suspect
    /// learns it by chance, as SWIM has it. Costs one update per datagram to a suspect.
    pub buddy_system: bool,
    /// Whether this node holds its accusations back while it shows signs of being itself stalled or cut off (not in the papers; see
    /// `docs/deviations.md`). Without it a process that wakes up from a long stop may bury others.
    pub self_doubt: bool,

    /// Least time between two anti-entropy exchanges that this node starts while rumors are still spreading. With quiet
    /// rumors a difference is repaired at once (as soon as a digest shows it).
    pub sync_interval: Duration,
    /// For how long an event is kept, told to those who missed it, and recognised when it comes again. Larger: longer
    /// absences are bridged, more memory.
    pub event_lifetime: Duration,
    /// Most events kept. At the bound the oldest is forgotten and counted.
    pub events_max: usize,
    /// Most bytes of event payloads kept. At the bound the oldest event is forgotten and counted.
    pub event_bytes_max: usize,
    /// Most event identities remembered so as to deliver once: one and a half lifetimes of them. At the bound the oldest is
    /// forgotten and counted, and events as old as it are not taken in any more.
    pub seen_max: usize,

    /// For how long an ordered event waits for an earlier one of its origin that is missing, before it is delivered without.
    /// Larger: fewer gaps where datagrams are lost, and longer waiting where an event will never come (this node joined after it,
    /// or its origin crashed before it told anybody). Should be a few times `sync_interval`.
    pub ordered_wait: Duration,
    /// Most ordered events that wait at a time. At the bound the one that has waited longest is delivered.
    pub ordered_max: usize,

    /// Most queries of this node that are open, and most queries of others that it can answer. At the bound an own one is refused;
    /// of those of others the one that ends first gives way, and is counted. An own one takes two bits for each member.
    pub queries_max: usize,
    /// How many answers to a query all members together send in a second: each waits for a random part of the time that all
    /// need at this rate, at most for half of the time to the deadline. Larger: quicker answers, and a burst at the origin
    /// of which some are lost.
    pub answers_per_second_max: u32,

    /// For how long the dead and the departed are remembered, so that old news of them is recognised as old.
    pub tombstone_lifetime: Duration,
    /// Most members, the dead and departed included. Claims about others are refused and counted.
    pub members_max: usize,
    /// Most members whose network coordinates are remembered (see [`coordinate`](crate::coordinate)); 0: no coordinates. Otherwise
    /// each `Ping` and `Ack` carries 8 to 20 bytes more. Larger: about 150 bytes of memory for each that is heard of; in a
    /// cluster larger than this only those are known that spoke lately, and outliers of round trips are not taken out.
    pub coordinates_max: usize,
    /// Longest metadata of a member, bytes.
    pub metadata_max: usize,
    /// Keep an index of the names that the metadata begin with (see [`name`](crate::name)), for
    /// [`members_named`](crate::Node::members_named). Costs some 16 bytes for each member that has a name. A node that has this off
    /// hands the metadata on all the same.
    pub names: bool,
    /// Most changes of the membership that are kept for [`changes_since`](crate::Node::changes_since), each at the size of an
    /// address. Larger: a reader may come more rarely and still need not read all members. 0: none are kept.
    pub changes_max: usize,
    /// Largest datagram sent, payload bytes of the transport. 1,400 fits into an Ethernet frame with room for tunnels.
    pub datagram_max: usize,
    /// Most datagrams sent per second, and a quarter of it at once; 0 for any number. When they are short, the messages of
    /// failure detection go first; the calls of gossip rounds are left out while others wait, and counted; the rest waits in its
    /// order, at most `transmits_max`. Smaller: a bounded load on the network, slower spreading and joining. Failure
    /// detection alone needs two per `probe_interval`, and four times that while members fail; with less, live members
    /// are taken for dead.
    pub datagrams_per_second_max: u32,
    /// Most datagrams waiting to be pulled. At the bound new ones are refused and counted.
    pub transmits_max: usize,
}

impl Config {
    /// For the nodes of one data centre: round trips of some milliseconds.
    #[must_use]
    pub const fn lan() -> Self {
        Self {
            cluster: ClusterTag(0),
            gossip_interval: Duration::from_millis(200),
            aligned_rounds: false,
            strategy: Strategy::Eager { fanout: Fanout::Logarithmic },
            idle_calls: false,
            forwards_max: 64,
            retransmit_multiplier: 4,
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            probe_timeout_min: Duration::from_millis(100),
            indirect_probes: 3,
            probe_pings: 4,
            helpers_confirm: true,
            suspicion_multiplier: 1,
            suspicion_min: Duration::from_secs(3),
            suspicion_max_multiplier: 6,
            suspicion_confirmations: 3,
            awareness_max: 8,
            buddy_system: true,
            self_doubt: true,
            sync_interval: Duration::from_secs(2),
            event_lifetime: Duration::from_secs(60),
            events_max: 1024,
            event_bytes_max: 1 << 20,
            seen_max: 16_384,
            ordered_wait: Duration::from_secs(5),
            ordered_max: 256,
            queries_max: 64,
            answers_per_second_max: 2_000,
            tombstone_lifetime: Duration::from_secs(60),
            members_max: 65_536,
            coordinates_max: 0,
            metadata_max: 256,
            names: false,
            changes_max: 1024,
            datagram_max: 1400,
            datagrams_per_second_max: 0,
            transmits_max: 1024,
        }
    }

    /// For nodes far apart: round trips of hundreds of milliseconds, some loss.
    #[must_use]
    pub const fn wan() -> Self {
        Self {
            gossip_interval: Duration::from_millis(500),
            probe_interval: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(3),
            probe_timeout_min: Duration::from_millis(800),
            suspicion_min: Duration::from_secs(15),
            sync_interval: Duration::from_secs(10),
            event_lifetime: Duration::from_secs(300),
            ordered_wait: Duration::from_secs(25),
            tombstone_lifetime: Duration::from_secs(300),
            ..Self::lan()
        }
    }

    /// For nodes on one machine: round trips well below a millisecond.
    #[must_use]
    pub const fn local() -> Self {
        Self {
            gossip_interval: Duration::from_millis(100),
            probe_timeout: Duration::from_millis(200),
            probe_timeout_min: Duration::from_millis(60),
            ..Self::lan()
        }
    }

    /// For experiments and simulators that compare with models of synchronous rounds: all nodes call one random member at the
    /// multiples of a second and are answered (push-pull, k = 1), an event is told in every round, and failure detection and
    /// anti-entropy keep out of the way. One second is long against the latencies, so a round is over before the next begins. A
    /// called node answers with what earlier calls of the same round told it: all know an event up to a round earlier than in
    /// the synchronous model.
    #[must_use]
    pub const fn lab() -> Self {
        Self {
            gossip_interval: Duration::from_secs(1),
            aligned_rounds: true,
            strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) },
            idle_calls: true,
            retransmit_multiplier: 64,
            probe_interval: Duration::from_secs(3600),
            probe_timeout: Duration::from_secs(1800),
            probe_timeout_min: Duration::from_secs(1800),
            suspicion_min: Duration::from_secs(3600),
            sync_interval: Duration::from_secs(3600),
            event_lifetime: Duration::from_secs(3600),
            tombstone_lifetime: Duration::from_secs(3600),
            ..Self::lan()
        }
    }

    /// Whether the values make sense together.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), ConfigError> {
        let positive = |name, span: Duration| {
            if span < Duration::from_millis(1) || span > Duration::from_secs(86_400) {
                Err(ConfigError { name, rule: "must be 1 ms to 1 day" })
            } else {
                Ok(())
            }
        };
        positive("gossip_interval", self.gossip_interval)?;
        positive("probe_interval", self.probe_interval)?;
        positive("probe_timeout", self.probe_timeout)?;
        positive("probe_timeout_min", self.probe_timeout_min)?;
        positive("suspicion_min", self.suspicion_min)?;
        positive("sync_interval", self.sync_interval)?;
        positive("event_lifetime", self.event_lifetime)?;
        positive("tombstone_lifetime", self.tombstone_lifetime)?;
        let rule = |holds: bool, name, rule| if holds { Ok(()) } else { Err(ConfigError { name, rule }) };
        rule(self.probe_timeout < self.probe_interval, "probe_timeout", "must be less than probe_interval")?;
        rule(self.probe_timeout_min <= self.probe_timeout, "probe_timeout_min", "must be at most probe_timeout")?;
        rule(
            self.strategy.fanout().is_valid(),
            "fanout",
            "must be 1 to 64, or the exponent of a heavy tail 1.5 to 10",
        )?;
        let splits = !matches!(self.strategy, Strategy::SqrtTree { split_max: 0 | 1, .. });
        rule(splits, "split_max", "must be at least 2")?;
        rule((1..=64).contains(&self.retransmit_multiplier), "retransmit_multiplier", "must be 1 to 64")?;
        rule(usize::from(self.indirect_probes) <= HELPERS_MAX, "indirect_probes", "must be 0 to 8")?;
        rule((1..=16).contains(&self.probe_pings), "probe_pings", "must be 1 to 16")?;
        rule((1..=64).contains(&self.suspicion_multiplier), "suspicion_multiplier", "must be 1 to 64")?;
        rule((1..=64).contains(&self.suspicion_max_multiplier), "suspicion_max_multiplier", "must be 1 to 64")?;
        rule(usize::from(self.suspicion_confirmations) < ACCUSERS_MAX, "suspicion_confirmations", "must be 0 to 8")?;
        rule((2..=1 << 24).contains(&self.members_max), "members_max", "must be 2 to 16,777,216")?;
        rule((1..=1 << 20).contains(&self.events_max), "events_max", "must be 1 to 1,048,576")?;
        rule(self.changes_max <= 1 << 20, "changes_max", "must be at most 1,048,576")?;
        rule(self.seen_max >= self.events_max, "seen_max", "must be at least events_max")?;
        rule(self.seen_max <= 1 << 24, "seen_max", "must be at most 16,777,216")?;
        rule(self.ordered_wait <= self.event_lifetime, "ordered_wait", "must be at most event_lifetime")?;
        rule((1..=1 << 20).contains(&self.ordered_max), "ordered_max", "must be 1 to 1,048,576")?;
        rule((1..=1024).contains(&self.queries_max), "queries_max", "must be 1 to 1,024")?;
        rule(
            (1..=1_000_000).contains(&self.answers_per_second_max),
            "answers_per_second_max",
            "must be 1 to 1,000,000",
        )?;
        rule((1..=1 << 20).contains(&self.transmits_max), "transmits_max", "must be 1 to 1,048,576")?;
        rule(self.datagrams_per_second_max <= 1_000_000, "datagrams_per_second_max", "must be at most 1,000,000")?;
        rule((512..=65_000).contains(&self.datagram_max), "datagram_max", "must be 512 to 65,000 bytes")?;
        rule(self.coordinates_max <= 1 << 24, "coordinates_max", "must be at most 16,777,216")?;
        rule(self.metadata_max <= METADATA_MAX, "metadata_max", "must be at most 256 bytes")
    }
}

/// A configuration that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigError {
    /// Which value.
    pub name: &'static str,
    /// What it must obey.
    pub rule: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.rule)
    }
}

impl core::error::Error for ConfigError {}

/// The longest payload of an event: what fits into one datagram beside the headers and beside the word to a receiver that it is
/// held for suspect, dead or departed. Longer ones are refused.
///
/// Room for the seal is always left, sealed or not: while encryption comes into a cluster, an event that one node accepts must
/// fit for the next.
#[must_use]
pub fn event_payload_max<A: Address>(config: &Config) -> usize {
    config.datagram_max.saturating_sub(
        wire::SEALED_HEADER_LEN
            + wire::TAG_LEN
            + wire::message_max::<A>()
            + wire::notice_max::<A>()
            + wire::rumor_overhead_max::<A>(),
    )
}
