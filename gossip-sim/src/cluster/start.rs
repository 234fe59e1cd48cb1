//! How nodes come and go.

use std::sync::Arc;
use std::time::Duration;

use gossip_core::{Command, CommandError, Config, Input, InputError, Node, RestoreError, Setup, SharedView, Snapshot};

use super::{Cluster, nanos};
use crate::addresses::{Addresses, HOSTS_MAX, NodeId};
use crate::host::{Birth, Clock, DOUBLED, Hot, LEFT, Restart, SKEWED, StartOptions, TROUBLED, UP};
use crate::observe::{Handled, Lifecycle, Observer};
use crate::prefetch;
use crate::queue::Queue;

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// Nodes 0..`size` that joined through node 0, run until everybody knows everybody.
    ///
    /// # Panics
    /// If the configuration makes no sense, or they did not find together within five minutes.
    #[must_use]
    pub fn converged(seed: u64, config: &Config, size: u32, observer: O) -> Self {
        let mut cluster = Self::new(seed, observer);
        cluster.start_and_join(config, 0..size);
        let took = cluster.run_until(Duration::from_secs(300), Self::is_complete);
        assert!(took.is_some(), "{size} nodes did not find together: {:?}", cluster.sizes());
        cluster
    }

    /// Nodes 0..`size` that know each other from birth.
    ///
    /// # Panics
    /// If the configuration makes no sense.
    #[must_use]
    pub fn with_view(seed: u64, config: &Config, size: u32, observer: O) -> Self {
        let mut cluster = Self::new(seed, observer);
        cluster.start_with_view(config, 0..size);
        cluster
    }

    /// Starts these hosts and lets each join through the first of them at once.
    pub fn start_and_join(&mut self, config: &Config, ids: std::ops::Range<NodeId>) {
        let seed = ids.start;
        for id in ids {
            self.start_at(id, config, &StartOptions::default());
            self.join(id, &[seed]);
        }
    }

    /// Starts these hosts, which know each other from birth; they share the memory for it.
    ///
    /// # Panics
    /// If the configuration makes no sense.
    pub fn start_with_view(&mut self, config: &Config, ids: std::ops::Range<NodeId>) {
        let view = SharedView::new(ids.clone().map(|id| Setup::new(A::of(id)))).expect("incarnations of zero");
        let options = StartOptions { view: Some(&view), ..StartOptions::default() };
        self.reserve(ids.end as usize);
        for id in ids {
            self.start_at(id, config, &options);
        }
    }

    /// Starts a node on the host behind the last that was started.
    ///
    /// # Panics
    /// As [`start_at`](Self::start_at).
    pub fn start(&mut self, config: &Config, options: &StartOptions<'_, A>) -> NodeId {
        let id = self.started;
        self.start_at(id, config, options);
        id
    }

    /// Starts a node on a host where none was started before. It knows nobody, unless the options say so.
    ///
    /// # Panics
    /// If the host is taken, or the configuration, the options or the snapshot make no sense.
    pub fn start_at(&mut self, id: NodeId, config: &Config, options: &StartOptions<'_, A>) {
        assert!(id < HOSTS_MAX, "host {id}: a cluster has {HOSTS_MAX} hosts at most");
        let index = id as usize;
        self.reserve(index + 1);
        assert!(self.births[index].is_none(), "host {id} was started before: restart it");
        self.started = self.started.max(id + 1);
        let birth = Birth {
            config: self.shared_config(config),
            metadata: options.metadata.into(),
            keyring: options.keyring.cloned(),
            seed: options.seed,
            sequence_base: options.sequence_base,
            lives: 0,
            crashed_at: 0,
            snapshot: None,
        };
        self.births[index] = Some(Box::new(birth));
        let clock = Clock::new(self.now, options.offset_ns, options.drift_ppm);
        self.clocks[index] = clock;
        self.there[index / 64] |= 1 << (index % 64);
        self.hot[index] = Hot { address: options.twin_of.unwrap_or(id), ..Hot::VACANT };
        self.hot[index].set(SKEWED, !clock.is_right());
        if let Some(first) = options.twin_of {
            assert!(self.hot[first as usize].address == first, "a twin of a host that has its own address");
            self.hot[first as usize].set(DOUBLED, true);
            self.twins.insert(first, (id, false));
        }
        self.give_birth(id, options).unwrap_or_else(|error| panic!("host {id} cannot be started: {error}"));
        self.tell(id, Lifecycle::Started);
        self.drain(id);
    }

    /// Starts the process of a host again, with the configuration, metadata and keyring that it had. Whatever ailed the old
    /// process is over; the fault models of the host stay.
    ///
    /// # Errors
    /// When the snapshot is no good; the host is down then.
    ///
    /// # Panics
    /// If none was ever started there.
    pub fn restart(&mut self, id: NodeId, how: &Restart) -> Result<(), RestoreError> {
        if self.is_up(id) {
            self.crash(id);
        }
        let birth = self.births[id as usize].as_ref().expect("a host of the cluster");
        let snapshot = match how {
            Restart::Fresh => None,
            Restart::From { bytes, taken_ago } => Some((bytes.clone(), *taken_ago)),
            Restart::FromSnapshot => match &birth.snapshot {
                Some((bytes, at)) => Some((bytes.clone(), Duration::from_nanos(self.now - at))),
                None => {
                    let mut bytes = Vec::new();
                    let died = birth.crashed_at;
                    self.node(id).snapshot(self.clocks[id as usize].at(died), &mut bytes);
                    Some((bytes.into(), Duration::from_nanos(self.now - died)))
                }
            },
        };
        let snapshot = snapshot.as_ref().map(|(bytes, taken_ago)| (&**bytes, *taken_ago));
        self.be_reborn(id, &StartOptions { snapshot, ..StartOptions::default() })
    }

    /// Starts the process of a host again as another: with a configuration, metadata and a keyring of its own from now on. Its
    /// address and its clock stay.
    ///
    /// # Errors
    /// As [`restart`](Self::restart).
    ///
    /// # Panics
    /// As [`restart`](Self::restart).
    pub fn restart_with(
        &mut self,
        id: NodeId,
        config: &Config,
        options: &StartOptions<'_, A>,
    ) -> Result<(), RestoreError> {
        if self.is_up(id) {
            self.crash(id);
        }
        let config = self.shared_config(config);
        let birth = self.births[id as usize].as_mut().expect("a host of the cluster");
        birth.config = config;
        birth.metadata = options.metadata.into();
        birth.keyring = options.keyring.cloned();
        self.be_reborn(id, options)
    }

    fn be_reborn(&mut self, id: NodeId, options: &StartOptions<'_, A>) -> Result<(), RestoreError> {
        self.give_birth(id, options)?;
        self.tell(id, Lifecycle::Restarted);
        self.drain(id);
        Ok(())
    }

    /// Puts a node on a host. Of the options only what concerns this one life counts.
    fn give_birth(&mut self, id: NodeId, options: &StartOptions<'_, A>) -> Result<(), RestoreError> {
        let index = id as usize;
        let now = self.clocks[index].at(self.now);
        let birth = self.births[index].as_mut().expect("it is being started");
        birth.lives += 1;
        let setup = Setup {
            seed: match birth.seed {
                // The first life as an agent has it.
                Some(seed) if birth.lives == 1 => netem::seed::child(seed, "core"),
                Some(seed) => netem::seed::child(seed, &format!("core/{}", birth.lives)),
                None => netem::seed::child(self.seed, &format!("node/{id}/{}", birth.lives)),
            },
            incarnation: options.incarnation,
            first_sequence: options.first_sequence.unwrap_or(birth.sequence_base + now.as_nanos()),
            metadata: &birth.metadata,
            // A life a nanosecond: a host that is started twice at one instant has two.
            session: now.as_nanos() + u64::from(birth.lives),
            keyring: birth.keyring.as_ref(),
            ..Setup::new(A::of(self.hot[index].address))
        };
        let config = birth.config.clone();
        let node = match (options.snapshot, options.view) {
            (Some((bytes, taken_ago)), _) => {
                let snapshot = Snapshot::parse(bytes)?;
                Node::restore(now, config, &setup, &snapshot, taken_ago)?
            }
            (None, Some(view)) => Node::with_view(now, config, &setup, view)?,
            (None, None) => Node::new(now, config, &setup)?,
        };
        self.nodes[index] = Some(node);
        let hot = &mut self.hot[index];
        (hot.scheduled, hot.due) = (u64::MAX, u64::MAX);
        hot.set(UP, true);
        hot.set(LEFT, false);
        Ok(())
    }

    /// Makes room for so many hosts: a run that knows how many there will be need not move them as they come.
    pub fn reserve(&mut self, hosts: usize) {
        if hosts > self.nodes.len() {
            if hosts > self.nodes.capacity() {
                self.nodes.reserve(hosts - self.nodes.len());
                self.hot.reserve(hosts - self.hot.len());
                prefetch::ask_for_large_pages(&self.nodes);
                prefetch::ask_for_large_pages(&self.hot);
            }
            self.hot.resize(hosts, Hot::VACANT);
            self.there.resize(hosts.div_ceil(64), 0);
            self.nodes.resize_with(hosts, || None);
            self.clocks.resize(hosts, Clock::RIGHT);
            self.troubles.resize_with(hosts, || None);
            self.births.resize_with(hosts, || None);
        }
    }

    /// A copy of a configuration that hosts started one after the other share.
    fn shared_config(&mut self, config: &Config) -> Arc<Config> {
        if self.last_config.as_deref() != Some(config) {
            self.last_config = Some(Arc::new(config.clone()));
        }
        self.last_config.clone().expect("it was just set")
    }

    /// Tells a node to join through others.
    ///
    /// # Panics
    /// If it is not up, or for more than [`SEEDS_MAX`](gossip_core::SEEDS_MAX) seeds.
    pub fn join(&mut self, id: NodeId, seeds: &[NodeId]) {
        let seeds: Vec<A> = seeds.iter().map(|&seed| A::of(seed)).collect();
        self.tell(id, Lifecycle::Joining);
        self.command(id, Command::Join { seeds: &seeds }).expect("a host that is up, and few seeds");
    }

    /// Tells a node to say goodbye. It stays up, and silent once it has.
    ///
    /// # Panics
    /// If it is not up, or has left already.
    pub fn leave(&mut self, id: NodeId) {
        self.tell(id, Lifecycle::Leaving);
        self.command(id, Command::Leave).expect("a host that is up, and a member");
    }

    /// A host is gone without a word, and what waited at it is lost.
    pub fn crash(&mut self, id: NodeId) {
        if !self.is_up(id) {
            return;
        }
        let index = id as usize;
        if let Some(trouble) = &mut self.troubles[index] {
            for flight in trouble.clear() {
                self.flights.free(flight);
            }
            if trouble.is_over(self.now) {
                self.troubles[index] = None;
                self.hot[index].set(TROUBLED, false);
            }
        }
        self.hot[index].set(UP, false);
        self.hot[index].scheduled = u64::MAX;
        self.births[index].as_mut().expect("it is up").crashed_at = self.now;
        self.tell(id, Lifecycle::Crashed);
    }

    /// Forgets the node of a host that is down, which frees its memory.
    ///
    /// # Panics
    /// If the host is up.
    pub fn remove(&mut self, id: NodeId) {
        assert!(!self.is_up(id), "host {id} is up: crash it first");
        self.nodes[id as usize] = None;
    }

    /// Takes a snapshot of a node, from which [`Restart::FromSnapshot`] brings it back.
    pub fn snapshot(&mut self, id: NodeId) -> Arc<[u8]> {
        let mut bytes = Vec::new();
        self.node(id).snapshot(self.clock(id), &mut bytes);
        let bytes: Arc<[u8]> = bytes.into();
        let birth = self.births[id as usize].as_mut().expect("a host of the cluster");
        birth.snapshot = Some((bytes.clone(), self.now));
        bytes
    }

    /// Gives a node a command, and carries out what follows from it.
    ///
    /// # Errors
    /// What the node says; [`CommandError::Left`] from a host that is not up.
    pub fn command(&mut self, id: NodeId, command: Command<'_, A>) -> Handled<A> {
        if !self.is_up(id) {
            return Err(InputError::Command(CommandError::Left));
        }
        if matches!(command, Command::Join { .. }) {
            self.hot[id as usize].set(LEFT, false);
        }
        let outcome = self.handle(id, Input::Command(command));
        self.drain(id);
        outcome
    }

    /// Gives a node a datagram out of nowhere, whatever ails its host.
    pub fn inject(&mut self, to: NodeId, from: A, bytes: &[u8]) -> Handled<A> {
        let handled = self.handle(to, Input::Datagram { from, bytes });
        self.drain(to);
        handled
    }

    /// From now on the clock of a host is so many millionths too fast; and it is set forward by `forward` now.
    pub fn set_clock(&mut self, id: NodeId, drift_ppm: i32, forward: Duration) {
        let index = id as usize;
        self.clocks[index] = self.clocks[index].adjusted(self.now, drift_ppm, forward);
        self.hot[index].set(SKEWED, !self.clocks[index].is_right());
        if self.is_up(id) {
            self.schedule(id);
        }
    }

    /// The virtual time `span` from now.
    pub(super) fn after(&self, span: Duration) -> u64 {
        self.now.saturating_add(nanos(span))
    }
}
