//! A cluster of pretended nodes in this process: they speak the control protocol over real TCP and take the agent's
//! command line, but their gossip is a table in memory. What they do wrong is said by [`Quirks`].

#![allow(dead_code)] // Each test file uses its own part of this.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use event_log::SCHEMA;
use event_log::circumstances::{Build, describe};
use event_log::clock;
use event_log::control::{Impairment, Order, Report};
use event_log::plan::{Backend as Kind, Plan};
use event_log::read::Log;
use event_log::record::{EventKey, FaultCounts, MASTER, MemberState, Record, Via, What};
use master::backend::{Backend, BackendError, NodeSpec};
use master::display::Display;
use master::experiment::conductor::{Conductor, ExperimentError, Options};
use master::store::{Store, create_folder};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What the pretended nodes do wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quirks {
    /// These never learn of an event that another node started.
    pub deaf: BTreeSet<String>,
    /// These do not see the others: observer → whom it misses.
    pub blind: BTreeMap<String, BTreeSet<String>>,
    /// The clock of these is off by so much, and they run under another kernel.
    pub skew_ns: BTreeMap<String, i64>,
    /// These drop their connection instead of finishing the n-th collection (counted from 1), and connect again.
    pub drop_at_collect: BTreeMap<String, u32>,
    /// These end by themselves when they are asked for the n-th collection.
    pub die_at_collect: BTreeMap<String, u32>,
    /// These never connect.
    pub mute: BTreeSet<String>,
    /// These refuse to start events.
    pub refusing: BTreeSet<String>,
    /// Survivors never notice a death.
    pub immortal: bool,
}

/// How long the pretended gossip needs to tell everybody.
const SPREAD: Duration = Duration::from_millis(20);
/// How long the pretended failure detection needs.
const DETECTION: Duration = Duration::from_millis(150);

#[derive(Debug, Default)]
struct Node {
    addr: Option<SocketAddr>,
    life: u64,
    running: bool,
    joined: bool,
    collects: u32,
    asleep_until: Option<Instant>,
    records: Vec<Record>,
    next: u64,
    events: u64,
    orders: Vec<Order>,
    leaving: bool,
}

/// What all pretended nodes know of each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct World(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    nodes: BTreeMap<String, Node>,
    quirks: Quirks,
    lives: u64,
}

impl World {
    pub(crate) fn new(quirks: Quirks) -> Self {
        let world = Self::default();
        world.lock().quirks = quirks;
        world
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panics with the lock held")
    }

    /// The orders that `name` got in its present life, collections and views left out.
    pub(crate) fn orders(&self, name: &str) -> Vec<Order> {
        let dull = |order: &Order| matches!(order, Order::Collect { .. } | Order::View { .. } | Order::Welcome);
        self.lock().nodes[name].orders.iter().filter(|order| !dull(order)).cloned().collect()
    }

    pub(crate) fn running(&self) -> usize {
        self.lock().nodes.values().filter(|node| node.running).count()
    }
}

impl Inner {
    fn now_ns(&self, name: &str) -> u64 {
        clock::now_ns().wrapping_add_signed(self.quirks.skew_ns.get(name).copied().unwrap_or(0))
    }

    fn record(&mut self, name: &str, what: What) {
        let at_ns = self.now_ns(name);
        let node = self.nodes.get_mut(name).expect("the node was started");
        node.records.push(Record { number: node.next, at_ns, what });
        node.next += 1;
    }

    fn view(&self, name: &str) -> Vec<SocketAddr> {
        let missed = self.quirks.blind.get(name);
        let seen = |other: &str| missed.is_none_or(|missed| !missed.contains(other));
        let members = self.nodes.iter().filter(|(other, node)| node.running && node.joined && seen(other));
        members.filter_map(|(_, node)| node.addr).collect()
    }

    fn survivors(&self, except: &str) -> Vec<String> {
        self.nodes.iter().filter(|(name, node)| node.running && *name != except).map(|(name, _)| name.clone()).collect()
    }
}

/// A backend whose nodes are tasks of this process.
#[derive(Debug)]
pub(crate) struct Pretended {
    pub(crate) world: World,
    tasks: BTreeMap<String, JoinHandle<()>>,
}

