//! One run: events one after the other or each at its time, faults at their time, and then the wait for what must still happen.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use event_log::control::{Impairment, Order};
use event_log::plan::schedule::{self, Strike};
use event_log::plan::{Action, RunKey, origins};
use event_log::record::{EventKey, What};
use tokio::time::Instant;

use super::conductor::{Conductor, ExperimentError, owned};
use crate::backend::Backend;
use crate::fleet::State;
use event_log::clock;

/// Between two collections from the nodes that do not know an event yet.
const COLLECT_INTERVAL: Duration = Duration::from_millis(500);

/// Between two collections from the survivors that have not declared a crashed node dead.
const DEATH_INTERVAL: Duration = Duration::from_secs(1);

/// Survivors get at least so long to declare a crashed node dead.
const DEATH_LIMIT_MIN: Duration = Duration::from_secs(60);

/// Names of ignorant nodes that [`What::EventSettled`] holds.
const MISSING_MAX: usize = 32;

impl<B: Backend> Conductor<B> {
    /// One run on a cluster that has converged.
    pub(super) async fn run_one(&mut self, key: RunKey) -> Result<(), ExperimentError> {
        let setting = self.plan.setting(&key.setting).expect("runs are made from the plan's settings").clone();
        let names = owned(&self.fleet.names(|_| true));
        self.strikes = schedule::draw(self.plan.seed, &key, &setting, &names)?;
        let all_strikes = self.strikes.clone();
        self.knowledge.next_run();
        self.run = Some(key.clone());
        let faults = setting.faults.iter().map(ToString::to_string).collect();
        self.store.tell(What::RunStarted { key: key.clone(), faults })?;

        // The base of the counters: what the nodes sent before belongs to no event.
        self.collect(&names).await?;
        self.begin_faults().await?;
        let count = self.plan.events.count;
        self.display.phase(&format!("{count} events"), u64::from(count));
        if let Some(every) = self.plan.events.every {
            self.run_stream(&key, every.get(), &all_strikes).await?;
        } else {
            for index in 0..count {
                self.run_event(&key, index, &all_strikes).await?;
                self.display.progress(u64::from(index) + 1);
            }
        }
        self.await_faults(&all_strikes).await?;
        self.end_run().await
    }

    /// The faults that hold from the first event on take effect before it starts.
    async fn begin_faults(&mut self) -> Result<(), ExperimentError> {
        let now = Instant::now();
        self.run_start = Some(now);
        self.wait_until(now).await?;
        let living = owned(&self.fleet.living());
        self.barrier(&living).await
    }

    async fn end_run(&mut self) -> Result<(), ExperimentError> {
        for name in self.fleet.living() {
            self.order(name, Order::Heal);
        }
        let living = owned(&self.fleet.living());
        self.collect(&living).await?;
        self.run = None;
        self.run_start = None;
        self.store.tell(What::RunEnded { complete: true })?;
        self.store.flush()?;
        Ok(())
    }

    // ---- events ----

    /// One event, waited for until all know it.
    async fn run_event(&mut self, key: &RunKey, index: u32, strikes: &[Strike]) -> Result<(), ExperimentError> {
        let Some(origin) = self.start_event(key, index, strikes).await? else { return Ok(()) };
        self.await_events(&[(index, origin)], Instant::now()).await
    }

    /// All events, each at its own time, and then the wait until all know them.
    async fn run_stream(&mut self, key: &RunKey, every: Duration, strikes: &[Strike]) -> Result<(), ExperimentError> {
        let begin = Instant::now();
        let mut started = Vec::new();
        for index in 0..self.plan.events.count {
            self.wait_until(begin + origins::start(self.plan.seed, key, index, every)).await?;
            started.extend(self.start_event(key, index, strikes).await?.map(|origin| (index, origin)));
            self.display.progress(u64::from(index) + 1);
        }
        self.await_events(&started, Instant::now()).await
    }

