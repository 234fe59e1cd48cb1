//! A replay in words: every input, datagram and event on a line of its own.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use gossip_core::keyring::Key;
use gossip_core::typed::RecordedInput;
use gossip_core::wire::sealed::{Seal, SenderKey};
use gossip_core::wire::{self, DecodeError, Item, MAGIC_SEALED, Message, Update};
use gossip_core::{Address, ClusterTag, Instant, MemberState, Node};

use super::replay::Watch;

/// Items of one datagram that are named; the others are counted.
const ITEMS_SHOWN: usize = 12;

/// Writes what happens from one time to another.
pub struct Trace<'k, O> {
    out: O,
    /// The birth: times are told since then.
    born: Instant,
    from: Instant,
    to: Instant,
    /// Whether inputs and what came of them are wanted.
    lines: bool,
    /// When to show the table of members.
    members_at: Option<Instant>,
    keys: &'k [Key],
    /// The first error of writing, after which nothing is written.
    pub error: Option<std::io::Error>,
}

impl<'k, O: Write> Trace<'k, O> {
    /// Tells what happens between `from` and `to` after the birth, if `lines`, and who the members are at `members_at`.
    pub fn new(
        out: O,
        born: Instant,
        (from, to): (Duration, Option<Duration>),
        lines: bool,
        members_at: Option<Duration>,
        keys: &'k [Key],
    ) -> Self {
        let to = to.map_or(Instant::from_nanos(u64::MAX), |to| born + to);
        let members_at = members_at.map(|at| born + at);
        Self { out, born, from: born + from, to, lines, members_at, keys, error: None }
    }

    fn line(&mut self, at: Instant, mark: &str, text: &str) {
        if self.lines && at >= self.from && at <= self.to && self.error.is_none() {
            let since = at.since(self.born).as_secs_f64();
            self.error = writeln!(self.out, "{since:>13.6}  {mark} {text}").err();
        }
    }

    fn wanted(&self, at: Instant) -> bool {
        self.lines && at >= self.from && at <= self.to
    }

    fn show_members(&mut self, node: &Node<SocketAddr>, at: Instant) -> std::io::Result<()> {
        let since = at.since(self.born).as_secs_f64();
        writeln!(
            self.out,
            "{since:>13.6}  = members: {} live, {} remembered; health score {}",
            node.live_members(),
            node.members().count(),
            node.health_score()
        )?;
        for member in node.members() {
            let own = if member.addr == node.local() { " (this node)" } else { "" };
            let metadata = if member.metadata.is_empty() {
                String::new()
            } else {
                format!(", metadata v{} {}", member.metadata_version, quoted(member.metadata))
            };
            let state = state(member.state);
            writeln!(self.out, "{:>13}    {state} {} i{}{metadata}{own}", "", member.addr, member.incarnation)?;
        }
        Ok(())
    }
}

impl<O: Write> Watch for Trace<'_, O> {
    fn on_input(&mut self, node: &Node<SocketAddr>, number: u64, at: Instant, input: &RecordedInput) {
        if self.wanted(at) {
            let text = input_in_words(node, at, input, self.keys);
            self.line(at, ">", &format!("#{number} {text}"));
        }
    }

    fn on_result(&mut self, _: u64, at: Instant, words: &str) {
        self.line(at, "=", words);
    }

    fn on_transmit(&mut self, node: &Node<SocketAddr>, at: Instant, to: SocketAddr, bytes: &[u8]) {
        if self.wanted(at) {
            let words = datagram_in_words(bytes, node.config().cluster, (node.local(), to), self.keys);
            self.line(at, "<", &format!("to {to} {words}"));
        }
    }

    fn on_event(&mut self, at: Instant, words: &str) {
        self.line(at, "!", words);
    }

    fn before(&mut self, node: &Node<SocketAddr>, next: Instant) {
        if let Some(at) = self.members_at
            && next > at
        {
            self.members_at = None;
            let shown = self.show_members(node, at);
            self.error = self.error.take().or(shown.err());
        }
    }
}

