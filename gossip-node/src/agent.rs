//! The agent: one loop around the core's four calls.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use event_log::clock::{boot_id, now_ns, process_cpu_ns};
use event_log::control::{Order, Report};
use event_log::record::{EventKey, What};
use gossip_core::typed::Birth;
use gossip_core::{Command, CommandError, Event, Input, InputError, Instant, Node, Outcome, Setup, Snapshot};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::config::AgentConfig;
use crate::control::{self, Message};
use crate::keyring;
use crate::recorder::Recorder;
use crate::reports::Reports;
use crate::saved::SnapshotFile;
use crate::socket::GossipSocket;
use crate::taped::{Tape, Taped};
use crate::translate::{impairment_of, on_event};

/// Datagrams read before the other duties get their turn.
const READ_BATCH: usize = 64;

/// How long a goodbye may take before the agent ends without it.
const GOODBYE_MAX: Duration = Duration::from_secs(5);

/// How long the last records may take on their way to the master.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Why an agent ended before its time.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The gossip address cannot be used.
    #[error("cannot use {addr} for gossip: {source}")]
    Socket {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The recording of inputs that was asked for cannot be made.
    #[error("cannot record into {}: {source}", path.display())]
    Record {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be heard.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// There is nothing to tell this life of the node from former ones.
    #[error("a keyring needs a clock, and that of this machine is before 1970")]
    NoClock,
    /// The master does not want this node.
    #[error("the master refused this node: {0}")]
    Rejected(String),
    /// No master for too long.
    #[error("no master at {master} for {patience:?}: ending")]
    Orphaned {
        /// Where it should be.
        master: SocketAddr,
        /// How long was waited.
        patience: Duration,
    },
}

/// How the loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    /// Said goodbye: bring the records home and end.
    Left,
    /// End at once.
    Stop,
}

struct Agent {
    name: String,
    node: Taped,
    socket: GossipSocket,
    recorder: Recorder,
    reports: Reports,
    /// Faults in force.
    faults: BTreeSet<u32>,
    buffer: Vec<u8>,
    left: bool,
    saved: Option<SnapshotFile>,
    save_interval: Duration,
    /// The file of the keyring, if there is one.
    keyring: Option<PathBuf>,
}

/// Runs an agent until it is told to end, by its master or by a signal.
///
/// # Errors
/// [`AgentError`].
pub async fn run(config: AgentConfig) -> Result<(), AgentError> {
    let socket_error = |source| AgentError::Socket { addr: config.bind, source };
    let socket = GossipSocket::bind(config.bind, netem::seed::child(config.seed, "netem")).map_err(socket_error)?;
    let life = unix_time().as_nanos() as u64;
    if life == 0 && config.keyring.is_some() {
        return Err(AgentError::NoClock);
    }
    let setup = Setup {
        seed: netem::seed::child(config.seed, "core"),
        first_sequence: (unix_time().as_millis() as u64) << 16,
        metadata: &config.metadata,
        session: life,
        keyring: config.keyring.as_ref().map(|(_, keyring)| keyring),
        ..Setup::new(config.bind)
    };
    let buffer = vec![0; config.protocol.datagram_max];
    let saved = config.snapshot.as_ref().map(|path| SnapshotFile::new(path.clone()));
    let born = now();
    let restored = saved.as_ref().and_then(|file| restore(file, born, &config.protocol, &setup));
    let is_restored = restored.is_some();
    let (node, snapshot) = match restored {
        Some((node, bytes, ago)) => (node, Some((bytes, ago))),
        None => (Node::new(born, config.protocol.clone(), &setup).expect("the configuration was checked"), None),
    };
    let snapshot = snapshot.as_ref().map(|(bytes, ago)| (bytes.as_slice(), *ago));
    let tape = config.record.as_ref().map(|path| record(path, &config, born, &setup, snapshot)).transpose()?;
    let node = Taped::new(node, tape);
    let mut agent = Agent {
        name: config.name,
        node,
        socket,
        recorder: Recorder::default(),
        reports: Reports::default(),
        faults: BTreeSet::new(),
        buffer,
        left: false,
        saved,
        save_interval: config.snapshot_interval,
        keyring: config.keyring.as_ref().map(|(path, _)| path.clone()),
    };
    let started = What::NodeStarted {
        addr: config.bind,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        receive_buffer_bytes: agent.socket.receive_buffer(),
    };
    agent.recorder.record(now_ns(), started);
    info!(name = agent.name, addr = %config.bind, receive_buffer = agent.socket.receive_buffer(), "started");

    let hello = Report::Hello {
        schema: event_log::SCHEMA,
        name: agent.name.clone(),
        addr: config.bind,
        pid: std::process::id(),
        boot_id: boot_id(),
        life,
    };
    let master = config.master.map(|master| (master, control::connect(master, hello)));
    // A restored node knows whom to call.
    if !config.join.is_empty() || (config.master.is_none() && !is_restored) {
        agent.command(Command::Join { seeds: &config.join });
    }
    agent.drive(master, config.orphan_timeout).await
}