    /// Lets a node start event `index`: which one. `None`, and a warning in the log, when nobody could.
    async fn start_event(
        &mut self,
        key: &RunKey,
        index: u32,
        strikes: &[Strike],
    ) -> Result<Option<String>, ExperimentError> {
        let Some(origin) = self.choose_origin(key, index, strikes).await? else {
            return self.warn(format!("event {index} was not started: no node is awake")).map(|()| None);
        };
        let payload_bytes = self.plan.events.payload_bytes;
        if !self.order(&origin, Order::StartEvent { index, payload_bytes }) {
            let text = format!("event {index} was not started: {origin} lost its connection just now");
            return self.warn(text).map(|()| None);
        }
        Ok(Some(origin))
    }

    /// Waits until all know these events, the last of which was started at `start`, or for as long as the plan says.
    async fn await_events(&mut self, started: &[(u32, String)], start: Instant) -> Result<(), ExperimentError> {
        let events = self.plan.events.clone();
        // Silence: who watches now disturbs.
        self.wait_until(start + events.quiet.get()).await?;
        let deadline = start + events.limit.get();
        let mut pending = owned(&self.fleet.living());
        loop {
            self.collect(&pending).await?;
            let ignorant: BTreeSet<String> =
                started.iter().flat_map(|(index, origin)| self.ignorant_of(*index, origin)).collect();
            pending = ignorant.into_iter().collect();
            let now = Instant::now();
            if pending.is_empty() || now >= deadline {
                break;
            }
            self.wait_until((now + COLLECT_INTERVAL).min(deadline)).await?;
        }
        for (index, origin) in started {
            self.settle(*index, origin)?;
        }
        self.store.flush()?;
        Ok(())
    }

    /// Who starts event `index`: a node that is awake and will not be struck before the silence after the start is over.
    async fn choose_origin(
        &mut self,
        key: &RunKey,
        index: u32,
        strikes: &[Strike],
    ) -> Result<Option<String>, ExperimentError> {
        let limit = Instant::now() + self.plan.events.limit.get();
        loop {
            let since = self.run_start.map_or(Duration::ZERO, |start| start.elapsed());
            let soon = origins::struck_between(strikes, since, since + self.plan.events.quiet.get());
            let connected = |name: &&str| self.fleet.get(name).is_some_and(|node| node.link.is_some());
            let awake: Vec<&str> = self.fleet.awake().into_iter().filter(connected).collect();
            let lasting: Vec<&str> = awake.iter().filter(|name| !soon.contains(*name)).copied().collect();
            let eligible = if lasting.is_empty() { &awake } else { &lasting };
            if let Some(origin) = origins::choose(self.plan.seed, key, index, eligible) {
                return Ok(Some(origin.to_owned()));
            }
            if Instant::now() >= limit {
                return Ok(None);
            }
            self.wait_until(Instant::now() + Duration::from_millis(50)).await?;
        }
    }

    /// The nodes to collect from again: those that are waited for and do not know the event; the origin, as long as it
    /// has not told which event it is.
    fn ignorant_of(&self, index: u32, origin: &str) -> Vec<String> {
        let living = self.fleet.living();
        match self.knowledge.event(index) {
            Some(event) => owned(&self.knowledge.missing(event, &living)),
            None if living.contains(&origin) => owned(&living),
            None => Vec::new(),
        }
    }

