//! What a node writes down so that it can be restarted: versioned bytes under a checksum.
//!
//! ```text
//!  byte 0       4         5             7                   11                              15
//!  +-----------+---------+-------------+-------------------+------------------------------+---------------------
//!  | "hsnp"    | version | cluster tag | length u32 of all | CRC-32 of all other bytes    | the node, as below
//!  |           | 01h     | u16         |                   |                              |
//!  +-----------+---------+-------------+-------------------+------------------------------+---------------------
//!  node:     its address, incarnation v, next sequence v, version v and length v and bytes of its metadata
//!  seeds:    count u32, then as many addresses
//!  members:  count u32, then as many addresses: the live, the suspected and the dead
//!  seen:     1 + age v (ms) from which on an event may be one that was forgotten, or 0; count u32, then for each identity of an event:
//!            its origin's address, its sequence z, how long it is still remembered z (ms), its age z (ms)
//! ```
//! Integers are in network order; `v` is an unsigned LEB128 varint, `z` one of the zigzag form of the difference to the entry
//! before. An address is told as it differs from the one before in the same list: a byte with the numbers of bytes that are the
//! same at the front and at the end, and what is between; or a zero and the whole address. So a member takes two to eight bytes
//! in IPv4.
//!
//! Members come back as addresses to call, not as truths: what was true of them may not be any more, and the first that
//! answers tells. The bytes may come from a damaged file or an enemy: reading them allocates nothing, and what does not hold
//! is refused with the reason.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use crate::address::Address;
use crate::config::{ClusterTag, ConfigError};
use crate::member::{INCARNATION_MAX, METADATA_MAX, Metadata};
use crate::rumors::EventId;
use crate::wire::{Previous, Reader, Writer, unzigzag, zigzag};

const MAGIC: [u8; 4] = *b"hsnp";

/// The version of the form of snapshots that this code writes, and the only one that it reads.
pub const SNAPSHOT_VERSION: u8 = 1;

const LENGTH_AT: usize = 7;
const CHECKSUM_AT: usize = 11;
const BODY_AT: usize = 15;

/// Three varints of 64 bits and the byte before an address, with some to spare.
const ENTRY_MAX: usize = 64;

/// Why a snapshot cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not begin like a snapshot.
    Foreign,
    /// A form that this code does not read.
    Version(u8),
    /// Bytes are missing at the end, or too many are there.
    Length {
        /// How many there are.
        len: usize,
        /// How many it says there are.
        stated: usize,
    },
    /// The checksum does not match.
    Damaged,
    /// Well checksummed, but not what the form allows.
    Malformed,
    /// Of a node of another cluster.
    Cluster(ClusterTag),
    /// Of a node at another address, which is another member.
    Address,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("not a snapshot of a node"),
            Self::Version(version) => {
                write!(f, "a snapshot of version {version}, this code reads version {SNAPSHOT_VERSION}")
            }
            Self::Length { len, stated } => write!(f, "{len} bytes where the snapshot says {stated}"),
            Self::Damaged => f.write_str("damaged: the checksum does not match"),
            Self::Malformed => f.write_str("malformed"),
            Self::Cluster(tag) => write!(f, "of a node of the cluster with tag {:#06x}", tag.0),
            Self::Address => f.write_str("of a node at another address"),
        }
    }
}

impl core::error::Error for SnapshotError {}

/// Why a node cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreError {
    /// The snapshot cannot be used. Without it the node can be made with [`Node::new`](crate::Node::new).
    Snapshot(SnapshotError),
    /// What [`Node::new`](crate::Node::new) would say as well.
    Config(ConfigError),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RestoreError {}

impl From<SnapshotError> for RestoreError {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}

impl From<ConfigError> for RestoreError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// A snapshot whose every byte was checked. It reads from the bytes that it was parsed from.
#[derive(Debug, Clone)]
pub struct Snapshot<'a, A> {
    /// The cluster of the node.
    pub cluster: ClusterTag,
    /// The address of the node.
    pub local: A,
    /// Its incarnation then. It may have used higher ones since.
    pub incarnation: u32,
    /// The number that its next event would have had. It may have used more since.
    pub next_sequence: u64,
    /// Its metadata then.
    pub metadata: Metadata<'a>,
    /// From which age on an event may be one whose identity was forgotten.
    pub(crate) horizon: Option<Duration>,
    seeds: List<'a>,
    members: List<'a>,
    seen: List<'a>,
    address: PhantomData<A>,
}

/// So many entries, and the bytes that begin with them.
#[derive(Debug, Clone)]
struct List<'a> {
    count: u32,
    reader: Reader<'a>,
}

