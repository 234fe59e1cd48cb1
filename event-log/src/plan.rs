//! Plans: an experiment as a file.
//!
//! A plan is TOML. Unknown keys are refused, every value is checked while it is read, and an error names the file, the
//! line, the value and what would be right. Here are the types; `parse` reads a file and words its errors, `check`
//! holds the rules that one value alone cannot show. [`schedule`] and [`origins`] draw from the seed whom a plan strikes and who starts
//! its events.

mod check;
pub mod network;
pub mod origins;
mod parse;
pub mod schedule;

use std::fmt;

use netem::spec::{Delay, DropNext, Loss, Sleep, Span};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use network::Network;
pub use parse::PlanError;

use crate::protocol::Protocol;

/// The largest cluster of real nodes that a plan may ask for.
pub const SIZE_MAX: u32 = 4096;

/// The largest simulated cluster.
pub const SIM_SIZE_MAX: u32 = 1_000_000;

/// The largest number of events in one run.
pub const EVENTS_MAX: u32 = 100_000;

/// An experiment: every size under every setting is one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name of the plan: letters, digits, `-` and `_`.
    pub name: String,
    /// The question that it answers, for the report's head.
    #[serde(default)]
    pub question: String,
    /// Master seed of all randomness.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The cluster.
    pub cluster: Cluster,
    /// The network between the nodes; only the simulator has a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// How the nodes gossip.
    #[serde(default)]
    pub protocol: Protocol,
    /// The events.
    #[serde(default)]
    pub events: Events,
    /// What is recorded beside the events.
    #[serde(default, skip_serializing_if = "Recording::is_default")]
    pub record: Recording,
    /// Sets of faults, each to be run at every size. None means one setting without faults.
    #[serde(default = "default_settings", rename = "setting")]
    pub settings: Vec<Setting>,
}

/// What the nodes record beside what they tell the master. No effect in virtual time, where a run repeats itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recording {
    /// All that each node is given and gives back, in `inputs/<node>.<life>.rec` of the result: `gossip-sim inputs` lives it again.
    pub inputs: bool,
    /// The longest that the recording of one node's life becomes, MiB.
    pub inputs_max_mib: u32,
}

impl Default for Recording {
    fn default() -> Self {
        Self { inputs: false, inputs_max_mib: 64 }
    }
}

impl Recording {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The cluster's sizes and the patience with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Numbers of nodes, each run in turn. The cluster grows from the smallest to the largest.
    pub sizes: Vec<u32>,
    /// How long to wait until every node sees every node.
    #[serde(default = "default_convergence_limit")]
    pub convergence_limit: Span,
    /// How the nodes come to know each other before the first event.
    #[serde(default, skip_serializing_if = "Start::is_joined")]
    pub start: Start,
}

/// How the nodes of a cluster come to know each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// They join, each through up to three that are there already.
    #[default]
    Joined,
    /// All start, and then all join the first of them at the same moment: the greatest strain on joining.
    Burst,
    /// They know each other from birth: for simulated clusters that would take too long to join, or whose joining is not the
    /// question.
    Preloaded,
}

impl Start {
    fn is_joined(&self) -> bool {
        *self == Self::Joined
    }
}

/// The workload: events, one after the other, each at a node chosen by the seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// Events per run.
    pub count: u32,
    /// Length of each payload.
    pub payload_bytes: u32,
    /// After an event's start the control connections stay silent for so long, so that watching does not disturb.
    pub quiet: Span,
    /// When to give up waiting for the last living node.
    pub limit: Span,
    /// With a time, events do not wait for each other: each starts at a random moment, drawn from the seed, of its own stretch of this
    /// length. `quiet` then follows the last start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            count: 20,
            payload_bytes: 64,
            quiet: Span::from_millis(1_500),
            limit: Span::from_millis(30_000),
            every: None,
        }
    }
}

