//! Who watches the great run.

use std::net::SocketAddr;
use std::time::Duration;

use gossip_core::{Event, EventId, MemberState};

use crate::addresses::{Addresses as _, NodeId};
use crate::observe::Observer;

/// What was seen: times in nanoseconds of virtual time.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The event that is watched.
    pub(super) event: Option<EventId<SocketAddr>>,
    /// When each node got it.
    pub(super) informed: Times,
    /// How often a node got an event that it had.
    pub(super) twice: u64,
    /// The node that crashes.
    pub(super) victim: Option<NodeId>,
    /// When each node suspected it, and held it for dead.
    pub(super) suspected: Times,
    pub(super) dead: Times,
    /// Nodes that suspected, and that buried, somebody else.
    pub(super) wrong_suspicions: u64,
    pub(super) wrong_deaths: u64,
}

/// When each node did something for the first time.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Option<u64>>);

impl Times {
    /// False when it was not the first time.
    fn note(&mut self, node: NodeId, now: Duration) -> bool {
        let index = node as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        let first = self.0[index].is_none();
        self.0[index].get_or_insert(now.as_nanos() as u64);
        first
    }

    pub(super) fn at(&self, node: NodeId) -> Option<u64> {
        self.0.get(node as usize).copied().flatten()
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// From `start` until a share of all, in permille of those who did, had done it.
    pub(super) fn quantile(&self, start: Duration, permille: usize) -> Option<Duration> {
        let mut times: Vec<u64> = self.0.iter().flatten().copied().collect();
        times.sort_unstable();
        let place = (times.len() * permille).div_ceil(1000).max(1) - 1;
        Some(Duration::from_nanos(*times.get(place)?).saturating_sub(start))
    }
}

impl Observer<SocketAddr> for Watch {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<SocketAddr>) {
        match event {
            Event::UserEvent { id, .. } if Some(*id) == self.event => {
                self.twice += u64::from(!self.informed.note(node, now));
            }
            Event::MemberChanged { addr, state, .. } => {
                let is_victim = addr.id() == self.victim;
                match (state, is_victim) {
                    (MemberState::Suspect, true) => _ = self.suspected.note(node, now),
                    (MemberState::Dead, true) => _ = self.dead.note(node, now),
                    (MemberState::Suspect, false) => self.wrong_suspicions += 1,
                    (MemberState::Dead, false) => self.wrong_deaths += 1,
                    (MemberState::Alive | MemberState::Left, _) => {}
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_worked_quantiles() {
        let mut times = Times::default();
        assert_eq!(times.quantile(Duration::ZERO, 500), None);
        for node in [9, 3, 5, 7] {
            assert!(times.note(node, Duration::from_secs(u64::from(node))));
        }
        assert!(!times.note(5, Duration::ZERO), "the first time counts");
        let at = |permille| times.quantile(Duration::from_secs(1), permille).unwrap().as_secs();
        assert_eq!((at(1), at(500), at(501), at(990), at(1000)), (2, 4, 6, 8, 8));
        assert_eq!((times.count(), times.at(7), times.at(8)), (4, Some(7_000_000_000), None));
    }
}
