//! Serf's RPC: MessagePack maps over TCP, a header before each body (Serf's documentation, *RPC Protocol*).

use std::collections::HashMap;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use event_log::clock::now_ns;
use rmpv::Value;
use tokio::sync::mpsc;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Agreement on the protocol's version.
    Handshake,
    /// All events from now on.
    Stream,
    /// Join a cluster.
    Join,
    /// Start an event.
    Event,
    /// Tell the members.
    Members,
    /// Say goodbye and end.
    Leave,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Stream => "stream",
            Self::Join => "join",
            Self::Event => "event",
            Self::Members => "members",
            Self::Leave => "leave",
        }
    }

    /// Whether the answer has a body.
    const fn has_body(self) -> bool {
        matches!(self, Self::Join | Self::Members)
    }
}

/// What the agent says.
#[derive(Debug)]
pub(crate) enum Said {
    /// An answer; its body is nil where there is none.
    Answer {
        /// To what.
        kind: Kind,
        /// Why it was not done; empty if it was.
        error: String,
        /// What it brings.
        body: Value,
    },
    /// An event of the stream.
    Event {
        /// When it was read, nanoseconds of the monotonic clock.
        at_ns: u64,
        /// The event.
        body: Value,
    },
    /// The connection is gone.
    Ended(io::Error),
}

/// What a number stands for.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// A request that is not answered yet.
    Pending(Kind),
    /// A stream that was granted: under its number come the events.
    Streaming,
}

/// A connection to an agent.
#[derive(Debug)]
pub(crate) struct Rpc {
    output: BufWriter<TcpStream>,
    next: u64,
    /// What was asked under which number.
    asked: Arc<Mutex<HashMap<u64, Asked>>>,
}

impl Rpc {
    /// Connects. What the agent says comes out of the receiver.
    ///
    /// # Errors
    /// When there is no agent yet.
    pub(crate) fn connect(addr: SocketAddr) -> io::Result<(Self, mpsc::UnboundedReceiver<Said>)> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        let (said, receiver) = mpsc::unbounded_channel();
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let (input, theirs) = (BufReader::new(stream.try_clone()?), asked.clone());
        thread::spawn(move || read(input, &theirs, &said));
        Ok((Self { output: BufWriter::new(stream), next: 0, asked }, receiver))
    }

    /// Asks for something; the answer comes later.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(crate) fn ask(&mut self, kind: Kind, body: Vec<(&str, Value)>) -> io::Result<()> {
        let number = self.next;
        self.next += 1;
        self.asked.lock().expect("nobody panics with it").insert(number, Asked::Pending(kind));
        write(&mut self.output, vec![("Command", kind.name().into()), ("Seq", number.into())])?;
        if !body.is_empty() {
            write(&mut self.output, body)?;
        }
        self.output.flush()
    }
}

fn write(output: &mut impl io::Write, entries: Vec<(&str, Value)>) -> io::Result<()> {
    let map = Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect());
    rmpv::encode::write_value(output, &map).map_err(io::Error::other)
}

fn read(mut input: BufReader<TcpStream>, asked: &Mutex<HashMap<u64, Asked>>, said: &mpsc::UnboundedSender<Said>) {
    loop {
        let next = match read_next(&mut input, asked) {
            Ok(next) => next,
            Err(error) => {
                let _ = said.send(Said::Ended(error));
                return;
            }
        };
        if said.send(next).is_err() {
            return;
        }
    }
}

fn read_next(input: &mut BufReader<TcpStream>, asked: &Mutex<HashMap<u64, Asked>>) -> io::Result<Said> {
    let header = read_value(input)?;
    let at_ns = now_ns();
    let (number, error) = (number(&header, "Seq"), text(&header, "Error"));
    let number = number.ok_or_else(|| io::Error::other("the agent sent an answer without a number"))?;
    let mut asked = asked.lock().expect("nobody panics with it");
    match asked.get(&number).copied() {
        Some(Asked::Streaming) => {
            drop(asked);
            Ok(Said::Event { at_ns, body: read_value(input)? })
        }
        Some(Asked::Pending(kind)) => {
            asked.remove(&number);
            if kind == Kind::Stream && error.is_empty() {
                asked.insert(number, Asked::Streaming);
            }
            drop(asked);
            let body = if kind.has_body() && error.is_empty() { read_value(input)? } else { Value::Nil };
            Ok(Said::Answer { kind, error, body })
        }
        None => Err(io::Error::other(format!("the agent answers {number}, which nobody asked"))),
    }
}

fn read_value(input: &mut BufReader<TcpStream>) -> io::Result<Value> {
    rmpv::decode::read_value_with_max_depth(input, 16).map_err(io::Error::other)
}

/// An entry of a map.
#[must_use]
pub(crate) fn entry<'v>(map: &'v Value, key: &str) -> Option<&'v Value> {
    map.as_map()?.iter().find(|(name, _)| bytes(name) == Some(key.as_bytes())).map(|(_, value)| value)
}

/// A number in a map.
#[must_use]
pub(crate) fn number(map: &Value, key: &str) -> Option<u64> {
    entry(map, key)?.as_u64()
}

/// A text in a map; empty where there is none.
#[must_use]
pub(crate) fn text(map: &Value, key: &str) -> String {
    entry(map, key).and_then(bytes).map_or_else(String::new, |bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The address of a member.
#[must_use]
pub(crate) fn address(member: &Value) -> Option<SocketAddr> {
    let ip = bytes(entry(member, "Addr")?)?;
    let ip = match ip.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).to_canonical(),
    };
    Some(SocketAddr::new(ip, u16::try_from(number(member, "Port")?).ok()?))
}

/// Bytes in the old form of MessagePack, which Serf speaks: there they are strings that may not be UTF-8.
fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::String(text) => Some(text.as_bytes()),
        Value::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_as_serf_writes_it() {
        // {"Name": "n001", "Addr": 16 bytes of ::ffff:127.77.0.1, "Port": 7400, "Status": "alive"}
        let mut raw = vec![0x84, 0xa4];
        raw.extend(b"Name\xa4n001\xa4Addr\xb0");
        raw.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 77, 0, 1]);
        raw.extend(b"\xa4Port\xcd\x1c\xe8\xa6Status\xa5alive");
        let member = rmpv::decode::read_value(&mut raw.as_slice()).expect("MessagePack");
        assert_eq!(address(&member), Some("127.77.0.1:7400".parse().expect("an address")));
        assert_eq!((text(&member, "Status"), text(&member, "Tags")), ("alive".to_owned(), String::new()));
        assert_eq!(number(&member, "Name"), None);
    }

    #[test]
    fn a_request_is_a_header_and_a_body() {
        let mut out = Vec::new();
        write(&mut out, vec![("Command", Kind::Event.name().into()), ("Seq", 2.into())]).expect("memory takes it");
        assert_eq!(out, b"\x82\xa7Command\xa5event\xa3Seq\x02");
    }
}
