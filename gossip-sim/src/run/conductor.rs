//! One run, from birth to death: the cluster forms, faults strike on schedule, a node starts an event, and so on, as the master
//! conducts it on real nodes (`master/src/experiment`), with the same waits.
//!
//! Each run has a cluster of its own. A master lets one cluster grow over the sizes because starting nodes is dear; here it costs
//! little, and runs that share nothing can go at the same time, and mean the same alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use event_log::plan::schedule::{self, Arrival, Strike, Turn, below, node_seed, stream};
use event_log::plan::{Action, Crash, Plan, RunKey, Setting, Start, node_name, origins};
use event_log::record::What;
use gossip_core::{Command, Config, Outcome, Setup, SharedView};
use netem::seed::child;
use netem::{Endpoint, Impairment};
use thiserror::Error;

use super::network::network;
use super::progress::Gauge;
use super::recorder::{FORMATION_TOLD_MAX, Recorder};
use crate::{Addresses as _, Cluster, NodeId, Restart, StartOptions};

/// Between two looks at the nodes that do not know an event yet; the master's.
const COLLECT_INTERVAL: Duration = Duration::from_millis(500);
/// Between two looks at the survivors that have not declared a crashed node dead; the master's.
const DEATH_INTERVAL: Duration = Duration::from_secs(1);
/// Survivors get at least so long to declare a crashed node dead; the master's.
const DEATH_LIMIT_MIN: Duration = Duration::from_secs(60);
/// Between two looks at whom the nodes see while the cluster forms; the master's.
const VIEW_INTERVAL: Duration = Duration::from_millis(100);
/// Names of ignorant nodes that [`What::EventSettled`] holds; the master's.
const MISSING_MAX: usize = 32;
/// While nobody can start an event it is looked again after so long; the master's.
const AWAKE_INTERVAL: Duration = Duration::from_millis(50);

/// Nodes are started so far apart, as processes are on one machine,
const START_INTERVAL: Duration = Duration::from_micros(2_500);
/// but all of them within this time.
const START_SPAN_MAX: Duration = Duration::from_secs(10);

/// What is added to the clock where it numbers events: what an agent's clock would say in 2026, so that the numbers are as long.
const SEQUENCE_BASE: u64 = 1_767_225_600_000 << 16;

/// The gauge is looked after every so much virtual time.
const SLICE: Duration = Duration::from_millis(20);

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

