//! Fixed gossip interval, random phases: how a real cluster runs, whose nodes were not started in step.
//!
//! Every node calls `fanout` others once per interval T_g, at a phase of its own that is uniform and stays. A request takes the
//! one-way latency L and carries what the caller knew when it sent; the answer takes L again and carries what the called
//! knew when the request arrived. Each datagram is lost with probability p. Failure detection's probes carry events too: a
//! probe and its answer are one more call to one random member, once per protocol period, at a phase of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use netem::spec::{Delay, Distribution};
use rand_core::Rng;
use rand_distr::Distribution as _;

use crate::stats::{below, unit};

/// A cluster as the model sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Model {
    /// T_g, milliseconds.
    pub interval_ms: f64,
    /// k: calls per node and interval.
    pub fanout: u32,
    /// p: probability that one datagram is lost.
    pub loss: f64,
    /// One-way latency; none means 0.
    pub delay: Option<Delay>,
    /// SWIM's protocol period, milliseconds: every node probes one member in each. `None` leaves the probes out.
    pub probe_ms: Option<f64>,
}

impl Model {
    /// Mean one-way latency, milliseconds.
    #[must_use]
    pub fn latency_ms(&self) -> f64 {
        self.delay.map_or(0.0, |delay| delay.mean.get().as_secs_f64() * 1e3)
    }

    /// How long the growth phase takes to double the informed without the probes, milliseconds: T_g·ln 2 / x. `None` where [`growth`] has no
    /// solution.
    #[must_use]
    pub fn doubling_ms(&self) -> Option<f64> {
        let x = growth(self.fanout, self.loss, self.latency_ms() / self.interval_ms)?;
        Some(self.interval_ms * std::f64::consts::LN_2 / x)
    }

    /// One event in a cluster of `nodes`, started at node 0 at time 0: when each node learns, milliseconds, sorted. Shorter
    /// than `nodes` when the time ran out (200 intervals).
    pub fn spread(&self, nodes: usize, rng: &mut impl Rng) -> Vec<f64> {
        let mut spread =
            Spread { model: *self, learnt: vec![f64::INFINITY; nodes], queue: BinaryHeap::new(), order: 0 };
        spread.learnt[0] = 0.0;
        for node in 0..nodes {
            spread.put(unit(rng) * self.interval_ms, What::Round { node, probe: false });
            if let Some(period) = self.probe_ms {
                spread.put(unit(rng) * period, What::Round { node, probe: true });
            }
        }
        let mut left = nodes - 1;
        while left > 0 {
            let Some(Reverse((at, _, what))) = spread.queue.pop() else { break };
            let at = f64::from_bits(at);
            if at > 200.0 * self.interval_ms {
                break;
            }
            if spread.step(at, what, rng) {
                left -= 1;
            }
        }
        let mut times: Vec<f64> = spread.learnt.into_iter().filter(|time| time.is_finite()).collect();
        times.sort_unstable_by(f64::total_cmp);
        times
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Round { node: usize, probe: bool },
    Request { from: usize, to: usize, informed: bool },
    Answer { to: usize, informed: bool },
}

/// The state of one event's spread. The queue orders by time (the bits of a non-negative float order as it does) and then
/// by age.
struct Spread {
    model: Model,
    learnt: Vec<f64>,
    queue: BinaryHeap<Reverse<(u64, u64, What)>>,
    order: u64,
}

impl Spread {
    fn put(&mut self, at: f64, what: What) {
        self.order += 1;
        self.queue.push(Reverse((at.to_bits(), self.order, what)));
    }

    /// Handles one entry; true when a node learnt.
    fn step(&mut self, at: f64, what: What, rng: &mut impl Rng) -> bool {
        match what {
            What::Round { node, probe } => {
                self.round(at, node, probe, rng);
                false
            }
            What::Request { from, to, informed } => {
                let learnt = informed && self.learn(to, at);
                if unit(rng) >= self.model.loss {
                    let informed = self.learnt[to] <= at;
                    let late = self.model.latency(rng);
                    self.put(at + late, What::Answer { to: from, informed });
                }
                learnt
            }
            What::Answer { to, informed } => informed && self.learn(to, at),
        }
    }

    fn round(&mut self, at: f64, node: usize, probe: bool, rng: &mut impl Rng) {
        let informed = self.learnt[node] <= at;
        let (calls, interval) = match self.model.probe_ms.filter(|_| probe) {
            Some(period) => (1, period),
            None => (self.model.fanout as usize, self.model.interval_ms),
        };
        let mut called: Vec<usize> = Vec::with_capacity(calls);
        while called.len() < calls.min(self.learnt.len() - 1) {
            let to = below(rng, self.learnt.len());
            if to != node && !called.contains(&to) {
                called.push(to);
            }
        }
        for to in called {
            if unit(rng) >= self.model.loss {
                let late = self.model.latency(rng);
                self.put(at + late, What::Request { from: node, to, informed });
            }
        }
        self.put(at + interval, What::Round { node, probe });
    }

    fn learn(&mut self, node: usize, at: f64) -> bool {
        let new = self.learnt[node].is_infinite();
        if new {
            self.learnt[node] = at;
        }
        new
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
        let model = Model { interval_ms: 100.0, fanout: 1, loss: 0.0, delay: None, probe_ms: None };
        let half = |nodes: usize| {
            let mut rng = rng(5, &format!("phases/{nodes}"));
            let times: Vec<f64> = (0..200).map(|_| model.spread(nodes, &mut rng)[nodes / 2 - 1]).collect();
            median(&times).expect("runs")
        };
        let decade = (half(2000) - half(200)) / 100.0;
        assert!((decade - 1.41).abs() < 0.12, "{decade} T_g per decade");
    }

    #[test]
    fn everybody_learns_despite_loss_and_later_with_it() {
        let mut model = Model { interval_ms: 100.0, fanout: 1, loss: 0.0, delay: None, probe_ms: None };
        let last = |model: &Model| {
            let mut rng = rng(6, "loss");
            let all: Vec<f64> = (0..100)
                .map(|_| {
                    let times = model.spread(64, &mut rng);
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
        let half = |probe_ms| {
            let model = Model { interval_ms: 100.0, fanout: 1, loss: 0.0, delay: None, probe_ms };
            let mut rng = rng(9, "probes");
            let times: Vec<f64> = (0..200).map(|_| model.spread(64, &mut rng)[31]).collect();
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
        let model = Model { interval_ms: 100.0, fanout: 3, loss: 0.0, delay: Some(delay), probe_ms: None };
        let times = model.spread(32, &mut rng(8, "delay"));
        assert_eq!(times[0], 0.0);
        assert!(times[1] >= 20.0, "{}", times[1]);
    }
}
