//! Runs a plan: the adversary's time, then the calm in which everything must be well again.
//!
//! The calm asks more than that nothing is wrong: the cluster must find together; then events and a query reach all, a member that
//! crashes is found dead, one that comes is let in; and at last, with nothing more to tell, it must be quiet.

use core::time::Duration;
use std::net::SocketAddr;

use gossip_core::{Command, Config, EventOptions, Key, Keyring, QueryOptions};
use netem::seed::child;

use super::acts::{self, Step};
use super::draw::Draw;
use super::plan::Plan;
use super::tally::Tally;
use super::trace::Trace;
use crate::addresses::{Addresses as _, NodeId};
use crate::checkers::idle::PERIODS;
use crate::checkers::{Suite, Violation, difference};
use crate::network::{Cause, Fate};
use crate::observe::{Handled, Lifecycle, Observer};
use crate::{Cluster, Latency, Network, StartOptions};

/// What came of a plan.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What went wrong first, if anything did.
    pub violation: Option<Violation>,
    /// What happened.
    pub tally: Tally,
}

/// Runs a plan. `trace` writes down what happens.
///
/// # Panics
/// When a node's invariants do not hold, and for a plan that [`Plan::check`] refuses.
#[must_use]
pub fn run(plan: &Plan, trace: Option<Trace>) -> Outcome {
    let mut run = Run::new(plan, trace);
    run.trouble();
    run.calm();
    run.finish()
}

