//! Logs of a cluster that was never run: a small push-pull simulation with random phases, written through the one writer of
//! logs. Deterministic.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use analysis::stats::{below, rng, unit};
use event_log::SCHEMA;
use event_log::manifest::{Machine, Manifest};
use event_log::plan::{Action, Backend, Nodes, Plan, RunKey, node_name};
use event_log::record::{EventKey, FaultCounts, Line, MASTER, MemberState, Record, Via, What};
use event_log::write::Writer;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;

/// When the first run begins.
pub const START: u64 = 1_000_000 * MS;

/// The manifest of `plan`.
pub fn manifest(plan: Plan) -> Manifest {
    Manifest {
        schema: SCHEMA,
        name: "synthetic".to_owned(),
        plan_sha256: plan.sha256(),
        seed: plan.seed,
        plan,
        backend: Backend::Sim,
        version: "0.1.0".to_owned(),
        commit: "0123456789abcdef".to_owned(),
        dirty: false,
        machine: Machine {
            cpu: "a processor".to_owned(),
            cores: 2,
            memory_bytes: 4_000_000_000,
            kernel: "Linux 6.1".to_owned(),
            load: "0.10".to_owned(),
        },
        clock_error_ns: 0,
        started: "2026-01-01T00:00:00Z".to_owned(),
        started_ns: START,
        trace_hash: None,
        simulation: None,
    }
}

/// The gossip address of node `index`.
pub fn addr(index: u32) -> SocketAddr {
    SocketAddr::from(([10, 77, (index >> 8) as u8, (index & 255) as u8 + 1], 7946))
}

/// Lines of a log under construction; numbers the records of each node.
#[derive(Default)]
pub struct Script {
    pub lines: Vec<Line>,
    numbers: BTreeMap<String, u64>,
}

impl Script {
    pub fn master(&mut self, run: u32, at_ns: u64, what: What) {
        self.tell(run, MASTER, at_ns, what);
    }

    pub fn node(&mut self, run: u32, index: u32, at_ns: u64, what: What) {
        self.tell(run, &node_name(index), at_ns, what);
    }

    fn tell(&mut self, run: u32, node: &str, at_ns: u64, what: What) {
        let number = self.numbers.entry(node.to_owned()).or_default();
        let record = Record { number: *number, at_ns, what };
        *number += 1;
        self.lines.push(Line { run, node: node.to_owned(), record });
    }

    /// A node's process begins anew: its records count from 0.
    pub fn restart(&mut self, index: u32) {
        self.numbers.remove(&node_name(index));
    }

    /// Writes everything to `path`.
    pub fn write(&self, path: &Path, manifest: &Manifest) {
        let mut writer = Writer::create(path, manifest).expect("the folder is new");
        for line in &self.lines {
            if line.record.number == 0 {
                writer.restart(&line.node);
            }
            assert!(writer.write(line).expect("the disk has room"), "a record was written twice: {line:?}");
        }
        writer.flush().expect("the disk has room");
    }
}

/// A node of the simulated cluster.
#[derive(Clone)]
struct Node {
    index: u32,
    phase: f64,
    datagrams: u64,
    counts: FaultCounts,
    from: u64,
}

/// Simulates all runs of `plan` and tells them.
pub fn simulate(plan: &Plan) -> Script {
    let mut script = Script::default();
    let mut rng = rng(plan.seed, "synthetic");
    let mut nodes: Vec<Node> = Vec::new();
    let mut next_index = 0;
    let mut now = START;
    for (run, key) in (0u32..).zip(plan.runs()) {
        let joined = key.size - nodes.len() as u32;
        while nodes.len() < key.size as usize {
            let index = next_index;
            next_index += 1;
            script.master(run, now, What::NodeAdded { name: node_name(index), addr: addr(index) });
            let started =
                What::NodeStarted { addr: addr(index), version: "0.1.0".into(), receive_buffer_bytes: 425_984 };
            script.node(run, index, now, started);
            let phase = unit(&mut rng);
            nodes.push(Node { index, phase, datagrams: 0, counts: FaultCounts::default(), from: now });
        }
        let took_ns = 900 * MS + u64::from(key.size) * 10 * MS;
        now += took_ns;
        script.master(run, now, What::Converged { size: key.size, took_ns, joined });
        now = Cluster { plan, script: &mut script, rng: &mut rng, nodes: &mut nodes, run, key }.run(now);
    }
    script
}

struct Cluster<'a> {
    plan: &'a Plan,
    script: &'a mut Script,
    rng: &'a mut Xoshiro256PlusPlus,
    nodes: &'a mut Vec<Node>,
    run: u32,
    key: RunKey,
}

const INTERVAL_MS: f64 = 100.0;
const FANOUT: usize = 1;

