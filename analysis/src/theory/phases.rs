//! Fixed gossip interval, random phases: how a real cluster runs, whose nodes were not started in step.
//!
//! Every node makes its calls once per interval T_g, at a phase of its own that is uniform and stays. A request takes the one-way
//! latency L and carries what the caller tells; an answer takes L again and carries what the caller lacks. Each datagram is lost
//! with probability p. What tells beside the rounds is in the model, as the protocol has it and from the plan's numbers alone:
//!
//! - an event is told λ·⌈log10(N + 1)⌉ times by each node, or for λ rounds where the fan-out varies (SWIM §4.1);
//! - probes carry events: one more call to a random member per protocol period, repeated until it is answered, sooner where a
//!   round trip to that member was measured;
//! - eager forwarding: an event just learnt is told on at once, to as many as a round calls;
//! - anti-entropy: a node that sees another digest than its own exchanges everything with that member, at most once per
//!   `sync_interval` while it has news, and per gossip interval when it has none or the last was not answered. The datagrams that
//!   find out what differs carry events as probes do, and where those end the difference nobody answers.
//!
//! Left out: the helpers of a probe that is answered late, processing time, the length of a datagram, and members that come and go.
//!
//! Events of one cluster share its phases and its calls: [`Model::cluster`] plays them all in one cluster, so that a statistic of a
//! real cluster can be held against just as many simulated clusters.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use event_log::protocol::Fanout;
use netem::spec::{Delay, Distribution};
use rand_core::Rng;
use rand_distr::Distribution as _;

use crate::stats::{below, unit};

/// Who tells whom when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Who has news tells it.
    Push,
    /// Everybody asks, in every round.
    Pull,
    /// Both ways of a call.
    PushPull,
    /// On as soon as it is learnt, and both ways of a call in rounds.
    Eager,
}

impl How {
    /// As plans call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
            Self::PushPull => "push-pull",
            Self::Eager => "eager forwarding",
        }
    }
}

/// A cluster as the model sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    /// T_g, milliseconds.
    pub interval_ms: f64,
    /// Who tells whom when.
    pub how: How,
    /// Calls per node and interval.
    pub fanout: Fanout,
    /// Whether nodes without news call as well.
    pub idle_calls: bool,
    /// λ; `None`: events are told until all know.
    pub multiplier: Option<u32>,
    /// Whether probes, what opens an exchange, and the answers to both carry events.
    pub probes_carry: bool,
    /// Most datagrams in which a node tells events on at once, per interval.
    pub forwards_max: u32,
    /// p: probability that one datagram is lost.
    pub loss: f64,
    /// One-way latency; none means 0.
    pub delay: Option<Delay>,
    /// `None` leaves the probes out.
    pub probes: Option<Probes>,
    /// Least time between exchanges of a node that has news, milliseconds. `None` leaves anti-entropy out.
    pub sync_ms: Option<f64>,
}

/// When a node probes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probes {
    /// SWIM's protocol period, milliseconds: every node probes one member in each.
    pub period_ms: f64,
    /// From one Ping of a member to the next, until it answers, milliseconds.
    pub retry_ms: f64,
    /// The same beyond the round trip, where that is known.
    pub margin_ms: f64,
}

/// Calls that a node makes at once; a round of more is made in parts, evenly over the interval.
const CALLS_AT_ONCE: u32 = 32;

/// Doublings of the time between exchanges.
const DOUBLINGS_MAX: u32 = 6;

/// Intervals after the last event's start at which the model gives up.
const INTERVALS_MAX: f64 = 200.0;

impl Model {
    /// Push-pull of a fixed fan-out and nothing beside: no limit on telling, no probes, no anti-entropy, no loss, no latency.
    #[must_use]
    pub fn plain(interval_ms: f64, fanout: u8) -> Self {
        Self {
            interval_ms,
            how: How::PushPull,
            fanout: Fanout::Fixed(fanout),
            idle_calls: true,
            multiplier: None,
            probes_carry: true,
            forwards_max: 64,
            loss: 0.0,
            delay: None,
            probes: None,
            sync_ms: None,
        }
    }

