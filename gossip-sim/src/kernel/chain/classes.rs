//! Push-pull with a fan-out per node for life: the state is the number of uninformed nodes of each fan-out.
//!
//! How many nodes have which fan-out is drawn once (a multinomial). With U_c of N_c nodes of fan-out c uninformed, U in all:
//!
//! ```text
//! M ~ Bin(Σ c·(N_c − U_c), (1−p)·U/(n−1))        pushes that arrive at uninformed nodes
//! D ~ Occ(M, U); (D_c) ~ hypergeometric split of D over (U_c)
//! S_c ~ Bin(U_c − D_c, f^c)                       of the others, those whose pulls all fail
//! U_c ← S_c
//! ```
//!
//! The fan-outs are powers of two: at most 62 classes; rescaled ones are rounded up or down, which makes two of each.

use super::Chain;
use super::binomial::{binomial, hypergeometric};
use super::count::Odds;
use super::occupancy::Occupancy;
use crate::kernel::outcome::Traffic;
use crate::kernel::random::Stream;
use crate::kernel::strategy::{HeavyTail, Spec};

/// The chain of several types.
pub(super) struct Classes {
    nodes: u64,
    loss: f64,
    classes: Vec<Class>,
}

#[derive(Debug, Clone, Copy)]
struct Class {
    fanout: u64,
    nodes: u64,
    uninformed: u64,
}

impl Classes {
    /// Draws who has which fan-out, and the class of the node that starts.
    pub(super) fn new(spec: &Spec, tail: &HeavyTail, stream: &mut Stream) -> Self {
        let (mut left, mut share) = (spec.nodes, 1.0_f64);
        let mut classes = Vec::new();
        let law = rescaled(tail, spec.nodes);
        for (index, &(probability, fanout)) in law.iter().enumerate() {
            let last = index + 1 == law.len();
            let nodes = if last { left } else { binomial(left.into(), (probability / share).min(1.0), stream) as u64 };
            classes.push(Class { fanout, nodes, uninformed: nodes });
            left -= nodes;
            // What is left of the law is summed from its end: a difference would lose the digits of the tail.
            share = law[index + 1..].iter().rev().map(|&(probability, _)| probability).sum();
        }
        classes.retain(|class| class.nodes > 0);
        let mut first = stream.below(spec.nodes);
        for class in &mut classes {
            if first < class.nodes {
                class.uninformed -= 1;
                break;
            }
            first -= class.nodes;
        }
        Self { nodes: spec.nodes, loss: spec.loss, classes }
    }

    /// Spreads `hit` over the classes, as a uniform choice among all uninformed nodes does.
    fn split(&self, mut hit: u64, stream: &mut Stream) -> Vec<u64> {
        let mut left = self.uninformed();
        let split = self.classes.iter().map(|class| {
            let mine = hypergeometric(left, class.uninformed, hit, stream);
            (left, hit) = (left - class.uninformed, hit - mine);
            mine
        });
        split.collect()
    }
}

/// Probabilities and whole fan-outs, after rescaling.
fn rescaled(tail: &HeavyTail, nodes: u64) -> Vec<(f64, u64)> {
    let scale = tail.scale(nodes);
    let classes = tail.classes(nodes).into_iter().flat_map(|(probability, fanout)| {
        let (fanout, whole) = (fanout as f64 * scale, (fanout as f64 * scale).floor());
        let up = fanout - whole;
        [(probability * (1.0 - up), whole as u64), (probability * up, whole as u64 + 1)]
    });
    classes.filter(|&(probability, _)| probability > 0.0).collect()
}

impl Chain for Classes {
    fn uninformed(&self) -> u64 {
        self.classes.iter().map(|class| class.uninformed).sum()
    }

    fn round(&mut self, stream: &mut Stream) -> Traffic {
        let uninformed = self.uninformed();
        let odds = Odds::new(self.nodes, uninformed, self.loss);
        let mut traffic =
            Traffic { out_max: self.classes.last().map_or(0, |class| class.fanout), ..Traffic::default() };
        let calls = |nodes: u64, class: &Class| u128::from(nodes) * u128::from(class.fanout);
        let pushes = self.classes.iter().map(|class| calls(class.nodes - class.uninformed, class)).sum();
        (traffic.rumor, traffic.datagrams) = (pushes, pushes);
        let balls = binomial(pushes, odds.push, stream);
        let hit = self.split(Occupancy { balls, bins: uninformed }.sample(stream), stream);
        for (class, hit) in self.classes.iter_mut().zip(hit) {
            let pulls = odds.pulls(hit, class.uninformed - hit, class.fanout, stream);
            traffic.rumor += pulls.answers;
            traffic.datagrams += calls(class.uninformed, class) + pulls.answers;
            class.uninformed -= hit + pulls.learnt;
        }
        traffic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::strategy::{Cap, Strategy};

    #[test]
    fn nodes_are_dealt_out_to_the_classes_and_one_of_them_starts() {
        for nodes in [2, 100, 1_000_000_000_000_000_000] {
            let tail = HeavyTail { beta: 2.5, cap: Cap::None, budget: None };
            let spec = Spec { strategy: Strategy::HeavyTail(tail), nodes, loss: 0.0, seed: 1 };
            let chain = Classes::new(&spec, &tail, &mut Stream::new(1));
            assert_eq!(chain.classes.iter().map(|class| class.nodes).sum::<u64>(), nodes);
            assert_eq!(chain.uninformed(), nodes - 1);
            assert!(chain.classes.windows(2).all(|pair| pair[0].fanout < pair[1].fanout));
        }
    }

    #[test]
    fn a_rescaled_law_keeps_the_budget() {
        let tail = HeavyTail { beta: 2.5, cap: Cap::At(100), budget: Some(3.3) };
        let law = rescaled(&tail, 1000);
        let (sum, mean) = law.iter().fold((0.0, 0.0), |(sum, mean), &(p, c)| (sum + p, mean + p * c as f64));
        assert!((sum - 1.0).abs() < 1e-12 && (mean - 3.3).abs() < 1e-12, "{sum} {mean}");
    }
}