/// The identity of an event that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remembered<A> {
    pub(crate) id: EventId<A>,
    /// How long it is still to be remembered.
    pub(crate) remaining: Duration,
    /// How long ago the event started.
    pub(crate) age: Duration,
}

impl<'a, A: Address> Snapshot<'a, A> {
    /// Reads a snapshot.
    ///
    /// # Errors
    /// [`SnapshotError`], but for the cluster and the address, which [`Node::restore`](crate::Node::restore) compares.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SnapshotError> {
        let mut header = Reader::new(bytes);
        if header.bytes(MAGIC.len()) != Some(&MAGIC) {
            return Err(SnapshotError::Foreign);
        }
        let version = header.u8().ok_or(SnapshotError::Foreign)?;
        if version != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version(version));
        }
        let (cluster, stated, checksum) =
            read_header(&mut header).ok_or(SnapshotError::Length { len: bytes.len(), stated: BODY_AT })?;
        if bytes.len() != stated {
            return Err(SnapshotError::Length { len: bytes.len(), stated });
        }
        if crc(bytes) != checksum {
            return Err(SnapshotError::Damaged);
        }
        read_body(cluster, header).ok_or(SnapshotError::Malformed)
    }

    /// Where the node looked for its cluster.
    pub fn seeds(&self) -> impl Iterator<Item = A> {
        self.seeds.entries(read_address)
    }

    /// The members that it knew: the live, the suspected and the dead.
    pub fn members(&self) -> impl Iterator<Item = A> {
        self.members.entries(read_address)
    }

    /// Identities of events that it had heard of, those that are to be forgotten first in front.
    pub(crate) fn seen(&self) -> impl Iterator<Item = Remembered<A>> {
        let mut last = [0; 3];
        self.seen.entries(move |reader, previous| read_remembered(reader, previous, &mut last))
    }
}

impl<'a> List<'a> {
    /// The entries up to the first that cannot be read.
    fn entries<T>(&self, mut read: impl FnMut(&mut Reader<'a>, &mut Previous) -> Option<T>) -> impl Iterator<Item = T> {
        let (mut reader, mut previous) = (self.reader.clone(), Previous::NONE);
        (0..self.count).map_while(move |_| read(&mut reader, &mut previous))
    }
}

fn read_header(reader: &mut Reader<'_>) -> Option<(ClusterTag, usize, u32)> {
    let tag = u16::from_be_bytes([reader.u8()?, reader.u8()?]);
    Some((ClusterTag(tag), usize::try_from(reader.u32()?).ok()?, reader.u32()?))
}

fn crc(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM_AT]);
    hasher.update(&bytes[BODY_AT..]);
    hasher.finalize()
}

fn read_body<A: Address>(cluster: ClusterTag, mut reader: Reader<'_>) -> Option<Snapshot<'_, A>> {
    let local = reader.address()?;
    let incarnation = reader.varint32().filter(|&incarnation| incarnation <= INCARNATION_MAX)?;
    let next_sequence = reader.varint()?;
    let metadata = Metadata { version: reader.varint32()?, bytes: reader.string(METADATA_MAX)? };
    let seeds = read_list(&mut reader, read_address::<A>)?;
    let members = read_list(&mut reader, read_address::<A>)?;
    let horizon = reader.varint()?.checked_sub(1).map(Duration::from_millis);
    let mut last = [0; 3];
    let seen = read_list(&mut reader, |reader, previous| read_remembered::<A>(reader, previous, &mut last))?;
    let address = PhantomData;
    reader.rest().is_empty().then_some(Snapshot {
        cluster,
        local,
        incarnation,
        next_sequence,
        metadata,
        horizon,
        seeds,
        members,
        seen,
        address,
    })
}

/// A list whose every entry can be read; the reader stands behind it then.
fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>, &mut Previous) -> Option<T>,
) -> Option<List<'a>> {
    let list = List { count: reader.u32()?, reader: reader.clone() };
    let mut previous = Previous::NONE;
    for _ in 0..list.count {
        read(reader, &mut previous)?;
    }
    Some(list)
}

fn read_address<A: Address>(reader: &mut Reader<'_>, previous: &mut Previous) -> Option<A> {
    if *reader.rest().first()? == 0 {
        reader.u8()?;
        previous.read_plain(reader)
    } else {
        previous.read_delta::<A, false>(reader)
    }
}

