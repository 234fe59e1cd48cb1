//! Push, pull and push-pull with one fan-out for all: the state is the number of informed nodes.
//!
//! State I informed, U = n − I not; one round, with p the loss of a datagram:
//!
//! ```text
//! M ~ Bin(I·k, (1−p)·U/(n−1))       (1) pushes that arrive at uninformed nodes
//! D ~ Occ(M, U)                      (2) distinct nodes they hit
//! S ~ Bin(U−D, f^k)                  (3) of the others, those whose pulls all fail
//! f = 1 − (1−p)²·I/(n−1)             (4) a pull fails
//! U ← S                              (5)
//! ```
//!
//! With a fan-out that grows with age, k in (1) is that of the round, and in (3) it is 1.
//!
//! Push leaves out (3), pull leaves out (1) and (2). Frieze and Grimmett 1985, Pittel 1987 (push); Karp, Schindelhauer, Shenker,
//! Vöcking, FOCS 2000 (push-pull).

use super::Chain;
use super::binomial::binomial;
use super::occupancy::Occupancy;
use crate::kernel::outcome::Traffic;
use crate::kernel::random::Stream;
use crate::kernel::strategy::{Spec, aged_fanout};

/// The chain of equations (1) to (5).
pub(super) struct Count {
    nodes: u64,
    uninformed: u64,
    fanout: u64,
    loss: f64,
    push: bool,
    pull: bool,
    /// Where informed nodes call more with the age of the rumor: its age.
    age: Option<u64>,
}

impl Count {
    pub(super) fn new(spec: &Spec, fanout: u32, push: bool, pull: bool) -> Self {
        let (nodes, loss, fanout) = (spec.nodes, spec.loss, u64::from(fanout));
        Self { nodes, uninformed: nodes - 1, fanout, loss, push, pull, age: None }
    }

    /// Push-pull in which only the informed call more than once.
    pub(super) fn aging(spec: &Spec) -> Self {
        Self { age: Some(0), ..Self::new(spec, 1, true, true) }
    }
}

impl Chain for Count {
    fn uninformed(&self) -> u64 {
        self.uninformed
    }

    fn round(&mut self, stream: &mut Stream) -> Traffic {
        let odds = Odds::new(self.nodes, self.uninformed, self.loss);
        let informed = self.nodes - self.uninformed;
        let calls = |nodes: u64, fanout: u64| u128::from(nodes) * u128::from(fanout);
        let told = self.age.map_or(self.fanout, |age| aged_fanout(self.nodes, age).into());
        let mut traffic = Traffic { out_max: told.max(self.fanout), ..Traffic::default() };
        let mut hit = 0;
        if self.push {
            let balls = binomial(calls(informed, told), odds.push, stream);
            hit = Occupancy { balls, bins: self.uninformed }.sample(stream);
            (traffic.rumor, traffic.datagrams) = (calls(informed, told), calls(informed, told));
        }
        let mut left = self.uninformed - hit;
        if self.pull {
            let pulls = odds.pulls(hit, left, self.fanout, stream);
            left -= pulls.learnt;
            traffic.rumor += pulls.answers;
            traffic.datagrams += calls(self.uninformed, self.fanout) + pulls.answers;
        }
        self.uninformed = left;
        self.age = self.age.map(|age| age + 1);
        traffic
    }
}

/// Probabilities of one round.
pub(super) struct Odds {
    /// A push arrives at an uninformed node.
    pub(super) push: f64,
    /// A pull fails: equation (4).
    pub(super) fail: f64,
    /// A pull succeeds. Kept beside its complement, since near 0 and near 1 only one of the two has digits.
    success: f64,
    /// ln of [`Odds::fail`].
    ln_fail: f64,
    /// A request is answered.
    answered: f64,
    /// A request that fails was answered, and the answer was lost.
    wasted: f64,
}

impl Odds {
    pub(super) fn new(nodes: u64, uninformed: u64, loss: f64) -> Self {
        let (others, arrive) = ((nodes - 1) as f64, 1.0 - loss);
        let fail = loss * (2.0 - loss) + arrive * arrive * (uninformed as f64 - 1.0) / others;
        let answered = arrive * (nodes - uninformed) as f64 / others;
        let success = arrive * answered;
        let ln_fail = if success < 0.5 { libm::log1p(-success) } else { libm::log(fail) };
        let wasted = if fail > 0.0 { answered * loss / fail } else { 0.0 };
        Self { push: arrive * uninformed as f64 / others, fail, success, ln_fail, answered, wasted: wasted.min(1.0) }
    }

