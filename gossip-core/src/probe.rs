//! Probing: one member per protocol period (SWIM §3.1, §4.3; Nack after Lifeguard).
//!
//! ```text
//!   period begins        answer overdue                     period ends
//!        |--------------------|-----------------------------------|
//!   Ping to target       no Ack: PingReq to k helpers        no Ack: suspect the target
//!                        a helper whose own Ping fails says Nack
//! ```
//! The Ping is repeated until it is answered or the period ends: a lost datagram is no reason to suspect anybody, and where
//! nothing is lost nothing is repeated (not in the papers). With q a quarter of the probe timeout, of a member of which nothing
//! is known the pings are q apart and helpers are asked at the probe timeout. Of a member whose round trips were measured
//! (see `rtt`), with RTO the time after which its answer is overdue:
//!
//! ```text
//!   second Ping       after min(RTO, probe timeout)
//!   further ones      min(RTO, q) apart, and q once helpers were asked
//!   helpers asked     after min(4·RTO, probe timeout)
//! ```
//! So helpers come to the rescue of a quick member early, and a slow one is not pinged while its answer is on its way; the
//! period ends when it would without a measurement, and with it falls the verdict. All of these spans are multiplied by the
//! local health score + 1 (see `awareness`).

use alloc::vec::Vec;
use core::time::Duration;

use crate::members::Slot;
use crate::time::Instant;

/// When to do what about a target that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// From the first ping to the second.
    pub(crate) first: Duration,
    /// Between further ones.
    pub(crate) repeat: Duration,
    /// From the first ping to the call for help.
    pub(crate) help: Duration,
}

impl Patience {
    /// For a probe timeout (scaled by the health), and the time after which the answer is overdue (scaled likewise) if that is known.
    pub(crate) fn new(timeout: Duration, overdue: Option<Duration>) -> Self {
        let quarter = timeout / PINGS_PER_TIMEOUT;
        let overdue = overdue.unwrap_or(quarter).max(Duration::from_micros(1));
        Self {
            first: overdue.min(timeout),
            repeat: overdue.min(quarter),
            help: overdue.saturating_mul(PINGS_PER_TIMEOUT).min(timeout),
        }
    }
}

/// The probe of the running period.
#[derive(Debug, Clone)]
pub(crate) struct Probe<A> {
    pub(crate) target: Slot,
    pub(crate) addr: A,
    /// The number of the first ping, which also names the probe to the helpers, and the pings after it.
    pub(crate) seq: u32,
    repeats: u32,
    sent: Instant,
    sent_last: Instant,
    pub(crate) patience: Patience,
    pub(crate) acked: bool,
    /// The round trip is known.
    measured: bool,
    /// Who was asked to help.
    pub(crate) helpers: Vec<A>,
    /// Who of them said Nack.
    pub(crate) nacks: Vec<A>,
}

impl<A: Copy + Eq> Probe<A> {
    pub(crate) fn new(target: Slot, addr: A, seq: u32, now: Instant, patience: Patience) -> Self {
        Self {
            target,
            addr,
            seq,
            repeats: 0,
            sent: now,
            sent_last: now,
            patience,
            acked: false,
            measured: false,
            helpers: Vec::new(),
            nacks: Vec::new(),
        }
    }

    pub(crate) fn sent(&self) -> Instant {
        self.sent
    }

    /// The number of one more ping, sent now; `None` when there were enough.
    pub(crate) fn repeat(&mut self, now: Instant) -> Option<u32> {
        if self.repeats + 1 >= PINGS_MAX {
            return None;
        }
        self.repeats += 1;
        self.sent_last = now;
        Some((self.seq + self.repeats) % SEQUENCES)
    }

    /// Whether an answer with this number from `from` can be believed.
    pub(crate) fn expects(&self, seq: u32, from: &A) -> bool {
        self.repeat_of(seq).is_some() && (self.addr == *from || self.helpers.contains(from))
    }

    /// Which ping has this number, the first being 0.
    fn repeat_of(&self, seq: u32) -> Option<u32> {
        Some((seq.wrapping_sub(self.seq)) % SEQUENCES).filter(|&repeat| seq < SEQUENCES && repeat <= self.repeats)
    }

