//! How the acts of a plan are done and undone.

use core::time::Duration;
use std::net::SocketAddr;

use gossip_core::name::with_name;
use gossip_core::{Command, Config, EventOptions, Keyring, Priority, QueryOptions};
use netem::Impairment;
use netem::spec::{Delay, Direction, Distribution, Loss, Probability, Span};

use super::plan::{Act, Back, Disturbed, Plan, What, span};
use super::run::Run;
use crate::addresses::{Addresses as _, NodeId};
use crate::{Latency, Network, Restart};

/// Processes that have taken the address of another, at most: one in each act, numbered above all nodes.
pub(super) const TWINS_MAX: NodeId = 64;

/// Something that is to be done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) act: usize,
    pub(super) stage: Stage,
}

/// What is to be done of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Begin,
    Part(u32),
    End,
}

/// All that is to be done, in order.
pub(super) fn steps(plan: &Plan) -> Vec<Step> {
    let mut steps = Vec::new();
    for (number, act) in plan.acts.iter().enumerate() {
        let (begin, end) = (act.at.get(), plan.end_of(act));
        steps.push(Step { at: begin, act: number, stage: Stage::Begin });
        let parts = parts(&act.what);
        for part in 0..parts {
            let at = begin + (end - begin) * part / parts;
            steps.push(Step { at, act: number, stage: Stage::Part(part) });
        }
        steps.push(Step { at: end, act: number, stage: Stage::End });
    }
    steps.sort_by_key(|step| (step.at, step.act, step.stage));
    steps
}

/// Into how many parts an act falls between its beginning and its end.
fn parts(what: &What) -> u32 {
    match what {
        What::Swizzle { nodes } => 2 * nodes.len() as u32,
        What::Rotate { .. } => 2,
        What::Events { count, .. } | What::Messages { count, .. } => *count,
        _ => 0,
    }
}

/// Whether datagrams are changed on the way at any time.
pub(super) fn damages(plan: &Plan) -> bool {
    plan.acts.iter().any(|act| matches!(act.what, What::Corrupt { .. } | What::Truncate { .. }))
}

/// Metadata of so many bytes, which begin with a name where there are names.
pub(super) fn metadata(config: &Config, node: NodeId, len: usize) -> Vec<u8> {
    let rest: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(node as u8)).collect();
    match with_name(&format!("node-{node}"), &rest) {
        Some(named) if config.names && len > 0 => named,
        _ => rest,
    }
}

