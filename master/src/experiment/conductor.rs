//! The conductor: owns the fleet, the store and the connections, sends orders and takes in what comes back.
//!
//! Everything happens in one task. Whatever waits, waits in `Conductor::pump`, which takes in notices meanwhile; nothing
//! is polled behind its back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use event_log::control::{Order, Report};
use event_log::plan::schedule::{ScheduleError, Strike};
use event_log::plan::{Plan, RunKey};
use event_log::record::What;
use thiserror::Error;
use tokio::time::Instant;

use super::knowledge::Knowledge;
use crate::backend::{Backend, BackendError};
use crate::clock_sync::{self, EXCHANGES, Exchange, Offset};
use crate::collector::{Collector, Link, Notice, Roster};
use crate::display::Display;
use crate::fleet::{Fleet, State};
use crate::store::{Store, StoreError};
use event_log::clock;

/// Why an experiment was broken off.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// The place where the nodes run failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The result could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan asks for victims that there are not.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The control address cannot be had.
    #[error("cannot listen for nodes at {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Nodes were started and did not connect.
    #[error("after {limit:?} these nodes have not connected to the master: {names} (their logs are in nodes/)")]
    Silent {
        /// How long was waited.
        limit: Duration,
        /// Which.
        names: String,
    },
    /// Nodes do not see each other.
    #[error("the cluster of {size} did not converge within {limit:?}: {text}")]
    NotConverged {
        /// Nodes.
        size: usize,
        /// How long was waited.
        limit: Duration,
        /// Who misses whom.
        text: String,
    },
    /// A node went away without having been told to.
    #[error("{name} went away without having been told to: {reason} (see nodes/{name}.log)")]
    Vanished {
        /// Which.
        name: String,
        /// What is known about it.
        reason: String,
    },
}

/// What the conductor is given.
#[derive(Debug, Clone)]
pub struct Options {
    /// A node that has had no master for so long ends by itself.
    pub orphan_timeout: Duration,
    /// A node that was started must have connected within this time.
    pub connect_limit: Duration,
    /// A node that lost its connection must be back within this time.
    pub reconnect_limit: Duration,
    /// Level of the nodes' logs.
    pub node_log: String,
    /// Where the nodes record all that they are given, if they shall.
    pub inputs: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            orphan_timeout: Duration::from_secs(20),
            connect_limit: Duration::from_secs(30),
            reconnect_limit: Duration::from_secs(10),
            node_log: "info".to_owned(),
            inputs: None,
        }
    }
}

/// How long a node may take to send its records.
const COLLECT_LIMIT: Duration = Duration::from_secs(10);

/// Warnings about peers that are written to the log; more are only counted.
const PEER_WARNINGS_MAX: u32 = 100;

/// Runs a plan on a backend. See the module's documentation.
#[derive(Debug)]
pub struct Conductor<B> {
    pub(super) backend: B,
    pub(super) plan: Plan,
    pub(super) options: Options,
    pub(super) collector: Collector,
    pub(super) roster: Roster,
    pub(super) fleet: Fleet,
    pub(super) knowledge: Knowledge,
    pub(super) store: Store,
    /// The screen. Public: whoever owns the conductor has the last word on it.
    pub display: Display,
    /// Answers to the last round of [`Order::View`].
    pub(super) views: BTreeMap<String, u32>,
    pub(super) view_lists: BTreeMap<String, Vec<SocketAddr>>,
    /// Nodes that were asked for their records and have not sent all of them.
    collecting: BTreeSet<String>,
    clocks: BTreeMap<String, Vec<Exchange>>,
    /// When the last connection of a node was seen to end.
    pub(super) closed_at_ns: BTreeMap<String, u64>,
    peer_warnings: u32,
    /// The run that is going on.
    pub(super) run: Option<RunKey>,
    /// When all nodes were told to join at the same moment.
    pub(super) burst_ns: Option<u64>,
    /// Its faults that are still to come, in order of time.
    pub(super) strikes: Vec<Strike>,
    /// The start of its first event.
    pub(super) run_start: Option<Instant>,
}