impl Pretended {
    pub(crate) fn new(world: World) -> Self {
        Self { world, tasks: BTreeMap::new() }
    }
}

impl Backend for Pretended {
    fn gossip_addr(&self, index: u32) -> Result<SocketAddr, BackendError> {
        Ok(SocketAddr::from(([127, 99, 0, u8::try_from(index + 1).expect("few nodes")], 7400)))
    }

    fn control_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    fn batch(&self) -> usize {
        2
    }

    async fn start(&mut self, nodes: &[NodeSpec]) -> Result<(), BackendError> {
        for spec in nodes {
            let flag = |flag: &str| {
                let at = spec.arguments.iter().position(|argument| argument == flag);
                spec.arguments[at.unwrap_or_else(|| panic!("{flag} is missing")) + 1].clone()
            };
            assert_eq!(flag("--name"), spec.name);
            let addr: SocketAddr = flag("--bind").parse().expect("an address");
            let master: SocketAddr = flag("--master").parse().expect("an address");
            flag("--seed").parse::<u64>().expect("a seed");
            serde_json::from_str::<event_log::protocol::Protocol>(&flag("--protocol")).expect("a configuration");
            flag("--orphan-timeout").parse::<netem::spec::Span>().expect("a time");
            let mute = {
                let mut inner = self.world.lock();
                inner.lives += 1;
                let life = inner.lives;
                let node = inner.nodes.entry(spec.name.clone()).or_default();
                assert!(!node.running, "{} is started while it runs", spec.name);
                *node = Node { addr: Some(addr), life, running: true, events: node.events, ..Node::default() };
                inner.record(&spec.name, What::NodeStarted { addr, version: "fake".into(), receive_buffer_bytes: 1 });
                inner.quirks.mute.contains(&spec.name)
            };
            if !mute {
                let task = tokio::spawn(agent(self.world.clone(), spec.name.clone(), master));
                self.tasks.insert(spec.name.clone(), task);
            }
        }
        Ok(())
    }

    async fn kill(&mut self, name: &str) -> Result<(), BackendError> {
        let task = self.tasks.remove(name).ok_or_else(|| BackendError::new("kill", "not started"))?;
        task.abort();
        let _ = task.await;
        let (member, survivors) = {
            let mut inner = self.world.lock();
            let immortal = inner.quirks.immortal;
            let node = inner.nodes.get_mut(name).expect("it was started");
            node.running = false;
            (node.addr.expect("it has one"), if immortal { Vec::new() } else { inner.survivors(name) })
        };
        let world = self.world.clone();
        tokio::spawn(async move {
            tokio::time::sleep(DETECTION).await;
            let mut inner = world.lock();
            for survivor in survivors {
                let state = MemberState::Dead;
                inner.record(&survivor, What::MemberChanged { member, state, incarnation: 0, from: None });
            }
        });
        Ok(())
    }

    async fn ended(&mut self) -> Vec<(String, String)> {
        Vec::new()
    }

    async fn stop_all(&mut self) -> Result<(), BackendError> {
        for task in std::mem::take(&mut self.tasks).into_values() {
            task.abort();
            let _ = task.await;
        }
        for node in self.world.lock().nodes.values_mut() {
            node.running = false;
        }
        Ok(())
    }
}

async fn agent(world: World, name: String, master: SocketAddr) {
    loop {
        let Ok(stream) = TcpStream::connect(master).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        if serve(&world, &name, stream).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.lock().nodes.get_mut(&name).expect("it was started").running = false;
}

/// One connection; true when the node shall end.
async fn serve(world: &World, name: &str, stream: TcpStream) -> bool {
    let (read, mut write) = stream.into_split();
    let hello = {
        let inner = world.lock();
        let node = &inner.nodes[name];
        let skewed = inner.quirks.skew_ns.contains_key(name);
        let boot_id = if skewed { "another-kernel".to_owned() } else { clock::boot_id() };
        let addr = node.addr.expect("it has one");
        Report::Hello { schema: SCHEMA, name: name.to_owned(), addr, pid: 1, boot_id, life: node.life }
    };
    if send(&mut write, &[hello]).await.is_err() {
        return false;
    }
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let order: Order = serde_json::from_str(&line).expect("the master speaks the protocol");
        match obey(world, name, &order) {
            Then::Answer(reports) => {
                if send(&mut write, &reports).await.is_err() {
                    return false;
                }
            }
            Then::Reconnect(reports) => {
                let _ = send(&mut write, &reports).await;
                return false;
            }
            Then::End => return true,
        }
    }
    false
}

