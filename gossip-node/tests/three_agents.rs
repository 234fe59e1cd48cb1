//! Three real agents on loopback, each a process of its own, under a master that this test plays.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use event_log::control::{Impairment, Order, Report};
use event_log::record::{MemberState, Record, What};
use netem::spec::{Direction, DropNext, Loss, Probability, Sleep, Span};

const PATIENCE: Duration = Duration::from_secs(30);

/// An agent, ended when it goes out of scope.
struct Agent {
    child: Child,
    addr: SocketAddr,
    connection: Option<Connection>,
    records: Vec<Record>,
    acknowledged: u64,
}

struct Connection {
    input: BufReader<TcpStream>,
    output: TcpStream,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Master {
    listener: TcpListener,
    agents: Vec<Agent>,
}

impl Master {
    /// Starts so many agents; each test has loopback addresses of its own.
    fn with_agents(count: u8) -> Self {
        static TESTS: AtomicU8 = AtomicU8::new(1);
        let test = TESTS.fetch_add(1, Ordering::Relaxed);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut master = Self { listener, agents: Vec::new() };
        for index in 0..count {
            // The process id keeps two runs of this test at the same time apart.
            let ip = Ipv4Addr::new(127, 78, (std::process::id() % 251) as u8, test * 16 + index + 1);
            master.agents.push(Agent::start(
                index,
                SocketAddr::from((ip, 7400)),
                master.listener.local_addr().unwrap(),
            ));
        }
        for _ in 0..count {
            master.accept();
        }
        master
    }

    /// Takes one connection and greets its agent.
    fn accept(&mut self) {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut connection = Connection { input: BufReader::new(stream.try_clone().unwrap()), output: stream };
        let Report::Hello { name, addr, .. } = connection.read() else { panic!("an agent says Hello first") };
        connection.order(&Order::Welcome);
        let agent =
            self.agents.iter_mut().find(|agent| agent.addr == addr).unwrap_or_else(|| panic!("{name} is nobody"));
        agent.connection = Some(connection);
    }

    fn join_all(&mut self) {
        let first = self.agents[0].addr;
        let count = self.agents.len() as u32;
        for agent in &mut self.agents {
            agent.order(&Order::Join { seeds: vec![first] });
        }
        self.wait_until("every agent sees every agent", |agent| agent.alive() == count);
    }