    /// Mean one-way latency, milliseconds.
    #[must_use]
    pub fn latency_ms(&self) -> f64 {
        self.delay.map_or(0.0, |delay| delay.mean.get().as_secs_f64() * 1e3)
    }

    /// How long the growth phase takes to double the informed without the probes, milliseconds: T_g·ln 2 / x. `None` where [`growth`] has no
    /// solution, and for what is not push-pull with a fixed fan-out.
    #[must_use]
    pub fn doubling_ms(&self) -> Option<f64> {
        let (How::PushPull, true, Fanout::Fixed(fanout)) = (self.how, self.idle_calls, self.fanout) else {
            return None;
        };
        let x = growth(fanout.into(), self.loss, self.latency_ms() / self.interval_ms)?;
        Some(self.interval_ms * std::f64::consts::LN_2 / x)
    }

    /// One event in a cluster whose nodes make so many calls, started at node 0: when each node learns, milliseconds after the start,
    /// sorted. Shorter than `calls` when the time ran out (200 intervals).
    pub fn spread(&self, calls: &[u32], rng: &mut impl Rng) -> Vec<f64> {
        // It starts when the rounds are under way, though it be at the first moment: phases are uniform.
        self.cluster(calls, &[(0.0, 0)], rng).pop().expect("one event, one curve")
    }

    /// Events in one cluster, each started at a time (milliseconds) by a node: for each when the nodes learn, milliseconds after
    /// its start, sorted.
    pub fn cluster(&self, calls: &[u32], starts: &[(f64, usize)], rng: &mut impl Rng) -> Vec<Vec<f64>> {
        let mut cluster = Cluster::new(*self, calls, starts, rng);
        let last = starts.iter().map(|(at, _)| *at).fold(0.0, f64::max);
        while cluster.left > 0 {
            let Some(Reverse(entry)) = cluster.queue.pop() else { break };
            if entry.at > last + INTERVALS_MAX * self.interval_ms {
                break;
            }
            cluster.step(entry, rng);
        }
        cluster.events.into_iter().map(Event::times).collect()
    }

    fn latency(&self, rng: &mut impl Rng) -> f64 {
        let Some(delay) = self.delay else { return 0.0 };
        let (mean, jitter) = (delay.mean.get().as_secs_f64() * 1e3, delay.jitter.get().as_secs_f64() * 1e3);
        match delay.distribution {
            Distribution::Fixed => mean,
            Distribution::Uniform => mean + jitter * (2.0 * unit(rng) - 1.0),
            Distribution::Normal => {
                let z: f64 = rand_distr::StandardNormal.sample(rng);
                (mean + jitter * z).max(0.0)
            }
        }
    }
}

/// What a datagram is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Call {
        answer: bool,
    },
    Answer,
    Ping,
    Ack,
    /// The four of an exchange: what the third brings, and the fourth, was found out by the first two.
    Open,
    Sketch,
    Want {
        wanted: bool,
    },
}

#[derive(Debug)]
enum What {
    Start { event: usize },
    Round { node: usize, part: u32 },
    Probe { node: usize },
    Retry { node: usize, period: u32 },
    Datagram { kind: Kind, from: usize, to: usize, carried: Vec<u32> },
}

