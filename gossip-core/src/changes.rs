//! Which members changed of late, so that a reader need not read all of them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

/// The last changes, oldest first, each as the address that it was about.
#[derive(Debug, Clone)]
pub(crate) struct Changes<T> {
    /// Unless none are kept.
    #[allow(clippy::box_collection, reason = "a word where nearly all nodes have none")]
    log: Option<Box<VecDeque<T>>>,
    max: u32,
    version: u64,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { log: None, max: 0, version: 0 }
    }
}

impl<T: Copy> Changes<T> {
    /// Keeps at most `max` changes from now on.
    pub(crate) fn keep(&mut self, max: usize) {
        self.max = u32::try_from(max).unwrap_or(u32::MAX);
        if max == 0 {
            self.log = None;
        } else if let Some(log) = &mut self.log {
            log.drain(..log.len().saturating_sub(max));
        }
    }

    /// Gives up the room that is not needed.
    pub(crate) fn shrink(&mut self) {
        if let Some(log) = &mut self.log {
            log.shrink_to_fit();
        }
    }

    /// Changes so far.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn record(&mut self, addr: T) {
        self.version += 1;
        if self.max == 0 {
            return;
        }
        let log = self.log.get_or_insert_default();
        if log.len() >= self.max as usize {
            log.pop_front();
        }
        log.push_back(addr);
    }

    /// What changed after `version`, or `None` when that is not known any more, or is a version still to come.
    pub(crate) fn since(&self, version: u64) -> Option<impl Iterator<Item = T> + '_> {
        let missed = usize::try_from(self.version.checked_sub(version)?).ok()?;
        let skipped = self.log.as_ref().map_or(0, |log| log.len()).checked_sub(missed)?;
        Some(self.log.iter().flat_map(move |log| log.range(skipped..).copied()))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn since(changes: &Changes<u16>, version: u64) -> Option<Vec<u16>> {
        changes.since(version).map(Iterator::collect)
    }

    #[test]
    fn the_last_changes_are_known_and_older_ones_are_said_not_to_be() {
        let mut changes = Changes::default();
        changes.keep(3);
        assert_eq!(since(&changes, 0), Some(Vec::new()));
        (10..15).for_each(|addr| changes.record(addr));
        assert_eq!(changes.version(), 5);
        assert_eq!(since(&changes, 5), Some(Vec::new()));
        assert_eq!(since(&changes, 2), Some(alloc::vec![12, 13, 14]));
        assert_eq!(since(&changes, 1), None);
        assert_eq!(since(&changes, 6), None, "a version of another node");
        changes.keep(1);
        assert_eq!((since(&changes, 3), since(&changes, 4)), (None, Some(alloc::vec![14])));
        changes.keep(0);
        changes.record(15);
        assert_eq!((since(&changes, 5), since(&changes, 6)), (None, Some(Vec::new())));
    }
}
