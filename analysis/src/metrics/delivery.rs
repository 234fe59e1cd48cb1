//! Did every event reach every node that it had to reach, exactly once? And what of those who slept?

use crate::curves::{audience, waited_until};
use crate::load::{Experiment, Run};
use crate::metrics::times::ms;

/// Deliveries of one run, summed over its events.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delivery {
    /// Events with a start in the log.
    pub events: usize,
    /// Events that the plan asked for.
    pub planned: usize,
    /// Deliveries due to nodes that were there and awake throughout, the origins' own included.
    pub expected_awake: u64,
    /// Of them made.
    pub delivered_awake: u64,
    /// Deliveries due to nodes that slept for a while (they have until the end of the log).
    pub expected_asleep: u64,
    /// Of them made.
    pub delivered_asleep: u64,
    /// Deliveries to nodes that went before the wait ended; not due.
    pub delivered_gone: u64,
    /// Deliveries to nodes that joined after the event's start; not due.
    pub joined_later: u64,
    /// Second and further deliveries within one life of a process.
    pub duplicates: u64,
    /// Learnings of events without a start in the log.
    pub orphans: u64,
    /// Events for which the master stopped to wait before all it waited for knew, and by how many nodes.
    pub unsettled: Vec<(u32, u32)>,
    /// Events for which the master waited for another number of nodes than the log accounts for (the awake, with or
    /// without the sleepers).
    pub disagreements: usize,
    /// Deliveries that came after the master had stopped to wait.
    pub late: u64,
    /// The misses one by one: event index, node name. At most [`MISSES_SHOWN`].
    pub missing: Vec<(u32, String)>,
    /// How each sleeper caught up.
    pub sleepers: Vec<Sleeper>,
}

/// How many misses are listed by name.
pub const MISSES_SHOWN: usize = 40;

/// One sleep and the awakening after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sleeper {
    /// Name of the node.
    pub name: String,
    /// How long it slept, milliseconds; `None` when the log does not show that it woke.
    pub slept_ms: Option<f64>,
    /// How long it was asked to, milliseconds.
    pub asked_ms: f64,
    /// Events that had started before it woke and that it did not know when it woke.
    pub missed: usize,
    /// Of them learnt after the awakening.
    pub caught_up: usize,
    /// From the awakening until it had learnt the last of them, milliseconds; `None` when something is still missing, 0
    /// when nothing was missed.
    pub catch_up_ms: Option<f64>,
    /// Events learnt while asleep: must be 0 if it really slept.
    pub learnt_asleep: usize,
}

impl Delivery {
    /// Counts the deliveries of `run`.
    #[must_use]
    pub fn of(experiment: &Experiment, run: &Run) -> Self {
        let mut delivery = Self {
            events: run.events.len(),
            planned: experiment.manifest.plan.events.count as usize,
            orphans: run.orphans.values().sum(),
            sleepers: sleepers(experiment, run),
            ..Self::default()
        };
        for event in &run.events {
            let audience = audience(experiment, run, event);
            let knows = |id: &usize| *id == event.origin || event.learnt.contains_key(id);
            let count = |ids: &[usize]| ids.iter().filter(|id| knows(id)).count() as u64;
            delivery.expected_awake += audience.awake.len() as u64;
            delivery.expected_asleep += audience.asleep.len() as u64;
            delivery.delivered_awake += count(&audience.awake);
            delivery.delivered_asleep += count(&audience.asleep);
            delivery.delivered_gone += count(&audience.gone);
            delivery.duplicates += event.duplicates;
            let until = waited_until(run, event);
            for (id, learning) in &event.learnt {
                if !experiment.stays[*id].present(event.t0) {
                    delivery.joined_later += 1;
                } else if learning.at > until {
                    delivery.late += 1;
                }
            }
            for id in audience.awake.iter().chain(&audience.asleep).filter(|id| !knows(id)) {
                if delivery.missing.len() < MISSES_SHOWN {
                    delivery.missing.push((event.index, experiment.stays[*id].name.clone()));
                }
            }
            let (awake, asleep) = (audience.awake.len() as u32, audience.asleep.len() as u32);
            if event.settled.as_ref().is_some_and(|settled| !(awake..=awake + asleep).contains(&settled.expected)) {
                delivery.disagreements += 1;
            }
            if let Some(settled) = event.settled.as_ref().filter(|settled| settled.informed < settled.expected) {
                delivery.unsettled.push((event.index, settled.expected - settled.informed));
            }
        }
        delivery
    }

    /// Deliveries due, to the awake and to the sleepers.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected_awake + self.expected_asleep
    }

    /// Of them made.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered_awake + self.delivered_asleep
    }

    /// Deliveries due but not made.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.expected() - self.delivered()
    }

    /// Every delivery that was due was made, once.
    #[must_use]
    pub fn exactly_once(&self) -> bool {
        self.events > 0 && self.missed() == 0 && self.duplicates == 0
    }
}

fn sleepers(experiment: &Experiment, run: &Run) -> Vec<Sleeper> {
    let mut sleepers = Vec::new();
    for nap in run.naps() {
        let woke = nap.to.unwrap_or(run.to);
        let (mut missed, mut caught_up, mut learnt_asleep, mut last) = (0, 0, 0, woke);
        for event in run.events.iter().filter(|event| event.t0 < woke && event.origin != nap.node) {
            let at = event.learnt.get(&nap.node).map(|learning| learning.at);
            match at {
                Some(at) if at < nap.from => {}
                Some(at) if at < woke => learnt_asleep += 1,
                Some(at) => {
                    missed += 1;
                    caught_up += 1;
                    last = last.max(at);
                }
                None => missed += 1,
            }
        }
        sleepers.push(Sleeper {
            name: experiment.stays[nap.node].name.clone(),
            slept_ms: nap.to.map(|to| ms(to - nap.from)),
            asked_ms: ms(nap.asked),
            missed,
            caught_up,
            catch_up_ms: (nap.to.is_some() && caught_up == missed).then(|| ms(last - woke)),
            learnt_asleep,
        });
    }
    sleepers
}
