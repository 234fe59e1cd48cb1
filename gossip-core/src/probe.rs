//! Probing: one member per protocol period (SWIM §3.1, §4.3; Nack after Lifeguard).
//!
//! ```text
//!   period begins        answer overdue                     period ends
//!        |--------------------|-----------------------------------|
//!   Ping to target       no Ack: PingReq to k helpers        no Ack: suspect the target
//!                        a helper whose own Ping fails says Nack
//! ```
//! The Ping is repeated until it is answered or the period ends: a lost datagram is no reason to suspect anybody, and where
//! nothing is lost nothing is repeated (not in the papers). With p = `probe_pings` and q = probe timeout / p, of a member of which
//! nothing is known the pings are q apart and helpers are asked at the probe timeout. Of a member whose round trips were
//! measured (see `rtt`), with RTO the time after which its answer is overdue:
//!
//! ```text
//!   second Ping       after min(RTO, probe timeout)
//!   further ones      min(RTO, q) apart, and q once helpers were asked
//!   helpers asked     after min(p·RTO, probe timeout)
//! ```
//! So helpers come to the rescue of a quick member early, and a slow one is not pinged while its answer is on its way; the
//! period ends when it would without a measurement, and with it falls the verdict. A helper pings every q for a whole period, and if
//! that was in vain it confirms the suspicion (not in the papers). All of these spans are multiplied by the
//! local health score + 1 (see `awareness`).

use core::time::Duration;