async fn send(write: &mut tokio::net::tcp::OwnedWriteHalf, reports: &[Report]) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    for report in reports {
        serde_json::to_writer(&mut bytes, report)?;
        bytes.push(b'\n');
    }
    write.write_all(&bytes).await
}

enum Then {
    Answer(Vec<Report>),
    Reconnect(Vec<Report>),
    End,
}

fn obey(world: &World, name: &str, order: &Order) -> Then {
    let mut inner = world.lock();
    inner.nodes.get_mut(name).expect("it runs").orders.push(order.clone());
    match order {
        Order::Welcome | Order::Heal => {}
        Order::Reject { reason } => panic!("{name} is rejected: {reason}"),
        Order::Join { .. } => inner.nodes.get_mut(name).expect("it runs").joined = true,
        Order::StartEvent { index, payload_bytes } => {
            if inner.quirks.refusing.contains(name) {
                return Then::Answer(vec![Report::Refused { reason: "I would rather not".to_owned() }]);
            }
            start_event(world, &mut inner, name, *index, *payload_bytes);
        }
        Order::Impair { fault, impairment } => impair(world, &mut inner, name, *fault, impairment),
        Order::Stop => return Then::End,
        Order::Leave => {
            inner.record(name, What::NodeStopped);
            let node = inner.nodes.get_mut(name).expect("it runs");
            node.leaving = true;
            return Then::Answer(reports(node));
        }
        Order::Collect { acknowledged } => return collect(&mut inner, name, *acknowledged),
        Order::View { list } => {
            let view = inner.view(name);
            let alive = u32::try_from(view.len()).expect("few nodes");
            return Then::Answer(vec![Report::View { alive, members: if *list { view } else { Vec::new() } }]);
        }
        Order::ReadClock { sent_ns } => {
            return Then::Answer(vec![Report::Clock { sent_ns: *sent_ns, clock_ns: inner.now_ns(name) }]);
        }
    }
    Then::Answer(Vec::new())
}

fn start_event(world: &World, inner: &mut Inner, name: &str, index: u32, payload_bytes: u32) {
    let node = inner.nodes.get_mut(name).expect("it runs");
    assert!(node.asleep_until.is_none_or(|until| until <= Instant::now()), "{name} starts an event in its sleep");
    let from = node.addr.expect("it has one");
    let event = EventKey::new(from, node.events);
    node.events += 1;
    inner.record(name, What::EventStarted { event: event.clone(), index, payload_bytes });
    for other in inner.survivors(name) {
        if inner.quirks.deaf.contains(&other) {
            continue;
        }
        let wake = inner.nodes[&other].asleep_until.unwrap_or_else(Instant::now);
        let (world, event, life) = (world.clone(), event.clone(), inner.nodes[&other].life);
        tokio::spawn(async move {
            tokio::time::sleep_until(wake.max(Instant::now()) + SPREAD).await;
            let mut inner = world.lock();
            let node = &inner.nodes[&other];
            if node.running && node.life == life {
                inner.record(&other, What::EventLearnt { event, hops: 1, from, via: Via::Push });
            }
        });
    }
}

fn impair(world: &World, inner: &mut Inner, name: &str, fault: u32, impairment: &Impairment) {
    inner.record(name, What::FaultApplied { fault, active: true });
    let (Impairment::Sleep(netem::spec::Sleep { duration }) | Impairment::Block { duration, .. }) = impairment else {
        return;
    };
    let until = Instant::now() + duration.get();
    inner.nodes.get_mut(name).expect("it runs").asleep_until = Some(until);
    let (world, name) = (world.clone(), name.to_owned());
    tokio::spawn(async move {
        tokio::time::sleep_until(until).await;
        world.lock().record(&name, What::FaultApplied { fault, active: false });
    });
}

/// All that is not acknowledged, as a collection sends it.
fn reports(node: &Node) -> Vec<Report> {
    let records = node.records.iter().map(|record| Report::Record { record: record.clone() });
    records.chain([Report::Collected { next: node.next }]).collect()
}

