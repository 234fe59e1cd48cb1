//! Time: the cluster runs on, and what is on the agenda happens at its time.

use std::time::Duration;

use event_log::plan::schedule::{Arrival, Strike};

use super::{Conductor, RunError, State};
use crate::NodeId;

/// The gauge is looked after every so much virtual time.
const SLICE: Duration = Duration::from_millis(20);

/// Something that is to happen at its time.
#[derive(Debug)]
pub(super) enum Task {
    Strike(Strike),
    Churn {
        fault: u32,
        text: String,
        arrival: Arrival,
        number: usize,
    },
    Restart {
        id: NodeId,
        snapshot: bool,
    },
    /// A sleep or a partition is over.
    Wake(NodeId),
}

impl Conductor<'_> {
    pub(super) fn run_to(&mut self, until: Duration) -> Result<(), RunError> {
        while self.now() < until {
            self.cluster.run_to(until.min(self.now() + SLICE));
            self.gauge.at(self.now(), self.cluster.stats().happenings);
            self.end_leavers();
        }
        Ok(self.cluster.observer_mut().check()?)
    }

    /// The process of a node that has said goodbye ends.
    pub(super) fn end_leavers(&mut self) {
        for id in self.cluster.observer_mut().take_left() {
            self.cluster.crash(id);
            self.cluster.remove(id);
        }
    }

    pub(super) fn put(&mut self, at: Duration, task: Task) {
        self.agenda.insert((at, self.tasks), task);
        self.tasks += 1;
    }

    /// Waits; what is on the agenda happens at its time.
    pub(super) fn wait_until(&mut self, until: Duration) -> Result<(), RunError> {
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), task) = entry.remove_entry();
            self.run_to(at)?;
            self.carry_out(task);
        }
        self.run_to(until)
    }

    fn carry_out(&mut self, task: Task) {
        match task {
            Task::Strike(strike) => self.strike(&strike),
            Task::Churn { fault, text, arrival, number } => self.turn(fault, &text, arrival, number),
            Task::Restart { id, snapshot } => self.restart(id, snapshot),
            Task::Wake(id) => {
                let host = &mut self.hosts[id as usize];
                if matches!(host.state, State::Asleep | State::CutOff) {
                    host.state = State::Alive;
                }
            }
        }
    }
}
