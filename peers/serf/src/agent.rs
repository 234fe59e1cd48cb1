//! One loop between the master and the agent.

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event_log::clock::{boot_id, now_ns};
use event_log::control::{Impairment, Order, Report};
use event_log::record::{EventKey, MemberState, Via, What};
use gossip_node::config::AgentConfig;
use gossip_node::control::{self, Message};
use gossip_node::recorder::Recorder;
use gossip_node::reports::Reports;
use rmpv::Value;
use thiserror::Error;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tracing::warn;

use crate::rpc::{Kind, Rpc, Said, address, entry, text};
use crate::wire::Wire;

/// Port of the agent's RPC, at its gossip address.
const RPC_PORT: u16 = 7373;

/// How long an agent may take to listen: on a machine with little to spare, dozens start at once.
const START_MAX: Duration = Duration::from_secs(60);

/// Why it ended.
#[derive(Debug, Error)]
pub(crate) enum AgentError {
    /// The agent did not start or is gone.
    #[error("serf agent: {0}")]
    Serf(io::Error),
    /// There is nobody to take orders from.
    #[error("serf-node takes its orders from a master: --master")]
    NoMaster,
    /// The master does not want this node.
    #[error("the master refused this node: {0}")]
    Rejected(String),
    /// No master for too long.
    #[error("no master for {0:?}: ending")]
    Orphaned(Duration),
}

struct Agent {
    addr: SocketAddr,
    serf: Child,
    rpc: Rpc,
    wire: Option<Wire>,
    recorder: Recorder,
    reports: Reports,
    /// Number of the next event that starts here; unique over the lives of the address.
    next_event: u64,
    /// Faults in force.
    faults: Vec<u32>,
    /// Whether the members were asked for one by one.
    list: bool,
}

