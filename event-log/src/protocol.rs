//! The TOML form of the protocol's configuration: a preset and what differs from it.

mod fanout;

pub use fanout::FanoutLaw;
pub use gossip_core::{Config, Fanout, Strategy};
use netem::spec::Span;
use serde::{Deserialize, Serialize};

/// Which ready-made configuration to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// A data centre: see [`Config::lan`].
    #[default]
    Lan,
    /// Between data centres: see [`Config::wan`].
    Wan,
    /// One machine: see [`Config::local`].
    Local,
    /// Synchronous rounds, for comparisons with theory: see [`Config::lab`].
    Lab,
}

/// How rumors spread, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyName {
    /// The informed call.
    Push,
    /// Everybody calls; rumors travel in the answers alone.
    Pull,
    /// Who has something to tell calls, with idle calls everybody; the called answer with what the caller lacks.
    PushPull,
    /// Push-pull whose events fall silent by counters that travel with them.
    MedianCounter,
    /// Told on when it is learnt; the rounds of push-pull repair.
    Eager,
    /// Down a tree of ranges of the members when it is learnt; the rounds of push-pull repair.
    SqrtTree,
}

/// The configuration of a node. Every value is optional; what is not given is the preset's. All values of [`Config`] are here;
/// `docs/configuration.md` says what each costs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Protocol {
    /// Where to start from.
    pub preset: Preset,
    /// Name of the cluster: nodes of another cluster are ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Time between two gossip rounds of a node (T_g).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gossip_interval: Option<Span>,
    /// Whether all nodes begin their rounds at the multiples of the interval, as the theory of synchronous rounds has it; only nodes
    /// that share a clock do so together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aligned_rounds: Option<bool>,
    /// How rumors spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyName>,
    /// Calls per node and round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fanout: Option<FanoutLaw>,
    /// Parts into which a head of the √-tree splits its range, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_max: Option<u8>,
    /// Whether a node calls in every round, even with nothing to tell, so that it is told (the pull of push-pull).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_calls: Option<bool>,
    /// Most datagrams that the eager strategy sends in one gossip interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwards_max: Option<u16>,
    /// Multiplier λ of the retransmit limit λ·⌈log10(N + 1)⌉.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmit_multiplier: Option<u8>,
    /// SWIM's protocol period (T').
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_interval: Option<Span>,
    /// How long a probe waits for its answer before it asks others to probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_timeout: Option<Span>,
    /// Least time to which measured round trips shorten `probe_timeout`; equal to it: nothing is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_timeout_min: Option<Span>,
    /// How many others are asked to probe (SWIM's k).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indirect_probes: Option<u8>,
    /// Pings within one probe timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_pings: Option<u8>,
    /// Whether a helper that pinged in vain confirms the suspicion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helpers_confirm: Option<bool>,
    /// Multiplier α of the suspicion timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspicion_multiplier: Option<u8>,
    /// Shortest suspicion timeout, however small the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspicion_min: Option<Span>,
    /// β: how much longer an unconfirmed suspicion lasts. 1 is plain SWIM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspicion_max_multiplier: Option<u8>,
    /// K: independent confirmations after which the timeout is the shortest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspicion_confirmations: Option<u8>,
    /// S: greatest local health score. 0 switches LHA-Probe off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awareness_max: Option<u8>,
    /// Whether a suspect is told first of all that it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buddy_system: Option<bool>,
    /// Whether a node that was stalled or cut off holds its accusations back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_doubt: Option<bool>,
    /// Least time between two anti-entropy exchanges that a node starts while rumors are still spreading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_interval: Option<Span>,
    /// For how long an event is kept and told to those who missed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_lifetime: Option<Span>,
    /// Most events kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_max: Option<u32>,
    /// Most bytes of event payloads kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_bytes_max: Option<u32>,
    /// Most event identities remembered so as to deliver once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_max: Option<u32>,
    /// For how long an ordered event waits for an earlier one that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered_wait: Option<Span>,
    /// Most ordered events that wait at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered_max: Option<u32>,
    /// Most open queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries_max: Option<u32>,
    /// Answers to a query that all members together send in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers_per_second_max: Option<u32>,
    /// For how long the dead and the departed are remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tombstone_lifetime: Option<Span>,
    /// Most members, the dead and departed included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_max: Option<u32>,
    /// Most members whose network coordinates are remembered; 0: no coordinates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinates_max: Option<u32>,
    /// Longest metadata of a member, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata_max: Option<u16>,
    /// Whether an index of the members' names is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<bool>,
    /// Most changes of the membership that are kept for readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_max: Option<u32>,
    /// The largest datagram sent, UDP payload bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagram_max: Option<u16>,
    /// Most datagrams sent per second; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagrams_per_second_max: Option<u32>,
    /// Most datagrams waiting to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmits_max: Option<u32>,
}