/// A named set of faults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Shown in plots and tables.
    pub name: String,
    /// The faults; none for the reference.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
    /// The network under this setting, instead of the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// One fault: what, to whom, when. Exactly one of `loss`, `delay`, `drop_next`, `sleep`, `partition`, `leave`,
/// `crash` and `churn`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Bernoulli loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// Extra delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// The next datagrams are not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_next: Option<DropNext>,
    /// Nothing in, nothing out, then back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Sleep>,
    /// The chosen nodes lose the others, and the others them, for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// Say goodbye and go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<Leave>,
    /// Killed without a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<Crash>,
    /// Nodes come and go at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub churn: Option<Churn>,
    /// Whom it strikes.
    #[serde(default)]
    pub nodes: Nodes,
    /// When, after the start of the run's first event. Lasting faults (loss, delay) hold from then to the end of the
    /// run.
    #[serde(default)]
    pub at: Span,
}

/// The nodes that a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nodes {
    /// All of them.
    #[default]
    All,
    /// So many, drawn by the seed, never one that another sleep, leave, crash or partition of the setting strikes.
    Random(u32),
    /// These, by name.
    Named(Vec<String>),
}

/// A partition: the chosen nodes on one side, all others on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// For how long.
    pub duration: Span,
}

/// A goodbye. It has no parameters: `leave = {}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "{}: a leave has no parameters")]
pub struct Leave {}

/// A crash. `crash = {}` is for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// After so long the node is started again at its old address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Span>,
    /// Whether it comes back with what it knew when it crashed, rather than with nothing.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub snapshot: bool,
}

/// Nodes come and go, each kind as a Poisson process of its own. Who goes is drawn among the nodes that no other fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// New nodes per second, on average.
    #[serde(default)]
    pub joins: f64,
    /// Goodbyes per second.
    #[serde(default)]
    pub leaves: f64,
    /// Crashes per second.
    #[serde(default)]
    pub crashes: f64,
    /// For how long.
    pub duration: Span,
}

/// What a fault does, once it is known that exactly one thing was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// See [`Fault::loss`].
    Loss(Loss),
    /// See [`Fault::delay`].
    Delay(Delay),
    /// See [`Fault::drop_next`].
    DropNext(DropNext),
    /// See [`Fault::sleep`].
    Sleep(Sleep),
    /// See [`Fault::partition`].
    Partition(Partition),
    /// See [`Fault::leave`].
    Leave,
    /// See [`Fault::crash`].
    Crash(Crash),
    /// See [`Fault::churn`].
    Churn(Churn),
}

impl Fault {
    /// The one thing that it does.
    ///
    /// # Errors
    /// Which kinds were given, when it was not exactly one.
    pub fn action(&self) -> Result<Action, String> {
        let given: Vec<(&str, Action)> = [
            self.loss.map(|x| ("loss", Action::Loss(x))),
            self.delay.map(|x| ("delay", Action::Delay(x))),
            self.drop_next.map(|x| ("drop_next", Action::DropNext(x))),
            self.sleep.map(|x| ("sleep", Action::Sleep(x))),
            self.partition.map(|x| ("partition", Action::Partition(x))),
            self.leave.map(|_| ("leave", Action::Leave)),
            self.crash.map(|x| ("crash", Action::Crash(x))),
            self.churn.map(|x| ("churn", Action::Churn(x))),
        ]
        .into_iter()
        .flatten()
        .collect();
        match given.as_slice() {
            [(_, action)] => Ok(*action),
            [] => Err("a fault needs one of loss, delay, drop_next, sleep, partition, leave, crash, churn".to_owned()),
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
                Err(format!("one fault does one thing, this one asks for {}", names.join(" and ")))
            }
        }
    }
}

