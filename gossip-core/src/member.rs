//! What is said of a member, and which of two sayings holds.

/// The state of a member. `Dead` is what the SWIM paper calls *faulty*, announced by its *Confirm*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// It answers: it is probed, gossiped to, and counts as a member.
    Alive = 0,
    /// It did not answer. It still counts as a member, and it may refute by a higher incarnation.
    Suspect = 1,
    /// It was declared faulty: no member any more. It may come back by a higher incarnation.
    Dead = 2,
    /// It said goodbye: no member any more. It may come back by a higher incarnation.
    Left = 3,
}

impl MemberState {
    /// Whether it counts as a member: alive or suspected.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

/// The highest incarnation accepted from the network. A member needs 2^30 refutations to get there. One that a forged claim
/// brought there stays there: it is heard on, but it can refute nothing more and comes back from the dead only when it
/// is forgotten.
pub const INCARNATION_MAX: u32 = 1 << 30;

/// The longest metadata, whatever the configuration says.
pub const METADATA_MAX: usize = 256;

/// The incarnation after this one. At the top it is the same again: the others would refuse a higher one, and with it every
/// datagram of the member that states it.
pub(crate) fn next_incarnation(incarnation: u32) -> u32 {
    incarnation.saturating_add(1).min(INCARNATION_MAX)
}

/// What somebody says of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The member's incarnation that the claim is about.
    pub incarnation: u32,
    /// The state that it is said to be in.
    pub state: MemberState,
}

impl Claim {
    /// The precedence rule: whether this claim replaces what is `known` (SWIM §4.2, extended).
    ///
    /// The higher incarnation wins. At the same incarnation `Left` beats `Dead` beats `Suspect` beats `Alive`. This is a
    /// total order, so nodes agree whatever the order in which they hear the claims.
    ///
    /// It departs from the paper in one point: there a Confirm is final whatever the incarnation. Here a higher incarnation
    /// revives the dead, so that a member which was declared dead by mistake, or was restarted, comes back by itself.
    #[must_use]
    pub fn supersedes(self, known: Self) -> bool {
        (self.incarnation, self.state) > (known.incarnation, known.state)
    }
}

/// What a member says of itself beside its address, as of a version that only the member counts.
///
/// The order is that of precedence, apart from all claims: the higher version wins, and between two lives that count alike the
/// greater bytes, so that all nodes agree. A member that hears of metadata which would win over its own (it had others in a
/// former life) raises its version above theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Metadata<'a> {
    /// 0 when the member never said anything, 1 for those that it is born with, one more with each change. At the top it
    /// stays there.
    pub version: u32,
    /// The application's bytes.
    pub bytes: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::MemberState::{Alive, Dead, Left, Suspect};
    use super::*;

    /// Every claim against every knowledge, at a lower, the same and a higher incarnation.
    #[test]
    fn the_table_of_precedence() {
        let states = [Alive, Suspect, Dead, Left];
        // Rows: the claim. Columns: what is known. At the same incarnation.
        let same = [
            // Alive, Suspect, Dead, Left
            [false, false, false, false], // Alive
            [true, false, false, false],  // Suspect
            [true, true, false, false],   // Dead
            [true, true, true, false],    // Left
        ];
        for (row, &state) in states.iter().enumerate() {
            for (column, &known) in states.iter().enumerate() {
                let known = Claim { incarnation: 5, state: known };
                let claim = |incarnation| Claim { incarnation, state };
                assert!(!claim(4).supersedes(known), "{state:?} 4 against {known:?}");
                assert_eq!(claim(5).supersedes(known), same[row][column], "{state:?} 5 against {known:?}");
                assert!(claim(6).supersedes(known), "{state:?} 6 against {known:?}");
            }
        }
    }
}
