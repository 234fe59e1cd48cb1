//! One run, from birth to death: the cluster forms, faults strike on schedule, a node starts an event, and so on, as the master
//! conducts it on real nodes (`master/src/experiment`), with the same waits.
//!
//! Each run has a cluster of its own. A master lets one cluster grow over the sizes because starting nodes is dear; here it costs
//! little, and runs that share nothing can go at the same time, and mean the same alone.

mod agenda;
mod ending;
mod events;
mod faults;
mod formation;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use event_log::plan::schedule::{self, Strike};
use event_log::plan::{Plan, RunKey, Setting, Start, node_name};
use event_log::record::What;
use gossip_core::Config;
use netem::seed::child;
use thiserror::Error;

use self::agenda::Task;
use super::network::network;
use super::progress::Gauge;
use super::recorder::{FORMATION_TOLD_MAX, Recorder};
use crate::{Cluster, NodeId};

/// Between two looks at the nodes that do not know an event yet; the master's.
const COLLECT_INTERVAL: Duration = Duration::from_millis(500);

/// Why a run was broken off.
#[derive(Debug, Error)]
pub enum RunError {
    /// The plan asks for what there is not.
    #[error("{0}")]
    Plan(String),
    /// The records cannot be written.
    #[error("the records cannot be written: {0}")]
    Write(#[from] io::Error),
    /// Nodes do not see each other.
    #[error("the cluster of {size} did not converge within {limit}: {text}")]
    NotConverged {
        /// Nodes.
        size: u32,
        /// How long was waited.
        limit: netem::spec::Span,
        /// Who sees how many.
        text: String,
    },
}

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub struct RunDone {
    /// Virtual time.
    pub virtual_time: Duration,
    /// Steps of the simulator.
    pub steps: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It was told to join.
    Joining,
    Alive,
    Asleep,
    CutOff,
    Left,
    Crashed,
}

#[derive(Debug, Clone, Copy)]
struct Host {
    state: State,
    /// When this life of it began.
    since: Duration,
}

impl Host {
    fn is_living(self) -> bool {
        !matches!(self.state, State::Left | State::Crashed)
    }
}

pub(super) struct Conductor<'a> {
    plan: &'a Plan,
    key: &'a RunKey,
    setting: &'a Setting,
    config: Config,
    /// Seed of everything but the draws that all backends have in common.
    seed: u64,
    base_ns: u64,
    cluster: Cluster<SocketAddr, Recorder>,
    hosts: Vec<Host>,
    names: Vec<String>,
    strikes: Vec<Strike>,
    /// By time, and those of one time in the order in which they were put in.
    agenda: BTreeMap<(Duration, u64), Task>,
    tasks: u64,
    run_start: Duration,
    crashed: Vec<(NodeId, Duration)>,
    gauge: &'a Gauge,
}

impl<'a> Conductor<'a> {
    /// Prepares run `index` of a plan, on so many threads; its records go to `out`, and its virtual time begins at `base_ns` of the
    /// log's.
    pub(super) fn new(
        plan: &'a Plan,
        key: &'a RunKey,
        index: u32,
        base_ns: u64,
        out: File,
        threads: usize,
        gauge: &'a Gauge,
    ) -> Result<Self, RunError> {
        let setting = plan.setting(&key.setting).expect("runs are made from the plan's settings");
        let seed = child(plan.seed, &format!("run/{}/{}", key.size, key.setting));
        let silent = key.size > FORMATION_TOLD_MAX;
        let mut cluster = Cluster::new(seed, Recorder::new(out, index, base_ns, silent));
        cluster.set_network(network(&plan.network(setting)).map_err(RunError::Plan)?);
        cluster.set_threads(threads);
        Ok(Self {
            plan,
            key,
            setting,
            config: plan.protocol.config().map_err(RunError::Plan)?,
            seed,
            base_ns,
            cluster,
            hosts: Vec::new(),
            names: (0..key.size).map(node_name).collect(),
            strikes: Vec::new(),
            agenda: BTreeMap::new(),
            tasks: 0,
            run_start: Duration::ZERO,
            crashed: Vec::new(),
            gauge,
        })
    }

    /// The whole run. What was recorded before an error is written.
    pub(super) fn run(mut self) -> Result<RunDone, RunError> {
        let result = self.conduct();
        if let Err(error) = &result {
            self.tell(What::Warning { text: error.to_string() });
        }
        let written = self.cluster.observer_mut().flush();
        result?;
        written?;
        Ok(RunDone { virtual_time: self.cluster.now(), steps: self.cluster.stats().happenings })
    }

    fn conduct(&mut self) -> Result<(), RunError> {
        let wrong = |error: schedule::ScheduleError| RunError::Plan(error.to_string());
        self.strikes = schedule::draw(self.plan.seed, self.key, self.setting, &self.names).map_err(wrong)?;
        match self.plan.cluster.start {
            Start::Joined | Start::Burst => self.form()?,
            Start::Preloaded => self.preload(),
        }
        self.cluster.observer_mut().formed();
        let mut faults: Vec<String> = self.setting.faults.iter().map(ToString::to_string).collect();
        faults.extend(self.setting.network.as_ref().map(|network| format!("network: {network}")));
        self.tell(What::RunStarted { key: self.key.clone(), faults });
        self.count_living();
        // Before the faults: their times count from the first event.
        self.fall_at_a_random_phase(0)?;
        self.begin_faults()?;
        let count = self.plan.events.count;
        if let Some(every) = self.plan.events.every {
            self.run_stream(every.get())?;
        } else {
            for index in 0..count {
                self.gauge.phase(&format!("event {} of {count}", index + 1));
                if index > 0 {
                    self.fall_at_a_random_phase(index)?;
                }
                self.run_event(index)?;
                self.gauge.share(f64::from(index + 1) / f64::from(count));
            }
        }
        self.await_faults()?;
        self.end_run()
    }

    fn now(&self) -> Duration {
        self.cluster.now()
    }

    fn tell(&mut self, what: What) {
        let now = self.now();
        self.cluster.observer_mut().tell(now, what);
    }

    fn warn(&mut self, text: String) {
        self.tell(What::Warning { text });
    }
}
