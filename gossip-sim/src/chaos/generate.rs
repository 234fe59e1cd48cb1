//! From a seed to a plan: who is there, how they are configured, what happens to them.
//!
//! Each part draws from a stream of its own, so that another kind of act does not change the size of the cluster. The ranges are
//! those in which the promises of the checkers are meant: a period has room for several round trips, a suspicion for a
//! refutation, and the dead are remembered for longer than the slowest suspicion runs.

use core::time::Duration;

use event_log::protocol::{Fanout, FanoutLaw, Preset, Protocol, StrategyName};
use gossip_core::Config;
use netem::spec::Span;

use super::draw::Draw;
use super::plan::{Act, Back, Plan, What, span};
use crate::addresses::NodeId;

/// The plan of a seed.
#[must_use]
pub fn plan(seed: u64) -> Plan {
    let mut draw = Draw::new(seed, "cluster");
    let nodes = size(&mut draw);
    let protocol = protocol(&mut Draw::new(seed, "protocol"), None);
    let config = protocol.config().expect("the ranges are within what is allowed");
    let period = config.probe_interval;
    let most = (config.probe_timeout / 100 * draw.between(1, 25) as u32).max(Duration::from_millis(1));
    let least = draw.time(Duration::from_millis(1), most);
    let sealed = draw.chance(30);
    let mut plan = Plan {
        seed,
        span: span(period * draw.between(20, 70) as u32),
        nodes,
        latency: [span(least), span(most)],
        loss_per_mille: if draw.chance(15) { draw.between(1, 40) as u32 } else { 0 },
        key: if sealed { draw.between(1, 200) as u32 } else { 0 },
        drift_ppm: (0..draw.below(4)).map(|_| draw.between(0, 4_000) as i32 - 2_000).collect(),
        metadata: (0..draw.below(4)).map(|_| draw.below(60) as u8).collect(),
        rejoin: draw.chance(40),
        protocol,
        acts: Vec::new(),
    };
    let mut acts =
        Acts { draw: Draw::new(seed, "acts"), config: &config, arrived: nodes, plan: &plan, acts: Vec::new() };
    acts.troubles();
    acts.applications(&mut Draw::new(seed, "applications"));
    plan.acts = acts.acts;
    plan.acts.sort_by_key(|act| act.at);
    plan
}

/// Most clusters are small: there a fault weighs most, and a run is cheap.
fn size(draw: &mut Draw) -> u32 {
    let (least, most) = match draw.below(100) {
        0..70 => (3, 12),
        70..98 => (13, 32),
        98 => (33, 64),
        _ => (100, 100),
    };
    draw.between(least, most) as u32
}

/// Mostly a few calls, now and then one of the other laws.
fn fanout(draw: &mut Draw) -> Fanout {
    match draw.below(12) {
        11 => Fanout::Logarithmic,
        10 => Fanout::Aging,
        0 => Fanout::Growing,
        1 => Fanout::HeavyTail { beta_hundredths: draw.between(150, 350) as u16 },
        _ => Fanout::Fixed(draw.between(1, 4) as u8),
    }
}

/// A configuration; another one for nodes that run already keeps their `old` one's intervals within reach.
fn protocol(draw: &mut Draw, old: Option<&Protocol>) -> Protocol {
    let mut protocol = match old {
        Some(old) => old.clone(),
        None => Protocol {
            preset: draw.pick(&[Preset::Lan, Preset::Lan, Preset::Local, Preset::Wan]),
            ..Protocol::default()
        },
    };
    protocol.strategy = Some(draw.pick(&[
        StrategyName::PushPull,
        StrategyName::MedianCounter,
        StrategyName::Push,
        StrategyName::Pull,
        StrategyName::Eager,
        StrategyName::SqrtTree,
    ]));
    let tree = protocol.strategy == Some(StrategyName::SqrtTree);
    protocol.split_max = tree.then(|| draw.between(2, 16) as u8);
    protocol.fanout = Some(FanoutLaw(fanout(draw)));
    if draw.chance(50) {
        detection(draw, &mut protocol);
    }
    if draw.chance(50) {
        times(draw, &mut protocol);
    }
    if draw.chance(30) {
        bounds(draw, &mut protocol);
    }
    if draw.chance(40) {
        switches(draw, &mut protocol);
    }
    protocol
}