impl Agent {
    async fn drive(
        &mut self,
        master: Option<(SocketAddr, mpsc::Receiver<Message>)>,
        patience: Duration,
    ) -> Result<(), AgentError> {
        let mut signals = Signals::new().map_err(AgentError::Signals)?;
        let (master, mut messages) = master.unzip();
        let mut orphaned_at = master.map(|_| tokio::time::Instant::now() + patience);
        let mut goodbye_until: Option<tokio::time::Instant> = None;
        let mut save_at = self.saved.as_ref().map(|_| tokio::time::Instant::now() + self.save_interval);
        loop {
            self.pump();
            let flush = self.node.flush_due();
            let due = [self.node.node().poll_timeout(), flush].map(|due| due.map(Instant::as_nanos));
            let due = [due[0], due[1], self.socket.next_due()];
            let wait = due.into_iter().flatten().min().map(|due| Duration::from_nanos(due.saturating_sub(now_ns())));
            let flow = tokio::select! {
                readable = self.socket.readable() => {
                    readable.and_then(|()| self.read_batch()).map_err(|source| AgentError::Socket { addr: self.node.node().local(), source })?;
                    Flow::Continue
                }
                () = sleep_for(wait) => {
                    self.on_deadline();
                    Flow::Continue
                }
                message = next_message(&mut messages) => {
                    match message {
                        Message::Connected(reports) => {
                            self.reports.connected(reports);
                            orphaned_at = None;
                            Flow::Continue
                        }
                        Message::Lost => {
                            self.reports.lost();
                            orphaned_at = Some(tokio::time::Instant::now() + patience);
                            Flow::Continue
                        }
                        Message::Order(Order::Reject { reason }) => return Err(AgentError::Rejected(reason)),
                        Message::Order(order) => self.on_order(order),
                    }
                }
                () = sleep_until(orphaned_at) => {
                    return Err(AgentError::Orphaned { master: master.expect("only a master makes orphans"), patience });
                }
                signal = signals.next() => {
                    if signal == SignalKind::hangup() && self.keyring.is_some() {
                        self.reload_keyring();
                    } else {
                        info!("told to end: saying goodbye");
                        self.command(Command::Leave);
                    }
                    Flow::Continue
                }
                () = sleep_until(save_at) => {
                    self.save();
                    save_at = Some(tokio::time::Instant::now() + self.save_interval);
                    Flow::Continue
                }
                () = sleep_until(goodbye_until) => {
                    warn!("the goodbye took too long");
                    Flow::Left
                }
            };
            self.pump();
            if self.node.node().poll_timeout().is_none() {
                self.left = true;
            }
            match flow {
                Flow::Stop => {
                    self.node.end();
                    info!("told to stop");
                    return Ok(());
                }
                Flow::Continue if !self.left => {
                    if self.is_leaving() && goodbye_until.is_none() {
                        goodbye_until = Some(tokio::time::Instant::now() + GOODBYE_MAX);
                    }
                }
                Flow::Continue | Flow::Left => {
                    self.recorder.record(now_ns(), What::NodeStopped);
                    self.record_counts();
                    self.reports.send_records(&self.recorder);
                    if let Some(saved) = &mut self.saved {
                        // The write before this one must not keep the last one out.
                        saved.finish().await;
                    }
                    self.save();
                    self.flush(&mut messages).await;
                    if let Some(saved) = &mut self.saved {
                        saved.finish().await;
                    }
                    self.node.end();
                    info!("left");
                    return Ok(());
                }
            }
        }
    }

    /// Sends what the core wants to send, records what it tells.
    fn pump(&mut self) {
        loop {
            self.node.drain(now(), &mut self.buffer, |to, bytes| self.socket.send(to, bytes));
            let at_ns = now_ns();
            while let Some(event) = self.node.poll_event() {
                self.on_event(at_ns, &event);
            }
            while let Some(fault) = self.socket.poll_ended() {
                self.faults.remove(&fault);
                self.recorder.record(now_ns(), What::FaultApplied { fault, active: false });
                info!(fault, "a fault is over");
            }
            let Some((from, bytes)) = self.socket.release() else { break };
            self.on_datagram(now_ns(), from, &bytes);
        }
        self.node.flush(now());
    }

