//! √-tree: an event goes down a tree of ranges of hashed identities, built anew for each event from the member table.
//!
//! Whoever is told an event together with a range is the head of that range: it splits the range into about √m parts, m
//! being the members expected in it, and tells a random member of each part; a range of few is told member by member. So all of
//! N are told in about log₂ log₂ N hops with one telling each. Tables need not agree: a range is of hashes, not of members.

use core::ops::RangeInclusive;

/// Ranges in which no more members are expected are not split.
const LEAF: u64 = 8;

/// A range of identities, told to its head: never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) start: u32,
    /// The last of it.
    pub(crate) end: u32,
}

impl Branch {
    /// The whole tree.
    pub(crate) const ALL: Self = Self { start: 0, end: u32::MAX };

    pub(crate) fn range(self) -> RangeInclusive<u32> {
        self.start..=self.end
    }

    fn len(self) -> u64 {
        u64::from(self.end - self.start) + 1
    }

    /// Into how many parts its head splits it in a cluster of so many live members; `None`: it tells each member of it.
    pub(crate) fn parts(self, live: u32, split_max: u8) -> Option<u64> {
        let expected = (u64::from(live) * self.len()) >> 32;
        (expected > LEAF).then(|| {
            let root = expected.isqrt();
            (root + u64::from(root * root < expected)).min(split_max.into()).max(2)
        })
    }

    /// One of `parts` parts of about one length.
    pub(crate) fn part(self, number: u64, parts: u64) -> Self {
        let cut = |number: u64| u64::from(self.start) + self.len() * number / parts;
        Self { start: cut(number) as u32, end: (cut(number + 1) - 1) as u32 }
    }

    /// The identity at a place of it, which is a number below 2³² for the share of the range before it.
    pub(crate) fn at(self, share: u32) -> u32 {
        self.start + ((self.len() * u64::from(share)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_branch_once() {
        let single = Branch { start: 7, end: 7 };
        assert_eq!((single.part(0, 1), single.at(0), single.at(u32::MAX)), (single, 7, 7));
        for branch in [Branch::ALL, Branch { start: 5, end: 104 }, Branch { start: u32::MAX - 2, end: u32::MAX }] {
            for parts in 2..=3 {
                let mut next = u64::from(branch.start);
                for part in (0..parts).map(|number| branch.part(number, parts)) {
                    assert_eq!(u64::from(part.start), next);
                    assert!(part.start <= part.end);
                    next = u64::from(part.end) + 1;
                }
                assert_eq!(next, u64::from(branch.end) + 1);
            }
            assert_eq!((branch.at(0), branch.at(u32::MAX)), (branch.start, branch.end));
        }
    }

    #[test]
    fn a_range_is_split_by_the_root_of_what_is_expected_in_it() {
        for (live, split_max, parts) in
            [(8, 32, None), (9, 32, Some(3)), (100, 32, Some(10)), (101, 32, Some(11)), (10_000, 32, Some(32))]
        {
            assert_eq!(Branch::ALL.parts(live, split_max), parts, "{live} members");
        }
        let half = Branch { start: 0, end: u32::MAX / 2 };
        assert_eq!((half.parts(16, 32), half.parts(200, 2)), (None, Some(2)));
    }
}