/// What happens at a time; of two at one time, what was put in first.
#[derive(Debug)]
struct Entry {
    at: f64,
    order: u64,
    what: What,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.order.cmp(&other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// One event: when each node learnt (infinite: not yet) and how often it told it.
#[derive(Debug)]
struct Event {
    start: f64,
    origin: usize,
    learnt: Vec<f64>,
    told: Vec<u32>,
    /// Nodes that tell it still.
    telling: usize,
    informed: usize,
}

/// An event that was told often enough.
const ENOUGH: u32 = u32::MAX;

impl Event {
    fn knows(&self, node: usize) -> bool {
        self.learnt[node].is_finite()
    }

    fn tells(&self, node: usize) -> bool {
        self.knows(node) && self.told[node] != ENOUGH
    }

    fn times(self) -> Vec<f64> {
        let mut times: Vec<f64> = self.learnt.iter().filter(|at| at.is_finite()).map(|at| at - self.start).collect();
        times.sort_unstable_by(f64::total_cmp);
        times
    }
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// When it opened its last exchange, how many events it had learnt by then, and whether that was answered.
    opened: f64,
    learnt_then: u32,
    answered: bool,
    /// Exchanges in a row that brought it nothing, and that were not answered.
    fruitless: u32,
    unanswered: u32,
    /// Events that it learnt.
    learnt: u32,
    /// Forwards that it has left in this interval.
    forwards: u32,
    /// Whom it probes in which of its protocol periods, and whether that was answered.
    target: usize,
    period: u32,
    acked: bool,
}

struct Cluster<'a> {
    model: Model,
    calls: &'a [u32],
    events: Vec<Event>,
    /// Events that somebody tells, or somebody lacks.
    active: Vec<usize>,
    nodes: Vec<Node>,
    /// For each node those whose round trips it knows: as many as it probed.
    measured: Vec<Vec<usize>>,
    queue: BinaryHeap<Reverse<Entry>>,
    order: u64,
    /// Learnings that are still to come.
    left: usize,
    /// How often an event is told, if that is what ends its telling.
    times: Option<u32>,
}

impl<'a> Cluster<'a> {
    fn new(model: Model, calls: &'a [u32], starts: &[(f64, usize)], rng: &mut impl Rng) -> Self {
        let size = calls.len();
        let digits = (size as f64 + 1.0).log10().ceil() as u32;
        let fixed = matches!(model.fanout, Fanout::Fixed(_) | Fanout::Logarithmic);
        let node = Node {
            opened: f64::NEG_INFINITY,
            learnt_then: 0,
            answered: false,
            fruitless: 0,
            unanswered: 0,
            learnt: 0,
            forwards: model.forwards_max,
            target: 0,
            period: 0,
            acked: true,
        };
        let mut cluster = Self {
            model,
            calls,
            events: Vec::with_capacity(starts.len()),
            active: Vec::new(),
            nodes: vec![node; size],
            measured: vec![Vec::new(); size],
            queue: BinaryHeap::new(),
            order: 0,
            left: starts.len() * size,
            times: model.multiplier.filter(|_| fixed).map(|multiplier| multiplier * digits),
        };
        for node in 0..size {
            cluster.put(unit(rng) * model.interval_ms, What::Round { node, part: 0 });
            if let Some(probes) = model.probes {
                cluster.put(unit(rng) * probes.period_ms, What::Probe { node });
            }
        }
        for (event, &(start, origin)) in starts.iter().enumerate() {
            let (learnt, told) = (vec![f64::INFINITY; size], vec![0; size]);
            cluster.events.push(Event { start, origin, learnt, told, telling: 0, informed: 0 });
            cluster.put(start, What::Start { event });
        }
        cluster
    }

    fn put(&mut self, at: f64, what: What) {
        self.order += 1;
        self.queue.push(Reverse(Entry { at, order: self.order, what }));
    }

    fn step(&mut self, Entry { at, what, .. }: Entry, rng: &mut impl Rng) {
        match what {
            What::Start { event } => {
                self.active.push(event);
                let origin = self.events[event].origin;
                self.learn(at, origin, None, &[event as u32], rng);
            }
            What::Round { node, part } => self.round(at, node, part, rng),
            What::Probe { node } => self.probe(at, node, rng),
            What::Retry { node, period } => {
                if self.nodes[node].period == period && !self.nodes[node].acked {
                    self.ping(at, node, rng);
                }
            }
            What::Datagram { kind, from, to, carried } => self.receive(at, kind, (from, to), &carried, rng),
        }
    }

