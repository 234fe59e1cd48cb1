//! Datagrams as typed values, and back.

use core::marker::PhantomData;

use super::delta::Previous;
use super::error::DecodeError;
use super::response::Response;
use super::rumor::{Rumor, TAG_RUMOR};
use super::update::{Update, is_update, read_incarnation, read_update, write_update};
use super::{HEADER_LEN, MAGIC, MAGIC_SEALED, Reader, VERSION, Writer};
use crate::address::Address;
use crate::config::ClusterTag;
use crate::coordinate::Coordinate;
use crate::sync::BUCKET_BITS_MAX;
use crate::sync::sketch::{SYMBOLS_MAX, Symbol};

/// What every datagram tells of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// Its incarnation: with the datagram itself a claim that it is alive.
    pub incarnation: u32,
    /// Digest of what it knows: the live members, and the events that it keeps.
    pub digest: u32,
}

/// The message of a datagram, apart from the items that ride on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a, A> {
    /// Are you there?
    Ping {
        /// Comes back in the answer.
        seq: u32,
    },
    /// The target of `Ping` or `PingReq` is there.
    Ack {
        /// That of the question.
        seq: u32,
    },
    /// Probe the target for me.
    PingReq {
        /// Comes back in the answer.
        seq: u32,
        /// Whom.
        target: A,
    },
    /// I am here, but your target did not answer me either (Lifeguard).
    Nack {
        /// That of the question.
        seq: u32,
    },
    /// A call of the gossip round.
    Gossip {
        /// The caller wants to be told what it lacks.
        answer: bool,
    },
    /// The answer to a call.
    Answer,
    /// Let me in.
    Join,
    /// Members, in answer to `Join`.
    Members,
    /// I am going.
    Leave,
    /// These are the digests of my buckets.
    SyncOpen {
        /// Log2 of their number.
        bits: u8,
        /// Four bytes each.
        digests: &'a [u8],
    },
    /// This is all that I have in these buckets.
    SyncList {
        /// Log2 of the number of buckets.
        bits: u8,
        /// The receiver shall send all that it has in them.
        want: bool,
        /// Which buckets: a bit each.
        buckets: u64,
    },
    /// These symbols of a sketch are the sum of what I have in these buckets.
    SyncSketch {
        /// Log2 of the number of buckets.
        bits: u8,
        /// Which buckets: a bit each.
        buckets: u64,
        /// The number of the first symbol.
        first: u32,
        /// The symbols, [`SYMBOL_LEN`] bytes each.
        symbols: &'a [u8],
    },
    /// Send me more symbols of the sketch of these buckets.
    SyncMore {
        /// Log2 of the number of buckets.
        bits: u8,
        /// Which buckets: a bit each.
        buckets: u64,
        /// The number of the first symbol.
        first: u32,
        /// Datagrams full of them.
        datagrams: u8,
    },
    /// Send me what you have under these identities; what I have that you lack rides on this.
    SyncWant {
        /// Hashes of identities, four bytes each.
        identities: &'a [u8],
    },
    /// A word about a query.
    Response(Response<'a>),
    /// Tell the first event that rides on this to the members whose identities lie in a range.
    Branch {
        /// Comes back in the acknowledgement.
        seq: u32,
        /// The first identity of the range.
        start: u32,
        /// The last, not below the first; one identity alone is the receiver's, and is not acknowledged.
        end: u32,
    },
    /// That will be done.
    BranchAck {
        /// That of the request.
        seq: u32,
    },
    /// A message between applications.
    App {
        /// Theirs.
        payload: &'a [u8],
    },
    /// A message of the next version of the format: of no meaning here, but its sender is there and its items count.
    Extension {
        /// Its kind, [`KIND_EXTENSION`] or above.
        kind: u8,
        /// Its body.
        body: &'a [u8],
    },
}

