//! How the cluster comes to be: its nodes start and join, or know each other from birth.

use std::net::SocketAddr;
use std::time::Duration;

use event_log::plan::schedule::{self, below, node_seed, stream};
use event_log::plan::{Start, node_name};
use event_log::record::What;
use gossip_core::{Setup, SharedView};

use super::{Conductor, Host, RunError, State};
use crate::{Addresses as _, NodeId, StartOptions};

/// Between two looks at whom the nodes see while the cluster forms; the master's.
const VIEW_INTERVAL: Duration = Duration::from_millis(100);

/// Nodes are started so far apart, as processes are on one machine,
const START_INTERVAL: Duration = Duration::from_micros(2_500);
/// but all of them within this time.
const START_SPAN_MAX: Duration = Duration::from_secs(10);

/// What is added to the clock where it numbers events: what an agent's clock would say in 2026, so that the numbers are as long.
const SEQUENCE_BASE: u64 = 1_767_225_600_000 << 16;

impl Conductor<'_> {
    /// All join: one after the other, or at the same moment through the first.
    pub(super) fn form(&mut self) -> Result<(), RunError> {
        let size = self.key.size;
        self.gauge.phase("joining");
        let burst = self.plan.cluster.start == Start::Burst;
        let interval = if burst { Duration::ZERO } else { START_INTERVAL.min(START_SPAN_MAX / size) };
        for id in 0..size {
            self.run_to(interval * id)?;
            self.start(id, None);
            self.join(id, if burst { id.min(1) } else { id });
        }
        let (from, limit) = (self.now(), self.plan.cluster.convergence_limit);
        self.gauge.phase("converging");
        let mut ask: Vec<NodeId> = (0..size).collect();
        let mut all = true;
        loop {
            let cluster = &self.cluster;
            let behind: Vec<NodeId> =
                ask.iter().copied().filter(|&id| cluster.node(id).live_members() != size).collect();
            match (behind.is_empty(), all) {
                (true, true) => break,
                // Those who saw all at first may have lost somebody since.
                (true, false) => (ask, all) = ((0..size).collect(), true),
                (false, _) => (ask, all) = (behind, false),
            }
            if self.now() >= from + limit.get() {
                return Err(RunError::NotConverged { size, limit, text: self.who_sees_too_few(&ask) });
            }
            self.run_to(self.now() + VIEW_INTERVAL)?;
        }
        for host in &mut self.hosts {
            host.state = State::Alive;
        }
        let took_ns = self.now().as_nanos() as u64;
        self.tell(What::Converged { size, took_ns, joined: size });
        Ok(())
    }

    fn who_sees_too_few(&self, behind: &[NodeId]) -> String {
        let sees = |&id: &NodeId| format!("{} sees {}", node_name(id), self.cluster.node(id).live_members());
        let some: Vec<String> = behind.iter().take(10).map(sees).collect();
        format!("{} nodes do not see all: {}", behind.len(), some.join(", "))
    }

    /// All know each other from birth.
    pub(super) fn preload(&mut self) {
        self.gauge.phase("preloading");
        let setups = (0..self.key.size).map(|id| Setup::new(SocketAddr::of(id)));
        let view = SharedView::new(setups).expect("incarnations of zero");
        self.cluster.reserve(self.key.size as usize);
        for id in 0..self.key.size {
            self.start(id, Some(&view));
            self.hosts[id as usize].state = State::Alive;
        }
    }

    pub(super) fn start(&mut self, id: NodeId, view: Option<&SharedView<SocketAddr>>) {
        let name = node_name(id);
        let drift = self.plan.network(self.setting).drift_ppm;
        let drift_ppm = if drift == 0 {
            0
        } else {
            let mut rng = stream(self.plan.seed, self.key, &format!("drift/{name}"));
            below(&mut rng, 2 * drift as usize + 1) as i32 - drift as i32
        };
        let options = StartOptions {
            seed: Some(node_seed(self.seed, &name)),
            sequence_base: SEQUENCE_BASE + self.base_ns,
            drift_ppm,
            view,
            ..StartOptions::default()
        };
        let now = self.now();
        self.cluster.observer_mut().born(now, id);
        self.cluster.start_at(id, &self.config, &options);
        self.hosts.push(Host { state: State::Joining, since: now });
        if id as usize >= self.names.len() {
            self.names.push(name);
        }
    }

    /// Tells a node to join through some of the first `members` ones that live.
    pub(super) fn join(&mut self, id: NodeId, members: NodeId) {
        let members: Vec<NodeId> =
            (0..members).filter(|&other| other != id && self.hosts[other as usize].is_living()).collect();
        let seeds = schedule::seeds(self.plan.seed, &node_name(id), members.len());
        let seeds: Vec<NodeId> = seeds.into_iter().map(|index| members[index]).collect();
        self.cluster.join(id, &seeds);
    }
}