fn read_remembered<A: Address>(
    reader: &mut Reader<'_>,
    previous: &mut Previous,
    last: &mut [u64; 3],
) -> Option<Remembered<A>> {
    let origin = read_address(reader, previous)?;
    for number in last.iter_mut() {
        *number = number.wrapping_add_signed(unzigzag(reader.varint()?));
    }
    let [sequence, remaining, age] = *last;
    let (remaining, age) = (Duration::from_millis(remaining), Duration::from_millis(age));
    Some(Remembered { id: EventId { origin, sequence }, remaining, age })
}

/// Appends a snapshot to a byte string.
pub(crate) struct Composer<'v> {
    out: &'v mut Vec<u8>,
    start: usize,
}

impl<'v> Composer<'v> {
    pub(crate) fn begin(out: &'v mut Vec<u8>, cluster: ClusterTag) -> Self {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.push(SNAPSHOT_VERSION);
        out.extend_from_slice(&cluster.0.to_be_bytes());
        out.extend_from_slice(&[0; BODY_AT - LENGTH_AT]);
        Self { out, start }
    }

    pub(crate) fn node<A: Address>(&mut self, local: A, incarnation: u32, next_sequence: u64, metadata: Metadata<'_>) {
        self.append(A::ENCODED_MAX + ENTRY_MAX + metadata.bytes.len(), |writer| {
            writer.address(&local)?;
            writer.varint(u64::from(incarnation))?;
            writer.varint(next_sequence)?;
            writer.varint(u64::from(metadata.version))?;
            writer.string(metadata.bytes)
        });
    }

    pub(crate) fn addresses<A: Address>(&mut self, addresses: impl Iterator<Item = A>) {
        self.list(A::ENCODED_MAX, addresses, |writer, previous, address| write_address(writer, previous, &address));
    }

    pub(crate) fn seen<A: Address>(&mut self, horizon: Option<Duration>, entries: impl Iterator<Item = Remembered<A>>) {
        let horizon = horizon.map_or(0, |age| millis(age).saturating_add(1));
        self.append(ENTRY_MAX, |writer| writer.varint(horizon));
        let mut last = [0; 3];
        self.list(A::ENCODED_MAX, entries, |writer, previous, Remembered { id, remaining, age }| {
            write_address(writer, previous, &id.origin)?;
            for (last, number) in last.iter_mut().zip([id.sequence, millis(remaining), millis(age)]) {
                writer.varint(zigzag(number.wrapping_sub(*last).cast_signed()))?;
                *last = number;
            }
            Some(())
        });
    }

    pub(crate) fn finish(self) {
        write_length_and_checksum(&mut self.out[self.start..]);
    }

    fn list<T>(
        &mut self,
        address_max: usize,
        entries: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Writer<'_>, &mut Previous, T) -> Option<()>,
    ) {
        let count_at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        let (mut count, mut previous) = (0_u32, Previous::NONE);
        for entry in entries {
            count += u32::from(self.append(address_max + ENTRY_MAX, |writer| write(writer, &mut previous, entry)));
        }
        self.out[count_at..count_at + 4].copy_from_slice(&count.to_be_bytes());
    }

    /// False when it cannot be written, and nothing is then.
    fn append(&mut self, len_max: usize, write: impl FnOnce(&mut Writer<'_>) -> Option<()>) -> bool {
        let len = self.out.len();
        self.out.resize(len + len_max, 0);
        let mut writer = Writer::new(&mut self.out[len..]);
        let written = write(&mut writer).map(|()| writer.len());
        self.out.truncate(len + written.unwrap_or(0));
        written.is_some()
    }
}

fn write_length_and_checksum(snapshot: &mut [u8]) {
    // What cannot be counted in four bytes is refused when it is read.
    let len = u32::try_from(snapshot.len()).unwrap_or(u32::MAX);
    snapshot[LENGTH_AT..CHECKSUM_AT].copy_from_slice(&len.to_be_bytes());
    let checksum = crc(snapshot);
    snapshot[CHECKSUM_AT..BODY_AT].copy_from_slice(&checksum.to_be_bytes());
}

/// A snapshot with this body and a header that is right, whatever the body is.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[must_use]
pub fn sealed_snapshot(cluster: ClusterTag, body: &[u8]) -> Vec<u8> {
    let mut snapshot = Vec::new();
    let composer = Composer::begin(&mut snapshot, cluster);
    composer.out.extend_from_slice(body);
    composer.finish();
    snapshot
}

fn write_address<A: Address>(writer: &mut Writer<'_>, previous: &mut Previous, address: &A) -> Option<()> {
    let coded = previous.code(address)?;
    if coded.shared.is_none() {
        writer.u8(0)?;
    }
    *previous = coded.write(writer, address)?;
    Some(())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