    fn round(&mut self, at: f64, node: usize, part: u32, rng: &mut impl Rng) {
        let calls = self.calls[node];
        let parts = calls.div_ceil(CALLS_AT_ONCE).max(1);
        self.put(at + self.model.interval_ms / f64::from(parts), What::Round { node, part: (part + 1) % parts });
        if part == 0 {
            self.nodes[node].forwards = self.model.forwards_max;
        }
        let idle = self.model.how == How::Pull || (self.model.idle_calls && self.model.how != How::Push);
        if idle || self.has_news(node) {
            let answer = self.model.how != How::Push;
            for to in self.others(node, None, calls.div_ceil(parts), rng) {
                self.send(at, Kind::Call { answer }, node, to, rng);
            }
        }
    }

    fn probe(&mut self, at: f64, node: usize, rng: &mut impl Rng) {
        let Some(probes) = self.model.probes else { return };
        self.put(at + probes.period_ms, What::Probe { node });
        let target = self.other(node, rng);
        let own = &mut self.nodes[node];
        (own.target, own.period, own.acked) = (target, own.period + 1, false);
        self.ping(at, node, rng);
    }

    fn ping(&mut self, at: f64, node: usize, rng: &mut impl Rng) {
        let Some(probes) = self.model.probes else { return };
        let Node { target, period, .. } = self.nodes[node];
        self.send(at, Kind::Ping, node, target, rng);
        let known = self.measured[node].contains(&target);
        let wait = if known { probes.margin_ms + 2.0 * self.model.latency_ms() } else { probes.retry_ms };
        self.put(at + wait.min(probes.retry_ms), What::Retry { node, period });
    }

    fn receive(&mut self, at: f64, kind: Kind, (from, to): (usize, usize), carried: &[u32], rng: &mut impl Rng) {
        self.learn(at, to, Some(from), carried, rng);
        let differ = self.differ(from, to);
        match kind {
            Kind::Call { answer: true } => {
                if differ {
                    self.send(at, Kind::Answer, to, from, rng);
                }
                return;
            }
            Kind::Ping => self.send(at, Kind::Ack, to, from, rng),
            Kind::Ack if self.nodes[to].target == from => {
                self.nodes[to].acked = true;
                if !self.measured[to].contains(&from) {
                    self.measured[to].push(from);
                }
            }
            Kind::Open if differ => {
                self.send(at, Kind::Sketch, to, from, rng);
                return;
            }
            Kind::Sketch => {
                self.nodes[to].answered = true;
                if differ {
                    self.send(at, Kind::Want { wanted: true }, to, from, rng);
                }
                return;
            }
            Kind::Want { wanted: true } => {
                if differ {
                    self.send(at, Kind::Want { wanted: false }, to, from, rng);
                }
                return;
            }
            Kind::Open | Kind::Want { wanted: false } => return,
            Kind::Call { answer: false } | Kind::Answer | Kind::Ack => {}
        }
        if differ {
            self.exchange(at, to, from, rng);
        }
    }

    /// Opens an exchange, unless the last was too lately. Those that brought the one who opened them nothing follow each other ever
    /// more slowly, and so do those that nobody answered.
    fn exchange(&mut self, at: f64, node: usize, peer: usize, rng: &mut impl Rng) {
        let Some(sync_ms) = self.model.sync_ms else { return };
        let quiet = !self.has_news(node);
        let own = &mut self.nodes[node];
        let (fruitless, unanswered) = match (own.answered, own.learnt == own.learnt_then) {
            (true, false) => (0, 0),
            (true, true) => (own.fruitless + 1, 0),
            (false, true) => (own.fruitless, own.unanswered + 1),
            (false, false) => (0, own.unanswered + 1),
        };
        let (least, doublings) = match (quiet, own.answered) {
            (true, _) => (self.model.interval_ms, fruitless),
            (false, true) => (sync_ms, fruitless),
            (false, false) => (self.model.interval_ms, unanswered),
        };
        if at - own.opened < least * f64::from(1 << doublings.min(DOUBLINGS_MAX)) {
            return;
        }
        *own = Node { opened: at, learnt_then: own.learnt, answered: false, fruitless, unanswered, ..*own };
        self.send(at, Kind::Open, node, peer, rng);
    }