/// An input.
fn input_in_words(node: &Node<SocketAddr>, at: Instant, input: &RecordedInput, keys: &[Key]) -> String {
    let addr =
        |bytes: &[u8]| SocketAddr::decode(bytes).map_or("an unreadable address".to_owned(), |(a, _)| a.to_string());
    match input {
        RecordedInput::Datagram { from, bytes } => {
            let Some((from, _)) = SocketAddr::decode(from) else {
                return "datagram from an unreadable address".to_owned();
            };
            let words = datagram_in_words(bytes, node.config().cluster, (from, node.local()), keys);
            format!("from {from} {words}")
        }
        RecordedInput::Timeout => match node.poll_timeout() {
            Some(due) if due <= at => format!("timeout, {:?} late", at.since(due)),
            Some(due) => format!("timeout, {:?} early", due.since(at)),
            None => "timeout that nobody asked for".to_owned(),
        },
        RecordedInput::Join { seeds } => {
            let seeds: Vec<String> = seeds.iter().map(|seed| addr(seed)).collect();
            format!("command: join through {}", seeds.join(", "))
        }
        RecordedInput::Leave => "command: leave".to_owned(),
        RecordedInput::StartEvent { payload, priority, lifetime, ordered } => {
            let lifetime = lifetime.map_or(String::new(), |lifetime| format!(", lifetime {lifetime:?}"));
            let ordered = if *ordered { ", ordered" } else { "" };
            format!("command: start an event of {} bytes, priority bits {priority}{lifetime}{ordered}", payload.len())
        }
        RecordedInput::StartQuery { payload, deadline, .. } => {
            format!("command: start a query of {} bytes, deadline {deadline:?}", payload.len())
        }
        RecordedInput::Respond { origin, sequence, payload } => {
            format!("command: answer query {}#{sequence} with {} bytes", addr(origin), payload.len())
        }
        RecordedInput::Send { to, payload } => format!("command: send {} bytes to {}", payload.len(), addr(to)),
        RecordedInput::SetMetadata { metadata } => format!("command: set metadata {}", quoted(metadata)),
        RecordedInput::SetKeyring { keyring: Some(keyring) } => format!("command: set keyring, keys {:?}", keyring.ids),
        RecordedInput::SetKeyring { keyring: None } => "command: set no keyring".to_owned(),
        RecordedInput::Reconfigure { .. } => "command: reconfigure".to_owned(),
    }
}

