//! The phases of the great run.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use gossip_core::{Setup, SharedView};

use super::watch::Watch;
use super::{Meter, Phase, Sample, Scale};
use crate::addresses::{Addresses, NodeId};
use crate::cluster::Cluster;
use crate::host::StartOptions;
use crate::network::{Latency, Network};

/// How often a question about all nodes is asked, in virtual time.
const LOOK: Duration = Duration::from_millis(100);

/// How long all may take to know all.
const CONVERGED_MAX: Duration = Duration::from_secs(120);

/// How long an event may take: more than the retransmissions of all rounds and a repair.
const INFORMED_MAX: Duration = Duration::from_secs(30);

/// Nodes whose members are compared one by one with those that are there.
const COMPARED: u32 = 16;

/// How often all are told of a view: those who did not know of a change when it came know it later.
const TOLD_MAX: u32 = 3;

/// How many more bytes of heap a node may take in the end than at first, beside the two below. At 10⁵ it is some 200, likely round trips
/// that it has measured meanwhile and the room of lists; which of them was not traced.
const GROWTH: u64 = 256;

/// What a phase did not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In which phase.
    pub phase: &'static str,
    /// What.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.phase, self.what)
    }
}

impl std::error::Error for Failure {}

/// Runs all phases, each reported to the meter.
///
/// # Errors
/// The first thing that did not come about.
///
/// # Panics
/// If the plan makes no sense: less than 20 nodes, or a configuration that does not check.
pub fn run(scale: &Scale, meter: &mut impl Meter) -> Result<Vec<Phase>, Failure> {
    assert!(scale.nodes >= 20, "a great run of {} nodes", scale.nodes);
    let mut run = Run::born(scale, meter);
    run.settle();
    run.join()?;
    run.inform()?;
    run.detect()?;
    run.converge()?;
    run.forget()?;
    Ok(run.phases)
}

struct Run<'a, M> {
    scale: &'a Scale,
    meter: &'a mut M,
    cluster: Cluster<SocketAddr, Watch>,
    view: SharedView<SocketAddr>,
    /// Heap before anything was there, and what the view takes of it.
    empty: Option<u64>,
    view_bytes: Option<u64>,
    next_share: Duration,
    /// How often all were told of the view, and how many views there were.
    told: u32,
    views: u32,
    name: &'static str,
    begun: (Sample, Duration, u64),
    phases: Vec<Phase>,
}

impl<'a, M: Meter> Run<'a, M> {
    fn born(scale: &'a Scale, meter: &'a mut M) -> Self {
        let start = meter.sample();
        let setups = (0..scale.nodes).map(|id| Setup::new(SocketAddr::of(id)));
        let view = SharedView::new(setups).expect("incarnations of zero");
        let with_view = meter.sample();
        let mut cluster = Cluster::new(scale.seed, Watch::default());
        let (min, max) = scale.latency;
        cluster.set_network(Network::with_latency(Latency::Uniform { min, max }));
        cluster.reserve((scale.nodes + scale.joins) as usize);
        let options = StartOptions { view: Some(&view), ..StartOptions::default() };
        (0..scale.nodes).for_each(|id| cluster.start_at(id, &scale.config, &options));
        let mut run = Self {
            scale,
            meter,
            cluster,
            view,
            empty: start.heap,
            view_bytes: difference(with_view.heap, start.heap),
            next_share: scale.share_every,
            told: TOLD_MAX,
            views: 1,
            name: "born",
            begun: (start, Duration::ZERO, 0),
            phases: Vec::new(),
        };
        run.end(vec![("view of", run.view.len().to_string())]);
        run
    }

    fn begin(&mut self, name: &'static str) {
        self.name = name;
        self.begun = (self.meter.sample(), self.cluster.now(), self.cluster.stats().datagrams);
    }

    fn end(&mut self, found: Vec<(&'static str, String)>) {
        let after = self.meter.sample();
        let (before, since, datagrams) = self.begun;
        let nodes = self.cluster.live().count() as u64;
        let phase = Phase {
            name: self.name,
            virtual_time: self.cluster.now() - since,
            wall: after.wall - before.wall,
            cpu: after.cpu - before.cpu,
            datagrams: self.cluster.stats().datagrams - datagrams,
            after,
            view: self.view_bytes,
            bytes_per_node: difference(difference(after.heap, self.empty), self.view_bytes).map(|heap| heap / nodes),
            found,
        };
        self.meter.on_phase(&phase);
        self.phases.push(phase);
    }

    fn failed<T>(&self, what: String) -> Result<T, Failure> {
        Err(Failure { phase: self.name, what })
    }

    /// The view is renewed after the first node, and all refer to it, but for newcomers that know few yet.
    fn share(&mut self) {
        let before = self.meter.sample().heap;
        let renewed = self.view.renewed(self.cluster.node(0));
        if !renewed.is(&self.view) {
            self.view_bytes = difference(self.meter.sample().heap, before);
            self.view = renewed;
            self.views += 1;
            self.told = 0;
        }
        if self.told >= TOLD_MAX {
            return;
        }
        self.told += 1;
        let enough = self.view.len() as u32 / 20 * 19;
        let ids: Vec<NodeId> = self.cluster.live().collect();
        for id in ids {
            if self.cluster.node(id).live_members() >= enough {
                self.cluster.share(id, &self.view);
            }
        }
    }

    /// Lets time pass, with renewals of the view.
    fn run_to(&mut self, end: Duration) {
        while self.cluster.now() < end {
            self.cluster.run_to(self.next_share.min(end));
            if self.cluster.now() >= self.next_share {
                self.next_share = self.cluster.now() + self.scale.share_every;
                self.share();
            }
        }
    }

    /// Lets time pass until `done`; false if `limit` was not enough.
    fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool, progress: impl Fn(&Self) -> String) -> bool {
        let end = self.cluster.now() + limit;
        while !done(self) {
            if self.cluster.now() >= end {
                return false;
            }
            let next = self.next_share;
            self.run_to((self.cluster.now() + LOOK).min(end));
            if self.next_share > next {
                let standing = progress(self);
                self.meter.on_progress(self.name, self.cluster.now(), standing);
            }
        }
        true
    }