/// What rides on a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a, A> {
    /// A claim about a member.
    Update(Update<'a, A>),
    /// An event.
    Rumor(Rumor<'a, A>),
    /// Where the sender is; see [`coordinate`](crate::coordinate).
    Coordinate(Coordinate),
}

/// A datagram whose every byte was checked.
#[derive(Debug, Clone)]
pub struct Datagram<'a, A> {
    /// The version of the format that the sender speaks.
    pub version: u8,
    /// Of whom it tells.
    pub sender: Sender,
    /// The message.
    pub message: Message<'a, A>,
    /// What rides on it.
    pub items: Items<'a, A>,
}

/// The items of a datagram.
#[derive(Debug, Clone)]
pub struct Items<'a, A> {
    reader: Reader<'a>,
    previous: Previous,
    /// Of a newer version: extensions are passed over.
    newer: bool,
    address: PhantomData<A>,
}

impl<'a, A: Address> Iterator for Items<'a, A> {
    type Item = Item<'a, A>;
    /// The next item that this version knows. All were checked before.
    #[inline]
    fn next(&mut self) -> Option<Item<'a, A>> {
        while !self.reader.rest().is_empty() {
            let tag = self.reader.u8()?;
            if is_update(tag) {
                return read_update::<A, true>(tag, &mut self.reader, &mut self.previous).map(Item::Update);
            }
            if let Some(item) = self.read_other(tag)? {
                return Some(item);
            }
        }
        None
    }
}

impl<'a, A: Address> Items<'a, A> {
    /// Whether all are items. Does nothing else, for the sake of speed.
    fn are_valid(mut self) -> bool {
        while let Some(tag) = self.reader.u8() {
            let valid = if is_update(tag) {
                read_update::<A, false>(tag, &mut self.reader, &mut self.previous).is_some()
            } else {
                self.read_other(tag).is_some()
            };
            if !valid {
                return false;
            }
        }
        true
    }

    /// `None` where the bytes are no item, `Some(None)` for an extension.
    #[inline(never)]
    fn read_other(&mut self, tag: u8) -> Option<Option<Item<'a, A>>> {
        let reader = &mut self.reader;
        match tag {
            tag if tag & TAG_KINDS == TAG_RUMOR => Rumor::read(tag, reader).map(|rumor| Some(Item::Rumor(rumor))),
            TAG_COORDINATE => Coordinate::read(reader).map(|coordinate| Some(Item::Coordinate(coordinate))),
            tag if tag & TAG_KINDS == TAG_EXTENSION && self.newer => reader.string(STRING_MAX).map(|_| None),
            _ => None,
        }
    }
}

const KIND_PING: u8 = 1;
const KIND_ACK: u8 = 2;
const KIND_PING_REQ: u8 = 3;
const KIND_NACK: u8 = 4;
const KIND_GOSSIP: u8 = 5;
const KIND_ANSWER: u8 = 6;
const KIND_JOIN: u8 = 7;
const KIND_MEMBERS: u8 = 8;
const KIND_LEAVE: u8 = 9;
const KIND_SYNC_OPEN: u8 = 10;
const KIND_SYNC_LIST: u8 = 11;
const KIND_APP: u8 = 12;
const KIND_SYNC_SKETCH: u8 = 13;
const KIND_SYNC_MORE: u8 = 14;
const KIND_RESPONSE: u8 = 15;
const KIND_SYNC_WANT: u8 = 16;
const KIND_BRANCH: u8 = 17;
const KIND_BRANCH_ACK: u8 = 18;

/// The kinds from here on are left to later versions: a length and as many bytes follow.
pub const KIND_EXTENSION: u8 = 128;

/// The bits of a tag that tell the kind of the item.
const TAG_KINDS: u8 = 0b1100_0000;
/// Left to later versions: a length and as many bytes follow.
const TAG_EXTENSION: u8 = 0b0000_0000;
const TAG_COORDINATE: u8 = 0b1100_0000;

