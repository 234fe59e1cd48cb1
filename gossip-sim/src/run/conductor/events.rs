//! Events, one after the other or each at its time: somebody starts one, and it is waited for until all know it.

use std::time::Duration;

use event_log::plan::{node_name, origins};
use event_log::record::What;
use gossip_core::{Command, Outcome};

use super::{COLLECT_INTERVAL, Conductor, Host, RunError, State};
use crate::NodeId;

/// Names of ignorant nodes that [`What::EventSettled`] holds; the master's.
const MISSING_MAX: usize = 32;
/// While nobody can start an event it is looked again after so long; the master's.
const AWAKE_INTERVAL: Duration = Duration::from_millis(50);

impl Conductor<'_> {
    /// Waits a random part of a gossip interval before event `index`. A master's events fall at any phase of the nodes' rounds. Here
    /// nothing would move the phase but the waits of the plan, and those may well be multiples of the interval.
    pub(super) fn fall_at_a_random_phase(&mut self, index: u32) -> Result<(), RunError> {
        let phase = origins::phase(self.plan.seed, self.key, index, self.config.gossip_interval);
        self.wait_until(self.now() + phase)
    }

    /// One event, waited for until all know it.
    pub(super) fn run_event(&mut self, index: u32) -> Result<(), RunError> {
        let Some(started) = self.start_event(index)? else { return Ok(()) };
        self.await_events(&[started])
    }

    /// All events, each at its own time, and then the wait until all know them.
    pub(super) fn run_stream(&mut self, every: Duration) -> Result<(), RunError> {
        let (begin, count) = (self.now(), self.plan.events.count);
        let mut started = Vec::new();
        for index in 0..count {
            self.wait_until(begin + origins::start(self.plan.seed, self.key, index, every))?;
            self.gauge.phase(&format!("event {} of {count}", index + 1));
            started.extend(self.start_event(index)?);
            self.gauge.share(f64::from(index + 1) / f64::from(count));
        }
        self.await_events(&started)
    }

    /// Lets a node start event `index`: its place at the recorder and when it started. `None`, and a warning in the log, when
    /// nobody could.
    fn start_event(&mut self, index: u32) -> Result<Option<(usize, Duration)>, RunError> {
        let Some(origin) = self.choose_origin(index)? else {
            self.warn(format!("event {index} was not started: no node is awake"));
            return Ok(None);
        };
        let start = self.now();
        let payload_bytes = self.plan.events.payload_bytes;
        let payload = vec![0x68; payload_bytes as usize];
        match self.cluster.command(origin, Command::event(&payload)) {
            Ok(Outcome::Started(id)) => {
                let recorder = self.cluster.observer_mut();
                recorder.started(start, origin, id, index, payload_bytes);
                Ok(Some((recorder.events() - 1, start)))
            }
            other => {
                self.warn(format!("event {index}: {} did not start it: {other:?}", node_name(origin)));
                Ok(None)
            }
        }
    }

    /// Waits until all know these events, or for as long as the plan says.
    fn await_events(&mut self, started: &[(usize, Duration)]) -> Result<(), RunError> {
        let Some(&(_, last)) = started.last() else { return Ok(()) };
        let events = self.plan.events.clone();
        self.wait_until(last + events.quiet.get())?;
        let deadline = last + events.limit.get();
        let unknown = |conductor: &Self, &(place, start): &(usize, Duration)| {
            conductor.awaited(start).any(|id| !conductor.knows(place, id))
        };
        while self.now() < deadline && started.iter().any(|event| unknown(self, event)) {
            self.wait_until((self.now() + COLLECT_INTERVAL).min(deadline))?;
        }
        for &(place, start) in started {
            self.settle(place, start);
        }
        Ok(())
    }

    /// The nodes that were there at `start`, and still are.
    pub(super) fn awaited(&self, start: Duration) -> impl Iterator<Item = NodeId> + '_ {
        let there = move |host: &Host| host.is_living() && host.since <= start && host.state != State::Joining;
        (0..).zip(&self.hosts).filter(move |(_, host)| there(host)).map(|(id, _)| id)
    }

    pub(super) fn knows(&self, place: usize, id: NodeId) -> bool {
        self.cluster.observer().knows(place, id)
    }

    /// Who starts event `index`: a node that is awake and will not be struck before the silence after the start is over.
    fn choose_origin(&mut self, index: u32) -> Result<Option<NodeId>, RunError> {
        let limit = self.now() + self.plan.events.limit.get();
        loop {
            self.welcome();
            let since = self.now() - self.run_start;
            let soon = origins::struck_between(&self.strikes, since, since + self.plan.events.quiet.get());
            let awake: Vec<&str> = self
                .hosts
                .iter()
                .zip(&self.names)
                .filter(|(host, _)| host.state == State::Alive)
                .map(|(_, name)| name.as_str())
                .collect();
            let lasting: Vec<&str> = awake.iter().filter(|name| !soon.contains(*name)).copied().collect();
            let eligible = if lasting.is_empty() { &awake } else { &lasting };
            if let Some(origin) = origins::choose(self.plan.seed, self.key, index, eligible) {
                let id = self.id(origin);
                return Ok(Some(id));
            }
            if self.now() >= limit {
                return Ok(None);
            }
            self.wait_until(self.now() + AWAKE_INTERVAL)?;
        }
    }

    /// Nodes that came later count as members once they have joined.
    pub(super) fn welcome(&mut self) {
        let recorder = self.cluster.observer();
        for (id, host) in (0..).zip(&mut self.hosts) {
            if host.state == State::Joining && recorder.has_joined(id) {
                host.state = State::Alive;
            }
        }
    }

    pub(super) fn id(&self, name: &str) -> NodeId {
        let number: NodeId = name[1..].parse().expect("names of nodes are n and a number");
        debug_assert_eq!(self.names[number as usize - 1], name);
        number - 1
    }

    fn settle(&mut self, place: usize, start: Duration) {
        let awaited: Vec<NodeId> = self.awaited(start).collect();
        let missing: Vec<NodeId> = awaited.iter().copied().filter(|&id| !self.knows(place, id)).collect();
        let count = |nodes: &[NodeId]| nodes.len() as u32;
        let what = What::EventSettled {
            event: self.cluster.observer().key(place).clone(),
            expected: count(&awaited),
            informed: count(&awaited) - count(&missing),
            missing: missing.iter().take(MISSING_MAX).map(|&id| node_name(id)).collect(),
        };
        self.tell(what);
    }
}