    fn send(&mut self, at: f64, kind: Kind, from: usize, to: usize, rng: &mut impl Rng) {
        let carried = match kind {
            Kind::Call { .. } if self.model.how == How::Pull => Vec::new(),
            Kind::Answer => {
                // All that it knows of late: what is told anyway, and the rest.
                self.tell(at, from);
                self.known(from)
            }
            // What the other lacks is among it.
            Kind::Want { .. } => self.known(from),
            Kind::Ping | Kind::Ack | Kind::Open | Kind::Sketch if !self.model.probes_carry => Vec::new(),
            _ => self.tell(at, from),
        };
        if unit(rng) >= self.model.loss {
            let late = self.model.latency(rng);
            self.put(at + late, What::Datagram { kind, from, to, carried });
        }
    }

    /// The events under way that a node knows.
    fn known(&self, node: usize) -> Vec<u32> {
        self.active.iter().filter(|event| self.events[**event].knows(node)).map(|event| *event as u32).collect()
    }

    /// What a node tells in a datagram; it counts as told.
    fn tell(&mut self, at: f64, node: usize) -> Vec<u32> {
        let mut carried = Vec::new();
        let (times, multiplier) = (self.times, self.model.multiplier);
        let held_max = multiplier.map(|rounds| f64::from(rounds) * self.model.interval_ms);
        let mut over = false;
        for &index in &self.active {
            let event = &mut self.events[index];
            if !event.tells(node) {
                continue;
            }
            carried.push(index as u32);
            event.told[node] += 1;
            let last = match times {
                Some(times) => event.told[node] >= times,
                None => held_max.is_some_and(|max| at - event.learnt[node] >= max),
            };
            if last {
                event.told[node] = ENOUGH;
                event.telling -= 1;
                over |= event.telling == 0;
            }
        }
        if over {
            let (events, size) = (&self.events, self.nodes.len());
            self.active.retain(|event| events[*event].telling > 0 || events[*event].informed < size);
        }
        carried
    }

    fn learn(&mut self, at: f64, node: usize, teller: Option<usize>, carried: &[u32], rng: &mut impl Rng) {
        let mut fresh = false;
        for &index in carried {
            let event = &mut self.events[index as usize];
            if !event.knows(node) {
                event.learnt[node] = at;
                event.informed += 1;
                event.telling += 1;
                self.nodes[node].learnt += 1;
                self.left -= 1;
                fresh = true;
            }
        }
        if fresh && self.model.multiplier.is_none() {
            let (events, size) = (&self.events, self.nodes.len());
            self.active.retain(|event| events[*event].informed < size);
        }
        if fresh && self.model.how == How::Eager {
            let count = self.calls[node].min(self.nodes[node].forwards);
            self.nodes[node].forwards -= count;
            for to in self.others(node, teller, count, rng) {
                self.send(at, Kind::Call { answer: false }, node, to, rng);
            }
        }
    }

    fn has_news(&self, node: usize) -> bool {
        self.active.iter().any(|event| self.events[*event].tells(node))
    }

    fn differ(&self, a: usize, b: usize) -> bool {
        self.active.iter().any(|event| self.events[*event].knows(a) != self.events[*event].knows(b))
    }

    fn other(&self, node: usize, rng: &mut impl Rng) -> usize {
        let to = below(rng, self.nodes.len() - 1);
        to + usize::from(to >= node)
    }

