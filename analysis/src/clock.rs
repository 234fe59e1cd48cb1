//! The nodes' clocks against the master's.

use std::collections::BTreeMap;

use event_log::record::{Line, What};

use crate::load::Nanos;

/// Stamps beyond ± 73 years are nonsense; they are cut so that differences of stamps cannot overflow.
const STAMP_MAX: Nanos = Nanos::MAX / 4;

/// All measured offsets of a log, by node, each with its place in the log.
#[derive(Debug, Clone, Default)]
pub struct Offsets {
    /// Lines seen so far.
    lines: usize,
    of: BTreeMap<String, Vec<(usize, i64)>>,
    /// Largest error bound of each node.
    error: BTreeMap<String, u64>,
}

impl Offsets {
    /// Collects the offsets from `lines`.
    #[must_use]
    pub fn of(lines: &[Line]) -> Self {
        let mut offsets = Self::default();
        lines.iter().for_each(|line| offsets.add(line));
        offsets
    }

    /// Takes note of the next line of a log.
    pub fn add(&mut self, line: &Line) {
        if let What::ClockOffset { name, offset_ns, error_ns } = &line.record.what {
            self.of.entry(name.clone()).or_default().push((self.lines, *offset_ns));
            let error = self.error.entry(name.clone()).or_default();
            *error = (*error).max(*error_ns);
        }
        self.lines += 1;
    }

    /// The stamp `at_ns` of `node`, which stands at line `position`, on the master's clock.
    #[must_use]
    pub fn correct(&self, position: usize, node: &str, at_ns: u64) -> Nanos {
        let offset = self.of.get(node).map_or(0, |list| {
            let above = list.partition_point(|(place, _)| *place <= position);
            list[above.saturating_sub(1)].1
        });
        Nanos::try_from(at_ns).unwrap_or(Nanos::MAX).saturating_add(offset).clamp(-STAMP_MAX, STAMP_MAX)
    }

    /// How many nodes read another clock than the master: those with an offset or an error that is not zero.
    #[must_use]
    pub fn foreign(&self) -> usize {
        let shared = |name: &String, list: &Vec<(usize, i64)>| {
            self.error.get(name) == Some(&0) && list.iter().all(|(_, offset)| *offset == 0)
        };
        self.of.iter().filter(|(name, list)| !shared(name, list)).count()
    }

    /// How far stamps of two nodes can be apart for one instant: the sum of the two largest errors.
    #[must_use]
    pub fn pair_error_ns(&self) -> u64 {
        let mut errors: Vec<u64> = self.error.values().copied().collect();
        errors.sort_unstable_by(|a, b| b.cmp(a));
        errors.iter().take(2).sum()
    }
}

#[cfg(test)]
mod tests {
    use event_log::record::{MASTER, Record};

    use super::*;

    fn offset(name: &str, offset_ns: i64, error_ns: u64) -> Line {
        let what = What::ClockOffset { name: name.to_owned(), offset_ns, error_ns };
        Line { run: 0, node: MASTER.to_owned(), record: Record { number: 0, at_ns: 0, what } }
    }

    #[test]
    fn a_stamp_gets_the_latest_offset_above_it_and_the_first_when_none_is_above() {
        let stopped =
            Line { run: 0, node: "a".into(), record: Record { number: 0, at_ns: 0, what: What::NodeStopped } };
        let lines = [stopped.clone(), offset("a", 10, 3), stopped.clone(), offset("a", -20, 5), stopped];
        let offsets = Offsets::of(&lines);
        assert_eq!(offsets.correct(0, "a", 100), 110);
        assert_eq!(offsets.correct(2, "a", 100), 110);
        assert_eq!(offsets.correct(4, "a", 100), 80);
        assert_eq!(offsets.correct(4, "b", 100), 100, "a node without a measurement shares the master's clock");
    }

    #[test]
    fn nonsense_stamps_cannot_make_differences_overflow() {
        let offsets = Offsets::of(&[offset("a", i64::MIN, 0), offset("b", i64::MAX, 0)]);
        let (early, late) = (offsets.correct(5, "a", 0), offsets.correct(5, "b", u64::MAX));
        assert!(late.checked_sub(early).is_some_and(|difference| difference > 0));
    }

    #[test]
    fn two_clocks_can_differ_by_the_sum_of_the_two_largest_errors() {
        let lines = [offset("a", 0, 3), offset("b", 0, 7), offset("c", 0, 5), offset("b", 0, 1)];
        assert_eq!(Offsets::of(&lines).pair_error_ns(), 12);
        assert_eq!(Offsets::of(&lines).foreign(), 3);
        assert_eq!(Offsets::of(&[offset("a", 0, 0), offset("b", 5, 0)]).foreign(), 1, "a shares the master's clock");
        assert_eq!(Offsets::default().pair_error_ns(), 0);
    }
}
