//! Bringing the cluster up to a size, and back to it after a run that took nodes away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use event_log::control::Order;
use event_log::plan::{Start, node_name, schedule};
use event_log::record::What;
use tokio::time::Instant;

use super::conductor::{Conductor, ExperimentError, owned};
use super::convergence;
use crate::backend::{Backend, NodeSpec};
use crate::fleet::State;
use event_log::clock;

/// How often the nodes are asked whom they see while the cluster converges.
const VIEW_INTERVAL: Duration = Duration::from_millis(100);

impl<B: Backend> Conductor<B> {
    /// Lets the cluster have `size` members that all see each other: starts new nodes, and those again that left or were
    /// killed.
    pub(super) async fn prepare(&mut self, size: u32) -> Result<(), ExperimentError> {
        let mut first_start_ns = clock::now_ns();
        for node in self.fleet.iter_mut().filter(|node| !node.is_living()) {
            node.state = State::Starting;
            node.life = None;
            node.link = None;
            node.lost_since = None;
        }
        let present = u32::try_from(self.fleet.len()).expect("the plan bounds the size");
        for index in present..size {
            let (name, addr) = (node_name(index), self.backend.gossip_addr(index)?);
            self.roster.expect(&name, addr);
            self.fleet.add(name, addr);
        }
        let new = owned(&self.fleet.names(|node| node.state == State::Starting));
        // The burst may come as soon as the last batch is started.
        self.burst_ns = None;
        self.start(&new).await?;
        let burst_ns = self.await_joined(&new).await?;
        // In a burst the processes are there before anybody joins.
        first_start_ns = burst_ns.unwrap_or(first_start_ns);
        self.converge().await?;
        for node in self.fleet.iter_mut() {
            node.state = State::Alive;
        }
        let took_ns = clock::now_ns() - first_start_ns;
        let joined = u32::try_from(new.len()).expect("the plan bounds the size");
        self.store.tell(What::Converged { size, took_ns, joined })?;
        self.sync_clocks().await?;
        self.store.flush()?;
        let seconds = Duration::from_nanos(took_ns).as_secs_f64();
        self.display.note(&format!("every one of {size} nodes sees every node after {seconds:.1} s ({joined} new)"));
        Ok(())
    }

    async fn start(&mut self, names: &[String]) -> Result<(), ExperimentError> {
        if names.is_empty() {
            return Ok(());
        }
        let plural = if names.len() == 1 { "" } else { "s" };
        self.display.phase(&format!("starting {} node{plural}", names.len()), names.len() as u64);
        let mut started = 0;
        for batch in names.chunks(self.backend.batch().max(1)) {
            let specs: Vec<NodeSpec> = batch.iter().map(|name| self.spec(name)).collect();
            self.backend.start(&specs).await?;
            started += batch.len() as u64;
            self.drain()?;
            self.join_ready();
            self.display.progress(started);
        }
        Ok(())
    }

    fn spec(&self, name: &str) -> NodeSpec {
        let addr = self.fleet.get(name).expect("only nodes of the fleet are started").addr;
        let protocol = serde_json::to_string(&self.plan.protocol).expect("a configuration is plain data");
        let seed = schedule::node_seed(self.plan.seed, name);
        let orphan = humantime::format_duration(self.options.orphan_timeout).to_string();
        let arguments = [
            ("--name", name.to_owned()),
            ("--bind", addr.to_string()),
            ("--master", self.control_addr().to_string()),
            ("--seed", seed.to_string()),
            ("--protocol", protocol),
            ("--orphan-timeout", orphan),
            ("--log", self.options.node_log.clone()),
        ];
        let record = self.options.inputs.iter().flat_map(|folder| {
            let max = self.plan.record.inputs_max_mib.to_string();
            [("--record", folder.to_string_lossy().into_owned()), ("--record-max", max)]
        });
        let arguments = arguments.into_iter().chain(record);
        let arguments = arguments.flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        NodeSpec { name: name.to_owned(), addr, arguments }
    }

    /// Tells every node that has connected and has not joined yet to join, as soon as one of its seeds has been told so
    /// too. A node alone begins the cluster. In a burst all wait for the last one.
    pub(super) fn join_ready(&mut self) {
        if self.plan.cluster.start == Start::Burst {
            self.join_at_once();
            return;
        }
        let mut members = owned(&self.fleet.names(|node| node.is_living() && node.state != State::Starting));
        let ready = owned(&self.fleet.names(|node| node.state == State::Starting && node.link.is_some()));
        let first = self.fleet.iter().next().map(|node| node.name.clone());
        for name in ready {
            if members.is_empty() && first.as_ref() != Some(&name) {
                return;
            }
            let seeds = self.seeds(&name, &members);
            if self.order(&name, Order::Join { seeds }) {
                self.fleet.get_mut(&name).expect("it is in the fleet").state = State::Joining;
                members.push(name);
            }
        }
    }

