//! One process around one node: whether it runs, what ails it, and its clock.
//!
//! Split by how often it is looked at: [`Hot`] with every datagram, [`Trouble`] only while something is wrong, [`Birth`] when
//! the process starts again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gossip_core::{Address, Config, Instant, Keyring, SharedView};
use netem::Netem;

use crate::addresses::NodeId;

/// Datagrams that wait for a process that does not read; later ones are lost. The receive buffer of a Linux socket holds about
/// as many small ones (212,992 bytes, 768 for each).
pub const INBOX_MAX: usize = 277;

/// What the clock of a node says at virtual time 0. Not 0, so that a clock may be slow.
pub const ORIGIN: Instant = Instant::from_millis(1_000);

/// What a node is started with beside its configuration. The default: nothing, a clock that is right.
#[derive(Debug, Clone, Copy)]
pub struct StartOptions<'a, A: Address> {
    /// Bytes that every member can read beside its address.
    pub metadata: &'a [u8],
    /// What its datagrams are sealed with.
    pub keyring: Option<&'a Keyring>,
    /// How many millionths its clock is too fast (or, below zero, too slow).
    pub drift_ppm: i32,
    /// How much its clock is ahead. Below zero: behind, by at most a second.
    pub offset_ns: i64,
    /// Its first incarnation.
    pub incarnation: u32,
    /// The number of its first event; the time of its clock if not given.
    pub first_sequence: Option<u64>,
    /// Members that it knows from birth.
    pub view: Option<&'a SharedView<A>>,
    /// Bytes of a snapshot from which it comes back, and how long ago that was taken.
    pub snapshot: Option<(&'a [u8], Duration)>,
    /// The seed of its randomness and of its fault models in all its lives; derived from the cluster's if not given.
    pub seed: Option<u64>,
    /// Added to the time of its clock, where that numbers its first event. Clusters whose logs lie in one file need different ones.
    pub sequence_base: u64,
    /// The host whose address it has as well, see [`start`](crate::Cluster::start). Its own if not given.
    pub twin_of: Option<NodeId>,
}

impl<A: Address> Default for StartOptions<'_, A> {
    fn default() -> Self {
        Self {
            metadata: &[],
            keyring: None,
            drift_ppm: 0,
            offset_ns: 0,
            incarnation: 0,
            first_sequence: None,
            view: None,
            snapshot: None,
            seed: None,
            sequence_base: 0,
            twin_of: None,
        }
    }
}

/// How a process comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restart {
    /// With nothing but its configuration and metadata: it has to join.
    Fresh,
    /// From the last [`snapshot`](crate::Cluster::snapshot), or as it was when it crashed if none was taken.
    FromSnapshot,
    /// From these bytes, taken so long ago.
    From {
        /// The snapshot.
        bytes: Arc<[u8]>,
        /// Its age.
        taken_ago: Duration,
    },
}

pub(crate) const UP: u8 = 1;
pub(crate) const LEFT: u8 = 2;
pub(crate) const TROUBLED: u8 = 4;
/// Its clock is not the right one.
pub(crate) const SKEWED: u8 = 8;
/// Another host has its address as well.
pub(crate) const DOUBLED: u8 = 16;

/// What is looked at with every datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hot {
    /// When its timer stands in the queue; `u64::MAX` if it does not.
    pub(crate) scheduled: u64,
    /// When its node wants to be served: then or later. `u64::MAX` if never.
    pub(crate) due: u64,
    /// When it last sent, and how many datagrams at that instant.
    pub(crate) sent_at: u64,
    pub(crate) sent_then: u16,
    /// The number that its address stands for: another's for a twin.
    pub(crate) address: NodeId,
    pub(crate) flags: u8,
}

/// Half a line of memory.
const _: () = assert!(size_of::<Hot>() == 32);

impl Hot {
    /// A host where nothing runs.
    pub(crate) const VACANT: Self =
        Self { scheduled: u64::MAX, due: u64::MAX, sent_at: u64::MAX, sent_then: 0, address: NodeId::MAX, flags: 0 };

    #[inline]
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn set(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }
}

/// What ails a process. Times are virtual, in nanoseconds; what is not so is 0 or `None`.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// Nothing in, nothing out until then, and nothing kept. The node goes on.
    pub(crate) deaf_until: u64,
    /// Not served until then.
    pub(crate) stopped_until: u64,
    /// Not a word in or out until then; its timers go on.
    pub(crate) stuck_until: u64,
    /// Each time it was served it waits for so long: the least and the most.
    pub(crate) starved: Option<(Duration, Duration)>,
    /// It takes so long over each datagram, and so many can wait.
    pub(crate) service: Option<(Duration, usize)>,
    /// What came and was not read: flights.
    pub(crate) inbox: VecDeque<u32>,
    /// What it wants to say: to whom, flights.
    pub(crate) outbox: VecDeque<(NodeId, u32)>,
    /// The fault models, if it ever had any.
    pub(crate) netem: Option<Netem>,
}

