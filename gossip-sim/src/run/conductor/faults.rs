//! What strikes the nodes: impairments, goodbyes, crashes, and nodes that come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use event_log::plan::schedule::{self, Arrival, Strike, Turn, below, stream};
use event_log::plan::{Action, Crash, node_name};
use event_log::record::What;
use gossip_core::Command;
use netem::{Endpoint, Impairment};

use super::agenda::Task;
use super::{Conductor, Host, RunError, State};
use crate::{NodeId, Restart};

impl Conductor<'_> {
    /// The faults that hold from the first event on take effect before it starts.
    pub(super) fn begin_faults(&mut self) -> Result<(), RunError> {
        self.run_start = self.now();
        for strike in self.strikes.clone() {
            let at = self.run_start + strike.at;
            if let Action::Churn(churn) = &strike.action {
                let arrivals = schedule::arrivals(self.plan.seed, self.key, strike.fault, churn);
                for (number, arrival) in arrivals.into_iter().enumerate() {
                    let (fault, text) = (strike.fault, strike.text.clone());
                    self.put(at + arrival.at, Task::Churn { fault, text, arrival, number });
                }
            } else {
                self.put(at, Task::Strike(strike));
            }
        }
        self.wait_until(self.run_start)
    }

    pub(super) fn strike(&mut self, strike: &Strike) {
        let ids = strike.victims.iter().map(|name| self.id(name));
        let victims: Vec<NodeId> = ids.filter(|&id| self.hosts[id as usize].is_living()).collect();
        let now = self.now();
        match strike.action {
            Action::Loss(loss) => self.impair(strike, &victims, &Impairment::Loss(loss), None),
            Action::Delay(delay) => self.impair(strike, &victims, &Impairment::Delay(delay), None),
            Action::DropNext(next) => self.impair(strike, &victims, &Impairment::DropNext(next), None),
            Action::Sleep(sleep) => {
                let state = Some((State::Asleep, now + sleep.duration.get()));
                self.impair(strike, &victims, &Impairment::Sleep(sleep), state);
            }
            Action::Partition(partition) => {
                let inside: BTreeSet<NodeId> = victims.iter().copied().collect();
                let peers = (0..self.hosts.len() as NodeId).filter(|id| !inside.contains(id));
                let peers = peers.map(|id| Endpoint(id.into())).collect();
                let duration = partition.duration.get();
                let state = Some((State::CutOff, now + duration));
                self.impair(strike, &victims, &Impairment::Block { peers, duration }, state);
            }
            Action::Leave => {
                for &id in &victims {
                    self.leave(strike.fault, &strike.text, id);
                }
            }
            Action::Crash(crash) => {
                for &id in &victims {
                    self.order(strike.fault, &strike.text, id);
                    self.crash(id, crash);
                }
            }
            Action::Churn(_) => unreachable!("its turns are on the agenda one by one"),
        }
    }

    fn order(&mut self, fault: u32, text: &str, id: NodeId) {
        self.tell(What::FaultOrdered { fault, text: text.to_owned(), target: node_name(id) });
    }

    fn impair(
        &mut self,
        strike: &Strike,
        victims: &[NodeId],
        impairment: &Impairment,
        until: Option<(State, Duration)>,
    ) {
        for &id in victims {
            self.order(strike.fault, &strike.text, id);
            self.cluster.impair(id, strike.fault, impairment.clone());
            if let Some((state, end)) = until {
                self.hosts[id as usize].state = state;
                self.put(end, Task::Wake(id));
            }
        }
    }

    fn leave(&mut self, fault: u32, text: &str, id: NodeId) {
        self.count(id);
        self.order(fault, text, id);
        self.hosts[id as usize].state = State::Left;
        if let Err(error) = self.cluster.command(id, Command::Leave) {
            self.warn(format!("{} does not leave: {error}", node_name(id)));
        }
        self.end_leavers();
    }

    fn crash(&mut self, id: NodeId, crash: Crash) {
        self.count(id);
        let now = self.now();
        self.hosts[id as usize].state = State::Crashed;
        self.cluster.crash(id);
        self.tell(What::NodeKilled { name: node_name(id) });
        match crash.restart {
            Some(after) => self.put(now + after.get(), Task::Restart { id, snapshot: crash.snapshot }),
            None => {
                self.crashed.push((id, now));
                self.cluster.remove(id);
            }
        }
    }

    pub(super) fn restart(&mut self, id: NodeId, snapshot: bool) {
        let now = self.now();
        let how = if snapshot { Restart::FromSnapshot } else { Restart::Fresh };
        let recorder = self.cluster.observer_mut();
        recorder.born(now, id);
        if !snapshot {
            recorder.forgets(id);
        }
        if let Err(error) = self.cluster.restart(id, &how) {
            return self.warn(format!("{} does not come back: {error}", node_name(id)));
        }
        self.hosts[id as usize] = Host { state: State::Joining, since: now };
        self.join(id, self.hosts.len() as NodeId);
    }

    /// A node comes or goes by chance.
    pub(super) fn turn(&mut self, fault: u32, text: &str, arrival: Arrival, number: usize) {
        if arrival.turn == Turn::Join {
            let id = self.hosts.len() as NodeId;
            self.start(id, None);
            return self.join(id, id);
        }
        self.welcome();
        let struck: BTreeSet<&str> = self
            .strikes
            .iter()
            .filter(|strike| schedule::is_exclusive(&strike.action))
            .flat_map(|strike| strike.victims.iter().map(String::as_str))
            .collect();
        let hosts = self.hosts.iter().zip(&self.names).enumerate();
        let free = hosts.filter(|(_, (host, name))| host.state == State::Alive && !struck.contains(name.as_str()));
        let free: Vec<NodeId> = free.map(|(id, _)| id as NodeId).collect();
        if free.len() <= 2 {
            return;
        }
        let mut rng = stream(self.plan.seed, self.key, &format!("churn/{fault}/{:?}/{number}", arrival.turn));
        let id = free[below(&mut rng, free.len())];
        if arrival.turn == Turn::Leave {
            return self.leave(fault, text, id);
        }
        // First the kill: what is told first of how a node went counts, and a churn's order may mean either.
        self.crash(id, Crash::default());
        self.order(fault, text, id);
    }
}