fn detection(draw: &mut Draw, protocol: &mut Protocol) {
    protocol.indirect_probes = Some(draw.between(0, 4) as u8);
    protocol.probe_pings = Some(draw.between(2, 6) as u8);
    protocol.suspicion_multiplier = Some(draw.between(1, 3) as u8);
    protocol.suspicion_max_multiplier = Some(draw.between(1, 6) as u8);
    protocol.suspicion_confirmations = Some(draw.between(0, 4) as u8);
    protocol.awareness_max = Some(draw.between(0, 8) as u8);
    protocol.retransmit_multiplier = Some(draw.between(2, 6) as u8);
    protocol.helpers_confirm = Some(draw.chance(70));
}

fn times(draw: &mut Draw, protocol: &mut Protocol) {
    let period = Duration::from_millis(draw.pick(&[400, 700, 1_000, 2_000]));
    let timeout = period / 100 * draw.between(20, 60) as u32;
    let gossip = period / draw.between(2, 10) as u32;
    let suspicion = period * draw.between(3, 6) as u32;
    let lifetime = period * draw.between(30, 120) as u32;
    let longest = suspicion.max(period * 3) * u32::from(protocol.suspicion_max_multiplier.unwrap_or(6)) * 2;
    let [period, timeout, gossip, suspicion, lifetime] = [period, timeout, gossip, suspicion, lifetime].map(span);
    protocol.probe_interval = Some(period);
    protocol.probe_timeout = Some(timeout);
    protocol.probe_timeout_min = Some(span(timeout.get() / 100 * draw.between(20, 100) as u32));
    protocol.gossip_interval = Some(gossip);
    protocol.suspicion_min = Some(suspicion);
    protocol.sync_interval = Some(span(gossip.get() * draw.between(2, 12) as u32));
    protocol.event_lifetime = Some(lifetime);
    protocol.ordered_wait = Some(span(lifetime.get() / draw.between(3, 12) as u32));
    protocol.tombstone_lifetime = Some(span(longest + period.get() * draw.between(40, 100) as u32));
}

fn bounds(draw: &mut Draw, protocol: &mut Protocol) {
    if draw.chance(30) {
        protocol.events_max = Some(draw.between(4, 40) as u32);
    }
    if draw.chance(20) {
        // What is forgotten at this bound is told apart only where delays are shorter than a round: none is to be.
        protocol.seen_max = Some(draw.between(1_024, 2_048) as u32);
    }
    if draw.chance(30) {
        protocol.event_bytes_max = Some(draw.between(2_000, 20_000) as u32);
    }
    if draw.chance(30) {
        protocol.ordered_max = Some(draw.between(1, 8) as u32);
    }
    if draw.chance(30) {
        protocol.queries_max = Some(draw.between(1, 4) as u32);
    }
    if draw.chance(30) {
        protocol.transmits_max = Some(draw.between(128, 512) as u32);
    }
    if draw.chance(30) {
        protocol.forwards_max = Some(draw.between(0, 16) as u16);
    }
    if draw.chance(30) {
        protocol.datagrams_per_second_max = Some(draw.between(400, 2_000) as u32);
    }
    if draw.chance(40) {
        protocol.datagram_max = Some(draw.pick(&[512, 600, 900, 9_000]));
    }
    protocol.coordinates_max = Some(draw.pick(&[0, 3, 1_000]));
    protocol.changes_max = Some(draw.pick(&[0, 8, 1_024]));
}

fn switches(draw: &mut Draw, protocol: &mut Protocol) {
    protocol.idle_calls = Some(draw.chance(25));
    protocol.aligned_rounds = Some(draw.chance(20));
    protocol.buddy_system = Some(draw.chance(60));
    protocol.self_doubt = Some(draw.chance(60));
    protocol.names = Some(draw.chance(50));
    protocol.answers_per_second_max = Some(draw.pick(&[20, 200, 2_000]));
}

/// What happens in a plan, as it is being drawn.
struct Acts<'a> {
    draw: Draw,
    config: &'a Config,
    plan: &'a Plan,
    /// The number of the next that arrives.
    arrived: NodeId,
    acts: Vec<Act>,
}