impl Run<'_> {
    pub(super) fn perform(&mut self, number: usize, stage: Stage) {
        let plan = self.plan;
        let act = &plan.acts[number];
        match stage {
            Stage::Begin => self.begin(number, act),
            Stage::Part(part) if self.going_on[number] => self.do_part(number, act, part),
            Stage::Part(_) => {}
            Stage::End => {
                if core::mem::take(&mut self.going_on[number]) {
                    self.note(|| format!("act {number} is over: {}", act.what.name()));
                    self.end(number, act);
                    self.relieve(&act.what);
                }
            }
        }
    }

    fn disturb(&mut self, what: &What) {
        let now = self.now();
        let world = self.suite().world_mut(now);
        match what.disturbs() {
            Disturbed::Nobody => {}
            Disturbed::Nodes(nodes) => nodes.into_iter().for_each(|node| world.disturb(node)),
            Disturbed::All => world.disturb_all(),
        }
    }

    fn relieve(&mut self, what: &What) {
        let now = self.now();
        let world = self.suite().world_mut(now);
        match what.disturbs() {
            Disturbed::Nobody => {}
            Disturbed::Nodes(nodes) => nodes.into_iter().for_each(|node| world.relieve(node)),
            Disturbed::All => world.relieve_all(),
        }
    }

    fn is_live(&self, node: NodeId) -> bool {
        self.cluster.is_up(node) && !self.cluster.has_left(node)
    }

    fn begin(&mut self, number: usize, act: &Act) {
        // Who is not there cannot be made to do anything.
        let possible = match &act.what {
            What::Crash { node, .. }
            | What::Pause { node }
            | What::Starve { node, .. }
            | What::Slow { node, .. }
            | What::Impair { node, .. } => self.cluster.is_up(*node),
            What::Leave { node, .. }
            | What::Twin { node }
            | What::Metadata { node, .. }
            | What::Events { node, .. }
            | What::Query { node, .. }
            | What::Messages { node, .. } => self.is_live(*node),
            What::Arrive { node } => self.cluster.get(*node).is_none(),
            _ => true,
        };
        if !possible {
            return;
        }
        self.note(|| format!("act {number}: {:?}", act.what));
        self.going_on[number] = true;
        *self.tally.acts.entry(act.what.name()).or_default() += 1;
        self.disturb(&act.what);
        self.start_of(number, act);
    }

    fn start_of(&mut self, number: usize, act: &Act) {
        let left = self.plan.end_of(act) - act.at.get();
        match &act.what {
            What::Crash { node, .. } => self.cluster.crash(*node),
            What::Leave { node, .. } => {
                let _ = self.command(*node, Command::Leave);
            }
            What::Arrive { node } => {
                self.start(*node);
                let seeds = self.some_seeds(*node, "arrive");
                self.join(*node, &seeds);
            }
            What::Pause { node } => self.cluster.pause(*node, left),
            What::Starve { .. } | What::Slow { .. } => self.apply_scarcity(act.what.nodes()[0]),
            What::Block { .. } | What::Partition { .. } => self.apply_blocks(),
            What::Impair { node, per_mille, delay } => self.impair(*node, number, *per_mille, *delay),
            What::Loss { .. }
            | What::Delay { .. }
            | What::Duplicate { .. }
            | What::Reorder { .. }
            | What::Corrupt { .. }
            | What::Truncate { .. }
            | What::Mtu { .. } => self.apply_weather(),
            What::Reconfigure { nodes, protocol } => {
                let config = protocol.config().expect("a plan that was checked");
                for &node in nodes.iter().filter(|&&node| self.cluster.is_up(node)).collect::<Vec<_>>() {
                    let outcome = self.command(node, Command::Reconfigure { config: &config });
                    assert!(outcome.is_ok(), "the configuration is as good as the former: {outcome:?}");
                }
            }
            What::Rotate { key } => {
                let mut keys = self.keys.clone();
                keys.push(*key);
                self.set_keys(keys);
            }
            What::Twin { node } => self.start_twin(number, *node),
            What::Metadata { node, len } => {
                let metadata = metadata(&self.config, *node, usize::from(*len));
                let _ = self.command(*node, Command::SetMetadata { metadata: &metadata });
            }
            What::Query { node, deadline, receipts } => {
                let options = QueryOptions { receipts: *receipts, ..QueryOptions::default() };
                let deadline = deadline.get();
                let _ = self.command(*node, Command::StartQuery { payload: b"how are you?", deadline, options });
            }
            What::Swizzle { .. } | What::Events { .. } | What::Messages { .. } => {}
        }
    }

    fn do_part(&mut self, number: usize, act: &Act, part: u32) {
        match &act.what {
            What::Swizzle { .. } => self.apply_blocks(),
            What::Rotate { key } if part == 1 => {
                let mut keys = self.keys.clone();
                keys.retain(|other| other != key);
                keys.insert(0, *key);
                self.set_keys(keys);
            }
            What::Events { node, len, ordered, priority, lifetime, .. } if self.is_live(*node) => {
                let mut payload = format!("{number}/{part}").into_bytes();
                payload.resize((*len as usize).max(payload.len()), b'.');
                let options = EventOptions {
                    priority: priority_of(*priority),
                    lifetime: Some(lifetime.get()).filter(|lifetime| !lifetime.is_zero()),
                    ordered: *ordered,
                };
                let _ = self.command(*node, Command::StartEvent { payload: &payload, options });
            }
            What::Messages { node, to, .. } if self.is_live(*node) => {
                let _ = self.command(*node, Command::Send { to: SocketAddr::of(*to), payload: b"a message" });
            }
            _ => {}
        }
    }

    fn end(&mut self, number: usize, act: &Act) {
        match &act.what {
            What::Crash { node, back } if !self.cluster.is_up(*node) => self.bring_back(*node, *back),
            What::Leave { node, back: true } if self.cluster.is_up(*node) => {
                let seeds = self.some_seeds(*node, "rejoin");
                self.join(*node, &seeds);
            }
            What::Starve { node, .. } | What::Slow { node, .. } => self.apply_scarcity(*node),
            What::Block { .. } | What::Partition { .. } | What::Swizzle { .. } => self.apply_blocks(),
            What::Impair { node, .. } => self.apply_impairments(*node),
            What::Loss { .. }
            | What::Delay { .. }
            | What::Duplicate { .. }
            | What::Reorder { .. }
            | What::Corrupt { .. }
            | What::Truncate { .. }
            | What::Mtu { .. } => self.apply_weather(),
            What::Rotate { key } => self.set_keys(vec![*key]),
            What::Twin { .. } => {
                let twin = self.twin_of(number);
                if self.cluster.is_up(twin) {
                    self.cluster.crash(twin);
                }
            }
            _ => {}
        }
    }

    fn bring_back(&mut self, node: NodeId, back: Back) {
        let how = match back {
            Back::Never => return,
            Back::Fresh => Restart::Fresh,
            Back::Snapshot => Restart::FromSnapshot,
        };
        if back == Back::Snapshot {
            self.suite().starts_from_snapshot(node);
        }
        self.cluster.restart(node, &how).expect("a snapshot of its own");
        if !self.keys.is_empty() {
            let keyring = self.keyring();
            let _ = self.command(node, Command::SetKeyring { keyring: keyring.as_ref() });
        }
        if back == Back::Fresh {
            let seeds = self.some_seeds(node, "restart");
            self.join(node, &seeds);
        }
    }

    /// The number of the process that takes an address in an act.
    fn twin_of(&self, number: usize) -> NodeId {
        let twins = self.plan.acts[..number].iter().filter(|act| matches!(act.what, What::Twin { .. })).count();
        let last = self.plan.hosts().last().copied().unwrap_or(0);
        last + 1 + (twins as NodeId).min(TWINS_MAX - 1)
    }

    fn start_twin(&mut self, number: usize, node: NodeId) {
        let twin = self.twin_of(number);
        let now = self.now();
        self.suite().world_mut(now).set_twin(twin, node);
        self.start_as(twin, node);
        let seeds = self.some_seeds(node, "twin");
        self.join(twin, &seeds);
    }

    fn set_keys(&mut self, keys: Vec<u32>) {
        self.keys = keys;
        let keyring: Option<Keyring> = self.keyring();
        let up: Vec<NodeId> = self.cluster.ids_up().collect();
        for node in up {
            let _ = self.command(node, Command::SetKeyring { keyring: keyring.as_ref() });
        }
    }

    /// The acts that go on.
    fn active(&self) -> impl Iterator<Item = (usize, &Act)> {
        self.plan.acts.iter().enumerate().filter(|&(number, _)| self.going_on[number])
    }

    fn apply_blocks(&mut self) {
        let now = self.now();
        let mut cuts: Vec<(Vec<NodeId>, Option<Vec<NodeId>>, bool)> = Vec::new();
        for (_, act) in self.active() {
            match &act.what {
                What::Block { from, to, one_way } => cuts.push((from.clone(), Some(to.clone()), *one_way)),
                What::Partition { side } => cuts.push((side.clone(), None, false)),
                What::Swizzle { nodes } => {
                    cuts.extend(swizzled(self.plan, act, nodes, now).map(|node| (vec![node], None, false)));
                }
                _ => {}
            }
        }
        self.cluster.unblock_all();
        for (from, to, one_way) in cuts {
            match to {
                Some(to) if one_way => self.cluster.block_one_way(&from, &to),
                Some(to) => self.cluster.block(&from, &to),
                None => self.cluster.partition(&from),
            }
        }
    }

    fn apply_weather(&mut self) {
        let mut network = self.base_network();
        for (_, act) in self.active() {
            overcast(&mut network, &act.what);
        }
        self.cluster.set_network(network);
    }

    fn apply_scarcity(&mut self, node: NodeId) {
        if !self.cluster.is_up(node) {
            return;
        }
        let acts: Vec<What> = self.active().map(|(_, act)| act.what.clone()).collect();
        self.cluster.feed(node);
        for what in acts {
            match what {
                What::Starve { node: starved, most } if starved == node => {
                    self.cluster.starve(node, Duration::ZERO, most.get());
                }
                What::Slow { node: slow, service, waiting } if slow == node => {
                    self.cluster.slow_down(node, service.get(), waiting as usize);
                }
                _ => {}
            }
        }
    }

    fn apply_impairments(&mut self, node: NodeId) {
        let acts: Vec<(usize, What)> = self.active().map(|(number, act)| (number, act.what.clone())).collect();
        self.cluster.heal(node);
        for (number, what) in acts {
            if let What::Impair { node: impaired, per_mille, delay } = what
                && impaired == node
            {
                self.impair(node, number, per_mille, delay);
            }
        }
    }

    fn impair(&mut self, node: NodeId, number: usize, per_mille: u32, delay: Span) {
        let fault = 2 * number as u32;
        let probability = Probability::new(f64::from(per_mille.min(1000)) / 1000.0).expect("at most one");
        self.cluster.impair(node, fault, Impairment::Loss(Loss { probability, direction: Direction::Out }));
        let half = span(delay.get() / 2);
        let delay = Delay { mean: half, jitter: half, distribution: Distribution::Uniform, direction: Direction::Out };
        self.cluster.impair(node, fault + 1, Impairment::Delay(delay));
    }
}

