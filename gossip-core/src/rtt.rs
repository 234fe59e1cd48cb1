//! How long a member takes to answer, and when its answer is overdue (RFC 6298).
//!
//! ```text
//!   first sample R:   SRTT = R                       RTTVAR = R/2                                (2.2)
//!   later samples:    RTTVAR = 3/4·RTTVAR + 1/4·|SRTT − R|      SRTT = 7/8·SRTT + 1/8·R          (2.3)
//!   overdue after     RTO = SRTT + max(G, 4·RTTVAR)                                              (2.2, 2.3)
//! ```
//! Every ping has a number of its own, and the `Ack` brings it back: the answer to a repeated ping gives a sample as well, since
//! it tells which ping was answered. (Karn's rule forbids one where that is not known; RFC 6298 §3.)
//!
//! One member is probed per protocol period, so in a large cluster hours lie between two samples of one member. A cache of
//! those probed lately would hold nobody when his turn comes again, and one estimate for all would say of a member far away
//! what is true of those nearby. So every member has its own, in two bytes: SRTT with four bits of exponent and six of mantissa,
//! RTTVAR with four and two, in units of 64 µs. SRTT is rounded to the nearest, and so may stay 6 % beside steady samples;
//! RTTVAR is rounded up, and so covers that.

use core::time::Duration;

use crate::members::Slot;
use crate::sparse::Sparse;

/// The round trips to one member. Zero: nothing is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Estimate(u16);

impl Estimate {
    fn new(srtt: u64, rttvar: u64) -> Self {
        let srtt = pack(srtt, SRTT_BITS, |step| step / 2).max(1);
        Self(srtt << (RTTVAR_BITS + 4) | pack(rttvar, RTTVAR_BITS, |step| step - 1))
    }

    fn sample(self, rtt: Duration) -> Self {
        let sample = (u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).min(MICROS_MAX) + UNIT / 2) / UNIT;
        if self == Self::default() {
            return Self::new(sample, sample / 2);
        }
        let (srtt, rttvar) = (self.srtt(), self.rttvar());
        Self::new((7 * srtt + sample + 4) / 8, (3 * rttvar + srtt.abs_diff(sample)) / 4)
    }

    const fn srtt(self) -> u64 {
        unpack(self.0 >> (RTTVAR_BITS + 4), SRTT_BITS)
    }

    const fn rttvar(self) -> u64 {
        unpack(self.0 & ((1 << (RTTVAR_BITS + 4)) - 1), RTTVAR_BITS)
    }
}

/// Bits of the mantissas; both exponents have four.
const SRTT_BITS: u32 = 6;
const RTTVAR_BITS: u32 = 2;

/// Microseconds.
const UNIT: u64 = 64;

/// An hour: far beyond what the greatest exponent can hold, and all sums are far from the end of the range.
const MICROS_MAX: u64 = 3_600_000_000;

/// A floating-point number with so many bits of mantissa, the first of which is not written unless the exponent is 0.
/// `round` tells what to add before the digits below a step of the given size are cut off.
fn pack(value: u64, bits: u32, round: impl Fn(u64) -> u64) -> u16 {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(bits + 1);
    let mantissa = (value + round(1 << shift)) >> shift;
    // The leading bit, and a carry beyond it, add one to the exponent.
    ((u64::from(shift) << bits) + mantissa).min((1 << (bits + 4)) - 1) as u16
}

const fn unpack(packed: u16, bits: u32) -> u64 {
    let (exponent, mantissa) = (packed >> bits, packed as u64 & ((1 << bits) - 1));
    if exponent == 0 { mantissa } else { (mantissa | 1 << bits) << (exponent - 1) }
}

/// The round trips to all members, by slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoundTrips {
    estimates: Sparse<Estimate>,
}

impl RoundTrips {
    /// Nothing is known, and only what will be takes room.
    pub(crate) fn of_few() -> Self {
        Self { estimates: Sparse::of_few() }
    }

    /// Tells `line` where the search for a slot will look, where few are kept: a place in each line of memory, of a few.
    pub(crate) fn lines(&self, line: &mut impl FnMut(*const u8)) {
        self.estimates.lines(line);
    }

    /// What `other` knows, in other slots; what has none is forgotten.
    pub(crate) fn take_over(&mut self, other: &Self, slot_of: impl Fn(Slot) -> Option<Slot>) {
        for (slot, estimate) in other.estimates.iter() {
            if let Some(slot) = slot_of(slot) {
                self.estimates.set(slot, estimate);
            }
        }
    }

    /// Gives up the room that is not needed.
    pub(crate) fn shrink(&mut self) {
        self.estimates.shrink();
    }

