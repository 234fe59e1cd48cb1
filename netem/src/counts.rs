//! What the models did, to be held against what was asked of them.

use core::time::Duration;

use crate::fate::Cause;
use crate::spec::Direction;

/// Cumulative counts of one node's models. Sums of squares in floating point: 10¹² delays of a second still fit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Datagrams judged on the way out, dropped ones included.
    pub judged_out: u64,
    /// Datagrams judged on the way in.
    pub judged_in: u64,
    /// Datagrams on which a loss of probability p > 0 was tried.
    pub loss_trials: u64,
    /// Sum of those probabilities: the expected number of losses. Where several losses hold at once, p is their
    /// combination.
    pub loss_expected: f64,
    /// Datagrams lost so.
    pub loss_dropped: u64,
    /// Datagrams dropped by "drop the next n".
    pub next_dropped: u64,
    /// Datagrams dropped while asleep.
    pub sleep_dropped: u64,
    /// Datagrams dropped at a partition.
    pub partition_dropped: u64,
    /// Datagrams for which a delay was drawn (one that was cut to zero included, so that sum / count is the mean
    /// drawn).
    pub delayed: u64,
    /// Sum of the delays drawn, nanoseconds.
    pub delay_sum_ns: f64,
    /// Sum of their squares, ns².
    pub delay_square_sum_ns2: f64,
    /// Bytes of all datagrams dropped.
    pub dropped_bytes: u64,
}

impl Counts {
    pub(crate) fn on_judged(&mut self, direction: Direction) {
        match direction {
            Direction::Out => self.judged_out += 1,
            Direction::In => self.judged_in += 1,
        }
    }

    pub(crate) fn on_loss_trial(&mut self, probability: f64) {
        self.loss_trials += 1;
        self.loss_expected += probability;
    }

    pub(crate) fn on_dropped(&mut self, cause: Cause, len: usize) {
        self.dropped_bytes += len as u64;
        match cause {
            Cause::Asleep => self.sleep_dropped += 1,
            Cause::Partitioned => self.partition_dropped += 1,
            Cause::DropNext => self.next_dropped += 1,
            Cause::Loss => self.loss_dropped += 1,
        }
    }

    pub(crate) fn on_delayed(&mut self, delay: Duration) {
        let ns = delay.as_nanos() as f64;
        self.delayed += 1;
        self.delay_sum_ns += ns;
        self.delay_square_sum_ns2 += ns * ns;
    }
}
