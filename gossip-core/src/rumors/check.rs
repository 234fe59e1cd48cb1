//! What holds of the kept events at all times.

use super::Store;
use crate::address::Address;
use crate::config::Config;
use crate::sync::{self, Digests};

impl<A: Address> Store<A> {
    /// Recomputes from the events everything that is kept up to date beside them, and compares with the bounds.
    ///
    /// # Panics
    /// When something does not agree.
    pub(crate) fn check(&self, config: &Config) {
        let mut digests = Digests::default();
        let mut totals = [(0, 0); 4];
        for (slot, stored) in self.slots.iter().enumerate() {
            let Some(stored) = stored else { continue };
            let (slot, class) = (slot as u32, stored.terms.priority as usize);
            totals[class] = (totals[class].0 + 1, totals[class].1 + stored.payload.len());
            assert_eq!(self.index.get(&stored.id), Some(&slot), "{stored:?}");
            assert!(self.expiries.contains(&(stored.expires, slot)), "{stored:?}");
            assert!(
                self.classes[class].as_ref().is_some_and(|class| class.arrivals.contains(&(slot, stored.serial))),
                "{stored:?}"
            );
            digests.toggle(Some(sync::event_fingerprint(&stored.id.origin, stored.id.sequence)));
        }
        for (class, total) in self.classes.iter().zip(totals) {
            let Some(class) = class else {
                assert_eq!(total, (0, 0));
                continue;
            };
            assert_eq!((class.events, class.bytes), total, "events and bytes of a priority");
            assert!(class.arrivals.iter().is_sorted_by_key(|&(_, serial)| serial));
            assert!(class.arrivals.len() <= 2 * class.events + 17, "{} arrivals", class.arrivals.len());
            for (slot, _) in class.backlog.check() {
                assert!(self.slots[slot as usize].is_some(), "slot {slot} is to be told and empty");
            }
        }
        let (used, bytes) = totals.iter().fold((0, 0), |sum, total| (sum.0 + total.0, sum.1 + total.1));
        assert_eq!((used, used), (self.index.len(), self.expiries.len()));
        assert_eq!(used + self.free.len(), self.slots.len());
        assert!(used <= config.events_max, "{used} events");
        assert!(bytes <= config.event_bytes_max || used == 1, "{bytes} bytes of events");
        assert_eq!(self.digests.total(), digests.total(), "the digest is that of the kept events");
        assert!(self.holdback.len() <= config.ordered_max, "{} events wait for others", self.holdback.len());
        self.seen.check(config.seen_max);
    }
}