/// Bytes of a symbol in [`Message::SyncSketch`].
pub const SYMBOL_LEN: usize = Symbol::LEN;

/// The longest payloads that a datagram can hold; what is longer cannot have come in one.
const STRING_MAX: usize = 65_535;
/// Reads a datagram of `cluster`.
///
/// # Errors
/// [`DecodeError`]; the bytes had no effect then.
pub fn decode<A: Address>(bytes: &[u8], cluster: ClusterTag) -> Result<Datagram<'_, A>, DecodeError> {
    let (header, _) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(DecodeError::Foreign)?;
    let [magic, version, tag_high, tag_low, checksum @ ..] = *header;
    match magic {
        MAGIC => check_version(version)?,
        MAGIC_SEALED => return Err(DecodeError::Sealed),
        _ => return Err(DecodeError::Foreign),
    }
    let tag = ClusterTag(u16::from_be_bytes([tag_high, tag_low]));
    if tag != cluster {
        return Err(DecodeError::Cluster(tag));
    }
    if u32::from_be_bytes(checksum) != crc(bytes) {
        return Err(DecodeError::Checksum);
    }
    decode_body(version, &bytes[HEADER_LEN..])
}

/// Reads what stands behind the header of a datagram of `version`: what a sealed one holds.
///
/// # Errors
/// [`DecodeError::Malformed`].
pub fn decode_body<A: Address>(version: u8, body: &[u8]) -> Result<Datagram<'_, A>, DecodeError> {
    read_body(version, Reader::new(body)).ok_or(DecodeError::Malformed)
}

/// Whether this code reads a version: its own, and one up and down.
pub(super) fn check_version(version: u8) -> Result<(), DecodeError> {
    if version == 0 || version.abs_diff(VERSION) > 1 { Err(DecodeError::Version(version)) } else { Ok(()) }
}

fn crc(datagram: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&datagram[..4]);
    hasher.update(&datagram[HEADER_LEN..]);
    hasher.finalize()
}

fn read_body<A: Address>(version: u8, mut reader: Reader<'_>) -> Option<Datagram<'_, A>> {
    let newer = version > VERSION;
    let kind = reader.u8()?;
    let sender = Sender { incarnation: read_incarnation(&mut reader)?, digest: reader.u32()? };
    let message = if kind >= KIND_EXTENSION && newer {
        Message::Extension { kind, body: reader.string(STRING_MAX)? }
    } else {
        read_message(kind, &mut reader)?
    };
    let items = Items { reader, previous: Previous::NONE, newer, address: PhantomData };
    if !items.clone().are_valid() {
        return None;
    }
    Some(Datagram { version, sender, message, items })
}

fn read_message<'a, A: Address>(kind: u8, reader: &mut Reader<'a>) -> Option<Message<'a, A>> {
    Some(match kind {
        KIND_PING => Message::Ping { seq: reader.varint32()? },
        KIND_ACK => Message::Ack { seq: reader.varint32()? },
        KIND_PING_REQ => Message::PingReq { seq: reader.varint32()?, target: reader.address()? },
        KIND_NACK => Message::Nack { seq: reader.varint32()? },
        KIND_GOSSIP => Message::Gossip { answer: read_flag(reader)? },
        KIND_ANSWER => Message::Answer,
        KIND_JOIN => Message::Join,
        KIND_MEMBERS => Message::Members,
        KIND_LEAVE => Message::Leave,
        KIND_SYNC_OPEN => {
            let bits = read_bits(reader)?;
            Message::SyncOpen { bits, digests: reader.bytes(4 << bits)? }
        }
        KIND_SYNC_LIST => {
            let (bits, buckets) = read_buckets(reader)?;
            Message::SyncList { bits, want: read_flag(reader)?, buckets }
        }
        KIND_SYNC_SKETCH => {
            let (bits, buckets) = read_buckets(reader)?;
            let first = read_first_symbol(reader)?;
            let symbols = reader.string(STRING_MAX).filter(|bytes| bytes.len().is_multiple_of(SYMBOL_LEN))?;
            Message::SyncSketch { bits, buckets, first, symbols }
        }
        KIND_SYNC_MORE => {
            let (bits, buckets) = read_buckets(reader)?;
            Message::SyncMore { bits, buckets, first: read_first_symbol(reader)?, datagrams: reader.u8()? }
        }
        KIND_SYNC_WANT => {
            Message::SyncWant { identities: reader.string(STRING_MAX).filter(|bytes| bytes.len().is_multiple_of(4))? }
        }
        KIND_RESPONSE => Message::Response(Response::read(reader)?),
        KIND_BRANCH => {
            let (seq, start) = (reader.varint32()?, reader.u32()?);
            Message::Branch { seq, start, end: start.checked_add(reader.varint32()?)? }
        }
        KIND_BRANCH_ACK => Message::BranchAck { seq: reader.varint32()? },
        KIND_APP => Message::App { payload: reader.string(STRING_MAX)? },
        _ => return None,
    })
}