use crate::config::Config;
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
    /// For a probe timeout (scaled by the health), the pings within it, and the time after which the answer is overdue (scaled
    /// likewise) if that is known.
    pub(crate) fn new(timeout: Duration, pings: u8, overdue: Option<Duration>) -> Self {
        let spacing = timeout / u32::from(pings);
        let overdue = overdue.unwrap_or(spacing).max(Duration::from_micros(1));
        Self {
            first: overdue.min(timeout),
            repeat: overdue.min(spacing),
            help: overdue.saturating_mul(u32::from(pings)).min(timeout),
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
    /// Who was asked to help: the first `asked` places.
    helpers: [Slot; HELPERS_MAX],
    asked: u8,
    /// Who of them said Nack, a bit for each.
    nacks: u8,
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
            helpers: [0; HELPERS_MAX],
            asked: 0,
            nacks: 0,
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

    /// Whether an answer with this number can be that of the target, or passed on by a helper.
    pub(crate) fn expects(&self, seq: u32) -> bool {
        self.repeat_of(seq).is_some()
    }

    /// `helper` is asked; at most [`HELPERS_MAX`] are.
    pub(crate) fn ask(&mut self, helper: Slot) {
        self.helpers[usize::from(self.asked)] = helper;
        self.asked += 1;
    }

    /// The members have other slots.
    pub(crate) fn move_slots(&mut self, slot_of: impl Fn(Slot) -> Option<Slot>) {
        let Self { target, helpers, asked, .. } = self;
        for slot in core::iter::once(target).chain(&mut helpers[..usize::from(*asked)]) {
            // A helper that was forgotten is nobody.
            *slot = slot_of(*slot).unwrap_or(Slot::MAX);
        }
    }

    /// Whether the member in a slot was asked.
    pub(crate) fn asked(&self, helper: Slot) -> bool {
        self.place(helper).is_some()
    }

    fn place(&self, helper: Slot) -> Option<usize> {
        self.helpers[..usize::from(self.asked)].iter().position(|&asked| asked == helper)
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

    pub(crate) fn on_nack(&mut self, helper: Slot) {
        if let Some(place) = self.place(helper) {
            self.nacks |= 1 << place;
        }
    }

    pub(crate) fn helpers(&self) -> u8 {
        self.asked
    }

    /// Helpers that said nothing at all.
    pub(crate) fn silent_helpers(&self) -> u8 {
        self.asked - self.nacks.count_ones() as u8
    }
}

/// A probe that somebody asked this node to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relay<A> {
    pub(crate) seq: u32,
    pub(crate) target: A,
    pub(crate) asker: A,
    pub(crate) asker_seq: u32,
    /// When the target is pinged again; `None` when it no longer is.
    pub(crate) retry: Option<Instant>,
    /// When the asker gets its Nack; `None` when it has had it.
    pub(crate) nack: Option<Instant>,
    /// After a protocol period without an answer this node has made up its mind.
    pub(crate) verdict: Option<Instant>,
    /// Until when an Ack is still passed on, and the verdict remembered.
    pub(crate) expires: Instant,
}

impl<A> Relay<A> {
    pub(crate) fn new(now: Instant, seq: u32, target: A, asker: A, asker_seq: u32, config: &Config) -> Self {
        let period = config.probe_interval;
        Self {
            seq,
            target,
            asker,
            asker_seq,
            retry: (config.probe_pings > 1).then_some(now + retry_after(config)),
            // The Nack must be with the asker before its period ends: at four fifths of the probe timeout (memberlist's value).
            nack: Some(now + config.probe_timeout / 5 * 4),
            verdict: config.helpers_confirm.then_some(now + period),
            expires: if config.helpers_confirm { now + period.saturating_mul(2) } else { now + period },
        }
    }

    /// When to look at it next.
    pub(crate) fn deadline(&self) -> Instant {
        [self.retry, self.nack, self.verdict].into_iter().flatten().fold(self.expires, Instant::min)
    }

    /// Whether it was tried for a whole period in vain.
    pub(crate) fn failed(&self, config: &Config) -> bool {
        config.helpers_confirm && self.verdict.is_none()
    }
}

/// Time between two pings of a helper.
pub(crate) fn retry_after(config: &Config) -> Duration {
    config.probe_timeout / u32::from(config.probe_pings)
}

/// The most helpers that a probe can have.
pub(crate) const HELPERS_MAX: usize = 8;

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
        assert_eq!(Patience::new(MS(500), 4, None), patience(125, 125, 500), "nothing known: as configured");
        assert_eq!(Patience::new(MS(500), 4, Some(MS(30))), patience(30, 30, 120), "quick");
        assert_eq!(Patience::new(MS(500), 4, Some(MS(125))), patience(125, 125, 500));
        assert_eq!(Patience::new(MS(500), 4, Some(MS(300))), patience(300, 125, 500), "slow");
        assert_eq!(Patience::new(MS(500), 4, Some(MS(9_000))), patience(500, 125, 500), "never later than configured");
    }

    #[test]
    fn every_ping_is_known_by_its_number_and_the_round_trip_is_that_of_the_one_answered() {
        let at = |ms: u64| Instant::from_millis(1_000 + ms);
        let new = || Probe::new(0, 7_u16, SEQUENCES - 2, at(0), Patience::new(MS(500), 4, None));
        let mut probe = new();
        let numbers = [125, 250, 375].map(|ms| probe.repeat(at(ms)).unwrap());
        assert_eq!(numbers, [SEQUENCES - 1, 0, 1], "the numbers begin again");
        assert!([SEQUENCES - 2, SEQUENCES - 1, 0, 1].iter().all(|&seq| probe.expects(seq)));
        assert!(![SEQUENCES - 3, 2, SEQUENCES, u32::MAX].iter().any(|&seq| probe.expects(seq)));
        probe.ask(5);
        assert!(probe.asked(5) && !probe.asked(6) && !probe.asked(0), "who was not asked cannot answer");
        probe.on_nack(5);
        probe.on_nack(5);
        probe.on_nack(6);
        assert_eq!((probe.helpers(), probe.silent_helpers()), (1, 0));
        assert_eq!(probe.measure(0, at(400)), None, "when that one was sent was not kept");
        assert_eq!(probe.measure(SEQUENCES - 2, at(410)), Some(MS(410)));
        assert_eq!(probe.measure(1, at(411)), None, "once is enough");
        let mut probe = new();
        let last = probe.repeat(at(125)).unwrap();
        assert_eq!(probe.measure(last, at(130)), Some(MS(5)));
        assert_eq!(core::iter::from_fn(|| probe.repeat(at(131))).count() as u32, PINGS_MAX - 2);
    }
}