    fn settle(&mut self) {
        self.begin("settled");
        self.cluster.run_for(self.scale.idle);
        let found = self.per_second();
        self.end(found);
    }

    fn per_second(&self) -> Vec<(&'static str, String)> {
        let (_, since, datagrams) = self.begun;
        let sent = (self.cluster.stats().datagrams - datagrams) as f64;
        let per_second = sent / (self.cluster.now() - since).as_secs_f64() / f64::from(self.scale.nodes);
        vec![("datagrams per node and second", format!("{per_second:.2}"))]
    }

    fn join(&mut self) -> Result<(), Failure> {
        self.begin("joined");
        let (joins, start) = (self.scale.joins, self.cluster.now());
        for number in 0..joins {
            self.run_to(start + self.scale.join_span * number / joins);
            let id = self.scale.nodes + number;
            let view = (number >= self.scale.from_nothing).then(|| self.view.clone());
            let options = StartOptions { view: view.as_ref(), ..StartOptions::default() };
            self.cluster.start_at(id, &self.scale.config, &options);
            let draw = netem::seed::child(self.scale.seed, &format!("scale/seed of {id}"));
            self.cluster.join(id, &[(draw % u64::from(self.scale.nodes)) as NodeId]);
        }
        let last = self.cluster.now();
        let sizes = |run: &Self| {
            let sizes = run.cluster.sizes();
            format!("members {} to {}", sizes.iter().min().unwrap_or(&0), sizes.iter().max().unwrap_or(&0))
        };
        if !self.run_until(CONVERGED_MAX, |run| run.cluster.is_full(), sizes) {
            return self.failed(format!("not all know all {CONVERGED_MAX:?} after the last joined: {}", sizes(self)));
        }
        let after = (self.cluster.now() - last).as_secs_f64();
        let found = vec![("all know all after the last joined", format!("{after:.1} s")), self.renewed()];
        self.end(found);
        Ok(())
    }

    fn renewed(&self) -> (&'static str, String) {
        ("views so far", self.views.to_string())
    }

    fn inform(&mut self) -> Result<(), Failure> {
        self.begin("informed");
        let (origin, start) = (self.scale.nodes / 3, self.cluster.now());
        let event = self.cluster.start_event(origin, &[7; 64]);
        self.cluster.observer_mut().event = Some(event);
        let missing = |run: &Self| {
            let informed = |&id: &NodeId| id == origin || run.cluster.observer().informed.at(id).is_some();
            run.cluster.live().filter(|id| !informed(id)).count()
        };
        let count = |run: &Self| run.cluster.observer().informed.count() + 1;
        let everybody = self.cluster.live().count();
        let told = |run: &Self| format!("{} of {everybody} know the event", count(run));
        if !self.run_until(INFORMED_MAX, |run| count(run) >= everybody && missing(run) == 0, told) {
            return self.failed(format!("{} nodes do not know the event after {INFORMED_MAX:?}", missing(self)));
        }
        let watch = self.cluster.observer();
        let after = |permille| watch.informed.quantile(start, permille).map_or_else(String::new, seconds);
        let found = vec![("half know after", after(500)), ("99 % after", after(990)), ("all after", after(1000))];
        self.end(found);
        Ok(())
    }

    /// The longest that a crash may take to be known to all: until one of so many probes it and a second period passed, the longest
    /// suspicion (Lifeguard), and as many rounds as an update is told.
    fn detection_max(&self) -> Duration {
        let config = &self.scale.config;
        let magnitude = f64::from(self.scale.nodes).log10().max(1.0);
        let shortest =
            (config.probe_interval * config.suspicion_multiplier.into()).mul_f64(magnitude).max(config.suspicion_min);
        let rounds = u32::from(config.retransmit_multiplier) * (magnitude.ceil() as u32 + 1);
        config.probe_interval * 4 + shortest * config.suspicion_max_multiplier.into() + config.gossip_interval * rounds
    }

