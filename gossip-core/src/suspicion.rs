//! How long a suspected member may refute (SWIM §4.2, Lifeguard, LHA-Suspicion).
//!
//! ```text
//!   min = max(α · max(1, log10 N) · T′, suspicion_min)          max = β · min
//!   timeout(c) = max(min, max − (max − min) · log(c + 1) / log(K + 1))      c of K confirmations
//! ```
//! A suspicion that nobody else confirms may be this node's own fault and waits long; each independent confirmation
//! shortens it (LHA-Suspicion). With K = 0, or in a cluster too small for confirmations, the timeout is `min`.

use core::time::Duration;

use crate::address::Address;
use crate::config::Config;
use crate::time::Instant;

/// Most accusers that count: the first, and the greatest K.
pub(crate) const ACCUSERS_MAX: usize = 9;

/// One running suspicion.
#[derive(Debug, Clone)]
pub(crate) struct Suspicion<A: Address> {
    started: Instant,
    /// The distinct accusers, the first one included; the rest of the places is unused.
    accusers: [A::Stored; ACCUSERS_MAX],
    count: u8,
    /// Which of them is named next.
    turn: u8,
    /// K: how many more than the first count.
    confirmations_max: u8,
    min: Duration,
    max: Duration,
}

impl<A: Address> Suspicion<A> {
    /// A suspicion raised by `accuser` in a cluster of `members`.
    pub(crate) fn new(now: Instant, accuser: A, members: u32, config: &Config) -> Self {
        // Two nodes can never count as helpers: this one and the target.
        let possible = members.saturating_sub(2).min(u32::from(config.suspicion_confirmations));
        let min = scaled(config.probe_interval.saturating_mul(u32::from(config.suspicion_multiplier)), members)
            .max(config.suspicion_min);
        Self {
            started: now,
            accusers: [accuser.into(); ACCUSERS_MAX],
            count: 1,
            turn: 0,
            confirmations_max: possible as u8,
            min,
            max: min.saturating_mul(u32::from(config.suspicion_max_multiplier)),
        }
    }

    /// Another accusation. True when it is a new confirmation, which is worth telling on.
    pub(crate) fn confirm(&mut self, accuser: A) -> bool {
        let accuser = A::Stored::from(accuser);
        let count = usize::from(self.count);
        if self.confirmations() >= self.confirmations_max || self.accusers[..count].contains(&accuser) {
            return false;
        }
        self.accusers[count] = accuser;
        self.turn = self.count;
        self.count += 1;
        true
    }

    /// The accuser to name when this suspicion is told on: the newest first, then the others in turn, so that who hears it
    /// from several gets to know them all.
    pub(crate) fn accuser(&self) -> A {
        self.accusers[usize::from(self.turn)].into()
    }

    /// It was told on.
    pub(crate) fn on_told(&mut self) {
        self.turn = self.turn.checked_sub(1).unwrap_or(self.count - 1);
    }

    /// The first accuser.
    pub(crate) fn first_accuser(&self) -> A {
        self.accusers[0].into()
    }

    /// When the suspect is to be declared dead, as it stands.
    pub(crate) fn deadline(&self) -> Instant {
        self.started + timeout(self.confirmations(), self.confirmations_max, self.min, self.max)
    }

    /// This node could not have heard a refutation for `span`: the time does not count. At most it begins anew, however often
    /// the same time is found to be lost.
    pub(crate) fn extend(&mut self, now: Instant, span: Duration) {
        self.started = (self.started + span).min(self.started.max(now));
    }

    /// The suspect is not to be declared dead before `deadline`, which is not before the one that stands.
    pub(crate) fn postpone(&mut self, deadline: Instant) {
        self.started += deadline.since(self.deadline());
    }

    /// Accusers beside the first.
    pub(crate) fn confirmations(&self) -> u8 {
        self.count - 1
    }
}

fn timeout(confirmations: u8, confirmations_max: u8, min: Duration, max: Duration) -> Duration {
    if confirmations_max == 0 || confirmations >= confirmations_max {
        return min;
    }
    let span = u64::try_from(max.saturating_sub(min).as_micros()).unwrap_or(u64::MAX);
    let share = log2_fixed(u32::from(confirmations) + 1) * 1024 / log2_fixed(u32::from(confirmations_max) + 1).max(1);
    max.saturating_sub(Duration::from_micros(span / 1024 * share))
}