    /// The round trip that the target's own answer shows: once, and if it is known when the ping of that number was sent.
    pub(crate) fn measure(&mut self, seq: u32, now: Instant) -> Option<Duration> {
        let sent = match self.repeat_of(seq)? {
            0 => self.sent,
            repeat if repeat == self.repeats => self.sent_last,
            _ => return None,
        };
        (!core::mem::replace(&mut self.measured, true)).then(|| now.since(sent))
    }

    pub(crate) fn on_nack(&mut self, from: A) {
        if self.helpers.contains(&from) && !self.nacks.contains(&from) {
            self.nacks.push(from);
        }
    }

    /// Helpers that said nothing at all.
    pub(crate) fn silent_helpers(&self) -> u8 {
        (self.helpers.len() - self.nacks.len()) as u8
    }
}

/// A probe that somebody asked this node to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relay<A> {
    pub(crate) seq: u32,
    pub(crate) target: A,
    pub(crate) asker: A,
    pub(crate) asker_seq: u32,
    /// When the asker gets its Nack; `None` when it has had it.
    pub(crate) nack: Option<Instant>,
    /// Until when an Ack is still passed on.
    pub(crate) expires: Instant,
}

/// Pings before helpers are asked.
pub(crate) const PINGS_PER_TIMEOUT: u32 = 4;

/// Most pings of one probe, however long the period is.
const PINGS_MAX: u32 = 64;

/// Numbers of pings of this node's own before they begin again: two bytes as a varint, and far more than the pings that can be
/// on their way at a time. Those that it sends for others have as many, above.
pub(crate) const SEQUENCES: u32 = 1 << 13;

/// Most probes that a node makes for others at a time; more requests are refused and counted.
pub(crate) const RELAYS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn hand_worked_patience() {
        let patience = |first, repeat, help| Patience { first: MS(first), repeat: MS(repeat), help: MS(help) };
        assert_eq!(Patience::new(MS(500), None), patience(125, 125, 500), "nothing known: as configured");
        assert_eq!(Patience::new(MS(500), Some(MS(30))), patience(30, 30, 120), "quick");
        assert_eq!(Patience::new(MS(500), Some(MS(125))), patience(125, 125, 500));
        assert_eq!(Patience::new(MS(500), Some(MS(300))), patience(300, 125, 500), "slow");
        assert_eq!(Patience::new(MS(500), Some(MS(9_000))), patience(500, 125, 500), "never later than configured");
    }

    #[test]
    fn every_ping_is_known_by_its_number_and_the_round_trip_is_that_of_the_one_answered() {
        let at = |ms: u64| Instant::from_millis(1_000 + ms);
        let new = || Probe::new(0, 7_u16, SEQUENCES - 2, at(0), Patience::new(MS(500), None));
        let mut probe = new();
        let numbers = [125, 250, 375].map(|ms| probe.repeat(at(ms)).unwrap());
        assert_eq!(numbers, [SEQUENCES - 1, 0, 1], "the numbers begin again");
        assert!([SEQUENCES - 2, SEQUENCES - 1, 0, 1].iter().all(|&seq| probe.expects(seq, &7)));
        assert!(![SEQUENCES - 3, 2, SEQUENCES, u32::MAX].iter().any(|&seq| probe.expects(seq, &7)));
        assert!(!probe.expects(0, &8), "who was not asked cannot answer");
        assert_eq!(probe.measure(0, at(400)), None, "when that one was sent was not kept");
        assert_eq!(probe.measure(SEQUENCES - 2, at(410)), Some(MS(410)));
        assert_eq!(probe.measure(1, at(411)), None, "once is enough");
        let mut probe = new();
        let last = probe.repeat(at(125)).unwrap();
        assert_eq!(probe.measure(last, at(130)), Some(MS(5)));
        assert_eq!(core::iter::from_fn(|| probe.repeat(at(131))).count() as u32, PINGS_MAX - 2);
    }
}