    /// What the pulls of uninformed nodes with this fan-out come to: `hit` of them were pushed to in the same round, which they
    /// cannot know when they ask; `left` were not.
    pub(super) fn pulls(&self, hit: u64, left: u64, fanout: u64, stream: &mut Stream) -> Pulls {
        let calls = |nodes: u64| u128::from(nodes) * u128::from(fanout);
        let (all_fail, some) = self.fates(fanout);
        let learnt = if some < 0.5 {
            binomial(u128::from(left), some, stream) as u64
        } else {
            left - binomial(u128::from(left), all_fail, stream) as u64
        };
        let received = self.received(learnt, fanout, stream);
        let wasted = binomial(calls(left).saturating_sub(received), self.wasted, stream);
        let answers = received + wasted + binomial(calls(hit), self.answered, stream);
        Pulls { learnt, answers }
    }

    /// The probabilities that all of so many pulls of a node fail, and that some succeed. Equation (3).
    fn fates(&self, fanout: u64) -> (f64, f64) {
        let power = fanout as f64 * self.ln_fail;
        (libm::exp(power), -libm::expm1(power))
    }

    /// Answers that arrive at `nodes` of which each receives at least one: a sum of binomials that are not 0.
    fn received(&self, nodes: u64, fanout: u64, stream: &mut Stream) -> u128 {
        if fanout <= 1 {
            return u128::from(nodes) * u128::from(fanout);
        }
        let (k, success) = (fanout as f64, self.success);
        let (_, some) = self.fates(fanout);
        if nodes > SUM_EXACT {
            let (n, one) = (nodes as f64, k * success / some);
            let variance = (k * success * self.fail + k * success * k * success) / some - one * one;
            let sum = n * one + (n * variance.max(0.0)).sqrt() * stream.normal();
            let (least, most) = (u128::from(nodes), u128::from(nodes) * u128::from(fanout));
            return (sum.round().max(0.0) as u128).clamp(least, most);
        }
        // The first success is geometric, cut off after k calls; the calls after it are free.
        (0..nodes)
            .map(|_| {
                let first = (libm::log1p(-stream.unit() * some) / self.ln_fail) as u64;
                1 + binomial(u128::from(fanout - 1 - first.min(fanout - 1)), success, stream)
            })
            .sum()
    }
}

/// What one round of pulls comes to.
pub(super) struct Pulls {
    /// Nodes that learnt.
    pub(super) learnt: u64,
    /// Answers sent, lost ones included.
    pub(super) answers: u128,
}

/// Up to this many nodes, their answers are counted node by node; beyond, their sum is normal. It decides what a run costs,
/// not when it ends.
const SUM_EXACT: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_keep_their_digits_at_the_start_and_at_the_end() {
        let nodes = 1_000_000_000_000_000_000;
        let (none, _) = Odds::new(nodes, 2, 0.0).fates(1);
        assert!((none / 1e-18 - 1.0).abs() < 1e-12, "{none}");
        let (_, some) = Odds::new(nodes, nodes - 1, 0.0).fates(3);
        assert!((some / 3e-18 - 1.0).abs() < 1e-12, "{some}");
    }

    /// Answers received and wasted against calls drawn one by one.
    #[test]
    fn answers_are_as_many_as_calls_would_have_had() {
        let (nodes, uninformed, loss, fanout) = (1000, 600, 0.3, 5);
        let odds = Odds::new(nodes, uninformed, loss);
        let mut stream = Stream::new(5);
        let runs = 4000;
        let (mut ours, mut drawn) = ([0.0_f64; 2], [0.0_f64; 2]);
        for _ in 0..runs {
            let pulls = odds.pulls(100, 100, fanout, &mut stream);
            let answers = pulls.answers as f64;
            (ours[0], ours[1]) = (ours[0] + answers, ours[1] + answers * answers);
            let answers = (0..200 * fanout).filter(|_| stream.happens(odds.answered)).count() as f64;
            (drawn[0], drawn[1]) = (drawn[0] + answers, drawn[1] + answers * answers);
        }
        let runs = f64::from(runs);
        let moments = |sums: [f64; 2]| (sums[0] / runs, sums[1] / runs - (sums[0] / runs).powi(2));
        let ((mean, variance), (mean_drawn, variance_drawn)) = (moments(ours), moments(drawn));
        assert!((mean - mean_drawn).abs() < 4.0 * (2.0 * variance_drawn / runs).sqrt(), "{mean} {mean_drawn}");
        assert!((variance / variance_drawn - 1.0).abs() < 0.2, "{variance} {variance_drawn}");
    }
}