/// `span` · max(1, log10 `members`).
fn scaled(span: Duration, members: u32) -> Duration {
    // log10 N = log2 N / log2 10, in units of 1/65536.
    let factor = (log2_fixed(members.max(1)) * 65_536 / LOG2_10).max(65_536);
    Duration::from_micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX).saturating_mul(factor) / 65_536)
}

/// log2 10 in units of 1/65536.
const LOG2_10: u64 = 217_706;

/// log2 of a positive integer in units of 1/65536, by repeated squaring: no floating point, so that all machines agree.
pub(crate) fn log2_fixed(value: u32) -> u64 {
    let value = value.max(1);
    let whole = value.ilog2();
    // The mantissa in [1, 2) with 31 fractional bits.
    let mut mantissa = (u64::from(value) << 31) >> whole;
    let mut fraction = 0_u64;
    for _ in 0..16 {
        mantissa = (mantissa * mantissa) >> 31;
        fraction <<= 1;
        if mantissa >= 1 << 32 {
            fraction |= 1;
            mantissa >>= 1;
        }
    }
    (u64::from(whole) << 16) | fraction
}

/// ⌈log10(N + 1)⌉, the factor of the retransmit limit: the number of decimal digits of N.
pub(crate) fn digits(members: u32) -> u8 {
    members.max(1).ilog10() as u8 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn log2_is_right_to_four_digits() {
        for (value, expected) in
            [(1, 0.0), (2, 1.0), (3, 1.584_96), (11, 3.459_43), (1000, 9.965_78), (65_535, 15.999_98)]
        {
            let got = log2_fixed(value) as f64 / 65_536.0;
            assert!((got - expected).abs() < 1e-4, "log2 {value} = {got}");
        }
        assert_eq!([digits(0), digits(1), digits(9), digits(10), digits(99), digits(100)], [1, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn hand_worked_timeouts() {
        // α = 4, β = 3, T′ = 1 s: N = 100 gives min 8 s and max 24 s; with K = 3 the log2 steps are 0, ½, 0.79, 1.
        let within = |got: Duration, expected: f64| {
            assert!((got.as_secs_f64() - expected).abs() < 0.02, "{got:?}, expected {expected} s");
        };
        within(timeout(0, 3, S(8), S(24)), 24.0);
        within(timeout(1, 3, S(8), S(24)), 16.0);
        within(timeout(2, 3, S(8), S(24)), 11.32);
        within(timeout(3, 3, S(8), S(24)), 8.0);
        within(timeout(0, 0, S(8), S(24)), 8.0);
        within(scaled(S(4), 100), 8.0);
        within(scaled(S(4), 3), 4.0);
        within(scaled(S(4), 1000), 12.0);
    }

    #[test]
    fn only_distinct_accusers_confirm_and_only_k_of_them() {
        let config = Config::lan();
        let mut suspicion = Suspicion::<u16>::new(Instant::ZERO, 1, 100, &config);
        let unconfirmed = suspicion.deadline();
        assert!(!suspicion.confirm(1), "the first accuser cannot confirm itself");
        assert!(suspicion.confirm(2) && suspicion.confirm(3) && suspicion.confirm(4));
        assert!(!suspicion.confirm(5), "K = 3 are enough");
        assert!(suspicion.deadline() < unconfirmed);
        let told: [u16; 5] = core::array::from_fn(|_| {
            let accuser = suspicion.accuser();
            suspicion.on_told();
            accuser
        });
        assert_eq!(told, [4, 3, 2, 1, 4], "the newest first");
    }

    #[test]
    fn lost_time_that_is_found_twice_does_not_put_off_the_end_beyond_a_new_beginning() {
        let at = |seconds| Instant::ZERO + S(seconds);
        let mut suspicion = Suspicion::<u16>::new(at(10), 1, 100, &Config::lan());
        let timeout = suspicion.deadline().since(at(10));
        suspicion.extend(at(13), S(2));
        assert_eq!(suspicion.deadline(), at(12) + timeout);
        suspicion.extend(at(13), S(2));
        assert_eq!(suspicion.deadline(), at(13) + timeout);
        suspicion.extend(at(11), S(2));
        assert_eq!(suspicion.deadline(), at(13) + timeout, "never back");
        suspicion.postpone(at(500));
        assert_eq!(suspicion.deadline(), at(500));
        suspicion.postpone(at(400));
        assert_eq!(suspicion.deadline(), at(500), "never back");
    }

    #[test]
    fn two_nodes_cannot_wait_for_confirmations() {
        let config = Config::lan();
        assert_eq!(Suspicion::<u16>::new(Instant::ZERO, 1, 2, &config).deadline(), Instant::ZERO + S(3));
    }
}
