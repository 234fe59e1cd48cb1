//! Partitions: sets of nodes that do not hear each other.
//!
//! A node knows only whom it cannot reach ([`crate::Impairment::Block`]); nothing from or to these peers passes while
//! the block holds. [`blocked`] derives that set for each node from the two sides of a partition. When every node
//! blocks, a datagram is dropped where it is sent; the block of the receiver is then a second line, for datagrams that
//! were under way (held back by a delay) when the partition began.

use std::collections::BTreeSet;

use crate::fate::Endpoint;

/// Whom `local` cannot reach when `side` is cut off from all other nodes of `all`.
///
/// Nodes within `side` still hear each other, and so do the nodes outside it. The result is symmetric: `a` blocks `b`
/// exactly when `b` blocks `a`.
#[must_use]
pub fn blocked(
    local: Endpoint,
    side: &BTreeSet<Endpoint>,
    all: impl IntoIterator<Item = Endpoint>,
) -> BTreeSet<Endpoint> {
    let inside = side.contains(&local);
    all.into_iter().filter(|peer| side.contains(peer) != inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[u64]) -> BTreeSet<Endpoint> {
        ids.iter().copied().map(Endpoint).collect()
    }

    #[test]
    fn each_side_blocks_the_other_and_nobody_else() {
        let side = set(&[1, 2]);
        let all = || (0..5).map(Endpoint);
        for (local, expected) in [(0, &[1, 2][..]), (1, &[0, 3, 4]), (2, &[0, 3, 4]), (3, &[1, 2]), (4, &[1, 2])] {
            assert_eq!(blocked(Endpoint(local), &side, all()), set(expected), "node {local}");
        }
    }

    #[test]
    fn an_empty_side_or_a_whole_one_blocks_nobody() {
        let all = || (0..3).map(Endpoint);
        assert_eq!(blocked(Endpoint(1), &set(&[]), all()), set(&[]));
        assert_eq!(blocked(Endpoint(1), &set(&[0, 1, 2]), all()), set(&[]));
    }
}