/// Something that is to happen at its time.
#[derive(Debug)]
enum Task {
    Strike(Strike),
    Churn {
        fault: u32,
        text: String,
        arrival: Arrival,
        number: usize,
    },
    Restart {
        id: NodeId,
        snapshot: bool,
    },
    /// A sleep or a partition is over.
    Wake(NodeId),
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
    /// Prepares run `index` of a plan; its records go to `out`, and its virtual time begins at `base_ns` of the log's.
    pub(super) fn new(
        plan: &'a Plan,
        key: &'a RunKey,
        index: u32,
        base_ns: u64,
        out: File,
        gauge: &'a Gauge,
    ) -> Result<Self, RunError> {
        let setting = plan.setting(&key.setting).expect("runs are made from the plan's settings");
        let seed = child(plan.seed, &format!("run/{}/{}", key.size, key.setting));
        let silent = key.size > FORMATION_TOLD_MAX;
        let mut cluster = Cluster::new(seed, Recorder::new(out, index, base_ns, silent));
        cluster.set_network(network(&plan.network(setting)).map_err(RunError::Plan)?);
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
            Start::Joined => self.form()?,
            Start::Preloaded => self.preload(),
        }
        self.cluster.observer_mut().formed();
        let mut faults: Vec<String> = self.setting.faults.iter().map(ToString::to_string).collect();
        faults.extend(self.setting.network.as_ref().map(|network| format!("network: {network}")));
        self.tell(What::RunStarted { key: self.key.clone(), faults });
        self.count_living();
        self.begin_faults()?;
        let count = self.plan.events.count;
        for index in 0..count {
            self.gauge.phase(&format!("event {} of {count}", index + 1));
            self.run_event(index)?;
            self.gauge.share(f64::from(index + 1) / f64::from(count));
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

    // ---- the cluster ----

    /// All join, one after the other.
    fn form(&mut self) -> Result<(), RunError> {
        let size = self.key.size;
        self.gauge.phase("joining");
        let interval = START_INTERVAL.min(START_SPAN_MAX / size);
        for id in 0..size {
            self.run_to(interval * id)?;
            self.start(id, None);
            self.join(id, id);
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
    fn preload(&mut self) {
        self.gauge.phase("preloading");
        let setups = (0..self.key.size).map(|id| Setup::new(SocketAddr::of(id)));
        let view = SharedView::new(setups).expect("incarnations of zero");
        self.cluster.reserve(self.key.size as usize);
        for id in 0..self.key.size {
            self.start(id, Some(&view));
            self.hosts[id as usize].state = State::Alive;
        }
    }

    fn start(&mut self, id: NodeId, view: Option<&SharedView<SocketAddr>>) {
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
    fn join(&mut self, id: NodeId, members: NodeId) {
        let members: Vec<NodeId> =
            (0..members).filter(|&other| other != id && self.hosts[other as usize].is_living()).collect();
        let seeds = schedule::seeds(self.plan.seed, &node_name(id), members.len());
        let seeds: Vec<NodeId> = seeds.into_iter().map(|index| members[index]).collect();
        self.cluster.join(id, &seeds);
    }

    // ---- time ----

    fn run_to(&mut self, until: Duration) -> Result<(), RunError> {
        while self.now() < until {
            self.cluster.run_to(until.min(self.now() + SLICE));
            self.gauge.at(self.now(), self.cluster.stats().happenings);
            self.end_leavers();
        }
        Ok(self.cluster.observer_mut().check()?)
    }

    /// The process of a node that has said goodbye ends.
    fn end_leavers(&mut self) {
        for id in self.cluster.observer_mut().take_left() {
            self.cluster.crash(id);
            self.cluster.remove(id);
        }
    }

    fn put(&mut self, at: Duration, task: Task) {
        self.agenda.insert((at, self.tasks), task);
        self.tasks += 1;
    }

    /// Waits; what is on the agenda happens at its time.
    fn wait_until(&mut self, until: Duration) -> Result<(), RunError> {
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), task) = entry.remove_entry();
            self.run_to(at)?;
            self.carry_out(task);
        }
        self.run_to(until)
    }

    fn carry_out(&mut self, task: Task) {
        match task {
            Task::Strike(strike) => self.strike(&strike),
            Task::Churn { fault, text, arrival, number } => self.turn(fault, &text, arrival, number),
            Task::Restart { id, snapshot } => self.restart(id, snapshot),
            Task::Wake(id) => {
                let host = &mut self.hosts[id as usize];
                if matches!(host.state, State::Asleep | State::CutOff) {
                    host.state = State::Alive;
                }
            }
        }
    }

    /// The faults that hold from the first event on take effect before it starts.
    fn begin_faults(&mut self) -> Result<(), RunError> {
        self.run_start = self.now();
        for strike in self.strikes.clone() {
            let at = self.run_start + strike.at;
            if let Action::Churn(churn) = &strike.action {
                let arrivals = schedule::arrivals(self.plan.seed, self.key, strike.fault, churn);
                for (number, arrival) in arrivals.into_iter().enumerate() {
                    let (fault, text) = (strike.fault, strike.text.clone());
                    self.put(at + arrival.at, Task::Churn { fault, text, arrival, number });
                }
            } else {
                self.put(at, Task::Strike(strike));
            }
        }
        self.wait_until(self.run_start)
    }

    // ---- events ----

    fn run_event(&mut self, index: u32) -> Result<(), RunError> {
        let events = self.plan.events.clone();
        let Some(origin) = self.choose_origin(index)? else {
            self.warn(format!("event {index} was not started: no node is awake"));
            return Ok(());
        };
        let start = self.now();
        let payload = vec![0x68; events.payload_bytes as usize];
        let place = match self.cluster.command(origin, Command::event(&payload)) {
            Ok(Outcome::Started(id)) => {
                let recorder = self.cluster.observer_mut();
                recorder.started(start, origin, id, index, events.payload_bytes);
                recorder.events() - 1
            }
            other => {
                self.warn(format!("event {index}: {} did not start it: {other:?}", node_name(origin)));
                return Ok(());
            }
        };
        self.wait_until(start + events.quiet.get())?;
        let deadline = start + events.limit.get();
        while self.now() < deadline && self.awaited(start).any(|id| !self.knows(place, id)) {
            self.wait_until((self.now() + COLLECT_INTERVAL).min(deadline))?;
        }
        self.settle(place, start);
        Ok(())
    }

    /// The nodes that were there at `start`, and still are.
    fn awaited(&self, start: Duration) -> impl Iterator<Item = NodeId> + '_ {
        let there = move |host: &Host| host.is_living() && host.since <= start && host.state != State::Joining;
        (0..).zip(&self.hosts).filter(move |(_, host)| there(host)).map(|(id, _)| id)
    }

