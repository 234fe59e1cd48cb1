//! What holds of the member table at all times.

use super::{FREE, Members, NOT_LIVE, SELF};
use crate::address::Address;
use crate::member::MemberState;
use crate::sync::{BUCKET_BITS_MAX, BUCKETS_MAX, Digests};

impl<A: Address> Members<A> {
    /// Recomputes from the entries everything that is kept up to date beside them.
    ///
    /// # Panics
    /// When something does not agree.
    pub(crate) fn check(&self) {
        let mut digests = Digests::default();
        let (mut used, mut live, mut not_alive) = (0, 0, 0);
        for slot in self.slots_from(SELF) {
            let entry = self.entry(slot);
            used += 1;
            not_alive += u32::from(entry.state != MemberState::Alive);
            assert_eq!(self.find_entry(&entry.addr()), Some((slot, entry)), "{entry:?} is found under its address");
            if slot != SELF && entry.state.is_live() {
                live += 1;
                assert_eq!(self.live.get(entry.position), Some(&slot), "{entry:?} is listed as live");
            } else {
                assert_eq!(entry.position, NOT_LIVE, "{entry:?} is not listed as live");
            }
            digests.toggle(self.fingerprint(slot));
        }
        assert_eq!(used, self.len(), "each member is found once");
        assert_eq!(not_alive, self.not_alive, "those that are not alive are counted");
        let own = self.entry(SELF);
        assert_eq!(
            (own.addr, own.incarnation),
            (self.local, self.incarnation),
            "the node itself is what its entry says"
        );
        assert!(self.view.is_some() || self.index.len() == used, "each member once in the index");
        assert_eq!(live, self.live.len(), "each live member once in the list");
        for &slot in &self.free {
            assert_eq!(self.entries.at(slot).position, FREE, "slot {slot}");
        }
        for (&slot, metadata) in self.metadata.iter().flat_map(|metadata| metadata.iter()) {
            let stated = metadata.as_ref().is_some_and(|(version, _)| *version > 0);
            let hidden = metadata.is_none() && self.view.is_some();
            assert!(hidden || (stated && self.get(slot).is_some()), "metadata are those of a member that stated them");
        }
        assert_eq!(self.digest(), digests.total(), "the digest is that of the live members");
        for number in 0..BUCKETS_MAX {
            assert_eq!(self.bucket_digest(number, BUCKET_BITS_MAX), digests.bucket(number, BUCKET_BITS_MAX));
        }
    }
}
