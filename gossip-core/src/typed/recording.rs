//! A node's life as a stream of bytes, written while it goes on: its birth, what it was given with the times, what came out.
//!
//! ```text
//!  "hsinputs" | version u16 | chunk | chunk | …            a chunk: length u32 | CRC-32 u32 | entries, one after the other
//! ```
//! Numbers are little-endian, entries are in bincode ([`Entry`]). Each chunk has a checksum of its own, so that a stream whose
//! writer was killed is good up to its last whole chunk. The first entries are [`Entry::Labels`] and [`Entry::Birth`].
//!
//! Nothing here touches a file: [`Recording`] makes the bytes, [`Reader`] takes them, each in a bounded room.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::birth::{Birth, Labels, RecordedSnapshot};
use super::{Recorded, TypedError, address, decode_front, encode, recorded, words};
use crate::address::Address;
use crate::io::{Event, Input, InputError, Outcome};
use crate::time::Instant;

/// The first bytes of every stream.
pub const MAGIC: [u8; 8] = *b"hsinputs";

/// The version of the stream that this code writes and reads.
pub const STREAM_VERSION: u16 = 1;

/// The most bytes of entries in one chunk: two of the largest entries.
pub const CHUNK_MAX: usize = 1 << 18;

/// The snapshot's bytes in one entry.
const SNAPSHOT_PIECE: usize = 1 << 16;

const HEAD_LEN: usize = MAGIC.len() + 2;
const CHUNK_HEAD_LEN: usize = 8;

/// What the mark at the end takes, its own chunk included.
const MARK_LEN: u64 = 16;

/// One thing in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Who recorded whom, in words.
    Labels(Labels),
    /// How the node was born.
    Birth(Birth),
    /// The next bytes of the snapshot from which it was restored.
    Snapshot(Vec<u8>),
    /// It was given an input.
    Input(Recorded),
    /// What came of the input, in words, unless it was simply taken in.
    Result(String),
    /// It was asked for datagrams until there were none.
    Drained {
        /// When, in nanoseconds since the driver's origin.
        at_ns: u64,
    },
    /// A datagram that came of that.
    Transmit {
        /// Where to, in the wire form.
        to: Vec<u8>,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// What it told its application, in words.
    Event(String),
    /// The recording ends here.
    End(Ending),
}

/// Why a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The node's driver ended in good order.
    Stopped,
    /// The size that was allowed is reached; the node went on.
    Full,
}

/// Records a node's life.
///
/// Call [`input`](Self::input) before the node is given the input, so that one that makes it panic is in the recording, then
/// [`result`](Self::result); [`drained`](Self::drained) with the time at which
/// [`Node::poll_transmit`](crate::Node::poll_transmit) is called until it is empty, and [`transmit`](Self::transmit) for what it gave;
/// [`event`](Self::event) for what [`Node::poll_event`](crate::Node::poll_event) gave. From time to time write
/// [`take`](Self::take).
#[derive(Debug)]
pub struct Recording {
    /// Finished chunks.
    ready: Vec<u8>,
    /// Entries of the chunk that is being made.
    open: Vec<u8>,
    /// Bytes taken so far.
    taken: u64,
    max: u64,
    ended: bool,
}

impl Recording {
    /// Begins with a birth, and the snapshot if there was one. It will never be longer than `max` bytes: what comes beyond is left
    /// out, and [`Ending::Full`] says so.
    ///
    /// # Errors
    /// [`TypedError::Encode`] when not even the birth has room.
    pub fn new(
        max: u64,
        labels: &[(&str, String)],
        mut birth: Birth,
        snapshot: Option<(&[u8], core::time::Duration)>,
    ) -> Result<Self, TypedError> {
        let mut ready = MAGIC.to_vec();
        ready.extend_from_slice(&STREAM_VERSION.to_le_bytes());
        let mut recording = Self { ready, open: Vec::new(), taken: 0, max, ended: false };
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        recording.push(&Entry::Labels(labels))?;
        birth.snapshot = snapshot.map(|(bytes, taken_ago)| RecordedSnapshot { len: bytes.len() as u64, taken_ago });
        recording.push(&Entry::Birth(birth))?;
        for piece in snapshot.map_or(&[][..], |(bytes, _)| bytes).chunks(SNAPSHOT_PIECE) {
            recording.push(&Entry::Snapshot(piece.into()))?;
        }
        if recording.ended { Err(TypedError::Encode) } else { Ok(recording) }
    }

    /// The node is about to be given `input`.
    ///
    /// # Errors
    /// [`TypedError::Encode`] for what has no recorded form; the recording is useless from here on.
    pub fn input<A: Address>(&mut self, now: Instant, input: &Input<'_, A>) -> Result<(), TypedError> {
        if self.ended { Ok(()) } else { self.push(&Entry::Input(recorded(now, input)?)) }
    }