impl Protocol {
    /// The configuration that the core gets.
    ///
    /// # Errors
    /// What is wrong, naming the value.
    pub fn config(&self) -> Result<Config, String> {
        let mut config = match self.preset {
            Preset::Lan => Config::lan(),
            Preset::Wan => Config::wan(),
            Preset::Local => Config::local(),
            Preset::Lab => Config::lab(),
        };
        if let Some(name) = &self.cluster {
            config.cluster = gossip_core::ClusterTag::from_name(name);
        }
        self.set_times(&mut config);
        self.set_choices(&mut config);
        self.set_bounds(&mut config);
        let fanout = self.fanout.map_or_else(|| config.strategy.fanout(), |law| law.0);
        let split_max = self.split_max.unwrap_or(match config.strategy {
            Strategy::SqrtTree { split_max, .. } => split_max,
            _ => SPLIT_MAX,
        });
        config.strategy = match (self.strategy, config.strategy) {
            (Some(StrategyName::Push), _) | (None, Strategy::Push { .. }) => Strategy::Push { fanout },
            (Some(StrategyName::Pull), _) | (None, Strategy::Pull { .. }) => Strategy::Pull { fanout },
            (Some(StrategyName::MedianCounter), _) | (None, Strategy::MedianCounter { .. }) => {
                Strategy::MedianCounter { fanout }
            }
            (Some(StrategyName::Eager), _) | (None, Strategy::Eager { .. }) => Strategy::Eager { fanout },
            (Some(StrategyName::SqrtTree), _) | (None, Strategy::SqrtTree { .. }) => {
                Strategy::SqrtTree { split_max, fanout }
            }
            (Some(StrategyName::PushPull), _) | (None, Strategy::PushPull { .. }) => Strategy::PushPull { fanout },
        };
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    fn set_times(&self, config: &mut Config) {
        set(&mut config.gossip_interval, self.gossip_interval.map(Span::get));
        set(&mut config.probe_interval, self.probe_interval.map(Span::get));
        set(&mut config.probe_timeout, self.probe_timeout.map(Span::get));
        set(&mut config.probe_timeout_min, self.probe_timeout_min.map(Span::get));
        set(&mut config.suspicion_min, self.suspicion_min.map(Span::get));
        set(&mut config.sync_interval, self.sync_interval.map(Span::get));
        set(&mut config.event_lifetime, self.event_lifetime.map(Span::get));
        set(&mut config.ordered_wait, self.ordered_wait.map(Span::get));
        set(&mut config.tombstone_lifetime, self.tombstone_lifetime.map(Span::get));
    }

    fn set_choices(&self, config: &mut Config) {
        set(&mut config.aligned_rounds, self.aligned_rounds);
        set(&mut config.idle_calls, self.idle_calls);
        set(&mut config.forwards_max, self.forwards_max);
        set(&mut config.retransmit_multiplier, self.retransmit_multiplier);
        set(&mut config.indirect_probes, self.indirect_probes);
        set(&mut config.probe_pings, self.probe_pings);
        set(&mut config.helpers_confirm, self.helpers_confirm);
        set(&mut config.suspicion_multiplier, self.suspicion_multiplier);
        set(&mut config.suspicion_max_multiplier, self.suspicion_max_multiplier);
        set(&mut config.suspicion_confirmations, self.suspicion_confirmations);
        set(&mut config.awareness_max, self.awareness_max);
        set(&mut config.buddy_system, self.buddy_system);
        set(&mut config.self_doubt, self.self_doubt);
        set(&mut config.answers_per_second_max, self.answers_per_second_max);
        set(&mut config.names, self.names);
        set(&mut config.datagrams_per_second_max, self.datagrams_per_second_max);
    }

    fn set_bounds(&self, config: &mut Config) {
        set(&mut config.events_max, self.events_max.map(count));
        set(&mut config.event_bytes_max, self.event_bytes_max.map(count));
        set(&mut config.seen_max, self.seen_max.map(count));
        set(&mut config.ordered_max, self.ordered_max.map(count));
        set(&mut config.queries_max, self.queries_max.map(count));
        set(&mut config.members_max, self.members_max.map(count));
        set(&mut config.coordinates_max, self.coordinates_max.map(count));
        set(&mut config.metadata_max, self.metadata_max.map(usize::from));
        set(&mut config.changes_max, self.changes_max.map(count));
        set(&mut config.datagram_max, self.datagram_max.map(usize::from));
        set(&mut config.transmits_max, self.transmits_max.map(count));
    }
}

/// What a tree's heads split into at most, if a plan does not say: three levels hold 30,000 members.
const SPLIT_MAX: u8 = 32;

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn count(value: u32) -> usize {
    usize::try_from(value).expect("a count of 32 bits fits into memory addresses")
}
