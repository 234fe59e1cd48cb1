//! A cluster that has nothing to tell is quiet: no livelock.
//!
//! *Promised* from when there is nothing to tell any more ([`World::set_idle`]), over 16 periods and longer: all members together
//! send no more than half as much again as [`Bounds::idle_datagrams`](super::bounds::Bounds::idle_datagrams) says, and a few more. Pings
//! are repeated every `probe_timeout` / `probe_pings` until the answer is there, which counts as often as that fits into a round trip; where
//! datagrams are lost at all times, pings are repeated and helpers asked: ten times more for the share that is lost.

use core::time::Duration;

use super::world::World;
use super::{Checker, Nodes, Verdict};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Idle {
    /// The share of datagrams that is lost at all times.
    pub loss: f64,
    /// The longest round trip.
    pub round_trip: Duration,
    since: Option<Duration>,
    sent: u64,
}

impl Idle {
    /// With this share of datagrams lost at all times, and this longest round trip.
    #[must_use]
    pub fn new(loss: f64, round_trip: Duration) -> Self {
        Self { loss, round_trip, ..Self::default() }
    }
}

/// For how many of the longest periods the rate is measured at least.
pub const PERIODS: u32 = 16;

impl<A: Addresses> Checker<A> for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn on_sent(&mut self, world: &World, _from: NodeId, _bytes: &[u8]) -> Verdict {
        if world.idle_since() != self.since {
            (self.since, self.sent) = (world.idle_since(), 0);
        }
        self.sent += u64::from(self.since.is_some());
        Ok(())
    }

    fn on_tick(&mut self, world: &World, _nodes: &Nodes<'_, A>) -> Verdict {
        let Some(since) = world.idle_since().filter(|since| Some(*since) == self.since) else { return Ok(()) };
        let passed = world.now().saturating_sub(since);
        let mut most = 0.0;
        for id in world.members() {
            let Some(bounds) = world.bounds(id) else { return Ok(()) };
            if passed < bounds.config.probe_interval * PERIODS {
                return Ok(());
            }
            let spacing = bounds.config.probe_timeout / u32::from(bounds.config.probe_pings);
            let repeated = 2.0 * libm::floor(self.round_trip.as_secs_f64() / spacing.as_secs_f64());
            most += (bounds.idle_datagrams() + repeated) * passed.as_secs_f64()
                / bounds.config.probe_interval.as_secs_f64();
        }
        most = most * 1.5 * (1.0 + 10.0 * self.loss) + 4.0 * world.members().count() as f64;
        if self.sent as f64 > most {
            return Err(format!("{} datagrams in {passed:?} of quiet, and at most {most:.0} are due", self.sent));
        }
        Ok(())
    }
}