impl Trouble {
    /// Whether nothing ails it at `now`, nor waits.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.deaf_until <= now
            && self.stopped_until <= now
            && self.stuck_until <= now
            && self.starved.is_none()
            && self.service.is_none()
            && self.inbox.is_empty()
            && self.outbox.is_empty()
            && self.netem.is_none()
    }

    pub(crate) fn inbox_max(&self) -> usize {
        self.service.map_or(INBOX_MAX, |(_, most)| most)
    }

    /// Ends what belongs to the process; what waited for it. The fault models are the network's and stay.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = u32> + use<> {
        let netem = self.netem.take();
        let old = std::mem::replace(self, Self { netem, ..Self::default() });
        old.inbox.into_iter().chain(old.outbox.into_iter().map(|(_, flight)| flight))
    }
}

/// What a process is started with, each time.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) config: Arc<Config>,
    pub(crate) metadata: Box<[u8]>,
    pub(crate) keyring: Option<Keyring>,
    /// The seed that it was given, if it was.
    pub(crate) seed: Option<u64>,
    pub(crate) sequence_base: u64,
    /// How often it was started.
    pub(crate) lives: u32,
    /// When it last crashed.
    pub(crate) crashed_at: u64,
    /// The last snapshot, and when it was taken.
    pub(crate) snapshot: Option<(Arc<[u8]>, u64)>,
}

/// What a node holds for the time, as a line through a point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// At this virtual time
    since: u64,
    /// it said that,
    said: u64,
    /// and from then on it is so many millionths too fast.
    drift_ppm: i32,
}

const MILLION: i128 = 1_000_000;

impl Clock {
    pub(crate) const RIGHT: Self = Self { since: 0, said: ORIGIN.as_nanos(), drift_ppm: 0 };

    /// A clock that is so far ahead at `now`.
    pub(crate) fn new(now: u64, offset_ns: i64, drift_ppm: i32) -> Self {
        assert!(drift_ppm.abs() < 1_000_000, "a clock that stands still or runs backwards");
        let said = (now + ORIGIN.as_nanos()).checked_add_signed(offset_ns);
        Self { since: now, said: said.expect("a clock is behind by at most a second"), drift_ppm }
    }

    pub(crate) fn is_right(&self) -> bool {
        self.drift_ppm == 0 && self.said == self.since + ORIGIN.as_nanos()
    }

    /// The same clock, from `now` on with another drift, and set forward by so much.
    pub(crate) fn adjusted(&self, now: u64, drift_ppm: i32, forward: Duration) -> Self {
        let said = self.at(now).as_nanos() + forward.as_nanos() as u64;
        Self { since: now, said, drift_ppm }
    }

    /// What it says at a virtual time.
    #[inline(never)]
    pub(crate) fn at(&self, now: u64) -> Instant {
        let passed = now.saturating_sub(self.since);
        let drift = i128::from(passed) * i128::from(self.drift_ppm) / MILLION;
        Instant::from_nanos(self.said.saturating_add((i128::from(passed) + drift) as u64))
    }

    /// The first virtual time at which it says `local` or more.
    #[inline(never)]
    pub(crate) fn when(&self, local: Instant) -> u64 {
        let left = i128::from(local.as_nanos()) - i128::from(self.said);
        if left <= 0 {
            return self.since;
        }
        let estimate = left * MILLION / (MILLION + i128::from(self.drift_ppm));
        let Ok(estimate) = u64::try_from(estimate) else { return u64::MAX };
        let mut when = self.since.saturating_add(estimate);
        // Both divisions round: the estimate is off by one or two.
        while when > self.since && self.at(when - 1) >= local {
            when -= 1;
        }
        while self.at(when) < local && when < u64::MAX {
            when += 1;
        }
        when
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_right_clock_counts_from_its_origin_and_a_fast_one_gains() {
        assert_eq!(Clock::RIGHT.at(5), ORIGIN + Duration::from_nanos(5));
        assert!(
            Clock::new(77, 0, 0).is_right() && !Clock::new(77, 0, 1).is_right() && !Clock::new(77, 1, 0).is_right()
        );
        let hour = 3_600_000_000_000;
        let fast = Clock::new(0, -500_000_000, 100);
        assert_eq!(fast.at(hour), Instant::from_nanos(hour + 500_000_000 + 360_000_000));
        let later = fast.adjusted(hour, 0, Duration::from_secs(1));
        assert_eq!(later.at(2 * hour), Instant::from_nanos(2 * hour + 1_500_000_000 + 360_000_000));
    }

    proptest! {
        #[test]
        fn the_time_at_which_a_clock_says_something_is_the_first(
            since in 0_u64..1 << 50, ahead in -1_000_000_000_i64..1_000_000_000, drift in -999_999_i32..1_000_000,
            local in 0_u64..1 << 51,
        ) {
            let clock = Clock::new(since, ahead, drift);
            let when = clock.when(Instant::from_nanos(local));
            prop_assert!(clock.at(when).as_nanos() >= local);
            prop_assert!(when == since || clock.at(when - 1).as_nanos() < local);
        }
    }
}