    /// So many different nodes, not `node` and not `except`; fewer where there are not so many.
    fn others(&self, node: usize, except: Option<usize>, count: u32, rng: &mut impl Rng) -> Vec<usize> {
        let there = self.nodes.len() - 1 - usize::from(except.is_some());
        let count = there.min(count as usize);
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count {
            let to = self.other(node, rng);
            if Some(to) != except && !chosen.contains(&to) {
                chosen.push(to);
            }
        }
        chosen
    }
}

/// The growth rate x of the informed, I(t) ~ e^(x·t/T_g), while they are few: the x for which the spectral radius of
///
/// ```text
/// | P·a·e^(−xℓ)   Q·a·e^(−xℓ) |      a = 1/x, b = 1/(e^x − 1),
/// | P·b·e^(xℓ)    Q·a·e^(−xℓ) |      P = k(1−p), Q = k(1−p)², ℓ = L/T_g
/// ```
///
/// is 1. The first kind of node was pushed to, at a random time in its interval; the second pulled, right at its own call.
/// `None` for ℓ ≥ ½, where an answer comes after the next call, and for p = 1.
#[must_use]
pub fn growth(fanout: u32, loss: f64, latency: f64) -> Option<f64> {
    if !(0.0..0.5).contains(&latency) || !(0.0..1.0).contains(&loss) || fanout == 0 {
        return None;
    }
    let push = f64::from(fanout) * (1.0 - loss);
    let pull = push * (1.0 - loss);
    let radius = |x: f64| {
        let (a, b) = (1.0 / x, 1.0 / x.exp_m1());
        let (late, early) = ((-x * latency).exp(), (x * latency).exp());
        let (m11, m12, m21, m22) = (push * a * late, pull * a * late, push * b * early, pull * a * late);
        let (trace, det) = (m11 + m22, m11 * m22 - m12 * m21);
        f64::midpoint(trace, (trace * trace - 4.0 * det).max(0.0).sqrt())
    };
    let (mut low, mut high) = (1e-9, 1e3);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if radius(middle) > 1.0 { low = middle } else { high = middle }
    }
    Some(f64::midpoint(low, high))
}

#[cfg(test)]
mod tests {
    use netem::spec::{Direction, Span};

    use super::*;
    use crate::stats::{median, rng};

    /// Probes of which no Ping is repeated within a period.
    fn every(period_ms: f64) -> Probes {
        Probes { period_ms, retry_ms: period_ms, margin_ms: period_ms }
    }

    #[test]
    fn the_growth_rate_is_the_known_one() {
        // By hand for k = 1, ℓ = p = 0: (1/x)·(1 + √(x/(eˣ − 1))) = 1 at x ≈ 1.63.
        let x = growth(1, 0.0, 0.0).expect("a rate");
        assert!((x - 1.63).abs() < 0.005, "{x}");
        assert!((1.0 / x * (1.0 + (x / x.exp_m1()).sqrt()) - 1.0).abs() < 1e-9);
        // T_g per decade, against values found in an independent simulation and equation.
        for (fanout, loss, latency, decade) in [(1, 0.0, 0.25, 1.660), (1, 0.05, 0.05, 1.563), (3, 0.0, 0.05, 0.657)] {
            let x = growth(fanout, loss, latency).expect("a rate");
            let got = std::f64::consts::LN_10 / x;
            assert!(
                (got - decade).abs() < 0.002,
                "k={fanout} p={loss} l={latency}: {got} T_g per decade, not {decade}"
            );
        }
    }

    #[test]
    fn no_rate_where_the_equation_does_not_hold() {
        assert_eq!(growth(1, 0.0, 0.5), None);
        assert_eq!(growth(1, 1.0, 0.0), None);
        assert_eq!(growth(0, 0.0, 0.0), None);
    }

    /// From N to 10·N the median spread must take the time per decade of the growth equation: 1.41 T_g at k = 1. The end
    /// phase adds log2 ln-terms that change by about 0.3 T_g between these sizes, which t50 does not see.
    #[test]
    fn the_simulated_spread_grows_at_the_rate_of_the_equation() {
        let model = Model::plain(100.0, 1);
        let half = |nodes: usize| {
            let mut rng = rng(5, &format!("phases/{nodes}"));
            let times: Vec<f64> = (0..200).map(|_| model.spread(&vec![1; nodes], &mut rng)[nodes / 2 - 1]).collect();
            median(&times).expect("runs")
        };
        let decade = (half(2000) - half(200)) / 100.0;
        assert!((decade - 1.41).abs() < 0.12, "{decade} T_g per decade");
    }

    #[test]
    fn everybody_learns_despite_loss_and_later_with_it() {
        let mut model = Model::plain(100.0, 1);
        let last = |model: &Model| {
            let mut rng = rng(6, "loss");
            let all: Vec<f64> = (0..100)
                .map(|_| {
                    let times = model.spread(&[1; 64], &mut rng);
                    assert_eq!(times.len(), 64);
                    times[63]
                })
                .collect();
            median(&all).expect("runs")
        };
        let without = last(&model);
        model.loss = 0.3;
        assert!(last(&model) > without * 1.2);
    }