    fn read_batch(&mut self) -> io::Result<()> {
        for _ in 0..READ_BATCH {
            let Self { socket, node, recorder, .. } = self;
            let more = socket.receive(|at_ns, from, bytes| on_datagram(node, recorder, at_ns, from, bytes))?;
            if !more {
                break;
            }
            self.pump();
        }
        Ok(())
    }

    fn on_datagram(&mut self, at_ns: u64, from: SocketAddr, bytes: &[u8]) {
        on_datagram(&mut self.node, &mut self.recorder, at_ns, from, bytes);
    }

    fn on_deadline(&mut self) {
        let now = now();
        if self.node.node().poll_timeout().is_some_and(|due| due <= now) {
            let _ = self.node.handle(now, Input::Timeout);
        }
    }

    fn command(&mut self, command: Command<'_, SocketAddr>) {
        if let Err(error) = self.node.handle(now(), Input::Command(command)) {
            warn!(%error, "refused");
        }
    }

    /// A file that is wrong changes nothing: the node goes on with the keys that it has.
    fn reload_keyring(&mut self) {
        let Some(path) = &self.keyring else { return };
        match keyring::read(path) {
            Ok(keyring) => {
                info!(keys = ?keyring.ids().collect::<Vec<_>>(), plain = ?keyring.plain(), "keyring replaced");
                self.command(Command::SetKeyring { keyring: Some(&keyring) });
            }
            Err(error) => warn!(%error, "the keyring is as before"),
        }
    }

    fn is_leaving(&self) -> bool {
        let node = self.node.node();
        node.member(&node.local()).is_some_and(|member| !member.state.is_live())
    }

    fn on_order(&mut self, order: Order) -> Flow {
        debug!(?order, "ordered");
        match order {
            Order::Join { seeds } => {
                self.command(Command::Join { seeds: &seeds[..seeds.len().min(gossip_core::SEEDS_MAX)] });
            }
            Order::StartEvent { index, payload_bytes } => self.start_event(index, payload_bytes),
            Order::Impair { fault, impairment } => {
                self.socket.impair(fault, impairment_of(impairment));
                self.faults.insert(fault);
                self.recorder.record(now_ns(), What::FaultApplied { fault, active: true });
                info!(fault, "a fault takes effect");
            }
            Order::Heal => {
                self.socket.heal();
                for fault in std::mem::take(&mut self.faults) {
                    self.recorder.record(now_ns(), What::FaultApplied { fault, active: false });
                }
            }
            Order::Leave => self.command(Command::Leave),
            Order::Collect { acknowledged } => {
                self.recorder.acknowledge(acknowledged);
                self.record_counts();
                self.reports.send_records(&self.recorder);
            }
            Order::View { list } => {
                let live = self.node.node().members().filter(|member| member.state.is_live());
                let members = if list { live.map(|member| member.addr).collect() } else { Vec::new() };
                self.reports.send(Report::View { alive: self.node.node().live_members(), members });
            }
            Order::Stop => return Flow::Stop,
            // These are for the control connection, which does not pass them on.
            Order::Welcome | Order::Reject { .. } | Order::ReadClock { .. } => {}
        }
        Flow::Continue
    }

    fn start_event(&mut self, index: u32, payload_bytes: u32) {
        let max = gossip_core::event_payload_max::<SocketAddr>(self.node.node().config());
        if payload_bytes as usize > max {
            let error = CommandError::PayloadTooLong { len: payload_bytes as usize, max };
            self.reports.send(Report::Refused { reason: format!("event {index}: {error}") });
            return;
        }
        let payload = vec![0x68; payload_bytes as usize];
        let at_ns = now_ns();
        let command = Command::event(&payload);
        match self.node.handle(Instant::from_nanos(at_ns), Input::Command(command)) {
            Ok(Outcome::Started(id)) => {
                let event = EventKey::new(id.origin, id.sequence);
                info!(event = event.0, index, "started an event");
                self.recorder.record(at_ns, What::EventStarted { event, index, payload_bytes });
            }
            Ok(Outcome::Done) => {}
            Err(error) => self.reports.send(Report::Refused { reason: format!("event {index}: {error}") }),
        }
    }

    fn on_event(&mut self, at_ns: u64, event: &Event<SocketAddr>) {
        if matches!(event, Event::Left) {
            self.left = true;
        }
        on_event(&mut self.recorder, at_ns, event);
    }

    /// Writes down what the node needs to come back.
    fn save(&mut self) {
        if let Some(saved) = &mut self.saved {
            let mut bytes = Vec::new();
            self.node.node().snapshot(now(), &mut bytes);
            saved.save(bytes);
        }
    }

