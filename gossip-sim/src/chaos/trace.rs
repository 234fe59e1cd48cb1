//! What happened, for people: a line for each event, fault and datagram, with the datagram decoded to words.

use core::fmt::{self, Write as _};
use core::time::Duration;
use std::net::SocketAddr;

use gossip_core::wire::{self, Item, Message};
use gossip_core::{ClusterTag, Command, Event, InputError};

use crate::addresses::{Addresses as _, NodeId};
use crate::network::Fate;
use crate::observe::Handled;

/// Where lines go.
type Sink = Box<dyn FnMut(&str)>;

/// Writes down what happens between two times, of all nodes or of one.
pub struct Trace {
    from: Duration,
    to: Duration,
    node: Option<NodeId>,
    cluster: ClusterTag,
    sink: Sink,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl Trace {
    /// Of everything that concerns `node`, or of all if none is given, from one time to another.
    pub fn new(from: Duration, to: Duration, node: Option<NodeId>, sink: impl FnMut(&str) + 'static) -> Self {
        Self { from, to, node, cluster: ClusterTag::default(), sink: Box::new(sink) }
    }

    fn wants(&self, now: Duration, nodes: &[Option<NodeId>]) -> bool {
        (self.from..=self.to).contains(&now) && self.node.is_none_or(|node| nodes.contains(&Some(node)))
    }

    fn line(&mut self, now: Duration, what: &str) {
        (self.sink)(&format!("{:>10.4}  {what}", now.as_secs_f64()));
    }

    /// What the adversary does.
    pub(super) fn note(&mut self, now: Duration, what: &str) {
        if (self.from..=self.to).contains(&now) {
            self.line(now, &format!("## {what}"));
        }
    }

    pub(super) fn event(&mut self, now: Duration, node: NodeId, event: &Event<SocketAddr>) {
        if self.wants(now, &[Some(node)]) {
            self.line(now, &format!("node {node} tells: {}", of_event(event)));
        }
    }

    pub(super) fn sent(&mut self, now: Duration, from: NodeId, to: SocketAddr, bytes: &[u8], fate: Fate) {
        if self.wants(now, &[Some(from), to.id()]) {
            let fate = match fate {
                Fate::Sent { delay } => format!("arrives after {delay:?}"),
                other => format!("{other:?}"),
            };
            self.line(now, &format!("{from} -> {}: {}; {fate}", name(&to), of_datagram(bytes, self.cluster)));
        }
    }

    pub(super) fn delivered(
        &mut self,
        now: Duration,
        from: SocketAddr,
        to: NodeId,
        bytes: &[u8],
        result: &Handled<SocketAddr>,
    ) {
        if self.wants(now, &[Some(to), from.id()]) {
            let result = match result {
                Ok(_) => String::new(),
                Err(InputError::Datagram(error)) => format!("; REFUSED: {error}"),
                Err(error) => format!("; REFUSED: {error}"),
            };
            let kind = of_datagram(bytes, self.cluster);
            let kind = kind.split(" | ").next().unwrap_or_default();
            self.line(now, &format!("{} => {to}: {kind}{result}", name(&from)));
        }
    }
}

fn name(addr: &SocketAddr) -> String {
    addr.id().map_or_else(|| addr.to_string(), |id| id.to_string())
}

/// A command in a few words.
pub(super) fn of_command(command: &Command<'_, SocketAddr>) -> String {
    match command {
        Command::Reconfigure { .. } => "another configuration".to_owned(),
        Command::SetKeyring { keyring } => format!("keys {keyring:?}"),
        Command::SetMetadata { metadata } => format!("to state {} bytes of metadata", metadata.len()),
        Command::StartEvent { payload, options } => {
            format!("to start an event, {:?}, {options:?}", String::from_utf8_lossy(payload))
        }
        other => format!("{other:?}"),
    }
}

fn of_event(event: &Event<SocketAddr>) -> String {
    match event {
        Event::MemberChanged { addr, state, incarnation, told_by, .. } => {
            let by =
                told_by.as_ref().map_or_else(|| "found by itself".to_owned(), |by| format!("told by {}", name(by)));
            format!("node {} is {state:?} in incarnation {incarnation}, {by}", name(addr))
        }
        Event::UserEvent { id, from, via, order, payload, .. } => {
            let text = String::from_utf8_lossy(&payload[..payload.len().min(12)]);
            format!("event {}/{} {text:?} from {} by {via:?}, {order:?}", name(&id.origin), id.sequence, name(from))
        }
        other => format!("{other:?}"),
    }
}

/// A datagram in words: its message, its sender's incarnation and digest, and what rides on it.
fn of_datagram(bytes: &[u8], cluster: ClusterTag) -> String {
    let datagram = match wire::decode::<SocketAddr>(bytes, cluster) {
        Ok(datagram) => datagram,
        Err(error) => return format!("{} bytes ({error})", bytes.len()),
    };
    let message = match datagram.message {
        Message::SyncOpen { bits, .. } => format!("SyncOpen {{ 2^{bits} buckets }}"),
        Message::SyncSketch { first, symbols, .. } => {
            format!("SyncSketch {{ {} symbols from {first} on }}", symbols.len() / wire::SYMBOL_LEN)
        }
        Message::SyncWant { identities } => format!("SyncWant {{ {} identities }}", identities.len() / 4),
        Message::PingReq { seq, target } => format!("PingReq {{ {seq}, node {} }}", name(&target)),
        Message::App { payload } => format!("App {{ {} bytes }}", payload.len()),
        other => format!("{other:?}"),
    };
    let sender = datagram.sender;
    let mut out = format!("{message} | inc {} digest {:08x}", sender.incarnation, sender.digest);
    for item in datagram.items {
        let _ = match item {
            Item::Update(update) => {
                let accuser = update.accuser.map_or_else(String::new, |accuser| format!(" by {}", name(&accuser)));
                let metadata = update.metadata.map_or_else(String::new, |told| format!(" metadata v{}", told.version));
                let claim = update.claim;
                write!(out, " | {} {:?} {}{accuser}{metadata}", name(&update.addr), claim.state, claim.incarnation)
            }
            Item::Rumor(rumor) => {
                write!(out, " | event {}/{} age {} ms", name(&rumor.origin), rumor.sequence, rumor.age_ms)
            }
            Item::Coordinate(_) => write!(out, " | coordinate"),
        };
    }
    out
}