    fn knows(&self, place: usize, id: NodeId) -> bool {
        self.cluster.observer().knows(place, id)
    }

    /// Who starts event `index`: a node that is awake and will not be struck before the silence after the start is over.
    fn choose_origin(&mut self, index: u32) -> Result<Option<NodeId>, RunError> {
        let limit = self.now() + self.plan.events.limit.get();
        loop {
            self.welcome();
            let since = self.now() - self.run_start;
            let soon = origins::struck_between(&self.strikes, since, since + self.plan.events.quiet.get());
            let awake: Vec<&str> = self
                .hosts
                .iter()
                .zip(&self.names)
                .filter(|(host, _)| host.state == State::Alive)
                .map(|(_, name)| name.as_str())
                .collect();
            let lasting: Vec<&str> = awake.iter().filter(|name| !soon.contains(*name)).copied().collect();
            let eligible = if lasting.is_empty() { &awake } else { &lasting };
            if let Some(origin) = origins::choose(self.plan.seed, self.key, index, eligible) {
                let id = self.id(origin);
                return Ok(Some(id));
            }
            if self.now() >= limit {
                return Ok(None);
            }
            self.wait_until(self.now() + AWAKE_INTERVAL)?;
        }
    }

    /// Nodes that came later count as members once they have joined.
    fn welcome(&mut self) {
        let recorder = self.cluster.observer();
        for (id, host) in (0..).zip(&mut self.hosts) {
            if host.state == State::Joining && recorder.has_joined(id) {
                host.state = State::Alive;
            }
        }
    }

    fn id(&self, name: &str) -> NodeId {
        let number: NodeId = name[1..].parse().expect("names of nodes are n and a number");
        debug_assert_eq!(self.names[number as usize - 1], name);
        number - 1
    }

    fn settle(&mut self, place: usize, start: Duration) {
        let awaited: Vec<NodeId> = self.awaited(start).collect();
        let missing: Vec<NodeId> = awaited.iter().copied().filter(|&id| !self.knows(place, id)).collect();
        let count = |nodes: &[NodeId]| nodes.len() as u32;
        let what = What::EventSettled {
            event: self.cluster.observer().key(place).clone(),
            expected: count(&awaited),
            informed: count(&awaited) - count(&missing),
            missing: missing.iter().take(MISSING_MAX).map(|&id| node_name(id)).collect(),
        };
        self.tell(what);
    }

    // ---- faults ----

