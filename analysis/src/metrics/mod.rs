//! What a run's log amounts to, one question a file.

pub mod delivery;
pub mod detection;
pub mod faults;
pub mod paths;
pub mod times;
pub mod traffic;

use crate::curves::Curve;
use crate::load::{Experiment, Run};

/// All metrics of one run.
#[derive(Debug, Clone)]
pub struct RunMetrics {
    /// One curve per event, in the order of the events.
    pub curves: Vec<Curve>,
    /// Who was reached, how often.
    pub delivery: delivery::Delivery,
    /// Times to inform shares of the nodes.
    pub times: times::Times,
    /// Datagrams, bytes, processor time, memory.
    pub traffic: Option<traffic::TrafficSummary>,
    /// Crashes, goodbyes, suspicions, false alarms.
    pub detection: detection::Detection,
    /// What was asked of the fault shim and what it did.
    pub faults: faults::FaultEvidence,
    /// How events travelled.
    pub paths: paths::Paths,
}

impl RunMetrics {
    /// Measures `run`. The bootstrap draws from a generator of its own, seeded by the log's seed and the run's index.
    #[must_use]
    pub fn of(experiment: &Experiment, run: &Run) -> Self {
        let curves: Vec<Curve> = run.events.iter().map(|event| Curve::of(experiment, run, event)).collect();
        Self {
            delivery: delivery::Delivery::of(experiment, run),
            times: times::Times::of(&curves, experiment.manifest.seed, run.index),
            traffic: traffic::TrafficSummary::of(experiment, run),
            detection: detection::Detection::of(experiment, run),
            faults: faults::FaultEvidence::of(experiment, run),
            paths: paths::Paths::of(experiment, run),
            curves,
        }
    }
}