/// Who watches: the checkers, and whoever writes down.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) suite: Suite<SocketAddr>,
    pub(super) trace: Option<Trace>,
}

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) config: Config,
    pub(super) cluster: Cluster<SocketAddr, Watch>,
    pub(super) tally: Tally,
    /// Which acts go on.
    pub(super) going_on: Vec<bool>,
    /// Numbers of keys, the one that seals first.
    pub(super) keys: Vec<u32>,
    next_tick: Duration,
    tick: Duration,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, trace: Option<Trace>) -> Self {
        let config = plan.protocol.config().expect("a plan that was checked");
        let tick = config.probe_interval / 2;
        let round_trip = plan.latency[1].get() * 2;
        let suite = Suite::all(round_trip, f64::from(plan.loss_per_mille) / 1000.0, acts::damages(plan));
        let mut run = Self {
            plan,
            config,
            cluster: Cluster::new(child(plan.seed, "run"), Watch { suite, trace }),
            tally: Tally::default(),
            going_on: vec![false; plan.acts.len()],
            keys: if plan.key > 0 { vec![plan.key] } else { Vec::new() },
            next_tick: tick,
            tick,
        };
        run.cluster.set_network(run.base_network());
        for node in 0..plan.nodes {
            run.start(node);
            run.join(node, &[0]);
        }
        run
    }

    /// The network when the adversary leaves it alone.
    pub(super) fn base_network(&self) -> Network {
        let [least, most] = self.plan.latency.map(netem::spec::Span::get);
        let latency = Latency::Uniform { min: least, max: most };
        Network { loss: f64::from(self.plan.loss_per_mille) / 1000.0, ..Network::with_latency(latency) }
    }

    pub(super) fn now(&self) -> Duration {
        self.cluster.now()
    }

    pub(super) fn suite(&mut self) -> &mut Suite<SocketAddr> {
        &mut self.cluster.observer_mut().suite
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(trace) = &mut self.cluster.observer_mut().trace {
            trace.note(now, &what());
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.cluster.observer().suite.violation().is_some()
    }

    fn trouble(&mut self) {
        for Step { at, act, stage } in acts::steps(self.plan) {
            self.run_to(at);
            if self.has_failed() {
                return;
            }
            self.perform(act, stage);
        }
        self.run_to(self.plan.span.get());
    }

    /// Lets time pass, and the checkers have a look now and then.
    fn run_to(&mut self, end: Duration) {
        while self.next_tick <= end && !self.has_failed() {
            self.cluster.run_to(self.next_tick);
            self.look();
            self.next_tick += self.tick;
        }
        if !self.has_failed() {
            self.cluster.run_to(end);
        }
    }

    fn run_for(&mut self, span: Duration) {
        self.run_to(self.now() + span);
    }

    fn look(&mut self) {
        let mut suite = core::mem::take(&mut self.cluster.observer_mut().suite);
        let cluster = &self.cluster;
        suite.tick(cluster.now(), &|id| cluster.get(id).filter(|_| cluster.is_up(id)));
        self.cluster.observer_mut().suite = suite;
    }

    fn difference(&self) -> Option<String> {
        let cluster = &self.cluster;
        difference(cluster.observer().suite.world(), &|id| cluster.get(id).filter(|_| cluster.is_up(id)))
    }

    /// Waits until the cluster is at one; the checkers say when that takes too long.
    fn settle(&mut self) -> Option<Duration> {
        let begin = self.now();
        self.suite().world_mut(begin).set_calm(true);
        // A probe that began in the trouble may still fail.
        self.run_for(self.tick);
        let world = self.cluster.observer().suite.world();
        let periods = world.members().filter_map(|id| Some(world.bounds(id)?.period()));
        let period = periods.max().unwrap_or_default();
        self.run_for(period * 2);
        while let Some(_difference) = self.difference() {
            if self.has_failed() {
                return None;
            }
            self.run_for(self.tick);
        }
        let now = self.now();
        self.suite().world_mut(now).set_settled();
        Some(now - begin)
    }

    fn calm(&mut self) {
        if self.has_failed() {
            return;
        }
        self.note(|| "the adversary has gone".to_owned());
        self.find_lost();
        let Some(took) = self.settle() else { return };
        self.note(|| format!("all know the same after {took:?}"));
        self.tally.settled_after = took;
        let mut draw = Draw::new(self.plan.seed, "calm");
        self.events_and_a_query(&mut draw);
        self.a_crash(&mut draw);
        self.an_arrival();
        self.rest();
    }

    /// Applications of nodes that never knew anybody ask again; so do all, if the plan says so.
    fn find_lost(&mut self) {
        let members: Vec<NodeId> = self.cluster.observer().suite.world().members().collect();
        for &node in &members {
            let world = self.cluster.observer().suite.world();
            let lost = world.node(node).is_some_and(|truth| !truth.met);
            if lost || self.plan.rejoin {
                let seeds = self.some_seeds(node, "calm");
                self.join(node, &seeds);
            }
        }
    }

    fn events_and_a_query(&mut self, draw: &mut Draw) {
        let members: Vec<NodeId> = self.cluster.observer().suite.world().members().collect();
        if self.has_failed() || members.is_empty() {
            return;
        }
        for node in draw.some(3, &members) {
            for ordered in [false, true, true] {
                let options = EventOptions { ordered, ..EventOptions::default() };
                let _ = self.command(node, Command::StartEvent { payload: b"calm", options });
            }
        }
        let node = draw.pick(&members);
        let bound = self.suite().world().bounds(node).map(|bounds| bounds.telling()).unwrap_or_default();
        let (deadline, options) = ((bound * 2).min(self.config.event_lifetime), QueryOptions::default());
        let options = QueryOptions { receipts: draw.chance(50), ..options };
        let _ = self.command(node, Command::StartQuery { payload: b"calm?", deadline, options });
        self.run_for(bound * 2 + self.tick * 3);
    }

    fn a_crash(&mut self, draw: &mut Draw) {
        let members: Vec<NodeId> = self.cluster.observer().suite.world().members().collect();
        if self.has_failed() || members.len() < 3 {
            return;
        }
        let node = draw.pick(&members);
        self.note(|| format!("node {node} crashes, in the calm"));
        self.cluster.crash(node);
        if let Some(took) = self.settle() {
            self.note(|| format!("node {node} is known to be gone after {took:?}"));
            self.tally.detected_after = took;
        }
    }

    fn an_arrival(&mut self) {
        if self.has_failed() {
            return;
        }
        let node = self.plan.hosts().last().map_or(0, |last| last + 1 + acts::TWINS_MAX);
        self.note(|| format!("node {node} arrives, in the calm"));
        self.start(node);
        let seeds = self.some_seeds(node, "calm");
        self.join(node, &seeds);
        self.settle();
    }

    /// Until everything was told that is to be told, and then for as long as the rate is to be measured.
    fn rest(&mut self) {
        let world = self.cluster.observer().suite.world();
        let configs = || world.members().filter_map(|id| world.node(id)?.config.as_ref());
        let period = configs().map(|config| config.probe_interval).max().unwrap_or_default();
        let telling = world.members().filter_map(|id| Some(world.bounds(id)?.telling())).max().unwrap_or_default();
        self.run_for(telling);
        let now = self.now();
        self.suite().world_mut(now).set_idle(true);
        self.run_for(period * (PERIODS + 1) + self.tick);
    }

    fn finish(mut self) -> Outcome {
        self.look();
        self.tally.collect(&self.cluster);
        let violation = self.suite().violation().cloned();
        Outcome { violation, tally: self.tally }
    }

    pub(super) fn start(&mut self, node: NodeId) {
        self.start_as(node, node);
    }

    /// Starts a process with the address of a node.
    pub(super) fn start_as(&mut self, id: NodeId, address: NodeId) {
        let metadata = acts::metadata(&self.config, address, self.plan.metadata_of(address));
        let keyring = self.keyring();
        let options = StartOptions {
            metadata: &metadata,
            keyring: keyring.as_ref(),
            drift_ppm: self.plan.drift_of(address),
            twin_of: (id != address).then_some(address),
            ..StartOptions::default()
        };
        self.cluster.start_at(id, &self.config, &options);
        self.cluster.set_answer(id, Some(format!("node {id}").as_bytes()));
    }

    pub(super) fn join(&mut self, node: NodeId, seeds: &[NodeId]) {
        self.note(|| format!("node {node} is to join through {seeds:?}"));
        self.cluster.join(node, seeds);
    }

    /// Three members that are there, other than this one.
    pub(super) fn some_seeds(&self, node: NodeId, label: &str) -> Vec<NodeId> {
        let others: Vec<NodeId> =
            self.cluster.observer().suite.world().members().filter(|&other| other != node).collect();
        Draw::new(self.plan.seed, &format!("seeds/{label}/{node}")).some(3, &others)
    }

    pub(super) fn keyring(&self) -> Option<Keyring> {
        let key = |&number: &u32| {
            let mut secret = [0; gossip_core::keyring::KEY_LEN];
            secret[..8].copy_from_slice(&child(u64::from(number), "key").to_be_bytes());
            Key::new(number as u8, secret)
        };
        let keys: Vec<Key> = self.keys.iter().map(key).collect();
        (!keys.is_empty()).then(|| Keyring::new(&keys).expect("two keys of different numbers"))
    }

    /// Gives a node a command, if it is there to take it.
    pub(super) fn command(&mut self, node: NodeId, command: Command<'_, SocketAddr>) -> Handled<SocketAddr> {
        let now = self.now();
        let reconfigures = matches!(command, Command::Reconfigure { .. });
        if reconfigures {
            // It obeys from now on, also with what it sends at once.
            self.suite().on_command(now, node, &command, &Ok(gossip_core::Outcome::Done));
        }
        let outcome = self.cluster.command(node, command);
        self.note(|| format!("node {node} is told {}: {outcome:?}", super::trace::of_command(&command)));
        if !reconfigures {
            self.suite().on_command(now, node, &command, &outcome);
        }
        outcome
    }
}

