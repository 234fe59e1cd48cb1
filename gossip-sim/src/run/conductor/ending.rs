//! The end of a run: what was struck gets time to catch up and to be found out, and all counts are taken.

use std::collections::BTreeSet;
use std::time::Duration;

use event_log::plan::schedule::Strike;
use event_log::plan::{Action, node_name};
use event_log::record::What;

use super::{COLLECT_INTERVAL, Conductor, RunError};
use crate::NodeId;

/// Between two looks at the survivors that have not declared a crashed node dead; the master's.
const DEATH_INTERVAL: Duration = Duration::from_secs(1);
/// Survivors get at least so long to declare a crashed node dead; the master's.
const DEATH_LIMIT_MIN: Duration = Duration::from_secs(60);

impl Conductor<'_> {
    pub(super) fn await_faults(&mut self) -> Result<(), RunError> {
        self.gauge.phase("waiting for faults to come and to end");
        while let Some((&(until, _), _)) = self.agenda.last_key_value() {
            self.wait_until(until)?;
        }
        self.await_catching_up()?;
        self.await_deaths()
    }

    /// Nodes that slept or were cut off get time to learn what they missed.
    fn await_catching_up(&mut self) -> Result<(), RunError> {
        let is_away = |strike: &&Strike| matches!(strike.action, Action::Sleep(_) | Action::Partition(_));
        let away: BTreeSet<&String> = self.strikes.iter().filter(is_away).flat_map(|strike| &strike.victims).collect();
        let away: Vec<NodeId> = away.into_iter().map(|name| self.id(name)).collect();
        let deadline = self.now() + self.plan.events.limit.get();
        loop {
            let events = 0..self.cluster.observer().events();
            let misses = |id: NodeId| events.clone().any(|place| !self.knows(place, id));
            let behind: Vec<NodeId> =
                away.iter().copied().filter(|&id| self.hosts[id as usize].is_living() && misses(id)).collect();
            if behind.is_empty() {
                return Ok(());
            }
            if self.now() >= deadline {
                let limit = self.plan.events.limit;
                self.warn(format!("{} did not catch up with all events within {limit}", some(&behind)));
                return Ok(());
            }
            self.wait_until(self.now() + COLLECT_INTERVAL)?;
        }
    }

    fn await_deaths(&mut self) -> Result<(), RunError> {
        let limit = DEATH_LIMIT_MIN.max(self.plan.events.limit.get());
        let deadline = self.now() + limit;
        loop {
            let mut unaware: Vec<(NodeId, Vec<NodeId>)> = Vec::new();
            for &(member, at) in &self.crashed {
                let recorder = self.cluster.observer();
                let lacks: Vec<NodeId> = self.awaited(at).filter(|&id| !recorder.holds_dead(id, member)).collect();
                if !lacks.is_empty() {
                    unaware.push((member, lacks));
                }
            }
            if unaware.is_empty() {
                return Ok(());
            }
            if self.now() >= deadline {
                let complaints: Vec<String> = unaware
                    .iter()
                    .map(|(member, lacks)| format!("{} was not declared dead by {}", node_name(*member), some(lacks)))
                    .collect();
                self.warn(format!("within {limit:?} {}", complaints.join("; ")));
                return Ok(());
            }
            self.wait_until(self.now() + DEATH_INTERVAL)?;
        }
    }

    pub(super) fn end_run(&mut self) -> Result<(), RunError> {
        for id in self.living() {
            self.cluster.heal(id);
        }
        self.count_living();
        self.tell(What::RunEnded { complete: true });
        let now = self.now();
        for id in self.living() {
            self.cluster.observer_mut().node(now, id, What::NodeStopped);
        }
        Ok(self.cluster.observer_mut().check()?)
    }

    fn living(&self) -> Vec<NodeId> {
        (0..).zip(&self.hosts).filter(|(_, host)| host.is_living()).map(|(id, _)| id).collect()
    }

    pub(super) fn count_living(&mut self) {
        for id in self.living() {
            self.count(id);
        }
    }

    /// Records the cumulative counts of a node as they stand.
    pub(super) fn count(&mut self, id: NodeId) {
        let now = self.now();
        let counters = self.cluster.node(id).counters();
        let faults = self.cluster.fault_counts(id).copied();
        self.cluster.observer_mut().counts(now, id, faults.as_ref(), counters.iter());
    }
}

/// `n001, n002 and 7 more`.
fn some(ids: &[NodeId]) -> String {
    const NAMED_MAX: usize = 10;
    let names: Vec<String> = ids.iter().take(NAMED_MAX).map(|&id| node_name(id)).collect();
    let more = ids.len().saturating_sub(NAMED_MAX);
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}