    fn wait_until(&mut self, what: &str, done: impl Fn(&mut Agent) -> bool) {
        let start = Instant::now();
        while !self.agents.iter_mut().all(&done) {
            assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Agent {
    fn start(index: u8, addr: SocketAddr, master: SocketAddr) -> Self {
        let protocol =
            r#"{"preset":"local","gossip_interval":"50ms","probe_interval":"300ms","probe_timeout":"100ms"}"#;
        let child = Command::new(env!("CARGO_BIN_EXE_gossip-node"))
            .args(["--name", &format!("n{index:03}"), "--bind", &addr.to_string(), "--master", &master.to_string()])
            .args(["--seed", &index.to_string(), "--protocol", protocol, "--orphan-timeout", "3s", "--log", "warn"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, addr, connection: None, records: Vec::new(), acknowledged: 0 }
    }

    fn order(&mut self, order: &Order) {
        self.connection.as_mut().expect("connected").order(order);
    }

    fn read(&mut self) -> Report {
        self.connection.as_mut().expect("connected").read()
    }

    fn alive(&mut self) -> u32 {
        self.order(&Order::View { list: false });
        match self.read() {
            Report::View { alive, .. } => alive,
            other => panic!("a view was asked for, got {other:?}"),
        }
    }

    fn collect(&mut self) {
        self.order(&Order::Collect { acknowledged: self.acknowledged });
        loop {
            match self.read() {
                Report::Record { record } if record.number >= self.acknowledged => {
                    assert_eq!(record.number, self.acknowledged, "no record is missing");
                    self.acknowledged += 1;
                    self.records.push(record);
                }
                Report::Record { .. } => {}
                Report::Collected { next } => {
                    assert_eq!(next, self.acknowledged);
                    return;
                }
                other => panic!("records were asked for, got {other:?}"),
            }
        }
    }

    fn learnt(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for record in &self.records {
            if let What::EventLearnt { event, .. } = &record.what {
                *times.entry(event.0.clone()).or_default() += 1;
            }
        }
        times
    }

    /// Events that the agent started or learnt of, as of now.
    fn known(&mut self) -> usize {
        self.collect();
        let started = self.records.iter().filter(|record| matches!(record.what, What::EventStarted { .. })).count();
        self.learnt().len() + started
    }

    fn faults(&self) -> event_log::record::FaultCounts {
        let faults = |record: &Record| if let What::Faults(counts) = record.what { Some(counts) } else { None };
        self.records.iter().rev().find_map(faults).expect("every collection brings the counts")
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let counters =
            |record: &Record| if let What::Counters { counts } = &record.what { Some(counts.clone()) } else { None };
        self.records.iter().rev().find_map(counters).expect("every collection brings the counters")
    }

    fn exit_within(&mut self, limit: Duration) -> std::process::ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < limit, "the agent did not end within {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Connection {
    fn order(&mut self, order: &Order) {
        let mut line = serde_json::to_vec(order).unwrap();
        line.push(b'\n');
        self.output.write_all(&line).unwrap();
    }

    fn read(&mut self) -> Report {
        let mut line = String::new();
        self.input.read_line(&mut line).expect("a report in time");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }
}

#[test]
fn events_reach_all_agents_once_with_and_without_loss() {
    let mut master = Master::with_agents(3);
    master.join_all();
    for round in 1..=2_u32 {
        for index in 0..5_u32 {
            master.agents[index as usize % 3].order(&Order::StartEvent { index, payload_bytes: 64 });
        }
        master.wait_until("every agent knows every event", |agent| agent.known() == round as usize * 5);
        let loss = Loss { probability: Probability::new(0.3).unwrap(), direction: Direction::Out };
        for agent in &mut master.agents {
            agent.order(&Order::Impair { fault: 0, impairment: Impairment::Loss(loss) });
        }
    }
    for agent in &mut master.agents {
        agent.collect();
        assert!(agent.learnt().values().all(|&times| times == 1), "{:?}", agent.learnt());
    }
    // The probes go on, so that chance cannot spare an agent for long.
    master.wait_until("the loss strikes every agent", |agent| {
        agent.collect();
        agent.faults().loss_dropped > 0
    });
}

#[test]
fn a_sleeper_catches_up_and_the_fault_is_recorded() {
    let mut master = Master::with_agents(3);
    master.join_all();
    let sleep = Sleep { duration: Span::from_millis(1_500) };
    master.agents[2].order(&Order::Impair { fault: 7, impairment: Impairment::Sleep(sleep) });
    // Who answers has done what it was told before: an event is quicker than an order.
    master.agents[2].collect();
    master.agents[0].order(&Order::StartEvent { index: 0, payload_bytes: 10 });
    std::thread::sleep(Duration::from_millis(700));
    master.agents[1].collect();
    master.agents[2].collect();
    assert_eq!((master.agents[1].learnt().len(), master.agents[2].learnt().len()), (1, 0), "asleep");
    master.wait_until("the sleeper knows", |agent| agent.known() == 1);
    let sleeper = &mut master.agents[2];
    sleeper.collect();
    let applied: Vec<bool> = sleeper
        .records
        .iter()
        .filter_map(
            |record| if let What::FaultApplied { fault: 7, active } = record.what { Some(active) } else { None },
        )
        .collect();
    assert_eq!(applied, [true, false]);
    assert!(sleeper.faults().sleep_dropped > 0);
}

#[test]
fn hostile_datagrams_are_counted_and_a_dropped_one_is_dropped() {
    let mut master = Master::with_agents(2);
    master.join_all();
    let target = master.agents[0].addr;
    let hostile = UdpSocket::bind("127.0.0.1:0").unwrap();
    let future_version = [b'h', 200, 0, 0, 0, 0, 0, 0, 1];
    for bytes in [&b"random bytes"[..], &[0xff; 60_000], &future_version, b"h\x01\x00\x00\x00\x00\x00\x00"] {
        hostile.send_to(bytes, target).unwrap();
    }
    let drop_next = DropNext { count: 2, direction: Direction::In };
    master.agents[1].order(&Order::Impair { fault: 1, impairment: Impairment::DropNext(drop_next) });
    master.wait_until("the counters and the fault show", |agent| {
        agent.collect();
        let counters = agent.counters();
        let count = |name: &str| counters.get(name).copied().unwrap_or(0);
        let hostile_seen =
            count("datagrams_foreign") == 2 && count("datagrams_other_version") == 1 && count("datagrams_damaged") == 1;
        hostile_seen || agent.faults().next_dropped == 2
    });
    assert_eq!(master.agents[0].alive(), 2, "and the agent lives on");
}

#[test]
fn who_is_told_to_leave_says_goodbye_and_who_is_killed_is_declared_dead() {
    let mut master = Master::with_agents(4);
    master.join_all();
    let (leaver, killed) = (master.agents[1].addr, master.agents[2].addr);
    master.agents[1].order(&Order::Leave);
    assert!(master.agents[1].exit_within(Duration::from_secs(10)).success());
    master.agents[2].child.kill().unwrap();
    master.agents.drain(1..3);
    let state = |agent: &Agent, of: SocketAddr| {
        let about = |record: &Record| match record.what {
            What::MemberChanged { member, state, .. } if member == of => Some(state),
            _ => None,
        };
        agent.records.iter().rev().find_map(about)
    };
    master.wait_until("the goodbye and the death are known", |agent| {
        agent.collect();
        state(agent, leaver) == Some(MemberState::Left) && state(agent, killed) == Some(MemberState::Dead)
    });
    for agent in &master.agents {
        let died = |of| {
            agent
                .records
                .iter()
                .any(|r| matches!(r.what, What::MemberChanged { member, state: MemberState::Dead, .. } if member == of))
        };
        assert!(!died(leaver), "a goodbye is no failure");
    }
}

#[test]
fn an_agent_comes_back_to_its_master_with_all_records_and_ends_without_one() {
    let mut master = Master::with_agents(1);
    let records_before = {
        let agent = &mut master.agents[0];
        agent.order(&Order::StartEvent { index: 0, payload_bytes: 1 });
        agent.connection = None;
        agent.acknowledged
    };
    assert_eq!(records_before, 0);
    master.accept();
    let agent = &mut master.agents[0];
    agent.collect();
    assert!(agent.records.iter().any(|record| matches!(record.what, What::EventStarted { index: 0, .. })));

    // Garbage from the master ends the connection, not the agent.
    agent.connection.as_mut().unwrap().output.write_all(b"{\"order\":\"dance\"}\n").unwrap();
    master.accept();
    assert_eq!(master.agents[0].alive(), 1);

    let agent = &mut master.agents[0];
    agent.connection = None;
    drop(master.listener);
    let status = agent.exit_within(Duration::from_secs(15));
    assert!(!status.success(), "an orphan says so");
}

#[test]
fn an_order_for_a_huge_event_is_refused_and_costs_nothing() {
    let mut master = Master::with_agents(1);
    let agent = &mut master.agents[0];
    for payload_bytes in [u32::MAX, 1_400] {
        agent.order(&Order::StartEvent { index: 3, payload_bytes });
        let Report::Refused { reason } = agent.read() else { panic!("it is refused") };
        assert!(reason.contains("event 3") && reason.contains(&payload_bytes.to_string()), "{reason}");
    }
    assert_eq!(agent.known(), 0);
}

#[test]
fn a_master_that_asks_again_and_again_without_acknowledging_gets_each_record_once_per_connection() {
    let mut master = Master::with_agents(1);
    for _ in 0..2 {
        let agent = &mut master.agents[0];
        (0..50).for_each(|_| agent.order(&Order::Collect { acknowledged: 0 }));
        let mut numbers = Vec::new();
        let mut collected = 0;
        while collected < 50 {
            match agent.read() {
                Report::Record { record } => numbers.push(record.number),
                Report::Collected { next } => {
                    assert_eq!(next, numbers.len() as u64);
                    collected += 1;
                }
                other => panic!("records were asked for, got {other:?}"),
            }
        }
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "in order, none twice, none missing");
        agent.connection = None;
        master.accept();
    }
    // An acknowledgement of what was never sent forgets what waits, and nothing that comes later.
    let agent = &mut master.agents[0];
    agent.order(&Order::Collect { acknowledged: u64::MAX });
    let Report::Record { record } = agent.read() else { panic!("the snapshot was taken after it") };
    agent.acknowledged = record.number + 1;
    while !matches!(agent.read(), Report::Collected { .. }) {
        agent.acknowledged += 1;
    }
    agent.collect();
}
