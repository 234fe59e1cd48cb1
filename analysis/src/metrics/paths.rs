//! How events travelled: by what kind of contact, over how many hops.

use std::collections::BTreeMap;

use event_log::record::Via;

use crate::load::{Experiment, Run};

/// The kinds of contact with their names, in the order of the tables.
pub const VIAS: [(Via, &str); 5] =
    [(Via::Push, "push"), (Via::Pull, "pull"), (Via::Probe, "probe"), (Via::Sync, "sync"), (Via::Message, "message")];

/// First deliveries of a run by kind and by distance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths {
    /// Deliveries by kind of contact.
    pub via: BTreeMap<Via, u64>,
    /// Deliveries by number of hops from the origin.
    pub hops: BTreeMap<u32, u64>,
}

impl Paths {
    /// Counts the first deliveries of `run` to nodes that were in the cluster when the event started. (A node that joins
    /// later is told of old events, which says nothing about their spread.)
    #[must_use]
    pub fn of(experiment: &Experiment, run: &Run) -> Self {
        let mut paths = Self::default();
        for event in &run.events {
            for (_, learning) in event.learnt.iter().filter(|(id, _)| experiment.stays[**id].present(event.t0)) {
                *paths.via.entry(learning.via).or_default() += 1;
                *paths.hops.entry(learning.hops).or_default() += 1;
            }
        }
        paths
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.via.values().sum()
    }

    /// Share of the deliveries that came by `via`; 0 without deliveries.
    #[must_use]
    pub fn share(&self, via: Via) -> f64 {
        self.via.get(&via).copied().unwrap_or(0) as f64 / self.total().max(1) as f64
    }

    /// Mean number of hops. `None` without deliveries.
    #[must_use]
    pub fn hops_mean(&self) -> Option<f64> {
        let total = self.total();
        let sum: f64 = self.hops.iter().map(|(hops, count)| f64::from(*hops) * *count as f64).sum();
        (total > 0).then(|| sum / total as f64)
    }

    /// The longest path.
    #[must_use]
    pub fn hops_max(&self) -> Option<u32> {
        self.hops.keys().next_back().copied()
    }
}