fn collect(inner: &mut Inner, name: &str, acknowledged: u64) -> Then {
    let node = &inner.nodes[name];
    if node.leaving && acknowledged >= node.next {
        return Then::End;
    }
    let zero = What::Traffic {
        datagrams_sent: 0,
        bytes_sent: 0,
        datagrams_received: 0,
        bytes_received: 0,
        receive_buffer_overflows: 0,
        cpu_ns: Some(0),
        resident_bytes: Some(0),
    };
    inner.record(name, zero);
    inner.record(name, What::Faults(FaultCounts::default()));
    inner.record(name, What::Counters { counts: BTreeMap::new() });
    let (drop_at, die_at) =
        (inner.quirks.drop_at_collect.get(name).copied(), inner.quirks.die_at_collect.get(name).copied());
    let node = inner.nodes.get_mut(name).expect("it runs");
    node.collects += 1;
    node.records.retain(|record| record.number >= acknowledged);
    if die_at == Some(node.collects) {
        return Then::End;
    }
    let mut all = reports(node);
    if drop_at == Some(node.collects) {
        all.truncate(all.len() / 2);
        return Then::Reconnect(all);
    }
    Then::Answer(all)
}

// ---- running a plan ----

/// A plan that is over soon: `extra` is appended to the usual head.
pub(crate) fn plan(sizes: &str, events: u32, extra: &str) -> Plan {
    let text = format!(
        "name = \"test\"\nseed = 7\n[cluster]\nsizes = {sizes}\nconvergence_limit = \"2s\"\n\
         [events]\ncount = {events}\nquiet = \"60ms\"\nlimit = \"3s\"\n{extra}"
    );
    Plan::parse("test plan", &text).expect("the plan is valid")
}

/// A conductor over pretended nodes and the folder that it writes to.
pub(crate) async fn conductor(plan: &Plan, world: &World, out: &Path) -> (Conductor<Pretended>, PathBuf) {
    let name = "result".to_owned();
    let folder = create_folder(out, &name, "").expect("the folder is new");
    let build = Build { commit: "unknown".to_owned(), dirty: false };
    let manifest = describe(name, plan, Kind::Local, build, std::time::SystemTime::now());
    let store = Store::create(&folder, &manifest).expect("the file is new");
    let options = Options {
        reconnect_limit: Duration::from_millis(500),
        connect_limit: Duration::from_secs(1),
        ..Options::default()
    };
    let backend = Pretended::new(world.clone());
    let conductor = Conductor::new(backend, plan.clone(), options, store, Display::silent()).await;
    (conductor.expect("a port is free"), folder)
}

/// Runs the plan to its end and reads the log.
pub(crate) async fn run(plan: &Plan, world: &World) -> (Result<(), ExperimentError>, Log) {
    let out = tempfile::tempdir().expect("a temporary folder");
    let (mut conductor, folder) = conductor(plan, world, out.path()).await;
    let result = conductor.run_plan().await;
    if result.is_err() {
        conductor.break_off().await;
    }
    conductor.shut_down().await.expect("pretended nodes can be stopped");
    assert_eq!(world.running(), 0, "a node still runs");
    (result, read(&folder))
}

/// The log in `folder`, checked for what holds of every log.
pub(crate) fn read(folder: &Path) -> Log {
    let log = event_log::read::read(&folder.join("records.jsonl")).expect("the log is valid");
    let mut seen = BTreeSet::new();
    let mut lives: BTreeMap<&str, u32> = BTreeMap::new();
    for line in &log.lines {
        if matches!(line.record.what, What::NodeStarted { .. }) {
            *lives.entry(&line.node).or_default() += 1;
        }
        let life = lives.get(line.node.as_str()).copied().unwrap_or(0);
        assert!(seen.insert((line.node.clone(), life, line.record.number)), "a record stands twice: {line:?}");
    }
    log
}

/// What the master told, in order.
pub(crate) fn told(log: &Log) -> Vec<&What> {
    log.lines.iter().filter(|line| line.node == MASTER).map(|line| &line.record.what).collect()
}

/// The texts of the log's warnings.
pub(crate) fn warnings(log: &Log) -> Vec<&str> {
    told(log)
        .into_iter()
        .filter_map(|what| match what {
            What::Warning { text } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}
