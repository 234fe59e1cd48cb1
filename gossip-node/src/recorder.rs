//! What happened, kept until the master has it.

use std::collections::VecDeque;

use event_log::record::{Record, What};

/// Most records that wait. At the bound new ones are refused and counted: what is there already is part of the story.
pub const RECORDS_MAX: usize = 1 << 18;

/// The records that the master does not have yet.
#[derive(Debug, Default)]
pub struct Recorder {
    waiting: VecDeque<Record>,
    next: u64,
    refused: u64,
}

impl Recorder {
    /// Keeps a record of `what` happened at `at_ns`.
    pub fn record(&mut self, at_ns: u64, what: What) {
        if self.waiting.len() >= RECORDS_MAX {
            self.refused += 1;
            return;
        }
        self.waiting.push_back(Record { number: self.next, at_ns, what });
        self.next += 1;
    }

    /// The master has all records below `number`.
    pub fn acknowledge(&mut self, number: u64) {
        while self.waiting.front().is_some_and(|record| record.number < number) {
            self.waiting.pop_front();
        }
    }

    /// The records from `number` on that wait, oldest first.
    pub fn waiting_from(&self, number: u64) -> impl Iterator<Item = &Record> {
        // Numbers have no gaps.
        let first = self.waiting.front().map_or(0, |record| number.saturating_sub(record.number));
        self.waiting.iter().skip(usize::try_from(first).unwrap_or(usize::MAX))
    }

    /// The number that the next record will get.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Records refused at the bound.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_waits_until_it_is_acknowledged() {
        let mut recorder = Recorder::default();
        for at in 0..5 {
            recorder.record(at, What::NodeStopped);
        }
        recorder.acknowledge(3);
        let from = |number| recorder.waiting_from(number).map(|record| record.number).collect::<Vec<_>>();
        assert_eq!((from(0), from(3), from(4)), (vec![3, 4], vec![3, 4], vec![4]));
        assert_eq!((from(5), from(u64::MAX)), (vec![], vec![]));
        recorder.acknowledge(1);
        recorder.acknowledge(99);
        assert_eq!((recorder.waiting_from(0).count(), recorder.next()), (0, 5));
    }

    #[test]
    fn at_the_bound_new_records_are_refused_and_counted() {
        let mut recorder = Recorder::default();
        for at in 0..RECORDS_MAX as u64 + 2 {
            recorder.record(at, What::NodeStopped);
        }
        assert_eq!((recorder.waiting_from(0).count(), recorder.refused()), (RECORDS_MAX, 2));
    }
}