    fn settle(&mut self, index: u32, origin: &str) -> Result<(), ExperimentError> {
        let living = self.fleet.living();
        let Some(event) = self.knowledge.event(index).cloned() else {
            return self.warn(format!("event {index} was ordered from {origin}, which has told of no start"));
        };
        let missing = self.knowledge.missing(&event, &living);
        let expected = u32::try_from(living.len()).expect("the plan bounds the size");
        let informed = expected - u32::try_from(missing.len()).expect("the plan bounds the size");
        let missing = owned(&missing[..missing.len().min(MISSING_MAX)]);
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(String::as_str).collect();
            self.display.warn(&format!(
                "event {index}: {informed} of {expected} nodes know it after {}; missing: {}",
                self.plan.events.limit,
                super::convergence::list(&names)
            ));
        }
        self.store.tell(What::EventSettled { event, expected, informed, missing })?;
        Ok(())
    }

    // ---- faults ----

    /// Waits; faults whose time comes take effect, sleepers whose time is over count as awake.
    pub(super) async fn wait_until(&mut self, until: Instant) -> Result<(), ExperimentError> {
        loop {
            let now = Instant::now();
            self.fleet.wake(now);
            if let Some(due) = self.next_strike()
                && due <= now
            {
                let strike = self.strikes.remove(0);
                self.strike(strike).await?;
                continue;
            }
            if now >= until {
                return Ok(());
            }
            let next = [self.next_strike(), self.fleet.next_wake()].into_iter().flatten().fold(until, Instant::min);
            self.pump(next).await?;
        }
    }

    /// When the next fault is due.
    fn next_strike(&self) -> Option<Instant> {
        Some(self.run_start? + self.strikes.first()?.at)
    }

    async fn strike(&mut self, strike: Strike) -> Result<(), ExperimentError> {
        let victims: Vec<String> = {
            let living: BTreeSet<&str> = self.fleet.living().into_iter().collect();
            strike.victims.iter().filter(|name| living.contains(name.as_str())).cloned().collect()
        };
        tracing::info!(fault = strike.fault, text = strike.text, ?victims, "fault");
        match strike.action {
            Action::Loss(loss) => self.impair(&strike, &victims, &Impairment::Loss(loss), None),
            Action::Delay(delay) => self.impair(&strike, &victims, &Impairment::Delay(delay), None),
            Action::DropNext(next) => self.impair(&strike, &victims, &Impairment::DropNext(next), None),
            Action::Sleep(sleep) => {
                let state = State::Asleep(Instant::now() + sleep.duration.get());
                self.impair(&strike, &victims, &Impairment::Sleep(sleep), Some(state))
            }
            Action::Partition(partition) => {
                // One side's shim suffices: it stops what goes out and what comes in.
                let peers = self.other_side(&victims);
                let state = State::CutOff(Instant::now() + partition.duration.get());
                self.impair(&strike, &victims, &Impairment::Block { peers, duration: partition.duration }, Some(state))
            }
            Action::Leave => self.let_leave(&strike, &victims).await,
            Action::Crash(_) => self.crash(&strike, &victims).await,
            Action::Churn(_) => unreachable!("a plan with churn is refused before it starts"),
        }
    }

    /// Gossip addresses of all nodes but `victims`.
    fn other_side(&self, victims: &[String]) -> Vec<SocketAddr> {
        self.fleet.iter().filter(|node| !victims.contains(&node.name)).map(|node| node.addr).collect()
    }

    fn tell_ordered(&mut self, strike: &Strike, target: &str) -> Result<(), ExperimentError> {
        let (fault, text) = (strike.fault, strike.text.clone());
        self.store.tell(What::FaultOrdered { fault, text, target: target.to_owned() })?;
        Ok(())
    }

    fn impair(
        &mut self,
        strike: &Strike,
        victims: &[String],
        impairment: &Impairment,
        state: Option<State>,
    ) -> Result<(), ExperimentError> {
        for name in victims {
            self.tell_ordered(strike, name)?;
            let order = Order::Impair { fault: strike.fault, impairment: impairment.clone() };
            if !self.order(name, order) {
                self.warn(format!("{name} does not suffer \"{}\": it is not connected just now", strike.text))?;
                continue;
            }
            if let (Some(state), Some(node)) = (state, self.fleet.get_mut(name)) {
                node.state = state;
            }
        }
        Ok(())
    }

    async fn let_leave(&mut self, strike: &Strike, victims: &[String]) -> Result<(), ExperimentError> {
        // What they know goes with them: collect it before.
        self.collect(victims).await?;
        for name in victims {
            self.tell_ordered(strike, name)?;
            if !self.order(name, Order::Leave) {
                self.warn(format!("{name} does not leave: it is not connected just now"))?;
                continue;
            }
            self.fleet.get_mut(name).expect("victims are nodes").state = State::Left;
        }
        Ok(())
    }

    async fn crash(&mut self, strike: &Strike, victims: &[String]) -> Result<(), ExperimentError> {
        self.collect(victims).await?;
        for name in victims {
            self.tell_ordered(strike, name)?;
            self.closed_at_ns.remove(name);
            self.fleet.get_mut(name).expect("victims are nodes").state = State::Crashed;
            self.backend.kill(name).await?;
            let killed_ns = clock::now_ns();
            // The kernel closes a dead process's connection at once, while some engines answer a while later: the
            // earlier of the two is nearer to the truth.
            let limit = Instant::now() + Duration::from_millis(300);
            while !self.closed_at_ns.contains_key(name) && Instant::now() < limit {
                self.pump(limit).await?;
            }
            let at_ns = self.closed_at_ns.get(name).map_or(killed_ns, |closed_ns| killed_ns.min(*closed_ns));
            self.store.tell_at(at_ns, What::NodeKilled { name: name.clone() })?;
        }
        Ok(())
    }

    // ---- the end of a run ----

    /// Waits for faults that are still to come, for sleepers to wake and to catch up, and until every survivor has
    /// declared every crashed node dead.
    async fn await_faults(&mut self, strikes: &[Strike]) -> Result<(), ExperimentError> {
        if self.next_strike().is_some() || self.fleet.next_wake().is_some() {
            self.display.phase("waiting for faults to come and to end", 1);
        }
        while let Some(until) = self.next_strike().into_iter().chain(self.fleet.next_wake()).max() {
            self.wait_until(until).await?;
        }
        self.await_catching_up(strikes).await?;
        self.await_deaths(strikes).await
    }

    /// Nodes that slept or were cut off get time to learn what they missed.
    async fn await_catching_up(&mut self, strikes: &[Strike]) -> Result<(), ExperimentError> {
        let away: BTreeSet<&String> = strikes
            .iter()
            .filter(|strike| matches!(strike.action, Action::Sleep(_) | Action::Partition(_)))
            .flat_map(|strike| &strike.victims)
            .collect();
        if away.is_empty() {
            return Ok(());
        }
        self.display.phase("waiting until sleepers have caught up", 1);
        let deadline = Instant::now() + self.plan.events.limit.get();
        loop {
            let living = owned(&self.fleet.names(|node| node.is_living() && away.contains(&node.name)));
            let living: Vec<&str> = living.iter().map(String::as_str).collect();
            let events: Vec<EventKey> = self.knowledge.events().map(|(_, event)| event.clone()).collect();
            let behind: BTreeSet<&str> =
                events.iter().flat_map(|event| self.knowledge.missing(event, &living)).collect();
            if behind.is_empty() {
                return Ok(());
            }
            let behind: Vec<&str> = behind.into_iter().collect();
            if Instant::now() >= deadline {
                let names = super::convergence::list(&behind);
                return self
                    .warn(format!("{names} did not catch up with all events within {}", self.plan.events.limit));
            }
            self.collect(&owned(&behind)).await?;
            self.wait_until(Instant::now() + COLLECT_INTERVAL).await?;
        }
    }

    async fn await_deaths(&mut self, strikes: &[Strike]) -> Result<(), ExperimentError> {
        let crashed: Vec<(String, SocketAddr)> = strikes
            .iter()
            .filter(|strike| matches!(strike.action, Action::Crash(_)))
            .flat_map(|strike| &strike.victims)
            .filter_map(|name| self.fleet.get(name))
            .map(|node| (node.name.clone(), node.addr))
            .collect();
        if crashed.is_empty() {
            return Ok(());
        }
        self.display.phase("waiting until all survivors have declared the crashed dead", crashed.len() as u64);
        let limit = DEATH_LIMIT_MIN.max(self.plan.events.limit.get());
        let deadline = Instant::now() + limit;
        let mut pending = owned(&self.fleet.living());
        loop {
            self.collect(&pending).await?;
            let living = self.fleet.living();
            let unaware: Vec<(&str, Vec<&str>)> = crashed
                .iter()
                .map(|(name, addr)| (name.as_str(), self.knowledge.not_declared_dead(*addr, &living)))
                .filter(|(_, observers)| !observers.is_empty())
                .collect();
            self.display.progress((crashed.len() - unaware.len()) as u64);
            if unaware.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let complaints: Vec<String> = unaware
                    .iter()
                    .map(|(name, observers)| {
                        format!("{name} was not declared dead by {}", super::convergence::list(observers))
                    })
                    .collect();
                return self.warn(format!("within {limit:?} {}", complaints.join("; ")));
            }
            let observers: BTreeSet<&str> = unaware.iter().flat_map(|(_, observers)| observers).copied().collect();
            pending = owned(&observers.into_iter().collect::<Vec<_>>());
            self.wait_until(Instant::now() + DEATH_INTERVAL).await?;
        }
    }
}