    /// Records the cumulative counts as they stand.
    fn record_counts(&mut self) {
        let at_ns = now_ns();
        let counts = self.socket.counts();
        let traffic = What::Traffic {
            datagrams_sent: counts.datagrams_sent,
            bytes_sent: counts.bytes_sent,
            datagrams_received: counts.datagrams_received,
            bytes_received: counts.bytes_received,
            receive_buffer_overflows: self.socket.receive_buffer_overflows(),
            cpu_ns: Some(process_cpu_ns()),
            resident_bytes: Some(resident_bytes()),
        };
        self.recorder.record(at_ns, traffic);
        self.recorder.record(at_ns, What::Faults(self.socket.fault_counts()));
        let mut named: BTreeMap<String, u64> =
            self.node.node().counters().iter().map(|(name, count)| (name.to_owned(), count)).collect();
        named.insert("send_errors".to_owned(), counts.send_errors);
        named.insert("records_refused".to_owned(), self.recorder.refused());
        named.retain(|_, count| *count > 0);
        self.recorder.record(at_ns, What::Counters { counts: named });
    }

    /// Waits until the master has closed the connection or acknowledged the last record, for a while.
    async fn flush(&mut self, messages: &mut Option<mpsc::Receiver<Message>>) {
        if !self.reports.is_connected() {
            return;
        }
        let closed = async {
            loop {
                match next_message(messages).await {
                    Message::Lost => return,
                    Message::Order(Order::Stop) => return,
                    Message::Order(Order::Collect { acknowledged }) if acknowledged >= self.recorder.next() => return,
                    _ => {}
                }
            }
        };
        let _ = tokio::time::timeout(FLUSH_MAX, closed).await;
    }
}

/// The node of a former life, if there was one and it can be read. What cannot be read is reported and ignored: the node then
/// begins anew.
fn restore(
    file: &SnapshotFile,
    now: Instant,
    config: &gossip_core::Config,
    setup: &Setup<'_, SocketAddr>,
) -> Option<(Node<SocketAddr>, Vec<u8>, Duration)> {
    let (bytes, ago) = match file.read() {
        Ok(read) => read?,
        Err(error) => {
            warn!(%error, "the snapshot cannot be read: beginning anew");
            return None;
        }
    };
    let snapshot = Snapshot::parse(&bytes).inspect_err(|error| warn!(%error, "the snapshot is ignored")).ok()?;
    let node = Node::restore(now, config.clone(), setup, &snapshot, ago)
        .inspect_err(|error| warn!(%error, "the snapshot is ignored"))
        .ok()?;
    info!(members = snapshot.members().count(), ?ago, "restored from a snapshot");
    Some((node, bytes, ago))
}

/// Begins the recording of all that the node is given.
fn record(
    path: &Path,
    config: &AgentConfig,
    born: Instant,
    setup: &Setup<'_, SocketAddr>,
    snapshot: Option<(&[u8], Duration)>,
) -> Result<Tape, AgentError> {
    let labels = [
        ("name", config.name.clone()),
        ("addr", config.bind.to_string()),
        ("program", concat!("gossip-node ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("started", humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()),
        ("boot_id", boot_id()),
    ];
    Birth::new(born, &config.protocol, setup)
        .map_err(io::Error::other)
        .and_then(|birth| Tape::create(path, &config.name, config.record_max, &labels, birth, snapshot))
        .map_err(|source| AgentError::Record { path: path.to_owned(), source })
}

fn on_datagram(node: &mut Taped, recorder: &mut Recorder, at_ns: u64, from: SocketAddr, bytes: &[u8]) {
    match node.handle(Instant::from_nanos(at_ns), Input::Datagram { from, bytes }) {
        Ok(_) => {}
        Err(InputError::Datagram(error)) => debug!(%from, len = bytes.len(), %error, "a datagram was dropped"),
        Err(InputError::Command(_)) => {}
    }
    // What the datagram told is stamped with the time at which it was read.
    while let Some(event) = node.poll_event() {
        on_event(recorder, at_ns, &event);
    }
}

fn now() -> Instant {
    Instant::from_nanos(now_ns())
}

fn unix_time() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

/// Resident memory of this process, bytes; 0 where the kernel does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

async fn sleep_for(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn next_message(messages: &mut Option<mpsc::Receiver<Message>>) -> Message {
    match messages {
        Some(receiver) => match receiver.recv().await {
            Some(message) => message,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// The signals that ask a process to end, and SIGHUP, which asks for the keyring to be read again if there is one.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]))
    }

    async fn next(&mut self) -> SignalKind {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => SignalKind::terminate(),
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = hangup.recv() => SignalKind::hangup(),
        }
    }
}