impl Observer<SocketAddr> for Watch {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &gossip_core::Event<SocketAddr>) {
        self.suite.on_event(now, node, event);
        if let Some(trace) = &mut self.trace {
            trace.event(now, node, event);
        }
    }

    fn on_input(
        &mut self,
        now: Duration,
        local: gossip_core::Instant,
        node: NodeId,
        input: &gossip_core::Input<'_, SocketAddr>,
    ) {
        self.suite.on_input(now, local, node, input);
    }

    fn on_sent(&mut self, now: Duration, from: NodeId, to: SocketAddr, bytes: &[u8], fate: Fate) {
        self.suite.on_sent(now, from, to, bytes, fate);
        if let Some(trace) = &mut self.trace {
            trace.sent(now, from, to, bytes, fate);
        }
    }

    fn on_delivered(
        &mut self,
        now: Duration,
        from: SocketAddr,
        to: NodeId,
        bytes: &[u8],
        result: &Handled<SocketAddr>,
    ) {
        self.suite.on_delivered(now, from, to, bytes, result);
        if let Some(trace) = &mut self.trace {
            trace.delivered(now, from, to, bytes, result);
        }
    }

    fn on_lost(&mut self, now: Duration, from: SocketAddr, to: NodeId, _bytes: &[u8], cause: Cause) {
        if let Some(trace) = &mut self.trace {
            trace.note(now, &format!("a datagram from {:?} to node {to} was lost: {cause:?}", from.id()));
        }
    }

    fn on_lifecycle(&mut self, now: Duration, node: NodeId, lifecycle: Lifecycle) {
        self.suite.on_lifecycle(now, node, lifecycle);
        if let Some(trace) = &mut self.trace {
            trace.note(now, &format!("node {node}: {lifecycle:?}"));
        }
    }
}
