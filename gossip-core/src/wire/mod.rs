//! The wire format, version 1. `docs/protocol.md` tells what the messages are for.
//!
//! ```text
//!  byte 0        1         2..4            4..8                      8
//!  +---------+---------+---------------+-------------------------+--------+-------------------------------+
//!  | magic   | version | cluster tag   | CRC-32 of all the other | kind   | sender: incarnation v, digest |
//!  | 'h' 68h | 01h     | u16           | bytes of the datagram   |        | u32 of what it knows          |
//!  +---------+---------+---------------+-------------------------+--------+-------------------------------+
//!  then what the kind asks for:
//!    1 Ping      seq v                        7 Join      nothing
//!    2 Ack       seq v                        8 Members   nothing
//!    3 PingReq   seq v, target address        9 Leave     nothing
//!    4 Nack      seq v                       10 SyncOpen  bits u8, 2^bits digests u32
//!    5 Gossip    flags u8 (1 = answer me)    11 SyncList  bits u8, buckets u64, flags u8 (1 = send me yours)
//!    6 Answer    nothing                     12 App       length v, bytes
//!   13 SyncSketch  bits u8, buckets u64, number of the first symbol v, length v, symbols of 13 bytes
//!                  (sum u64, check u32, count u8)
//!   14 SyncMore    bits u8, buckets u64, number of the first symbol v, datagrams u8
//!   15 Response    part u8 (0 received, 1 answer, 2 and 3: I noted these), query's sequence v, [1: length v, bytes]
//!   16 SyncWant    length v, identities u32
//!  then items until the datagram ends, each with a tag:
//!    update  01 d m  i ss   address (d: as it differs from the last update's), [i: incarnation v], [ss = Suspect: accuser's
//!                           address], [m: version v, length v, metadata]
//!            ss: 0 Alive, 1 Suspect, 2 Dead, 3 Left; m only with Alive and Suspect, its version not 0; without i the
//!            incarnation is 0
//!    rumor   10 qo lr pp    origin's address, sequence v, age v (ms), hops v, [l: lifetime v (ms), not 0], [o: how far back the
//!                           ordered event before it is v, 0 for none], [counter u8], length v, payload
//!            pp: priority, 0 Normal, 1 High, 2 Urgent, 3 Low; q: a query, and then r: it wants receipts, o: there is a counter;
//!            not q: r: there is a counter. The counter is that of the median-counter rule: 0 learnt in this round, m in B-m, 255 C
//!    place   11 00 00 00    error u8 (in 1/64, 1 to 96), height v, adjustment and four dimensions as zigzag v (in 2^14 ns,
//!                           at most 2^19): the sender's network coordinate
//! ```
//! A sealed datagram (feature `keyring`) has another header, and a tag at its end; see `sealed`:
//! ```text
//!  +---------+---------+---------------+--------+-------------+--------------+-----------------+-----------------+
//!  | magic   | version | cluster tag   | key id | session     | counter      | kind .. items,  | tag of Poly1305 |
//!  | 'H' 48h | 01h     | u16           | u8     | u64         | u48          | encrypted       | 16 bytes        |
//!  +---------+---------+---------------+--------+-------------+--------------+-----------------+-----------------+
//! ```
//! Integers are in network order; `v` is an unsigned LEB128 varint in its shortest form. An address is what its type says
//! ([`Address`]). Decoding accepts what encoding makes and nothing else, so `encode(decode(x)) == x` for every datagram
//! that decodes. It reads the bytes where they are and allocates nothing.

mod codec;
mod delta;
mod error;
mod message;
mod response;
mod rumor;
#[cfg(feature = "keyring")]
pub mod sealed;
mod update;

pub use codec::{Reader, Writer};
pub(crate) use codec::{unzigzag, zigzag};
pub(crate) use delta::Previous;
pub use error::DecodeError;
#[cfg(feature = "keyring")]
use message::check_version;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use message::reseal;
pub use message::{Datagram, Encoder, Item, Items, KIND_EXTENSION, Message, SYMBOL_LEN, Sender, decode, decode_body};
pub use response::{Part, Response};
pub use rumor::{COUNTER_C, Rumor, RumorKind, Terms};
pub use update::Update;

use crate::address::Address;

/// First byte of every datagram that is not sealed.
pub const MAGIC: u8 = b'h';

/// First byte of every sealed datagram.
pub const MAGIC_SEALED: u8 = b'H';

/// The version of the format that this code speaks.
pub const VERSION: u8 = 1;

/// Bytes before the kind.
pub const HEADER_LEN: usize = 8;

/// Bytes before the kind in a sealed datagram.
pub const SEALED_HEADER_LEN: usize = 19;

/// Bytes behind the last item of a sealed datagram.
pub const TAG_LEN: usize = 16;

/// The longest varint of a u32 and of a u64.
const VARINT32_MAX: usize = 5;
const VARINT64_MAX: usize = 10;

/// An upper bound of what stands between the header and the items in the messages whose purpose is to carry items: those of
/// rounds and probes, and lists. Others leave an event that does not fit beside their body to those.
#[must_use]
pub const fn message_max<A: Address>() -> usize {
    // Kind, sender, and the longest body: PingReq's sequence and address, or SyncList's 10 bytes.
    let body = if VARINT32_MAX + A::ENCODED_MAX > 10 { VARINT32_MAX + A::ENCODED_MAX } else { 10 };
    1 + VARINT32_MAX + 4 + body
}

/// An upper bound of what the item takes that tells a receiver what is held of it: suspect, dead or left, so without metadata.
#[must_use]
pub const fn notice_max<A: Address>() -> usize {
    1 + 2 * A::ENCODED_MAX + VARINT32_MAX
}

/// An upper bound of what a rumor takes beside its payload.
#[must_use]
pub const fn rumor_overhead_max<A: Address>() -> usize {
    // Tag, origin, sequence, age, hops, lifetime, distance, counter, length.
    1 + A::ENCODED_MAX + VARINT64_MAX + VARINT32_MAX + 2 + VARINT32_MAX + VARINT64_MAX + 1 + 3
}