impl<B: Backend> Conductor<B> {
    /// Begins to listen for nodes.
    ///
    /// # Errors
    /// [`ExperimentError::Listen`]; the backend has removed everything that was made then.
    pub async fn new(
        mut backend: B,
        plan: Plan,
        options: Options,
        store: Store,
        display: Display,
    ) -> Result<Self, ExperimentError> {
        let roster = Roster::default();
        let addr = backend.control_addr();
        let collector = match Collector::listen(addr, roster.clone()).await {
            Ok(collector) => collector,
            Err(source) => {
                backend.stop_all().await?;
                return Err(ExperimentError::Listen { addr, source });
            }
        };
        Ok(Self {
            backend,
            plan,
            options,
            collector,
            roster,
            fleet: Fleet::default(),
            knowledge: Knowledge::default(),
            store,
            display,
            views: BTreeMap::new(),
            view_lists: BTreeMap::new(),
            collecting: BTreeSet::new(),
            clocks: BTreeMap::new(),
            closed_at_ns: BTreeMap::new(),
            peer_warnings: 0,
            run: None,
            burst_ns: None,
            strikes: Vec::new(),
            run_start: None,
        })
    }

    /// Where the nodes find the master.
    #[must_use]
    pub fn control_addr(&self) -> SocketAddr {
        self.collector.addr()
    }

    /// The whole plan.
    ///
    /// # Errors
    /// [`ExperimentError`]. Call [`Self::break_off`] then, and [`Self::shut_down`] in any case.
    pub async fn run_plan(&mut self) -> Result<(), ExperimentError> {
        let runs = self.plan.runs();
        let count = runs.len();
        for (index, key) in (0u32..).zip(runs) {
            self.store.begin_run(index);
            self.display.note(&format!("run {} of {count}: {} nodes, {}", index + 1, key.size, key.setting));
            let result = match self.prepare(key.size).await {
                Ok(()) => self.run_one(key).await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                return Err(self.with_cause(error).await);
            }
        }
        Ok(())
    }

    /// A node whose connection ended may have left word of why in the place where it ran.
    async fn with_cause(&mut self, error: ExperimentError) -> ExperimentError {
        match error {
            ExperimentError::Vanished { name, reason } => {
                let ended = self.backend.ended().await.into_iter().find(|(ended, _)| *ended == name);
                ExperimentError::Vanished { name, reason: ended.map_or(reason, |(_, cause)| cause) }
            }
            other => other,
        }
    }

    /// Saves what can be saved after an error or an interrupt: collects once more, within a few seconds, and notes that
    /// the run is not complete.
    pub async fn break_off(&mut self) {
        if self.run.take().is_none() {
            let _ = self.store.flush();
            return;
        }
        let limit = Instant::now() + Duration::from_secs(3);
        // A node that is gone must not keep the others from being heard once more.
        for node in self.fleet.iter_mut() {
            node.lost_since = None;
        }
        let names = owned(&self.fleet.names(|node| node.is_living() && node.link.is_some()));
        self.collect_within(&names, limit).await.unwrap_or_else(|error| tracing::warn!("the last collection: {error}"));
        let end = self.store.tell(What::RunEnded { complete: false }).and_then(|()| self.store.flush());
        if let Err(error) = end {
            self.display.warn(&error.to_string());
        }
    }

    /// Ends all nodes and removes everything that was made for them.
    ///
    /// # Errors
    /// [`BackendError`]: something may be left. The records are safe in any case.
    pub async fn shut_down(&mut self) -> Result<(), BackendError> {
        let _ = self.store.flush();
        self.display.phase("stopping all nodes", 1);
        for node in self.fleet.iter() {
            if let Some(link) = &node.link {
                let _ = link.send(Order::Stop);
            }
        }
        let limit = Instant::now() + Duration::from_secs(2);
        while self.fleet.iter().any(|node| node.link.is_some()) && Instant::now() < limit {
            let Ok(notice) = tokio::time::timeout_at(limit, self.collector.next()).await else { break };
            if let Notice::Closed { name, link, .. } = notice {
                self.take_closed(&name, link);
            }
        }
        let result = self.backend.stop_all().await;
        self.display.finish();
        result
    }

    // ---- orders ----

    /// Sends an order; false when the node is not connected.
    pub(super) fn order(&self, name: &str, order: Order) -> bool {
        let link = self.fleet.get(name).and_then(|node| node.link.as_ref());
        link.is_some_and(|link| link.send(order).is_ok())
    }

    /// Collects the records of `names`.
    pub(super) async fn collect(&mut self, names: &[String]) -> Result<(), ExperimentError> {
        self.collect_within(names, Instant::now() + COLLECT_LIMIT).await?;
        self.store.flush()?;
        Ok(())
    }

