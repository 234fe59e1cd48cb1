//! The TOML form of the protocol's configuration: a preset and what differs from it.

use core::time::Duration;

pub use gossip_core::{Config, Strategy};
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
    /// Told on when it is learnt; the rounds of push-pull repair.
    Eager,
}

/// The configuration of a node. Every value is optional; what is not given is the preset's.
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
    /// How rumors spread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyName>,
    /// Calls per node and round (k).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fanout: Option<u8>,
    /// Whether a node calls in every round, even with nothing to tell, so that it is told (the pull of push-pull).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_calls: Option<bool>,
    /// Most datagrams that the eager strategy sends in one gossip interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwards_max: Option<u16>,
    /// SWIM's protocol period (T').
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_interval: Option<Span>,
    /// How long a probe waits for its answer before it asks others to probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_timeout: Option<Span>,
    /// How many others are asked to probe (SWIM's k).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indirect_probes: Option<u8>,
    /// Multiplier of the suspicion timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspicion_multiplier: Option<u8>,
    /// Shortest suspicion timeout, however small the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspicion_min: Option<Span>,
    /// Multiplier λ of the retransmit limit λ·⌈log10(N + 1)⌉.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmit_multiplier: Option<u8>,
    /// Least time between two anti-entropy exchanges that a node starts while rumors are still spreading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_interval: Option<Span>,
    /// For how long an event is kept and told to those who missed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_lifetime: Option<Span>,
    /// The largest datagram sent, UDP payload bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datagram_max: Option<u16>,
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
        };
        if let Some(name) = &self.cluster {
            config.cluster = gossip_core::ClusterTag::from_name(name);
        }
        set_span(&mut config.gossip_interval, self.gossip_interval);
        set_span(&mut config.probe_interval, self.probe_interval);
        set_span(&mut config.probe_timeout, self.probe_timeout);
        set_span(&mut config.suspicion_min, self.suspicion_min);
        set_span(&mut config.sync_interval, self.sync_interval);
        set_span(&mut config.event_lifetime, self.event_lifetime);
        set(&mut config.idle_calls, self.idle_calls);
        set(&mut config.forwards_max, self.forwards_max);
        set(&mut config.indirect_probes, self.indirect_probes);
        set(&mut config.suspicion_multiplier, self.suspicion_multiplier);
        set(&mut config.retransmit_multiplier, self.retransmit_multiplier);
        if let Some(bytes) = self.datagram_max {
            config.datagram_max = usize::from(bytes);
        }
        let fanout = self.fanout.unwrap_or_else(|| config.strategy.fanout());
        config.strategy = match (self.strategy, config.strategy) {
            (Some(StrategyName::Push), _) | (None, Strategy::Push { .. }) => Strategy::Push { fanout },
            (Some(StrategyName::Pull), _) | (None, Strategy::Pull { .. }) => Strategy::Pull { fanout },
            (Some(StrategyName::Eager), _) | (None, Strategy::Eager { .. }) => Strategy::Eager { fanout },
            (Some(StrategyName::PushPull), _) | (None, Strategy::PushPull { .. }) => Strategy::PushPull { fanout },
        };
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn set_span(field: &mut Duration, value: Option<Span>) {
    set(field, value.map(Span::get));
}
