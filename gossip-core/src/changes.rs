//! Which members changed of late, so that a reader need not read all of them.

use alloc::collections::VecDeque;

/// The last changes, oldest first, each as the address that it was about.
#[derive(Debug, Clone)]
pub(crate) struct Changes<T> {
    log: VecDeque<T>,
    max: usize,
    version: u64,
}

impl<T> Default for Changes<T> {
    fn default() -> Self {
        Self { log: VecDeque::new(), max: 0, version: 0 }
    }
}

impl<T: Copy> Changes<T> {
    /// Keeps at most `max` changes from now on.
    pub(crate) fn keep(&mut self, max: usize) {
        self.max = max;
        self.log.drain(..self.log.len().saturating_sub(max));
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
        if self.log.len() >= self.max {
            self.log.pop_front();
        }
        self.log.push_back(addr);
    }

    /// What changed after `version`, or `None` when that is not known any more, or is a version still to come.
    pub(crate) fn since(&self, version: u64) -> Option<impl Iterator<Item = T> + '_> {
        let missed = usize::try_from(self.version.checked_sub(version)?).ok()?;
        Some(self.log.range(self.log.len().checked_sub(missed)?..).copied())
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