    fn strike(&mut self, strike: &Strike) {
        let ids = strike.victims.iter().map(|name| self.id(name));
        let victims: Vec<NodeId> = ids.filter(|&id| self.hosts[id as usize].is_living()).collect();
        let now = self.now();
        match strike.action {
            Action::Loss(loss) => self.impair(strike, &victims, &Impairment::Loss(loss), None),
            Action::Delay(delay) => self.impair(strike, &victims, &Impairment::Delay(delay), None),
            Action::DropNext(next) => self.impair(strike, &victims, &Impairment::DropNext(next), None),
            Action::Sleep(sleep) => {
                let state = Some((State::Asleep, now + sleep.duration.get()));
                self.impair(strike, &victims, &Impairment::Sleep(sleep), state);
            }
            Action::Partition(partition) => {
                let inside: BTreeSet<NodeId> = victims.iter().copied().collect();
                let peers = (0..self.hosts.len() as NodeId).filter(|id| !inside.contains(id));
                let peers = peers.map(|id| Endpoint(id.into())).collect();
                let duration = partition.duration.get();
                let state = Some((State::CutOff, now + duration));
                self.impair(strike, &victims, &Impairment::Block { peers, duration }, state);
            }
            Action::Leave => {
                for &id in &victims {
                    self.leave(strike.fault, &strike.text, id);
                }
            }
            Action::Crash(crash) => {
                for &id in &victims {
                    self.order(strike.fault, &strike.text, id);
                    self.crash(id, crash);
                }
            }
            Action::Churn(_) => unreachable!("its turns are on the agenda one by one"),
        }
    }

    fn order(&mut self, fault: u32, text: &str, id: NodeId) {
        self.tell(What::FaultOrdered { fault, text: text.to_owned(), target: node_name(id) });
    }

    fn impair(
        &mut self,
        strike: &Strike,
        victims: &[NodeId],
        impairment: &Impairment,
        until: Option<(State, Duration)>,
    ) {
        for &id in victims {
            self.order(strike.fault, &strike.text, id);
            self.cluster.impair(id, strike.fault, impairment.clone());
            if let Some((state, end)) = until {
                self.hosts[id as usize].state = state;
                self.put(end, Task::Wake(id));
            }
        }
    }

    fn leave(&mut self, fault: u32, text: &str, id: NodeId) {
        self.count(id);
        self.order(fault, text, id);
        self.hosts[id as usize].state = State::Left;
        if let Err(error) = self.cluster.command(id, Command::Leave) {
            self.warn(format!("{} does not leave: {error}", node_name(id)));
        }
        self.end_leavers();
    }

    fn crash(&mut self, id: NodeId, crash: Crash) {
        self.count(id);
        let now = self.now();
        self.hosts[id as usize].state = State::Crashed;
        self.cluster.crash(id);
        self.tell(What::NodeKilled { name: node_name(id) });
        match crash.restart {
            Some(after) => self.put(now + after.get(), Task::Restart { id, snapshot: crash.snapshot }),
            None => {
                self.crashed.push((id, now));
                self.cluster.remove(id);
            }
        }
    }

    fn restart(&mut self, id: NodeId, snapshot: bool) {
        let now = self.now();
        let how = if snapshot { Restart::FromSnapshot } else { Restart::Fresh };
        let recorder = self.cluster.observer_mut();
        recorder.born(now, id);
        if !snapshot {
            recorder.forgets(id);
        }
        if let Err(error) = self.cluster.restart(id, &how) {
            return self.warn(format!("{} does not come back: {error}", node_name(id)));
        }
        self.hosts[id as usize] = Host { state: State::Joining, since: now };
        self.join(id, self.hosts.len() as NodeId);
    }

    /// A node comes or goes by chance.
    fn turn(&mut self, fault: u32, text: &str, arrival: Arrival, number: usize) {
        if arrival.turn == Turn::Join {
            let id = self.hosts.len() as NodeId;
            self.start(id, None);
            return self.join(id, id);
        }
        self.welcome();
        let struck: BTreeSet<&str> = self
            .strikes
            .iter()
            .filter(|strike| schedule::is_exclusive(&strike.action))
            .flat_map(|strike| strike.victims.iter().map(String::as_str))
            .collect();
        let hosts = self.hosts.iter().zip(&self.names).enumerate();
        let free = hosts.filter(|(_, (host, name))| host.state == State::Alive && !struck.contains(name.as_str()));
        let free: Vec<NodeId> = free.map(|(id, _)| id as NodeId).collect();
        if free.len() <= 2 {
            return;
        }
        let mut rng = stream(self.plan.seed, self.key, &format!("churn/{fault}/{:?}/{number}", arrival.turn));
        let id = free[below(&mut rng, free.len())];
        if arrival.turn == Turn::Leave {
            return self.leave(fault, text, id);
        }
        // First the kill: what is told first of how a node went counts, and a churn's order may mean either.
        self.crash(id, Crash::default());
        self.order(fault, text, id);
    }