    /// Probes as frequent as rounds are the same as twice the calls at phases of their own: quicker than without, and probes
    /// that never come change nothing.
    #[test]
    fn probes_help_as_much_as_they_are_frequent() {
        let half = |period_ms: Option<f64>| {
            let model = Model { probes: period_ms.map(every), ..Model::plain(100.0, 1) };
            let mut rng = rng(9, "probes");
            let times: Vec<f64> = (0..200).map(|_| model.spread(&[1; 64], &mut rng)[31]).collect();
            median(&times).expect("runs")
        };
        let (none, rare, often) = (half(None), half(Some(1e6)), half(Some(100.0)));
        assert!((rare / none - 1.0).abs() < 0.1, "{none} {rare}");
        assert!((0.4..0.65).contains(&(often / none)), "{none} {often}");
    }

    #[test]
    fn a_node_cannot_learn_before_one_latency_has_passed() {
        let delay = Delay {
            mean: Span::from_millis(20),
            jitter: Span::default(),
            distribution: Distribution::Fixed,
            direction: Direction::Out,
        };
        let model = Model { delay: Some(delay), ..Model::plain(100.0, 3) };
        let times = model.spread(&[3; 32], &mut rng(8, "delay"));
        assert_eq!(times[0], 0.0);
        assert!(times[1] >= 20.0, "{}", times[1]);
    }

    /// Every node tells once, one other: the path of a random mapping without fixed points, which ends where it meets itself. With k
    /// nodes on it the next is new with probability (N − k)/(N − 1), so its mean length is Σ_k Π_{j ≤ k} (N − j)/(N − 1).
    #[test]
    fn a_node_tells_an_event_as_often_as_the_limit_says() {
        let model = Model { how: How::Push, multiplier: Some(1), ..Model::plain(100.0, 1) };
        let mut rng = rng(11, "limit");
        // One digit: λ·⌈log10(N + 1)⌉ is 1.
        let informed: Vec<f64> = (0..4_000).map(|_| model.spread(&[1; 9], &mut rng).len() as f64).collect();
        let (mut mean, mut product) = (0.0, 1.0);
        for k in 0..9 {
            mean += product;
            product *= (9.0 - f64::from(k + 1)) / 8.0;
        }
        let (got, sd) = crate::stats::mean_sd(&informed).expect("runs");
        assert!((got - mean).abs() < 4.0 * sd / 4_000_f64.sqrt(), "{got} {mean}");
    }

    #[test]
    fn anti_entropy_finds_whom_the_telling_missed() {
        let model = Model { how: How::Push, multiplier: Some(1), probes: Some(every(500.0)), ..Model::plain(100.0, 1) };
        let mut rng = rng(12, "sync");
        let mut all = |model: &Model| (0..50).filter(|_| model.spread(&[1; 32], &mut rng).len() == 32).count();
        assert!(all(&model) < 50);
        assert_eq!(all(&Model { sync_ms: Some(1_000.0), ..model }), 50);
    }

    /// Two nodes start an event each. Whose round comes first tells its own; the other sees that they differ and opens an exchange, which
    /// carries its event back at once: both are known to both after the lesser of two uniform times.
    #[test]
    fn what_opens_an_exchange_tells_at_once() {
        let model = Model { how: How::Push, sync_ms: Some(1e6), ..Model::plain(100.0, 1) };
        let mut rng = rng(17, "open");
        let mut both = || {
            let curves = model.cluster(&[1, 1], &[(0.0, 0), (0.0, 1)], &mut rng);
            assert_eq!(curves[0], curves[1]);
            curves[0][1]
        };
        let times: Vec<f64> = (0..2_000).map(|_| both()).collect();
        let (mean, _) = crate::stats::mean_sd(&times).expect("runs");
        // Four standard errors: 4·23.6/√2000.
        assert!((mean - 100.0 / 3.0).abs() < 2.2, "{mean}");
    }