impl Acts<'_> {
    fn push(&mut self, at: Duration, lasts: Duration, what: What) {
        self.acts.push(Act { at: span(at), lasts: span(lasts), what });
    }

    fn when(&mut self) -> Duration {
        self.draw.time(Duration::ZERO, self.plan.span.get() / 8 * 7)
    }

    /// Short against the suspicion, about as long, or long.
    fn how_long(&mut self) -> Duration {
        let periods = match self.draw.below(10) {
            0..4 => self.draw.between(1, 4),
            4..8 => self.draw.between(4, 15),
            _ => self.draw.between(15, 45),
        };
        self.config.probe_interval * periods as u32
    }

    fn anybody(&mut self) -> NodeId {
        self.draw.below(u64::from(self.arrived)) as NodeId
    }

    /// Anybody but the first two, so that a cluster is left.
    fn somebody(&mut self) -> NodeId {
        self.draw.between(2, u64::from(self.arrived - 1)) as NodeId
    }

    fn group(&mut self, most: usize) -> Vec<NodeId> {
        let count = self.draw.between(1, most.max(1) as u64) as usize;
        let all: Vec<NodeId> = (0..self.arrived).collect();
        let mut group = self.draw.some(count, &all);
        group.sort_unstable();
        group
    }

    fn troubles(&mut self) {
        for _ in 0..self.draw.below(u64::from(self.plan.nodes / 3).max(2)).min(8) {
            self.arrival();
        }
        for _ in 0..self.draw.between(2, 12) {
            let (at, lasts, what) = (self.when(), self.how_long(), self.trouble());
            self.push(at, lasts, what);
        }
        if self.draw.chance(15) {
            self.churn();
        }
        // In a sealed cluster the younger of two lives of an address shuts the older one out for good (`Setup::session`).
        if self.draw.chance(8) && self.plan.key == 0 {
            let (at, lasts, node) = (self.when(), self.how_long(), self.anybody());
            self.push(at, lasts, What::Twin { node });
        }
        if self.plan.key > 0 && self.draw.chance(50) {
            let (at, key) = (self.when(), self.plan.key + 1);
            self.push(at, self.config.probe_interval * 6, What::Rotate { key });
        }
    }

    fn arrival(&mut self) {
        let (at, node) = (self.when(), self.arrived);
        self.arrived += 1;
        self.push(at, Duration::ZERO, What::Arrive { node });
    }

    /// Nodes come and go at random times, at a rate at which one is gone at any time or several are.
    fn churn(&mut self) {
        for _ in 0..self.draw.between(4, 16) {
            let (at, lasts, node) = (self.when(), self.how_long() / 4, self.anybody());
            let back = self.draw.pick(&[Back::Fresh, Back::Snapshot]);
            let crash = self.draw.chance(70);
            let what = if crash { What::Crash { node, back } } else { What::Leave { node, back: true } };
            self.push(at, lasts, what);
        }
    }

    fn trouble(&mut self) -> What {
        match self.draw.below(100) {
            0..14 => {
                let back = self.draw.pick(&[Back::Never, Back::Fresh, Back::Snapshot, Back::Snapshot]);
                let node = if back == Back::Never { self.somebody() } else { self.anybody() };
                What::Crash { node, back }
            }
            14..20 => {
                let back = self.draw.chance(60);
                let node = if back { self.anybody() } else { self.somebody() };
                What::Leave { node, back }
            }
            20..28 => What::Pause { node: self.anybody() },
            28..33 => {
                let most = self.config.probe_timeout / 100 * self.draw.between(30, 300) as u32;
                What::Starve { node: self.anybody(), most: span(most) }
            }
            33..37 => {
                let service = Span::from_millis(self.draw.between(1, 60) as u32);
                What::Slow { node: self.anybody(), service, waiting: self.draw.between(2, 60) as u32 }
            }
            37..50 => self.cut(),
            50..56 => self.group_of_many(|nodes| What::Swizzle { nodes }),
            56..84 => self.weather(),
            84..90 => {
                let delay = self.config.probe_timeout / 100 * self.draw.between(1, 200) as u32;
                let per_mille = self.draw.between(0, 600) as u32;
                What::Impair { node: self.anybody(), per_mille, delay: span(delay) }
            }
            _ => {
                let protocol = self.other_protocol();
                self.group_of_many(|nodes| What::Reconfigure { nodes, protocol: Box::new(protocol) })
            }
        }
    }

    /// Another configuration, with the same intervals if those that were drawn are too short for the latency.
    fn other_protocol(&mut self) -> Protocol {
        let old = &self.plan.protocol;
        let new = protocol(&mut self.draw, Some(old));
        let config = new.config().expect("the ranges are within what is allowed");
        if config.probe_timeout >= self.plan.latency[1].get() * 4 {
            return new;
        }
        Protocol { strategy: new.strategy, fanout: new.fanout, ..old.clone() }
    }

    fn group_of_many(&mut self, what: impl FnOnce(Vec<NodeId>) -> What) -> What {
        let most = self.arrived as usize;
        what(self.group(most))
    }

    fn cut(&mut self) -> What {
        let half = (self.arrived / 2) as usize;
        match self.draw.below(3) {
            0 => What::Partition { side: self.group(half) },
            1 => What::Partition { side: vec![self.anybody()] },
            _ => {
                let (from, one_way) = (self.group(half), self.draw.chance(60));
                let to: Vec<NodeId> = self.group(half).into_iter().filter(|node| !from.contains(node)).collect();
                if to.is_empty() { What::Partition { side: from } } else { What::Block { from, to, one_way } }
            }
        }
    }

    fn weather(&mut self) -> What {
        let latency = self.config.probe_timeout;
        match self.draw.below(8) {
            0 | 1 => What::Loss { per_mille: self.draw.between(50, 700) as u32 },
            2 => What::Delay { most: span(latency / 100 * self.draw.between(10, 300) as u32) },
            3 => What::Duplicate { per_mille: self.draw.between(50, 900) as u32 },
            4 => What::Reorder {
                by: span((latency / 100 * self.draw.between(1, 20) as u32).max(Duration::from_millis(1))),
            },
            5 => What::Corrupt { per_mille: self.draw.between(20, 500) as u32 },
            6 => What::Truncate { per_mille: self.draw.between(20, 500) as u32 },
            _ => What::Mtu { bytes: self.draw.between(100, 600) as u32 },
        }
    }

    fn applications(&mut self, draw: &mut Draw) {
        core::mem::swap(&mut self.draw, draw);
        for _ in 0..self.draw.between(2, 12) {
            let (at, lasts, what) = (self.when(), self.how_long(), self.application());
            self.push(at, lasts, what);
        }
    }

    fn application(&mut self) -> What {
        let lifetime = self.config.event_lifetime;
        let node = self.anybody();
        match self.draw.below(10) {
            0..6 => What::Events {
                node,
                count: if self.draw.chance(10) {
                    self.draw.between(20, 60) as u32
                } else {
                    self.draw.between(1, 8) as u32
                },
                len: self.draw.between(0, 120) as u32,
                ordered: self.draw.chance(40),
                priority: self.draw.pick(&[1, 1, 1, 0, 2, 3]),
                lifetime: if self.draw.chance(20) {
                    span(lifetime / 16 * self.draw.between(1, 15) as u32)
                } else {
                    Span::default()
                },
            },
            6 => What::Query {
                node,
                deadline: span(lifetime / 16 * self.draw.between(1, 12) as u32),
                receipts: self.draw.chance(50),
            },
            7 | 8 => What::Metadata { node, len: self.draw.below(120) as u8 },
            _ => What::Messages { node, to: self.anybody(), count: self.draw.between(1, 20) as u32 },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_seed_gives_a_plan_that_can_be_run_and_comes_back_from_its_text() {
        for seed in 0..2_000 {
            let plan = plan(seed);
            assert_eq!(plan.check(), Ok(()), "{seed}");
            assert_eq!(Plan::parse(&plan.to_text()), Ok(plan), "{seed}");
        }
    }

    #[test]
    fn a_hundred_seeds_have_all_kinds_of_acts_all_strategies_and_sizes() {
        let plans: Vec<Plan> = (0..300).map(plan).collect();
        let names: BTreeSet<&str> = plans.iter().flat_map(|plan| &plan.acts).map(|act| act.what.name()).collect();
        assert_eq!(names.len(), 29, "{names:?}");
        let strategies: BTreeSet<_> = plans.iter().map(|plan| plan.protocol.strategy.map(|name| name as u8)).collect();
        assert_eq!(strategies.len(), 6);
        assert!(plans.iter().any(|plan| plan.nodes == 3) && plans.iter().any(|plan| plan.nodes > 30));
        assert!(plans.iter().any(|plan| plan.key > 0) && plans.iter().any(|plan| plan.key == 0));
    }
}
