//! The delay queue: holds what [`crate::Fate::Deliver`] holds back, over virtual or real time.

use core::time::Duration;
use std::collections::BTreeMap;

/// Items that wait for their release, at most `capacity` of them.
///
/// Pulled, like everything here: the owner sleeps until [`Shaper::next_due`] and then calls [`Shaper::pop_due`] until
/// it gives nothing. Items come out in the order of their releases, those of the same instant in the order in which
/// they were put in.
///
/// At the bound a new item is refused and counted: what waits has been promised a delay, what comes has not. A queue
/// that is full because of the delay asked for needs a capacity above rate × delay.
#[derive(Debug, Clone)]
pub struct Shaper<T> {
    /// The number tells items of the same instant apart, in the order of arrival.
    queue: BTreeMap<(Duration, u64), T>,
    arrivals: u64,
    capacity: usize,
    dropped: u64,
    released: u64,
    late_sum: Duration,
}

impl<T> Shaper<T> {
    /// An empty queue for at most `capacity` items.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { queue: BTreeMap::new(), arrivals: 0, capacity, dropped: 0, released: 0, late_sum: Duration::ZERO }
    }

    /// Holds `item` back until `release`. A release before `now` means now.
    ///
    /// # Errors
    /// The item, when the queue is full. It counts as dropped.
    pub fn push(&mut self, now: Duration, release: Duration, item: T) -> Result<(), T> {
        if self.queue.len() >= self.capacity {
            self.dropped += 1;
            return Err(item);
        }
        self.queue.insert((release.max(now), self.arrivals), item);
        self.arrivals += 1;
        Ok(())
    }

    /// The next item whose release is not after `now`, and that release. How much later than it `now` is, is added to
    /// [`Shaper::late_sum`].
    pub fn pop_due(&mut self, now: Duration) -> Option<(Duration, T)> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let ((release, _), item) = entry.remove_entry();
        self.late_sum += now - release;
        self.released += 1;
        Some((release, item))
    }

    /// When the next item is to be released.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((release, _), _)| *release)
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Items refused because the queue was full, ever.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Items released, ever.
    #[must_use]
    pub fn released(&self) -> u64 {
        self.released
    }

    /// Sum over all items released of what the owner's timer added to their delay.
    #[must_use]
    pub fn late_sum(&self) -> Duration {
        self.late_sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn an_item_is_held_until_one_nanosecond_before_its_release() {
        let mut shaper = Shaper::new(4);
        shaper.push(ms(0), ms(20), 'a').expect("there is room");
        assert_eq!(shaper.next_due(), Some(ms(20)));
        assert_eq!(shaper.pop_due(ms(20) - Duration::from_nanos(1)), None);
        assert_eq!(shaper.pop_due(ms(20)), Some((ms(20), 'a')));
        assert_eq!((shaper.next_due(), shaper.pop_due(ms(99))), (None, None));
        assert_eq!(shaper.late_sum(), ms(0));
    }

    #[test]
    fn lateness_is_what_the_owner_added() {
        let mut shaper = Shaper::new(4);
        shaper.push(ms(0), ms(10), 'a').expect("there is room");
        shaper.push(ms(30), ms(10), 'b').expect("there is room");
        assert_eq!(shaper.pop_due(ms(13)), Some((ms(10), 'a')));
        assert_eq!(shaper.pop_due(ms(31)), Some((ms(30), 'b')), "a release in the past means now");
        assert_eq!((shaper.late_sum(), shaper.released()), (ms(3 + 1), 2));
    }

    #[test]
    fn a_full_queue_gives_the_item_back_and_keeps_what_waits() {
        let mut shaper = Shaper::new(2);
        assert_eq!(shaper.push(ms(0), ms(5), 1), Ok(()));
        assert_eq!(shaper.push(ms(0), ms(6), 2), Ok(()));
        assert_eq!(shaper.push(ms(0), ms(1), 3), Err(3));
        assert_eq!((shaper.len(), shaper.dropped()), (2, 1));
        assert_eq!(shaper.pop_due(ms(5)), Some((ms(5), 1)));
        assert_eq!(shaper.push(ms(5), ms(7), 4), Ok(()));
        assert_eq!(Shaper::new(0).push(ms(0), ms(0), 'x'), Err('x'));
    }

    proptest! {
        /// Against a list that is sorted (stably) by release: the same items in the same order, whatever the
        /// interleaving.
        #[test]
        fn releases_in_order_first_in_first_out_among_equals(
            steps in proptest::collection::vec((0_u64..20, proptest::option::weighted(0.7, 0_u64..30)), 1..200),
            capacity in 1_usize..20,
        ) {
            let mut shaper = Shaper::new(capacity);
            let mut model: Vec<(Duration, usize)> = Vec::new();
            let (mut now, mut dropped) = (ms(0), 0);
            for (item, (pause, release)) in steps.into_iter().enumerate() {
                now += ms(pause);
                match release {
                    Some(after) if model.len() < capacity => {
                        prop_assert_eq!(shaper.push(now, now + ms(after), item), Ok(()));
                        model.push((now + ms(after), item));
                        model.sort_by_key(|(release, _)| *release);
                    }
                    Some(after) => {
                        prop_assert_eq!(shaper.push(now, now + ms(after), item), Err(item));
                        dropped += 1;
                    }
                    None => {
                        let due = model.first().is_some_and(|(release, _)| *release <= now);
                        prop_assert_eq!(shaper.pop_due(now), due.then(|| model.remove(0)));
                    }
                }
                prop_assert_eq!(shaper.next_due(), model.first().map(|(release, _)| *release));
                prop_assert_eq!((shaper.len(), shaper.dropped()), (model.len(), dropped));
            }
        }
    }
}
