//! One bit per node, set by many threads at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A set of nodes.
///
/// Relaxed order is enough: a phase only sets bits, which commutes, and what it set is read after its threads were joined.
#[derive(Debug)]
pub(super) struct Bits {
    words: Vec<AtomicU64>,
    nodes: u64,
}

impl Bits {
    /// The empty set of up to so many.
    pub(super) fn new(nodes: u64) -> Self {
        Self { words: (0..nodes.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(), nodes }
    }

    #[inline]
    pub(super) fn get(&self, node: u64) -> bool {
        self.words[(node >> 6) as usize].load(Relaxed) >> (node & 63) & 1 == 1
    }

    /// Adds a node; true if it was not there.
    #[inline]
    pub(super) fn set(&self, node: u64) -> bool {
        let (word, bit) = (&self.words[(node >> 6) as usize], 1 << (node & 63));
        // A look is cheap where a locked write is not, and most nodes are there already.
        word.load(Relaxed) & bit == 0 && word.fetch_or(bit, Relaxed) & bit == 0
    }

    /// The members (or, with `absent`, the others) among 64 nodes from 64·`word` on, as a mask.
    #[inline]
    pub(super) fn mask(&self, word: u64, absent: bool) -> u64 {
        let mask = self.words[word as usize].load(Relaxed);
        if !absent {
            return mask;
        }
        let there = self.nodes - word * 64;
        !mask & if there >= 64 { u64::MAX } else { (1 << there) - 1 }
    }

    /// Touches a node's word, so that it is near when it is wanted.
    #[inline]
    pub(super) fn touch(&self, node: u64) -> u64 {
        self.words[(node >> 6) as usize].load(Relaxed)
    }

    /// Takes over the members of `other` in these words.
    pub(super) fn copy(&self, other: &Self, words: std::ops::Range<u64>) {
        let range = words.start as usize..words.end as usize;
        for (to, from) in self.words[range.clone()].iter().zip(&other.words[range]) {
            to.store(from.load(Relaxed), Relaxed);
        }
    }
}

/// The positions of the ones of a mask, lowest first.
pub(super) fn ones(mut mask: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let lowest = u64::from(mask.trailing_zeros());
        (mask != 0).then(|| {
            mask &= mask - 1;
            lowest
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_nodes_end_where_the_cluster_ends() {
        let bits = Bits::new(70);
        assert!(bits.set(3) && bits.set(69) && !bits.set(69));
        assert_eq!(ones(bits.mask(1, true)).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(ones(bits.mask(0, false)).collect::<Vec<_>>(), [3]);
        assert_eq!((bits.get(3), bits.get(4)), (true, false));
    }
}