    /// One node of two knows an event and only probes tell it. Without loss that takes until the first of two probes, each uniform in a
    /// period of 1 s; where a datagram is lost with p = ½, pings 10 ms apart bring it through after some of these, not after periods.
    #[test]
    fn a_ping_is_repeated_until_it_is_answered() {
        let half = |loss, retry_ms| {
            let probes = Probes { period_ms: 1e3, retry_ms, margin_ms: retry_ms };
            let model = Model { how: How::Push, probes: Some(probes), loss, ..Model::plain(1e6, 1) };
            let mut rng = rng(18, "retry");
            let times: Vec<f64> = (0..2_000).map(|_| model.spread(&[1, 1], &mut rng)[1]).collect();
            crate::stats::mean_sd(&times).expect("runs").0
        };
        let (none, repeated, single) = (half(0.0, 10.0), half(0.5, 10.0), half(0.5, 1e4));
        // Four standard errors: 4·236/√2000.
        assert!((none - 1e3 / 3.0).abs() < 21.0, "{none}");
        assert!(repeated - none < 60.0 && single - none > 200.0, "{none} {repeated} {single}");
    }

    /// Whom forwarding alone reaches among many: the share r that solves 1 − r = e^(−k·r), 0.980 for k = 4, and 0.941 of k = 4 with a
    /// quarter lost (k = 3).
    #[test]
    fn forwarding_reaches_the_share_of_a_branching_process_at_once() {
        for (loss, share) in [(0.0, 0.980), (0.25, 0.941)] {
            let model = Model { how: How::Eager, loss, idle_calls: false, ..Model::plain(1e6, 4) };
            let mut rng = rng(13, "eager");
            let at_once = |times: Vec<f64>| times.partition_point(|time| *time <= 1.0) as f64 / 500.0;
            let shares: Vec<f64> = (0..60).map(|_| at_once(model.spread(&[4; 500], &mut rng))).collect();
            // Where nothing comes of an event at its start (all of k lost, 0.4 % at a quarter) the mean would mislead.
            let got = median(&shares).expect("runs");
            assert!((got - share).abs() < 0.01, "{loss}: {got}");
        }
    }

    #[test]
    fn events_that_start_together_ride_together() {
        let model = Model { loss: 0.2, ..Model::plain(100.0, 1) };
        let starts = [(30.0, 3), (30.0, 3), (250.0, 5)];
        let curves = model.cluster(&[1; 40], &starts, &mut rng(14, "together"));
        assert_eq!(curves[0], curves[1]);
        assert!(curves.iter().all(|curve| curve.len() == 40 && curve[0] == 0.0));
        assert_ne!(curves[0], curves[2]);
    }

    /// A pull is told in answers alone: with two nodes it takes until the other's next call, uniform on an interval.
    #[test]
    fn pull_waits_for_the_call_of_who_does_not_know() {
        let model = Model { how: How::Pull, ..Model::plain(100.0, 1) };
        let mut rng = rng(15, "pull");
        let waits: Vec<f64> = (0..2_000).map(|_| model.spread(&[1, 1], &mut rng)[1]).collect();
        assert!(waits.iter().all(|wait| (0.0..100.0).contains(wait)));
        let (mean, _) = crate::stats::mean_sd(&waits).expect("runs");
        // Four standard errors: 4·28.9/√2000.
        assert!((mean - 50.0).abs() < 2.6, "{mean}");
    }

    /// As under the median counter: they open exchanges, where there are any, and nothing else.
    #[test]
    fn probes_that_carry_nothing_change_nothing() {
        let half = |model: &Model| {
            let mut rng = rng(16, "carry");
            let times: Vec<f64> = (0..400).map(|_| model.spread(&[1; 64], &mut rng)[31]).collect();
            median(&times).expect("runs")
        };
        let none = half(&Model::plain(100.0, 1));
        let silent = half(&Model { probes: Some(every(100.0)), probes_carry: false, ..Model::plain(100.0, 1) });
        assert!((silent / none - 1.0).abs() < 0.05, "{none} {silent}");
    }
}