fn read_flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn read_bits(reader: &mut Reader<'_>) -> Option<u8> {
    reader.u8().filter(|&bits| bits <= BUCKET_BITS_MAX)
}

/// Log2 of the number of buckets, and which of them.
fn read_buckets(reader: &mut Reader<'_>) -> Option<(u8, u64)> {
    let (bits, buckets) = (read_bits(reader)?, reader.u64()?);
    (bits == BUCKET_BITS_MAX || buckets >> (1_u32 << bits) == 0).then_some((bits, buckets))
}

fn read_first_symbol(reader: &mut Reader<'_>) -> Option<u32> {
    reader.varint32().filter(|&first| first <= SYMBOLS_MAX)
}

/// Writes one datagram into the caller's buffer: the message first, then as many items as fit.
#[derive(Debug)]
pub struct Encoder<'b> {
    writer: Writer<'b>,
    previous: Previous,
    /// Whether there is a header, whose checksum is to be put in.
    header: bool,
}

impl<'b> Encoder<'b> {
    /// Begins a datagram. `None` when not even the message fits.
    pub fn new<A: Address>(
        buffer: &'b mut [u8],
        cluster: ClusterTag,
        sender: Sender,
        message: &Message<'_, A>,
    ) -> Option<Self> {
        let mut writer = Writer::new(buffer);
        writer.bytes(&[MAGIC, VERSION])?;
        writer.bytes(&cluster.0.to_be_bytes())?;
        writer.u32(0)?;
        Self::begin(writer, sender, message, true)
    }

    /// Begins a datagram without the header: what is to be sealed. `None` when not even the message fits.
    pub fn body<A: Address>(buffer: &'b mut [u8], sender: Sender, message: &Message<'_, A>) -> Option<Self> {
        Self::begin(Writer::new(buffer), sender, message, false)
    }

    fn begin<A: Address>(
        mut writer: Writer<'b>,
        sender: Sender,
        message: &Message<'_, A>,
        header: bool,
    ) -> Option<Self> {
        writer.u8(kind(message))?;
        writer.varint(u64::from(sender.incarnation))?;
        writer.u32(sender.digest)?;
        write_message(&mut writer, message)?;
        Some(Self { writer, previous: Previous::NONE, header })
    }

    /// Bytes that still fit.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.writer.room()
    }

    /// Adds an item. False when it does not fit; the datagram is then as before.
    pub fn push<A: Address>(&mut self, item: &Item<'_, A>) -> bool {
        let len = self.writer.len();
        let written = match item {
            Item::Update(update) => {
                write_update(&mut self.writer, update, &self.previous).map(|previous| self.previous = previous)
            }
            Item::Rumor(rumor) => rumor.write(&mut self.writer),
            Item::Coordinate(coordinate) => {
                self.writer.u8(TAG_COORDINATE).and_then(|()| coordinate.write(&mut self.writer))
            }
        };
        if written.is_none() {
            self.writer.truncate(len);
        }
        written.is_some()
    }

    /// Puts in the checksum, if there is a header; the length of what was written.
    #[must_use]
    pub fn finish(mut self) -> usize {
        let datagram = self.writer.written();
        if self.header {
            write_checksum(datagram);
        }
        datagram.len()
    }
}