    /// `members` is how many there are, for whom room is made at once.
    pub(crate) fn sample(&mut self, slot: Slot, rtt: Duration, members: usize) {
        self.estimates.reserve(members);
        self.estimates.set(slot, self.estimates.get(slot).sample(rtt));
    }

    /// What was measured does not hold any more, or the slot has another member.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.estimates.set(slot, Estimate::default());
    }

    /// SRTT, if anything is known.
    pub(crate) fn smoothed(&self, slot: Slot) -> Option<Duration> {
        self.known(slot).map(|estimate| micros(estimate.srtt()))
    }

    /// RTO with `least` for G, if anything is known.
    pub(crate) fn overdue_after(&self, slot: Slot, least: Duration) -> Option<Duration> {
        let estimate = self.known(slot)?;
        Some(micros(estimate.srtt()) + least.max(micros(4 * estimate.rttvar())))
    }

    fn known(&self, slot: Slot) -> Option<Estimate> {
        Some(self.estimates.get(slot)).filter(|estimate| *estimate != Estimate::default())
    }
}

const fn micros(units: u64) -> Duration {
    Duration::from_micros(units * UNIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn numbers_come_back_as_near_as_their_bits_allow() {
        let (mut last_nearest, mut last_up) = (0, 0);
        for value in 0..=7 << 14 {
            let nearest = pack(value, 6, |step| step / 2);
            let up = pack(value, 2, |step| step - 1);
            assert!(unpack(nearest, 6).abs_diff(value) <= value / 128, "{value} became {}", unpack(nearest, 6));
            assert!((value..=value + value / 4).contains(&unpack(up, 2)), "{value} became {}", unpack(up, 2));
            assert!(nearest >= last_nearest && up >= last_up, "{value}: greater is greater");
            (last_nearest, last_up) = (nearest, up);
        }
        assert_eq!(unpack(pack(1 << 40, 2, |step| step - 1), 2), 7 << 14, "the greatest stands for what is beyond");
        assert_eq!(unpack(pack(1 << 40, 6, |step| step / 2), 6), 127 << 14);
    }

    #[test]
    fn hand_worked_estimates() {
        let mut trips = RoundTrips::default();
        assert_eq!((trips.smoothed(3), trips.overdue_after(3, MS(1))), (None, None));
        // R = 100: SRTT 100, RTTVAR 50, RTO 300. R = 140: RTTVAR 47.5, SRTT 105, RTO 295.
        trips.sample(3, MS(100), 4);
        let near = |got: Duration, expected: f64| {
            assert!((got.as_secs_f64() * 1e3 / expected - 1.0).abs() < 0.15, "{got:?}, expected {expected} ms");
        };
        near(trips.smoothed(3).unwrap(), 100.0);
        near(trips.overdue_after(3, MS(1)).unwrap(), 300.0);
        trips.sample(3, MS(140), 4);
        near(trips.smoothed(3).unwrap(), 105.0);
        near(trips.overdue_after(3, MS(1)).unwrap(), 295.0);
        assert_eq!(trips.smoothed(2), None, "a neighbour of the slot is not the slot");
        trips.forget(3);
        assert_eq!(trips.smoothed(3), None);
    }

    #[test]
    fn a_steady_round_trip_leaves_the_least_margin_and_a_longer_one_is_followed() {
        let mut trips = RoundTrips::default();
        (0..50).for_each(|_| trips.sample(0, MS(20), 1));
        let overdue = trips.overdue_after(0, MS(25)).unwrap();
        assert!((MS(44)..MS(47)).contains(&overdue), "{overdue:?}");
        trips.sample(0, MS(200), 1);
        assert!(trips.overdue_after(0, MS(25)).unwrap() > MS(200), "one sample is enough to wait for the next like it");
        (0..50).for_each(|_| trips.sample(0, MS(200), 1));
        let smoothed = trips.smoothed(0).unwrap();
        assert!((MS(188)..=MS(202)).contains(&smoothed), "{smoothed:?}");
        let overdue = trips.overdue_after(0, MS(25)).unwrap();
        assert!((MS(213)..MS(280)).contains(&overdue), "{overdue:?}");
    }

    #[test]
    fn samples_at_their_ends_do_no_harm() {
        let mut trips = RoundTrips::default();
        for rtt in [Duration::ZERO, Duration::MAX, Duration::ZERO, Duration::MAX] {
            trips.sample(0, rtt, 1);
            assert!(trips.overdue_after(0, Duration::ZERO).is_some_and(|overdue| overdue <= S(180)));
        }
    }
}