/// Who of a swizzle is cut off now: they go one after the other in the first half of the time, and come back one after the other
/// in the second.
fn swizzled(plan: &Plan, act: &Act, nodes: &[NodeId], now: Duration) -> impl Iterator<Item = NodeId> {
    let (begin, end) = (act.at.get(), plan.end_of(act));
    let parts = 2 * nodes.len() as u32;
    let begun = (0..parts).filter(|&part| begin + (end - begin) * part / parts <= now).count();
    let (cut, healed) = (begun.min(nodes.len()), begun.saturating_sub(nodes.len()));
    nodes[healed..cut].iter().copied()
}

fn overcast(network: &mut Network, what: &What) {
    let share = |per_mille: u32| f64::from(per_mille.min(1000)) / 1000.0;
    let both = |a: f64, b: f64| 1.0 - (1.0 - a) * (1.0 - b);
    match what {
        What::Loss { per_mille } => network.loss = both(network.loss, share(*per_mille)),
        What::Delay { most: more } => {
            if let Latency::Uniform { max, .. } = &mut network.latency {
                *max += more.get();
            }
        }
        What::Duplicate { per_mille } => network.duplicate = both(network.duplicate, share(*per_mille)),
        What::Reorder { by } => network.reorder += by.get(),
        What::Corrupt { per_mille } => network.corrupt = both(network.corrupt, share(*per_mille)),
        What::Truncate { per_mille } => network.truncate = both(network.truncate, share(*per_mille)),
        What::Mtu { bytes } => network.mtu = network.mtu.min(*bytes as usize),
        _ => {}
    }
}

fn priority_of(number: u8) -> Priority {
    match number {
        0 => Priority::Low,
        1 => Priority::Normal,
        2 => Priority::High,
        _ => Priority::Urgent,
    }
}