/// Runs one agent until the master or a signal ends it.
///
/// # Errors
/// [`AgentError`].
pub(crate) async fn run(config: &AgentConfig) -> Result<(), AgentError> {
    let master = config.master.ok_or(AgentError::NoMaster)?;
    let rpc_addr = SocketAddr::new(config.bind.ip(), RPC_PORT);
    // The agent ends with this process, also when that is killed: as a crash of the node.
    let mut serf = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "serf", "agent", "-log-level=err"])
        .arg(format!("-node={}", config.name))
        .arg(format!("-bind={}", config.bind))
        .arg(format!("-rpc-addr={rpc_addr}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(AgentError::Serf)?;
    let (mut rpc, mut said) = connect(rpc_addr, &mut serf).await.map_err(AgentError::Serf)?;
    rpc.ask(Kind::Handshake, vec![("Version", 1.into())]).map_err(AgentError::Serf)?;
    rpc.ask(Kind::Stream, vec![("Type", "*".into())]).map_err(AgentError::Serf)?;
    // In a namespace of its own only; see there.
    let wire = Some(config.bind.ip()).filter(|ip| !ip.is_loopback()).and_then(|_| {
        Wire::install(config.bind.port()).inspect_err(|error| warn!(%error, "traffic is not counted")).ok()
    });
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let hello = Report::Hello {
        schema: event_log::SCHEMA,
        name: config.name.clone(),
        addr: config.bind,
        pid: std::process::id(),
        boot_id: boot_id(),
        life: since_1970.as_nanos() as u64,
    };
    let mut agent = Agent {
        addr: config.bind,
        serf,
        rpc,
        wire,
        recorder: Recorder::default(),
        reports: Reports::default(),
        next_event: (since_1970.as_millis() as u64) << 16,
        faults: Vec::new(),
        list: false,
    };
    let started = What::NodeStarted { addr: config.bind, version: "serf".to_owned(), receive_buffer_bytes: 0 };
    agent.recorder.record(now_ns(), started);
    let mut messages = control::connect(master, hello);
    let mut orphaned = tokio::time::Instant::now() + config.orphan_timeout;
    let mut signal =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(AgentError::Serf)?;
    loop {
        tokio::select! {
            Some(said) = said.recv() => agent.on_said(said)?,
            message = messages.recv() => match message {
                Some(Message::Connected(reports)) => {
                    agent.reports.connected(reports);
                }
                Some(Message::Lost) => {
                    agent.reports.lost();
                    orphaned = tokio::time::Instant::now() + config.orphan_timeout;
                }
                Some(Message::Order(Order::Reject { reason })) => return Err(AgentError::Rejected(reason)),
                Some(Message::Order(Order::Stop)) | None => return Ok(()),
                Some(Message::Order(order)) => {
                    agent.on_order(order).map_err(AgentError::Serf)?;
                }
            },
            status = agent.serf.wait() => {
                agent.recorder.record(now_ns(), What::NodeStopped);
                agent.reports.send_records(&agent.recorder);
                // The records go out while the master reads them.
                tokio::time::sleep(Duration::from_millis(500)).await;
                return match status {
                    Ok(status) if status.success() => Ok(()),
                    Ok(status) => Err(AgentError::Serf(io::Error::other(status.to_string()))),
                    Err(error) => Err(AgentError::Serf(error)),
                };
            }
            () = tokio::time::sleep_until(orphaned), if !agent.reports.is_connected() => {
                return Err(AgentError::Orphaned(config.orphan_timeout));
            }
            _ = signal.recv() => return Ok(()),
        }
    }
}

/// Tries until the agent listens, ends, or is too slow.
async fn connect(addr: SocketAddr, serf: &mut Child) -> io::Result<(Rpc, mpsc::UnboundedReceiver<Said>)> {
    let until = tokio::time::Instant::now() + START_MAX;
    loop {
        match Rpc::connect(addr) {
            Ok(connected) => return Ok(connected),
            Err(error) if tokio::time::Instant::now() > until => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        if let Some(status) = serf.try_wait()? {
            return Err(io::Error::other(format!("it ended at once: {status}")));
        }
    }
}

impl Agent {
    fn on_order(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Join { seeds } => {
                let seeds: Vec<Value> = seeds.into_iter().map(|seed| seed.to_string().into()).collect();
                self.rpc.ask(Kind::Join, vec![("Existing", Value::Array(seeds)), ("Replay", false.into())])?;
            }
            Order::StartEvent { index, payload_bytes } => {
                let event = EventKey::new(self.addr, self.next_event);
                self.next_event += 1;
                let payload = Value::String("h".repeat(payload_bytes as usize).into());
                self.recorder.record(now_ns(), What::EventStarted { event: event.clone(), index, payload_bytes });
                let body = vec![("Name", event.0.into()), ("Payload", payload), ("Coalesce", false.into())];
                self.rpc.ask(Kind::Event, body)?;
            }
            Order::Impair { fault, impairment: Impairment::Loss(loss) } => {
                let Some(wire) = &self.wire else {
                    self.refuse("loss needs a network namespace of the node's own");
                    return Ok(());
                };
                wire.lose(self.addr.port(), loss.probability.value())?;
                self.faults.push(fault);
                self.recorder.record(now_ns(), What::FaultApplied { fault, active: true });
            }
            Order::Impair { .. } => self.refuse("of the faults a Serf agent can be given loss alone"),
            Order::Heal => {
                if let Some(wire) = &self.wire {
                    wire.heal()?;
                }
                for fault in std::mem::take(&mut self.faults) {
                    self.recorder.record(now_ns(), What::FaultApplied { fault, active: false });
                }
            }
            Order::Leave => self.rpc.ask(Kind::Leave, Vec::new())?,
            Order::Collect { acknowledged } => {
                self.recorder.acknowledge(acknowledged);
                self.record_counts();
                self.reports.send_records(&self.recorder);
            }
            Order::View { list } => {
                self.list = list;
                self.rpc.ask(Kind::Members, Vec::new())?;
            }
            Order::Welcome | Order::Reject { .. } | Order::ReadClock { .. } | Order::Stop => {}
        }
        Ok(())
    }

    fn on_said(&mut self, said: Said) -> Result<(), AgentError> {
        match said {
            Said::Answer { kind, error, .. } if !error.is_empty() => {
                self.refuse(&format!("{kind:?}: {error}"));
            }
            Said::Answer { kind: Kind::Members, body, .. } => {
                let members = entry(&body, "Members").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let alive = members.iter().filter(|member| text(member, "Status") == "alive");
                let members: Vec<SocketAddr> = alive.filter_map(address).collect();
                let alive = members.len() as u32;
                self.reports.send(Report::View { alive, members: if self.list { members } else { Vec::new() } });
            }
            Said::Answer { .. } => {}
            Said::Event { at_ns, body } => self.on_event(at_ns, &body),
            // The agent ends; that is noticed by itself.
            Said::Ended(error) => warn!(%error, "the connection to the agent is gone"),
        }
        Ok(())
    }

    fn on_event(&mut self, at_ns: u64, body: &Value) {
        let kind = text(body, "Event");
        if kind == "user" {
            let event = EventKey(text(body, "Name"));
            let origin = event.0.split('#').next().and_then(|origin| origin.parse().ok());
            if let Some(from) = origin.filter(|&origin| origin != self.addr) {
                self.recorder.record(at_ns, What::EventLearnt { event, hops: 0, from, via: Via::Push });
            }
            return;
        }
        let state = match kind.as_str() {
            "member-join" | "member-update" => MemberState::Alive,
            "member-failed" => MemberState::Dead,
            "member-leave" => MemberState::Left,
            "member-reap" => MemberState::Forgotten,
            _ => return,
        };
        let members = entry(body, "Members").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for member in members.iter().filter_map(address).filter(|&member| member != self.addr) {
            self.recorder.record(at_ns, What::MemberChanged { member, state, incarnation: 0, from: None });
        }
    }

    fn record_counts(&mut self) {
        let Some(counts) = self.wire.as_ref().and_then(|wire| wire.counts().ok()) else { return };
        let pid = self.serf.id().unwrap_or(0);
        let traffic = What::Traffic {
            datagrams_sent: counts.sent.0,
            bytes_sent: counts.sent.1,
            datagrams_received: counts.received.0,
            bytes_received: counts.received.1,
            receive_buffer_overflows: 0,
            cpu_ns: cpu_ns(pid),
            resident_bytes: resident_bytes(pid),
        };
        self.recorder.record(now_ns(), traffic);
    }

    fn refuse(&self, reason: &str) {
        warn!(reason, "refused");
        self.reports.send(Report::Refused { reason: reason.to_owned() });
    }
}

/// Processor time of a process, user and system; the kernel counts in hundredths of a second.
fn cpu_ns(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks * 10_000_000)
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