    fn detect(&mut self) -> Result<(), Failure> {
        self.begin("detected");
        let (victim, start, limit) = (self.scale.nodes / 2, self.cluster.now(), self.detection_max());
        self.cluster.observer_mut().victim = Some(victim);
        self.cluster.crash(victim);
        self.cluster.remove(victim);
        let everybody = self.cluster.live().count();
        let known = |run: &Self| {
            let watch = run.cluster.observer();
            format!("{} of {everybody} suspected it, {} hold it for dead", watch.suspected.count(), watch.dead.count())
        };
        if !self.run_until(limit, |run| run.cluster.observer().dead.count() >= everybody, known) {
            return self.failed(format!("{} after {limit:?}", known(self)));
        }
        let watch = self.cluster.observer();
        let of =
            |times: &super::watch::Times, permille| times.quantile(start, permille).map_or_else(String::new, seconds);
        let found = vec![
            ("suspected first after", of(&watch.suspected, 0)),
            ("dead for the first after", of(&watch.dead, 0)),
            ("for half", of(&watch.dead, 500)),
            ("for all", of(&watch.dead, 1000)),
            ("others suspected", watch.wrong_suspicions.to_string()),
            ("others buried", watch.wrong_deaths.to_string()),
        ];
        let wrong = watch.wrong_deaths;
        self.end(found);
        if wrong > 0 { self.failed(format!("{wrong} times a node buried one that lives")) } else { Ok(()) }
    }

    fn converge(&mut self) -> Result<(), Failure> {
        self.begin("converged");
        let alike = |run: &Self| {
            let view = &run.view;
            run.cluster.live().filter(|&id| run.cluster.node(id).holds(view)).count()
        };
        let everybody = self.cluster.live().count();
        self.share();
        let equal = |run: &Self| format!("{} of {everybody} hold the view", alike(run));
        if !self.run_until(CONVERGED_MAX, |run| alike(run) == everybody, equal) {
            return self.failed(equal(self));
        }
        let digest = self.cluster.node(0).digest();
        let others = self.cluster.live().filter(|&id| self.cluster.node(id).digest() != digest).count();
        if others > 0 {
            return self.failed(format!("{others} nodes have another digest"));
        }
        self.compare()?;
        let (twice, compared) = (self.cluster.observer().twice, COMPARED.min(self.scale.nodes));
        if twice > 0 {
            return self.failed(format!("{twice} times an event came again"));
        }
        self.end(vec![
            ("digest of all", format!("{digest:08x}")),
            ("nodes that hold the view, member by member", everybody.to_string()),
            ("read whole, member by member", compared.to_string()),
        ]);
        Ok(())
    }

    /// The view is that of the live nodes: read from some nodes by what they tell an application.
    fn compare(&self) -> Result<(), Failure> {
        let live: BTreeSet<SocketAddr> = self.cluster.live().map(SocketAddr::of).collect();
        for number in 0..COMPARED {
            let id = (u64::from(self.scale.nodes - 1) * u64::from(number) / u64::from(COMPARED)) as NodeId;
            let node = self.cluster.node(id);
            let known: BTreeSet<SocketAddr> =
                node.members().filter(|member| member.state.is_live()).map(|member| member.addr).collect();
            if known != live {
                let wrong = known.symmetric_difference(&live).count();
                return self.failed(format!("node {id} is wrong about {wrong} members"));
            }
        }
        Ok(())
    }

    /// Until events, their identities and the dead are forgotten.
    fn forget(&mut self) -> Result<(), Failure> {
        self.begin("forgotten");
        let config = &self.scale.config;
        let span = config.tombstone_lifetime.max(config.event_lifetime * 3 / 2) + Duration::from_secs(5);
        let end = self.cluster.now() + span;
        while self.cluster.now() < end {
            self.run_to((self.cluster.now() + Duration::from_secs(5)).min(end));
            self.meter.on_progress(self.name, self.cluster.now(), format!("until {}", seconds(end)));
        }
        let found = self.per_second();
        self.told = 0;
        self.share();
        self.end(found);
        let at = |name| self.phases.iter().find(|phase| phase.name == name).and_then(|phase| phase.bytes_per_node);
        let (Some(settled), Some(now)) = (at("settled"), at("forgotten")) else { return Ok(()) };
        let nodes = self.cluster.live().count() as u64;
        let most = self.scale.bytes_per_node_max + SIMULATOR / nodes;
        if settled > most {
            return self.failed(format!("{settled} bytes per node beside the view at rest: more than {most}"));
        }
        // Spread over all: a newcomer has that much of each.
        let untold = u64::from(self.scale.from_nothing) * UNTOLD;
        let max = settled + GROWTH + untold + SIMULATOR / nodes;
        if now > max {
            return self
                .failed(format!("{now} bytes per node beside the view: more than {max} (at rest before: {settled})"));
        }
        Ok(())
    }
}

/// Bytes that a simulator takes whatever its size, and that it keeps for datagrams under way once there were many.
const SIMULATOR: u64 = 8 << 20;

/// Bytes that a newcomer, to which all others are news, holds of each until it has told of all: a quarter of an hour and more.
const UNTOLD: u64 = 16;

fn difference(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    Some(now?.saturating_sub(before?))
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
