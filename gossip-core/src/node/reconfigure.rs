//! Another configuration while the node runs. What becomes of what is there is told in [`Command::Reconfigure`](crate::Command).

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::Node;
use super::receive::hand_over;
use crate::address::Address;
use crate::config::{Config, ConfigError};
use crate::coordinate::Coordinates;
use crate::members::SELF;
use crate::rtt::RoundTrips;
use crate::time::Instant;
use crate::timer::Timer;

impl<A: Address> Node<A> {
    pub(super) fn reconfigure(&mut self, now: Instant, config: &Config) -> Result<(), ConfigError> {
        config.check()?;
        if config.cluster != self.config.cluster {
            let rule = "cannot change while the node runs: leave, and make a new node";
            return Err(ConfigError { name: "cluster", rule });
        }
        if self.members.metadata(SELF).bytes.len() > config.metadata_max {
            return Err(ConfigError { name: "metadata_max", rule: "must not be less than the node's own metadata" });
        }
        // A node that leaves keeps its own place in the table.
        if self.members.peers().len() + 1 > config.members_max {
            return Err(ConfigError { name: "members_max", rule: "must not be less than the live members" });
        }
        let old = core::mem::replace(&mut self.config, Arc::new(config.clone()));
        self.timers.stretch(&mut self.deadlines, Timer::Gossip, now, [old.gossip_interval, config.gossip_interval]);
        self.align(now);
        // With another strategy a node that rested may have something to do.
        self.beat(now);
        self.timers.stretch(&mut self.deadlines, Timer::Probe, now, [old.probe_interval, config.probe_interval]);
        for timer in [Timer::ProbeTimeout, Timer::ProbeRetry] {
            self.timers.stretch(&mut self.deadlines, timer, now, [old.probe_timeout, config.probe_timeout]);
        }
        self.awareness.limit(config.awareness_max);
        if config.probe_timeout_min == config.probe_timeout {
            self.round_trips = RoundTrips::default();
        }
        match &mut self.coordinates {
            _ if config.coordinates_max == 0 => self.coordinates = None,
            Some(known) => {
                let evicted = known.remember(config.coordinates_max) as u64;
                self.counters.add(evicted, |cold| &mut cold.coordinates_evicted);
            }
            unknown => *unknown = Some(Box::new(Coordinates::new(config.coordinates_max))),
        }
        let evicted = self.rumors.reconfigure(now, &old, config);
        self.count_evicted(evicted);
        let Self { rumors, events, counters, .. } = self;
        rumors.wait_less(now, config, |delivery, order| hand_over(events, counters, delivery, order));
        if let Some(watch) = self.watch.get_mut() {
            for (forget, ..) in &mut watch.tombstones {
                *forget = *forget - old.tombstone_lifetime + config.tombstone_lifetime;
            }
        }
        while self.members.len() > config.members_max && self.forget_tombstone() {
            self.counters.add(1, |cold| &mut cold.members_evicted);
        }
        self.sweep_tombstones();
        self.members.changes_mut().keep(config.changes_max);
        if config.names != old.names {
            self.members.keep_names(config.names);
        }
        if config.strategy.keeps_ring() != old.strategy.keeps_ring() {
            self.members.keep_ring(config.strategy.keeps_ring());
            self.branches = None;
        }
        if let Some(queries) = &mut self.queries {
            self.counters.add(queries.shrink(config.queries_max), |cold| &mut cold.queries_dropped);
        }
        self.forwards = self.forwards.min(config.forwards_max);
        self.counters.add(self.outgoing.truncate(config.transmits_max) as u64, |cold| &mut cold.transmits_refused);
        Ok(())
    }
}