    async fn collect_within(&mut self, names: &[String], limit: Instant) -> Result<(), ExperimentError> {
        self.collecting = names.iter().cloned().collect();
        for name in names {
            self.order_collect(name);
        }
        while !self.collecting.is_empty() && Instant::now() < limit {
            self.pump(limit).await?;
        }
        let late: Vec<String> = std::mem::take(&mut self.collecting).into_iter().collect();
        if !late.is_empty() {
            let late: Vec<&str> = late.iter().map(String::as_str).collect();
            let names = super::convergence::list(&late);
            self.warn(format!("these nodes did not send all their records in time: {names}"))?;
        }
        Ok(())
    }

    fn order_collect(&self, name: &str) {
        // A node that is not connected now gets the order when it is back (see `take_hello`).
        self.order(name, Order::Collect { acknowledged: self.store.next(name) });
    }

    /// Waits until `names` have carried out everything that they were ordered (an answer can only come after it).
    pub(super) async fn barrier(&mut self, names: &[String]) -> Result<(), ExperimentError> {
        for name in names {
            self.views.remove(name);
            self.order(name, Order::View { list: false });
        }
        let limit = Instant::now() + Duration::from_secs(2);
        while Instant::now() < limit && !names.iter().all(|name| self.views.contains_key(name)) {
            self.pump(limit).await?;
        }
        Ok(())
    }

    // ---- what comes back ----

    /// Takes in the next notice; returns without one when `until` has passed.
    pub(super) async fn pump(&mut self, until: Instant) -> Result<(), ExperimentError> {
        // While a node is lost, look after it even when nothing else happens.
        let living = self.fleet.iter().filter(|node| node.is_living());
        let lost = living.filter_map(|node| node.lost_since).min();
        let target = lost.map_or(until, |since| until.min(since + self.options.reconnect_limit));
        if lost.is_some() && target <= Instant::now() {
            self.check_lost()?;
        }
        match tokio::time::timeout_at(target, self.collector.next()).await {
            Ok(notice) => self.take(notice)?,
            Err(_) if lost.is_some() => self.check_lost()?,
            Err(_) => {}
        }
        self.display.table(&self.fleet);
        Ok(())
    }

    /// Takes in what is there already.
    pub(super) fn drain(&mut self) -> Result<(), ExperimentError> {
        while let Some(notice) = self.collector.try_next() {
            self.take(notice)?;
        }
        self.display.table(&self.fleet);
        Ok(())
    }

    fn check_lost(&self) -> Result<(), ExperimentError> {
        let limit = self.options.reconnect_limit;
        let gone = |since: Instant| since.elapsed() >= limit;
        match self.fleet.iter().find(|node| node.is_living() && node.lost_since.is_some_and(gone)) {
            Some(node) => Err(ExperimentError::Vanished {
                name: node.name.clone(),
                reason: format!("its connection to the master ended and did not come back within {limit:?}"),
            }),
            None => Ok(()),
        }
    }

    fn take(&mut self, notice: Notice) -> Result<(), ExperimentError> {
        match notice {
            Notice::Hello { name, boot_id, life, link } => self.take_hello(&name, boot_id, life, link),
            Notice::Report { name, link, at_ns, report } => {
                let current = self.fleet.get(&name).and_then(|node| node.link.as_ref()).map(Link::id);
                // What an old connection still had to say is sent again over the new one.
                if current == Some(link) { self.take_report(name, at_ns, report) } else { Ok(()) }
            }
            Notice::Closed { name, link, at_ns } => {
                self.closed_at_ns.insert(name.clone(), at_ns);
                self.take_closed(&name, link);
                Ok(())
            }
            Notice::Refused { peer, name, reason } => {
                let who = name.map_or_else(|| peer.to_string(), |name| format!("{name} ({peer})"));
                self.warn_peer(format!("control connection of {who} refused: {reason}"))
            }
        }
    }