/// Puts the right checksum into a datagram.
fn write_checksum(datagram: &mut [u8]) {
    let checksum = crc(datagram);
    datagram[4..HEADER_LEN].copy_from_slice(&checksum.to_be_bytes());
}

/// Puts the right checksum on bytes that were changed, so that what stands behind the check is tested.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn reseal(datagram: &mut [u8]) {
    write_checksum(datagram);
}

fn kind<A>(message: &Message<'_, A>) -> u8 {
    match message {
        Message::Ping { .. } => KIND_PING,
        Message::Ack { .. } => KIND_ACK,
        Message::PingReq { .. } => KIND_PING_REQ,
        Message::Nack { .. } => KIND_NACK,
        Message::Gossip { .. } => KIND_GOSSIP,
        Message::Answer => KIND_ANSWER,
        Message::Join => KIND_JOIN,
        Message::Members => KIND_MEMBERS,
        Message::Leave => KIND_LEAVE,
        Message::SyncOpen { .. } => KIND_SYNC_OPEN,
        Message::SyncList { .. } => KIND_SYNC_LIST,
        Message::SyncSketch { .. } => KIND_SYNC_SKETCH,
        Message::SyncMore { .. } => KIND_SYNC_MORE,
        Message::SyncWant { .. } => KIND_SYNC_WANT,
        Message::Branch { .. } => KIND_BRANCH,
        Message::BranchAck { .. } => KIND_BRANCH_ACK,
        Message::App { .. } => KIND_APP,
        Message::Response(_) => KIND_RESPONSE,
        Message::Extension { kind, .. } => *kind,
    }
}

fn write_message<A: Address>(writer: &mut Writer<'_>, message: &Message<'_, A>) -> Option<()> {
    match *message {
        Message::Ping { seq } | Message::Ack { seq } | Message::Nack { seq } | Message::BranchAck { seq } => {
            writer.varint(u64::from(seq))
        }
        Message::Branch { seq, start, end } => {
            writer.varint(u64::from(seq))?;
            writer.u32(start)?;
            // The decoder knows no range that ends before it begins.
            writer.varint(u64::from(end.checked_sub(start)?))
        }
        Message::PingReq { seq, ref target } => {
            writer.varint(u64::from(seq))?;
            writer.address(target)
        }
        Message::Gossip { answer } => writer.u8(u8::from(answer)),
        Message::Answer | Message::Join | Message::Members | Message::Leave => Some(()),
        Message::SyncOpen { bits, digests } => {
            writer.u8(bits)?;
            writer.bytes(digests)
        }
        Message::SyncList { bits, want, buckets } => {
            writer.u8(bits)?;
            writer.u64(buckets)?;
            writer.u8(u8::from(want))
        }
        Message::SyncSketch { bits, buckets, first, symbols } => {
            writer.u8(bits)?;
            writer.u64(buckets)?;
            writer.varint(u64::from(first))?;
            writer.string(symbols)
        }
        Message::SyncMore { bits, buckets, first, datagrams } => {
            writer.u8(bits)?;
            writer.u64(buckets)?;
            writer.varint(u64::from(first))?;
            writer.u8(datagrams)
        }
        Message::SyncWant { identities } => writer.string(identities),
        Message::Response(ref response) => response.write(writer),
        Message::App { payload } | Message::Extension { body: payload, .. } => writer.string(payload),
    }
}

#[cfg(test)]
mod tests;