impl fmt::Display for Fault {
    /// In words, as reports print it: `loss 10 % at all nodes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action() {
            Ok(Action::Loss(loss)) => write!(f, "loss {} %", round(loss.probability.value() * 100.0))?,
            Ok(Action::Delay(delay)) if delay.jitter.get().is_zero() => write!(f, "delay {}", delay.mean)?,
            Ok(Action::Delay(delay)) => write!(f, "delay {} ± {}", delay.mean, delay.jitter)?,
            Ok(Action::DropNext(next)) => write!(f, "drop the next {} datagrams", next.count)?,
            Ok(Action::Sleep(sleep)) => write!(f, "sleep {}", sleep.duration)?,
            Ok(Action::Partition(partition)) => write!(f, "partition for {}", partition.duration)?,
            Ok(Action::Leave) => f.write_str("leave")?,
            Ok(Action::Crash(Crash { restart: None, .. })) => f.write_str("crash")?,
            Ok(Action::Crash(Crash { restart: Some(after), snapshot: false })) => {
                write!(f, "crash and restart {after} later")?;
            }
            Ok(Action::Crash(Crash { restart: Some(after), snapshot: true })) => {
                write!(f, "crash and restart from a snapshot {after} later")?;
            }
            Ok(Action::Churn(churn)) => {
                write!(f, "churn for {}:", churn.duration)?;
                let kinds = [(churn.joins, "joins"), (churn.leaves, "leaves"), (churn.crashes, "crashes")];
                let kinds =
                    kinds.iter().filter(|(rate, _)| *rate > 0.0).map(|(rate, kind)| format!(" {rate} {kind}/s"));
                f.write_str(&kinds.collect::<Vec<_>>().join(","))?;
                return if self.at.get().is_zero() { Ok(()) } else { write!(f, " after {}", self.at) };
            }
            Err(reason) => return f.write_str(&reason),
        }
        match &self.nodes {
            Nodes::All => f.write_str(" at all nodes")?,
            Nodes::Random(1) => f.write_str(" of 1 node")?,
            Nodes::Random(count) => write!(f, " of {count} nodes")?,
            Nodes::Named(names) => write!(f, " of {}", names.join(", "))?,
        }
        if self.at.get().is_zero() { Ok(()) } else { write!(f, " after {}", self.at) }
    }
}

fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// One run of a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunKey {
    /// Number of nodes.
    pub size: u32,
    /// Name of the setting.
    pub setting: String,
}

/// Where the nodes of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Docker containers on a macvlan network.
    Docker,
    /// Network namespaces on a macvlan network.
    Netns,
    /// Processes on 127.x.y.z.
    Local,
    /// Virtual time.
    Sim,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Netns => "netns",
            Self::Local => "local",
            Self::Sim => "sim",
        })
    }
}

impl Plan {
    /// All runs, in order: sizes from small to large, at each size every setting.
    #[must_use]
    pub fn runs(&self) -> Vec<RunKey> {
        let mut sizes = self.cluster.sizes.clone();
        sizes.sort_unstable();
        let key = |size, setting: &Setting| RunKey { size, setting: setting.name.clone() };
        sizes.iter().flat_map(|&size| self.settings.iter().map(move |setting| key(size, setting))).collect()
    }

    /// The setting called `name`.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// The network under a setting: its own, else the plan's, else the default one.
    #[must_use]
    pub fn network(&self, setting: &Setting) -> Network {
        setting.network.clone().or_else(|| self.network.clone()).unwrap_or_default()
    }

    /// SHA-256 of the plan's canonical JSON (defaults written out, no spaces), hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        let json = serde_json::to_vec(self).expect("a plan is plain data, which JSON can hold");
        Sha256::digest(&json).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Name of the node with this index (from 0), the same on every backend: `n001`, `n002`, …
#[must_use]
pub fn node_name(index: u32) -> String {
    format!("n{:03}", index + 1)
}

fn default_seed() -> u64 {
    1
}

fn default_convergence_limit() -> Span {
    Span::from_millis(60_000)
}

fn default_settings() -> Vec<Setting> {
    vec![Setting { name: "no faults".to_owned(), faults: Vec::new(), network: None }]
}