    fn take_hello(&mut self, name: &str, boot_id: String, life: u64, link: Link) -> Result<(), ExperimentError> {
        let Some(node) = self.fleet.get_mut(name) else { return Ok(()) };
        // A node that left or was killed has no business here; dropping the link closes the connection.
        if !node.is_living() {
            return Ok(());
        }
        let same_clock = clock_sync::same_clock(&boot_id);
        let known = node.life.replace(life);
        node.boot_id = boot_id;
        node.link = Some(link);
        node.lost_since = None;
        let addr = node.addr;
        if known == Some(life) {
            if self.collecting.contains(name) {
                self.order_collect(name);
            }
            return Ok(());
        }
        self.store.restart(name);
        self.knowledge.forget_node(name);
        self.knowledge.forget_member(addr);
        self.store.tell(What::NodeAdded { name: name.to_owned(), addr })?;
        if same_clock {
            self.tell_offset(name, Offset::default())?;
        }
        if known.is_some() {
            self.warn(format!("{name} was restarted by somebody else: what it had not sent yet is lost"))?;
            if let Some(node) = self.fleet.get_mut(name) {
                node.state = State::Starting;
            }
            self.join_ready();
        }
        Ok(())
    }

    fn take_report(&mut self, name: String, at_ns: u64, report: Report) -> Result<(), ExperimentError> {
        match report {
            Report::Record { record } => {
                // A repeat changes nothing in what is known either: learning is idempotent, but order matters for opinions.
                if record.number >= self.store.next(&name) {
                    self.knowledge.learn(&name, &record);
                    self.store.node_record(&name, record)?;
                }
            }
            Report::Collected { next } => {
                let stored = self.store.next(&name);
                if next > stored {
                    self.warn(format!("{name} says that it sent {next} records, {stored} came"))?;
                }
                self.collecting.remove(&name);
                // A leaver sends its last records by itself and ends when it knows that they arrived.
                if self.fleet.get(&name).is_some_and(|node| node.state == State::Left) {
                    self.order_collect(&name);
                }
            }
            Report::View { alive, members } => {
                if !members.is_empty() {
                    self.view_lists.insert(name.clone(), members);
                }
                self.views.insert(name, alive);
            }
            Report::Clock { sent_ns, clock_ns } => {
                let exchange = Exchange { sent_ns, remote_ns: clock_ns, received_ns: at_ns };
                self.clocks.entry(name).or_default().push(exchange);
            }
            Report::Refused { reason } => self.warn(format!("{name} refused an order: {reason}"))?,
            // The collector lets only the first line be a Hello.
            Report::Hello { .. } => {}
        }
        Ok(())
    }

    fn take_closed(&mut self, name: &str, link: u64) {
        let Some(node) = self.fleet.get_mut(name) else { return };
        if node.link.as_ref().map(Link::id) == Some(link) {
            node.link = None;
            if node.is_living() {
                node.lost_since = Some(Instant::now());
            }
        }
    }

    // ---- clocks ----

    /// Estimates the clocks of the nodes that run under another kernel than the master.
    pub(super) async fn sync_clocks(&mut self) -> Result<(), ExperimentError> {
        let names = owned(&self.fleet.names(|node| node.is_living() && !clock_sync::same_clock(&node.boot_id)));
        for name in names {
            self.clocks.remove(&name);
            let limit = Instant::now() + Duration::from_secs(5);
            for done in 1..=EXCHANGES {
                self.order(&name, Order::ReadClock { sent_ns: clock::now_ns() });
                while self.clocks.get(&name).map_or(0, Vec::len) < done && Instant::now() < limit {
                    self.pump(limit).await?;
                }
            }
            match clock_sync::estimate(&self.clocks.remove(&name).unwrap_or_default()) {
                Some(offset) => self.tell_offset(&name, offset)?,
                None => self.warn(format!("{name} did not tell its clock: its stamps cannot be compared"))?,
            }
        }
        Ok(())
    }

    fn tell_offset(&mut self, name: &str, offset: Offset) -> Result<(), StoreError> {
        let Offset { offset_ns, error_ns } = offset;
        self.store.tell(What::ClockOffset { name: name.to_owned(), offset_ns, error_ns })
    }

    // ---- warnings ----

    /// Puts a warning on the screen and into the log.
    pub(super) fn warn(&mut self, text: String) -> Result<(), ExperimentError> {
        self.display.warn(&text);
        self.store.tell(What::Warning { text })?;
        Ok(())
    }

    /// As [`Self::warn`], for what strangers can cause at will: after many only the counter goes on.
    fn warn_peer(&mut self, text: String) -> Result<(), ExperimentError> {
        self.peer_warnings = self.peer_warnings.saturating_add(1);
        match self.peer_warnings {
            1..PEER_WARNINGS_MAX => self.warn(text),
            PEER_WARNINGS_MAX => self.warn(format!("{text}; further warnings of this kind are left out")),
            _ => Ok(()),
        }
    }
}

/// Names that outlive a borrow of the fleet.
pub(super) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
