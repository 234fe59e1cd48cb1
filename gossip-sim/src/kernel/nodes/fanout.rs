//! How many calls a node makes in a round.

use crate::kernel::random::{Key, unit};
use crate::kernel::strategy::HeavyTail;

/// The fan-outs of all nodes.
pub(super) enum Fanout {
    /// One for all.
    Same(u64),
    /// One per node for life, from a hash of its number: no memory.
    Tail(Tail),
}

/// A heavy tail, ready to be asked.
pub(super) struct Tail {
    key: Key,
    /// A hash below the j-th of these has a fan-out of class j + 1 at least.
    thresholds: Vec<u64>,
    /// The fan-outs of the classes, rescaled.
    fanouts: Vec<f64>,
}

impl Tail {
    pub(super) fn new(tail: &HeavyTail, nodes: u64, key: Key) -> Self {
        let (classes, scale) = (tail.classes(nodes), tail.scale(nodes));
        let mut above = 1.0;
        let thresholds = classes.iter().map(|&(probability, _)| {
            above -= probability;
            above
        });
        // The tail of a tail loses its digits by subtraction: P(class > j) is r^(j+1) exactly.
        let last = classes.len() - 1;
        let exact = thresholds.enumerate().map(|(class, _)| libm::pow(tail.ratio(), class as f64 + 1.0));
        let thresholds = exact.take(last).map(|share| (share * TWO_64) as u64).collect();
        Self { key, thresholds, fanouts: classes.iter().map(|&(_, fanout)| fanout as f64 * scale).collect() }
    }

    #[inline]
    fn of(&self, node: u64) -> u64 {
        let hash = self.key.hash(node);
        let class = self.thresholds.iter().take_while(|&&threshold| hash < threshold).count();
        let fanout = self.fanouts[class];
        let whole = fanout.floor();
        // Rounded at random, but always the same way for one node.
        let up = whole < fanout && unit(self.key.child(1).hash(node)) < fanout - whole;
        whole as u64 + u64::from(up)
    }
}

const TWO_64: f64 = 18_446_744_073_709_551_616.0;

impl Fanout {
    #[inline]
    pub(super) fn of(&self, node: u64) -> u64 {
        match self {
            Self::Same(fanout) => *fanout,
            Self::Tail(tail) => tail.of(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::strategy::Cap;

    #[test]
    fn fanouts_by_hash_are_as_frequent_as_the_classes_say() {
        let nodes = 1_000_000;
        let law = HeavyTail { beta: 2.5, cap: Cap::At(100), budget: None };
        let tail = Tail::new(&law, nodes, Key::of_run(1, 1));
        let mut counts = std::collections::BTreeMap::new();
        (0..nodes).for_each(|node| *counts.entry(tail.of(node)).or_insert(0_u32) += 1);
        let classes = law.classes(nodes);
        let chi: f64 = classes
            .iter()
            .map(|&(probability, fanout)| {
                let expected = probability * nodes as f64;
                (f64::from(counts[&fanout]) - expected).powi(2) / expected
            })
            .sum();
        assert_eq!(counts.len(), classes.len());
        assert!(chi < 29.9, "χ² = {chi} on {} degrees of freedom has p < 1e-4", classes.len() - 1);
    }

    #[test]
    fn a_rescaled_tail_spends_its_budget() {
        let law = HeavyTail { beta: 2.5, cap: Cap::At(64), budget: Some(3.3) };
        let tail = Tail::new(&law, 1_000_000, Key::of_run(1, 1));
        let mean = (0..1_000_000).map(|node| tail.of(node)).sum::<u64>() as f64 / 1e6;
        assert!((mean - 3.3).abs() < 0.02, "{mean}");
    }
}
