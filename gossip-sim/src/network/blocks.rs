//! Cut links, as groups: a partition of 10^5 hosts has 10^9 links and is two sets.

use crate::addresses::NodeId;

/// Links that are cut.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Vec<Block>);

#[derive(Debug)]
struct Block {
    from: Set,
    to: Set,
    both_ways: bool,
}

impl Blocks {
    pub(crate) fn add(&mut self, from: &[NodeId], to: &[NodeId], both_ways: bool) {
        self.0.push(Block { from: Set::new(from), to: Set::new(to), both_ways });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    #[inline]
    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        let cuts = |block: &Block| {
            block.from.has(from) && block.to.has(to) || block.both_ways && block.from.has(to) && block.to.has(from)
        };
        !self.0.is_empty() && self.0.iter().any(cuts)
    }
}

#[derive(Debug)]
struct Set(Vec<u64>);

impl Set {
    fn new(ids: &[NodeId]) -> Self {
        let mut words = vec![0; ids.iter().max().map_or(0, |&id| id as usize / 64 + 1)];
        for &id in ids {
            words[id as usize / 64] |= 1 << (id % 64);
        }
        Self(words)
    }

    fn has(&self, id: NodeId) -> bool {
        self.0.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_cuts_between_its_sides_and_nowhere_else() {
        let mut blocks = Blocks::default();
        blocks.add(&[1, 70], &[2, 200], true);
        blocks.add(&[5], &[6], false);
        let cut = [(1, 2), (2, 1), (70, 200), (200, 70), (5, 6)];
        for from in 0..210 {
            for to in 0..210 {
                let expected =
                    cut.contains(&(from, to)) || [(1, 200), (200, 1), (70, 2), (2, 70)].contains(&(from, to));
                assert_eq!(blocks.is_cut(from, to), expected, "{from} to {to}");
            }
        }
        blocks.clear();
        assert!(!blocks.is_cut(1, 2));
    }
}