    /// That came of it.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn result<A: Address>(&mut self, result: &Result<Outcome<A>, InputError>) -> Result<(), TypedError> {
        if self.ended {
            return Ok(());
        }
        words::result_in_words(result).map_or(Ok(()), |words| self.push(&Entry::Result(words)))
    }

    /// The node is asked for datagrams at `now`, until there are none.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn drained(&mut self, now: Instant) -> Result<(), TypedError> {
        if self.ended { Ok(()) } else { self.push(&Entry::Drained { at_ns: now.as_nanos() }) }
    }

    /// It gave this one.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn transmit<A: Address>(&mut self, to: &A, bytes: &[u8]) -> Result<(), TypedError> {
        if self.ended { Ok(()) } else { self.push(&Entry::Transmit { to: address(to)?, bytes: bytes.into() }) }
    }

    /// It told this.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn event<A: Address>(&mut self, event: &Event<A>) -> Result<(), TypedError> {
        if self.ended { Ok(()) } else { self.push(&Entry::Event(words::event_in_words(event))) }
    }

    /// The driver ends in good order.
    pub fn end(&mut self) {
        if !self.ended {
            self.mark(Ending::Stopped);
        }
    }

    /// Whether nothing is recorded any more.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that wait to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ready.len() + self.open.len()
    }

    /// Ends the chunk and hands out all bytes that were not taken before. Write them behind the others.
    pub fn take(&mut self) -> Vec<u8> {
        self.close();
        self.taken += self.ready.len() as u64;
        core::mem::take(&mut self.ready)
    }

    fn push(&mut self, entry: &Entry) -> Result<(), TypedError> {
        let bytes = encode(entry)?;
        // The entry may begin a chunk of its own.
        let after = self.taken + (self.waiting() + bytes.len() + 2 * CHUNK_HEAD_LEN) as u64 + MARK_LEN;
        if self.ended || after > self.max {
            if !self.ended {
                self.mark(Ending::Full);
            }
            return Ok(());
        }
        if self.open.len() + bytes.len() > CHUNK_MAX {
            self.close();
        }
        self.open.extend_from_slice(&bytes);
        Ok(())
    }

    fn mark(&mut self, ending: Ending) {
        self.close();
        self.open = encode(&Entry::End(ending)).expect("two small numbers can be encoded");
        self.ended = true;
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.ready.extend_from_slice(&(self.open.len() as u32).to_le_bytes());
            self.ready.extend_from_slice(&crc32fast::hash(&self.open).to_le_bytes());
            self.ready.append(&mut self.open);
        }
    }
}

/// What is wrong with a stream. Everything before it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamError {
    /// It does not begin as a recording does.
    Foreign,
    /// Another version of the stream.
    Version(u16),
    /// A chunk's checksum or length is wrong.
    Damaged {
        /// Where the chunk begins, bytes from the front.
        at: u64,
    },
    /// A chunk is whole, but does not hold entries that this version knows.
    Entry {
        /// Where its chunk begins, bytes from the front.
        at: u64,
    },
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("this is not a recording of a node's inputs"),
            Self::Version(version) => {
                write!(f, "the recording has version {version} of its format, and this program reads {STREAM_VERSION}")
            }
            Self::Damaged { at } => write!(f, "the recording is damaged at byte {at}"),
            Self::Entry { at } => {
                write!(f, "the chunk at byte {at} holds what this program does not know: another version recorded it")
            }
        }
    }
}

impl core::error::Error for StreamError {}

/// Reads a recording from bytes that come piece by piece. Keeps no more than the pieces that were given and not read, so at
/// most a chunk and a piece.
#[derive(Debug, Default)]
pub struct Reader {
    input: Vec<u8>,
    /// Bytes before `input`.
    before: u64,
    /// The chunk at hand and how much of it was read.
    chunk: Vec<u8>,
    read: usize,
    chunk_at: u64,
    begun: bool,
    failed: bool,
}

impl Reader {
    /// At the front of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The next entry; `None` when it needs more bytes, or after an error.
    ///
    /// # Errors
    /// [`StreamError`]; nothing comes after it.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, StreamError> {
        if self.failed {
            return Ok(None);
        }
        self.read_entry().inspect_err(|_| self.failed = true)
    }

    /// Bytes that no whole chunk follows: at the end of the stream, what was cut off.
    #[must_use]
    pub fn rest(&self) -> usize {
        self.input.len()
    }

    fn read_entry(&mut self) -> Result<Option<Entry>, StreamError> {
        if !self.begun {
            let known = self.input.len().min(MAGIC.len());
            if self.input[..known] != MAGIC[..known] {
                return Err(StreamError::Foreign);
            }
            let Some(head) = self.input.first_chunk::<HEAD_LEN>() else { return Ok(None) };
            let version = u16::from_le_bytes([head[8], head[9]]);
            if version != STREAM_VERSION {
                return Err(StreamError::Version(version));
            }
            self.consume(HEAD_LEN);
            self.begun = true;
        }
        if self.read == self.chunk.len() && !self.next_chunk()? {
            return Ok(None);
        }
        let unknown = StreamError::Entry { at: self.chunk_at };
        let (entry, len) = decode_front(&self.chunk[self.read..]).map_err(|_| unknown)?;
        self.read += len;
        Ok(Some(entry))
    }

    fn next_chunk(&mut self) -> Result<bool, StreamError> {
        let Some(&[l0, l1, l2, l3, c0, c1, c2, c3]) = self.input.first_chunk::<CHUNK_HEAD_LEN>() else {
            return Ok(false);
        };
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let damaged = StreamError::Damaged { at: self.before };
        if len == 0 || len > CHUNK_MAX {
            return Err(damaged);
        }
        let Some(entries) = self.input.get(CHUNK_HEAD_LEN..CHUNK_HEAD_LEN + len) else { return Ok(false) };
        if crc32fast::hash(entries) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(damaged);
        }
        self.chunk.clear();
        self.chunk.extend_from_slice(entries);
        (self.read, self.chunk_at) = (0, self.before);
        self.consume(CHUNK_HEAD_LEN + len);
        Ok(true)
    }

    fn consume(&mut self, len: usize) {
        self.input.drain(..len);
        self.before += len as u64;
    }
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