    // ---- the end of a run ----

    fn await_faults(&mut self) -> Result<(), RunError> {
        self.gauge.phase("waiting for faults to come and to end");
        while let Some((&(until, _), _)) = self.agenda.last_key_value() {
            self.wait_until(until)?;
        }
        self.await_catching_up()?;
        self.await_deaths()
    }

    /// Nodes that slept or were cut off get time to learn what they missed.
    fn await_catching_up(&mut self) -> Result<(), RunError> {
        let is_away = |strike: &&Strike| matches!(strike.action, Action::Sleep(_) | Action::Partition(_));
        let away: BTreeSet<&String> = self.strikes.iter().filter(is_away).flat_map(|strike| &strike.victims).collect();
        let away: Vec<NodeId> = away.into_iter().map(|name| self.id(name)).collect();
        let deadline = self.now() + self.plan.events.limit.get();
        loop {
            let events = 0..self.cluster.observer().events();
            let misses = |id: NodeId| events.clone().any(|place| !self.knows(place, id));
            let behind: Vec<NodeId> =
                away.iter().copied().filter(|&id| self.hosts[id as usize].is_living() && misses(id)).collect();
            if behind.is_empty() {
                return Ok(());
            }
            if self.now() >= deadline {
                let limit = self.plan.events.limit;
                self.warn(format!("{} did not catch up with all events within {limit}", some(&behind)));
                return Ok(());
            }
            self.wait_until(self.now() + COLLECT_INTERVAL)?;
        }
    }

    fn await_deaths(&mut self) -> Result<(), RunError> {
        let limit = DEATH_LIMIT_MIN.max(self.plan.events.limit.get());
        let deadline = self.now() + limit;
        loop {
            let mut unaware: Vec<(NodeId, Vec<NodeId>)> = Vec::new();
            for &(member, at) in &self.crashed {
                let recorder = self.cluster.observer();
                let lacks: Vec<NodeId> = self.awaited(at).filter(|&id| !recorder.holds_dead(id, member)).collect();
                if !lacks.is_empty() {
                    unaware.push((member, lacks));
                }
            }
            if unaware.is_empty() {
                return Ok(());
            }
            if self.now() >= deadline {
                let complaints: Vec<String> = unaware
                    .iter()
                    .map(|(member, lacks)| format!("{} was not declared dead by {}", node_name(*member), some(lacks)))
                    .collect();
                self.warn(format!("within {limit:?} {}", complaints.join("; ")));
                return Ok(());
            }
            self.wait_until(self.now() + DEATH_INTERVAL)?;
        }
    }

    fn end_run(&mut self) -> Result<(), RunError> {
        for id in self.living() {
            self.cluster.heal(id);
        }
        self.count_living();
        self.tell(What::RunEnded { complete: true });
        let now = self.now();
        for id in self.living() {
            self.cluster.observer_mut().node(now, id, What::NodeStopped);
        }
        Ok(self.cluster.observer_mut().check()?)
    }

    fn living(&self) -> Vec<NodeId> {
        (0..).zip(&self.hosts).filter(|(_, host)| host.is_living()).map(|(id, _)| id).collect()
    }

    fn count_living(&mut self) {
        for id in self.living() {
            self.count(id);
        }
    }

    /// Records the cumulative counts of a node as they stand.
    fn count(&mut self, id: NodeId) {
        let now = self.now();
        let counters = self.cluster.node(id).counters();
        let faults = self.cluster.fault_counts(id).copied();
        self.cluster.observer_mut().counts(now, id, faults.as_ref(), counters.iter());
    }
}

/// `n001, n002 and 7 more`.
fn some(ids: &[NodeId]) -> String {
    const NAMED_MAX: usize = 10;
    let names: Vec<String> = ids.iter().take(NAMED_MAX).map(|&id| node_name(id)).collect();
    let more = ids.len().saturating_sub(NAMED_MAX);
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}