/// A datagram from one address to another. One that is sealed is opened if a key is there.
#[must_use]
pub fn datagram_in_words(
    bytes: &[u8],
    cluster: ClusterTag,
    (from, to): (SocketAddr, SocketAddr),
    keys: &[Key],
) -> String {
    let mut scratch = Vec::new();
    let mut seal = String::new();
    let decoded = if bytes.first() == Some(&MAGIC_SEALED) {
        match open(bytes, cluster, (from, to), keys, &mut scratch) {
            Ok((version, about)) => {
                seal = format!("sealed with key {about}: ");
                wire::decode_body(version, &scratch)
            }
            Err((about, error)) => return format!("{} bytes sealed{about}: {error}", bytes.len()),
        }
    } else {
        wire::decode::<SocketAddr>(bytes, cluster)
    };
    let datagram = match decoded {
        Ok(datagram) => datagram,
        Err(error) => return format!("{} bytes: {error}", bytes.len()),
    };
    let mut words = format!("{seal}{}", Words(&datagram.message));
    let _ = write!(words, " [i{} digest {:08x}]", datagram.sender.incarnation, datagram.sender.digest);
    let mut more = 0_usize;
    for (place, item) in datagram.items.enumerate() {
        if place < ITEMS_SHOWN {
            let _ = write!(words, " | {}", item_in_words(&item));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        let _ = write!(words, " | and {more} more");
    }
    words
}

fn open(
    bytes: &[u8],
    cluster: ClusterTag,
    (from, to): (SocketAddr, SocketAddr),
    keys: &[Key],
    scratch: &mut Vec<u8>,
) -> Result<(u8, u8), (String, DecodeError)> {
    let seal = Seal::read(bytes, cluster).map_err(|error| (String::new(), error))?;
    let about = || format!(" with key {}", seal.key_id);
    let key = keys.iter().find(|key| key.id() == seal.key_id);
    let key = key.ok_or_else(|| (about(), DecodeError::UnknownKey(seal.key_id)))?;
    scratch.resize(bytes.len(), 0);
    let len =
        SenderKey::new(key, &from, seal.session).open(bytes, &seal, &to, scratch).map_err(|error| (about(), error))?;
    scratch.truncate(len);
    Ok((seal.version, seal.key_id))
}

struct Words<'a, 'm>(&'a Message<'m, SocketAddr>);

impl fmt::Display for Words<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Message::Ping { seq } => write!(f, "Ping {seq}"),
            Message::Ack { seq } => write!(f, "Ack {seq}"),
            Message::PingReq { seq, target } => write!(f, "PingReq {seq} for {target}"),
            Message::Nack { seq } => write!(f, "Nack {seq}"),
            Message::Gossip { answer: true } => f.write_str("Gossip, answer wanted"),
            Message::Gossip { answer: false } => f.write_str("Gossip"),
            Message::SyncOpen { bits, digests } => {
                write!(f, "SyncOpen of {} buckets, {} digests", 1_u64 << bits.min(&63), digests.len() / 4)
            }
            Message::SyncList { bits, want, buckets } => {
                let want = if *want { ", yours wanted" } else { "" };
                write!(f, "SyncList of {} in {} buckets{want}", buckets.count_ones(), 1_u64 << bits.min(&63))
            }
            Message::SyncSketch { bits, buckets, first, symbols } => {
                let (of, symbols) = (1_u64 << bits.min(&63), symbols.len() / wire::SYMBOL_LEN);
                write!(f, "SyncSketch of {} in {of} buckets, {symbols} symbols from {first} on", buckets.count_ones())
            }
            Message::Branch { seq, start, end } => write!(f, "Branch {seq} of {start:08x}..={end:08x}"),
            Message::BranchAck { seq } => write!(f, "BranchAck {seq}"),
            Message::App { payload } => write!(f, "App, {} bytes", payload.len()),
            Message::Extension { kind, body } => write!(f, "Extension {kind}, {} bytes", body.len()),
            // Short, and whole in their debug form.
            other @ (Message::Answer
            | Message::Join
            | Message::Members
            | Message::Leave
            | Message::SyncMore { .. }
            | Message::SyncWant { .. }
            | Message::Response(_)) => write!(f, "{other:?}"),
        }
    }
}

fn item_in_words(item: &Item<'_, SocketAddr>) -> String {
    match item {
        Item::Update(Update { addr, claim, accuser, metadata }) => {
            let accuser = accuser.map_or(String::new(), |accuser| format!(" accused by {accuser}"));
            let metadata = metadata.map_or(String::new(), |metadata| format!(" metadata v{}", metadata.version));
            format!("{} {addr} i{}{accuser}{metadata}", state(claim.state), claim.incarnation)
        }
        Item::Rumor(rumor) => format!(
            "event {}#{} age {} ms, hop {}, {} bytes",
            rumor.origin,
            rumor.sequence,
            rumor.age_ms,
            rumor.hops,
            rumor.payload.len()
        ),
        Item::Coordinate(_) => "coordinate".to_owned(),
    }
}

fn state(state: MemberState) -> &'static str {
    match state {
        MemberState::Alive => "alive",
        MemberState::Suspect => "suspect",
        MemberState::Dead => "dead",
        MemberState::Left => "left",
    }
}

/// Bytes as text where they are text, without control characters.
fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
