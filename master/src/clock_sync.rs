//! Estimate of another machine's clock against ours, after Cristian (1989) and NTP: a reading of the remote clock lies
//! somewhere within the round trip that asked for it, so the middle of the trip is the best guess and half the trip bounds
//! the error. The shortest of several trips gives the tightest bound.
//!
//! Nodes under the same kernel need none of this: they read the same clock.

use event_log::clock;

/// How many readings make an estimate.
pub const EXCHANGES: usize = 10;

/// One reading of the remote clock, all in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Our clock when we asked.
    pub sent_ns: u64,
    /// The remote clock when it read the question.
    pub remote_ns: u64,
    /// Our clock when we read the answer.
    pub received_ns: u64,
}

/// What to add to remote stamps, and how wrong that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offset {
    /// Add this to a remote stamp to get our clock. Nanoseconds.
    pub offset_ns: i64,
    /// Bound of the error, nanoseconds.
    pub error_ns: u64,
}

/// True when a node that told this `boot_id` reads our clock.
#[must_use]
pub fn same_clock(boot_id: &str) -> bool {
    !boot_id.is_empty() && boot_id == clock::boot_id()
}

/// The estimate from the exchange with the shortest round trip; none without a valid exchange (one whose answer was
/// received no earlier than the question was sent).
#[must_use]
pub fn estimate(exchanges: &[Exchange]) -> Option<Offset> {
    let best = exchanges.iter().filter(|e| e.received_ns >= e.sent_ns).min_by_key(|e| e.received_ns - e.sent_ns)?;
    let round_trip = best.received_ns - best.sent_ns;
    let middle = i128::from(best.sent_ns) + i128::from(round_trip / 2);
    let offset = middle - i128::from(best.remote_ns);
    // A remote clock that is off by centuries is a broken clock: the estimate would not fit.
    let offset_ns = i64::try_from(offset).ok()?;
    Some(Offset { offset_ns, error_ns: round_trip.div_ceil(2) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_round_trip_decides() {
        let exchanges = [
            Exchange { sent_ns: 1_000, remote_ns: 51_900, received_ns: 2_000 },
            // remote = ours + 50_000, 40 there and 60 back
            Exchange { sent_ns: 3_000, remote_ns: 53_040, received_ns: 3_100 },
            Exchange { sent_ns: 5_000, remote_ns: 55_001, received_ns: 6_000 },
        ];
        assert_eq!(estimate(&exchanges), Some(Offset { offset_ns: -49_990, error_ns: 50 }));
    }

    #[test]
    fn the_true_offset_lies_within_the_bound_whatever_the_asymmetry() {
        for there in [0, 1, 50, 99, 100] {
            for skew in [-7_000_i64, 0, 7_001] {
                let remote = (1_000_000 + there) as i64 + skew;
                let exchange = Exchange { sent_ns: 1_000_000, remote_ns: remote as u64, received_ns: 1_000_100 };
                let got = estimate(&[exchange]).expect("the exchange is valid");
                assert!((got.offset_ns + skew).unsigned_abs() <= got.error_ns, "{there} {skew} {got:?}");
            }
        }
    }

    #[test]
    fn an_answer_before_its_question_counts_for_nothing() {
        assert_eq!(estimate(&[Exchange { sent_ns: 10, remote_ns: 10, received_ns: 9 }]), None);
        assert_eq!(estimate(&[]), None);
    }

    #[test]
    fn only_a_told_and_equal_boot_id_means_the_same_clock() {
        assert!(same_clock(&clock::boot_id()) || clock::boot_id().is_empty());
        assert!(!same_clock(""));
        assert!(!same_clock("00000000-0000-0000-0000-000000000000"));
    }
}