impl Cluster<'_> {
    fn run(mut self, start: u64) -> u64 {
        let (run, setting) = (self.run, self.plan.setting(&self.key.setting).expect("planned").clone());
        let faults = setting.faults.iter().map(ToString::to_string).collect();
        self.script.master(run, start, What::RunStarted { key: self.key.clone(), faults });
        self.snapshots(start);
        let (mut loss, mut delay) = (0.0, 0.0);
        // Who is struck: the last nodes, each by one fault. Sleepers and leavers are told from their index in `nodes`.
        let mut free = self.nodes.len();
        let (mut naps, mut leavers, mut killed) = (Vec::new(), Vec::new(), Vec::new());
        for (fault, spec) in (0u32..).zip(&setting.faults) {
            let count = match &spec.nodes {
                Nodes::All => self.nodes.len(),
                Nodes::Random(count) => *count as usize,
                Nodes::Named(names) => names.len(),
            };
            let places: Vec<usize> = if spec.nodes == Nodes::All {
                (0..count).collect()
            } else {
                free -= count;
                (free..free + count).collect()
            };
            let at = start + spec.at.get().as_nanos() as u64;
            for place in places {
                let index = self.nodes[place].index;
                let order = What::FaultOrdered { fault, text: spec.to_string(), target: node_name(index) };
                self.script.master(run, at, order);
                match spec.action().expect("checked by the plan") {
                    Action::Loss(spec) => loss = spec.probability.value(),
                    Action::Delay(spec) => delay = spec.mean.get().as_secs_f64() * 1e3,
                    Action::Sleep(spec) => naps.push((place, at, at + spec.duration.get().as_nanos() as u64)),
                    Action::Leave => leavers.push((place, at)),
                    Action::Crash(_) => killed.push((place, at)),
                    Action::DropNext(_) | Action::Partition(_) | Action::Churn(_) => {
                        unimplemented!("not in the synthetic cluster")
                    }
                }
                if !matches!(spec.action(), Ok(Action::Crash(_) | Action::Leave)) {
                    self.script.node(run, index, at + MS, What::FaultApplied { fault, active: true });
                }
                if let Ok(Action::Sleep(spec)) = spec.action() {
                    let wake = at + MS + spec.duration.get().as_nanos() as u64;
                    self.script.node(run, index, wake, What::FaultApplied { fault, active: false });
                    self.nodes[place].counts.sleep_dropped += 40;
                }
            }
        }
        let gone: Vec<(usize, u64)> = leavers.iter().chain(&killed).copied().collect();
        self.departures(&leavers, &killed);
        let quiet = self.plan.events.quiet.get().as_nanos() as u64;
        let mut t0 = start + 100 * MS;
        for index in 0..self.plan.events.count {
            let present: Vec<bool> =
                (0..self.nodes.len()).map(|p| gone.iter().all(|(place, at)| *place != p || *at > t0 + quiet)).collect();
            self.event(index, t0, &present, &naps, loss, delay);
            t0 += quiet + (50.0 + 50.0 * unit(self.rng)) as u64 * MS;
        }
        let end = naps.iter().map(|nap| nap.2 + 600 * MS).fold(t0, u64::max);
        self.traffic(start, end, loss, delay);
        for place in gone.iter().map(|(place, _)| *place).collect::<std::collections::BTreeSet<_>>().into_iter().rev() {
            self.nodes.remove(place);
        }
        self.snapshots(end);
        self.script.master(run, end, What::RunEnded { complete: true });
        end + 500 * MS
    }

    fn departures(&mut self, leavers: &[(usize, u64)], killed: &[(usize, u64)]) {
        let run = self.run;
        let away: Vec<usize> = leavers.iter().chain(killed).map(|(place, _)| *place).collect();
        for (place, at) in leavers {
            self.script.node(run, self.nodes[*place].index, at + 2 * MS, What::NodeStopped);
            self.spread_word(*place, *at, &away, &[(MemberState::Left, 5.0, 400.0)]);
        }
        for (place, at) in killed {
            let name = node_name(self.nodes[*place].index);
            self.script.master(run, *at, What::NodeKilled { name });
            self.spread_word(
                *place,
                *at,
                &away,
                &[(MemberState::Suspect, 900.0, 500.0), (MemberState::Dead, 3500.0, 500.0)],
            );
        }
    }

    fn spread_word(&mut self, about: usize, at: u64, away: &[usize], states: &[(MemberState, f64, f64)]) {
        let member = addr(self.nodes[about].index);
        for place in (0..self.nodes.len()).filter(|place| !away.contains(place)) {
            for (state, from, width) in states {
                let when = at + ((from + width * unit(self.rng)) * 1e6) as u64;
                let what = What::MemberChanged { member, state: *state, incarnation: 0, from: None };
                self.script.node(self.run, self.nodes[place].index, when, what);
            }
        }
    }

    /// One event by push-pull with random phases; the sleeping learn by anti-entropy after they woke.
    fn event(&mut self, index: u32, t0: u64, present: &[bool], naps: &[(usize, u64, u64)], loss: f64, delay: f64) {
        let count = self.nodes.len();
        let asleep = |place: usize, at: u64| naps.iter().any(|nap| nap.0 == place && nap.1 <= at && at < nap.2 + MS);
        let able: Vec<bool> = (0..count).map(|place| present[place] && !asleep(place, t0)).collect();
        let mut origin = below(self.rng, count);
        while !able[origin] {
            origin = below(self.rng, count);
        }
        let key = EventKey::new(addr(self.nodes[origin].index), u64::from(self.run) * 1000 + u64::from(index));
        let start = What::EventStarted { event: key.clone(), index, payload_bytes: 64 };
        self.script.node(self.run, self.nodes[origin].index, t0, start);
        let mut learnt: Vec<Option<(f64, u32)>> = vec![None; count];
        learnt[origin] = Some((0.0, 0));
        let mut calls: Vec<(f64, usize)> = Vec::new();
        for round in 0..60 {
            for (place, node) in self.nodes.iter().enumerate() {
                let since = (node.phase + t0 as f64 / 1e6 / INTERVAL_MS).fract();
                calls.push(((f64::from(round) + 1.0 - since) * INTERVAL_MS, place));
            }
        }
        calls.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut told: Vec<(f64, usize, u32, usize, Via)> = Vec::new();
        for (at, caller) in calls {
            for _ in 0..FANOUT {
                let called = below(self.rng, count);
                let lost = unit(self.rng) < loss;
                if called == caller || lost || !able[caller] || !able[called] {
                    continue;
                }
                let knows = |place: usize, at: f64| learnt[place].filter(|(since, _)| *since <= at);
                let (arrival, answered) = (at + delay + 0.2, at + 2.0 * delay + 0.4);
                match (knows(caller, at), knows(called, arrival)) {
                    (Some((_, hops)), None) if learnt[called].is_none() => {
                        learnt[called] = Some((arrival, hops + 1));
                        told.push((arrival, called, hops + 1, caller, Via::Push));
                    }
                    (None, Some((_, hops))) if unit(self.rng) >= loss && learnt[caller].is_none() => {
                        learnt[caller] = Some((answered, hops + 1));
                        told.push((answered, caller, hops + 1, called, Via::Pull));
                    }
                    _ => {}
                }
            }
        }
        for (place, _, wake) in naps.iter().filter(|nap| asleep(nap.0, t0)) {
            let late = (*wake + 1 - t0.min(*wake)) as f64 / 1e6 + 150.0 * unit(self.rng) + 1.0;
            told.push((late, *place, 2, origin, Via::Sync));
        }
        let expected = able.iter().filter(|able| **able).count() as u32;
        let informed = learnt.iter().filter(|learnt| learnt.is_some()).count() as u32;
        for (at, place, hops, from, via) in told {
            let from = addr(self.nodes[from].index);
            let what = What::EventLearnt { event: key.clone(), hops, from, via };
            self.script.node(self.run, self.nodes[place].index, t0 + (at * 1e6) as u64, what);
        }
        let settled = What::EventSettled { event: key, expected, informed, missing: Vec::new() };
        self.script.master(self.run, t0 + self.plan.events.quiet.get().as_nanos() as u64, settled);
    }

    fn traffic(&mut self, start: u64, end: u64, loss: f64, delay: f64) {
        for node in self.nodes.iter_mut() {
            let sent = ((end - start) as f64 / 1e6 / INTERVAL_MS) as u64 * (2 * FANOUT as u64 + 1);
            node.datagrams += sent;
            node.counts.judged_out += sent;
            node.counts.judged_in += sent;
            if loss > 0.0 {
                node.counts.loss_trials += sent;
                node.counts.loss_expected += sent as f64 * loss;
                node.counts.loss_dropped += (0..sent).filter(|_| unit(self.rng) < loss).count() as u64;
            }
            if delay > 0.0 {
                node.counts.delayed += sent;
                for _ in 0..sent {
                    let drawn = (delay + 5.0 * (12.0f64).sqrt() * (unit(self.rng) - 0.5)) * 1e6;
                    node.counts.delay_sum_ns += drawn;
                    node.counts.delay_square_sum_ns2 += drawn * drawn;
                    node.counts.delay_late_sum_ns += 60_000.0;
                }
            }
        }
    }

    fn snapshots(&mut self, at: u64) {
        for node in self.nodes.iter() {
            let traffic = What::Traffic {
                datagrams_sent: node.datagrams,
                bytes_sent: node.datagrams * 90,
                datagrams_received: node.datagrams,
                bytes_received: node.datagrams * 90,
                receive_buffer_overflows: 0,
                cpu_ns: Some((at - node.from) / 500),
                resident_bytes: Some(2_400_000 + u64::from(node.index) * 1000),
            };
            self.script.node(self.run, node.index, at, traffic);
            self.script.node(self.run, node.index, at, What::Faults(node.counts));
        }
    }
}