    /// As soon as every node has connected, tells all to join the first member; without one the first node begins.
    fn join_at_once(&mut self) {
        let starting = owned(&self.fleet.names(|node| node.state == State::Starting));
        let member = self.fleet.iter().find(|node| node.is_living() && node.state != State::Starting);
        let seed = member.or_else(|| self.fleet.iter().next()).map(|node| (node.name.clone(), node.addr));
        let Some(seed) = seed else { return };
        let connected = |name: &String| self.fleet.get(name).is_some_and(|node| node.link.is_some());
        if !starting.iter().all(connected) || starting.is_empty() {
            return;
        }
        self.burst_ns = Some(clock::now_ns());
        for name in starting {
            let seeds = if name == seed.0 { Vec::new() } else { vec![seed.1] };
            if self.order(&name, Order::Join { seeds }) {
                self.fleet.get_mut(&name).expect("it is in the fleet").state = State::Joining;
            }
        }
    }

    /// Up to three of `members`, drawn for this node.
    fn seeds(&self, name: &str, members: &[String]) -> Vec<SocketAddr> {
        let chosen = schedule::seeds(self.plan.seed, name, members.len());
        chosen.into_iter().filter_map(|index| self.fleet.get(&members[index])).map(|node| node.addr).collect()
    }

    /// Waits until all of `names` have connected and were told to join; when that was, if they were told at once.
    async fn await_joined(&mut self, names: &[String]) -> Result<Option<u64>, ExperimentError> {
        let limit = self.options.connect_limit;
        let deadline = Instant::now() + limit;
        loop {
            self.join_ready();
            let silent = self.fleet.names(|node| node.state == State::Starting);
            if silent.is_empty() {
                return Ok(self.burst_ns);
            }
            self.display.progress((names.len() - silent.len().min(names.len())) as u64);
            if Instant::now() >= deadline {
                return Err(ExperimentError::Silent { limit, names: convergence::list(&silent) });
            }
            let step = (Instant::now() + Duration::from_millis(250)).min(deadline);
            while Instant::now() < step && self.fleet.iter().any(|node| node.state == State::Starting) {
                self.pump(step).await?;
                self.join_ready();
            }
            self.check_ended().await?;
        }
    }

    /// Looks for nodes whose process has ended though nobody told it to.
    pub(super) async fn check_ended(&mut self) -> Result<(), ExperimentError> {
        for (name, reason) in self.backend.ended().await {
            if self.fleet.get(&name).is_some_and(crate::fleet::Node::is_living) {
                return Err(ExperimentError::Vanished { name, reason });
            }
        }
        Ok(())
    }

    /// Waits until every node sees every node.
    async fn converge(&mut self) -> Result<(), ExperimentError> {
        let size = self.fleet.len();
        let everybody = owned(&self.fleet.names(|_| true));
        let count = u32::try_from(size).expect("the plan bounds the size");
        let limit = self.plan.cluster.convergence_limit.get();
        let deadline = Instant::now() + limit;
        self.display.phase(&format!("waiting until each of {size} nodes sees all"), size as u64);
        self.views.clear();
        let mut ask = everybody.clone();
        loop {
            let round = Instant::now();
            self.barrier(&ask).await?;
            let names = everybody.iter().map(String::as_str);
            let behind = owned(&convergence::behind(count, names, &self.views));
            self.display.progress((size - behind.len()) as u64);
            let asked_all = ask.len() == size;
            match (behind.is_empty(), asked_all) {
                (true, true) => return Ok(()),
                // Those who saw all at first may have lost somebody since: ask everybody once more.
                (true, false) => ask.clone_from(&everybody),
                (false, _) => ask = behind,
            }
            if Instant::now() >= deadline {
                return Err(ExperimentError::NotConverged { size, limit, text: self.who_misses_whom(&ask).await? });
            }
            let next = round + VIEW_INTERVAL;
            while Instant::now() < next {
                self.pump(next).await?;
            }
            self.check_ended().await?;
        }
    }

    async fn who_misses_whom(&mut self, behind: &[String]) -> Result<String, ExperimentError> {
        self.view_lists.clear();
        for name in behind {
            self.order(name, Order::View { list: true });
        }
        let limit = Instant::now() + Duration::from_secs(3);
        while self.view_lists.len() < behind.len() && Instant::now() < limit {
            self.pump(limit).await?;
        }
        let nodes: BTreeMap<String, SocketAddr> =
            self.fleet.iter().map(|node| (node.name.clone(), node.addr)).collect();
        Ok(convergence::explain(&nodes, behind, &self.view_lists))
    }
}
