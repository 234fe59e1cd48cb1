//! Sealed datagrams: XChaCha20-Poly1305 around everything from the kind on (feature `keyring`).
//!
//! ```text
//!  byte 0        1         2..4            4        5..13         13..19         19..len−16        last 16
//!  +---------+---------+---------------+--------+-------------+--------------+-----------------+-----------------+
//!  | magic   | version | cluster tag   | key id | session     | counter      | kind, sender,   | tag of Poly1305 |
//!  | 'H' 48h | 01h     | u16           | u8     | u64         | u48          | message, items  |                 |
//!  +---------+---------+---------------+--------+-------------+--------------+-----------------+-----------------+
//!   in the clear, authenticated                                               encrypted
//! ```
//! There is no CRC: the tag does more.
//!
//! # Key and nonce
//! With n = the length of the sender's encoded address, let a = n as one byte, the address, and zeros up to the next length that
//! is 8 more than a multiple of 16. Each whole 16 bytes of a turn the key into HChaCha20(key, those 16 bytes); the nonce of
//! XChaCha20-Poly1305 is then
//!
//! ```text
//!   the last 8 bytes of a | session | counter as u64
//! ```
//! So an address of up to 7 bytes (IPv4, or a short radio address) stands in the nonce itself: two datagrams of one key have
//! different nonces because address, session or counter differ. A longer address (IPv6) turns the key into another one, as
//! XChaCha20 itself does with the front of its nonce; a is not the beginning of another a, since it begins with its length. What remains is that no
//! address lives twice with one session number, which [`Setup::session`](crate::Setup::session) asks for, and that no life uses
//! a counter twice, for which the node answers. Keys in use share one counter.
//!
//! # What is authenticated beside the contents
//! The associated data are the header and the *receiver's* encoded address; the sender's is in key or nonce. A sealed
//! datagram is thus good for one pair of addresses: sent again from elsewhere, or to somebody else, it does not open.

use chacha20::hchacha;
use chacha20poly1305::aead::array::Array;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use zeroize::Zeroize;

use super::{DecodeError, MAGIC_SEALED, SEALED_HEADER_LEN, TAG_LEN, VERSION, Writer, check_version};
use crate::address::Address;
use crate::config::ClusterTag;
use crate::keyring::Key;

/// The greatest counter: a node that has used it seals nothing more.
pub const COUNTER_MAX: u64 = (1 << 48) - 1;

/// The longest encoded address that can be sealed for.
pub const ADDRESS_MAX: usize = 103;

/// The longest datagram that is opened: what UDP can carry.
pub const SEALED_MAX: usize = 65_535;

/// What a sealed datagram says in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The wire version of what is inside.
    pub version: u8,
    /// Names the key.
    pub key_id: u8,
    /// Which life of the sender's address sealed it.
    pub session: u64,
    /// Its number in that life, at most [`COUNTER_MAX`].
    pub counter: u64,
}

impl Seal {
    /// The seal of the next datagram.
    #[must_use]
    pub const fn new(key_id: u8, session: u64, counter: u64) -> Self {
        Self { version: VERSION, key_id, session, counter }
    }

    /// Reads what a sealed datagram of `cluster` says in the clear. Nothing of it is known to be true before it is opened.
    ///
    /// # Errors
    /// [`DecodeError::Foreign`], [`DecodeError::Version`] or [`DecodeError::Cluster`].
    pub fn read(bytes: &[u8], cluster: ClusterTag) -> Result<Self, DecodeError> {
        let Some((&[magic, version, tag_high, tag_low, key_id, session_and_counter @ ..], rest)) =
            bytes.split_first_chunk::<SEALED_HEADER_LEN>()
        else {
            return Err(DecodeError::Foreign);
        };
        if magic != MAGIC_SEALED || rest.len() < TAG_LEN {
            return Err(DecodeError::Foreign);
        }
        check_version(version)?;
        let tag = ClusterTag(u16::from_be_bytes([tag_high, tag_low]));
        if tag != cluster {
            return Err(DecodeError::Cluster(tag));
        }
        let numbers = session_and_counter.iter().fold(0_u128, |number, &byte| number << 8 | u128::from(byte));
        Ok(Self { version, key_id, session: (numbers >> 48) as u64, counter: numbers as u64 & COUNTER_MAX })
    }

    fn header(&self, cluster: ClusterTag) -> [u8; SEALED_HEADER_LEN] {
        let mut header = [0; SEALED_HEADER_LEN];
        header[..5].copy_from_slice(&[
            MAGIC_SEALED,
            self.version,
            (cluster.0 >> 8) as u8,
            cluster.0 as u8,
            self.key_id,
        ]);
        header[5..13].copy_from_slice(&self.session.to_be_bytes());
        header[13..].copy_from_slice(&self.counter.to_be_bytes()[2..]);
        header
    }
}

/// A key as one life of one address uses it: for this the nonce is the counter alone.
pub struct SenderKey(ChaCha20Poly1305);

impl core::fmt::Debug for SenderKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SenderKey").finish_non_exhaustive()
    }
}

impl SenderKey {
    /// The key of the datagrams that `sender` seals with `key` in the life called `session`.
    #[must_use]
    pub fn new<A: Address>(key: &Key, sender: &A, session: u64) -> Self {
        const { assert!(A::ENCODED_MAX <= ADDRESS_MAX, "the feature `keyring` takes addresses of at most 103 bytes") };
        let mut input = [0; ADDRESS_MAX + 1 + 8];
        // The room is that of the longest address.
        let len = sender.encode(&mut input[1..=ADDRESS_MAX]).unwrap_or(0);
        input[0] = len as u8;
        let absorbed = (1 + len + 7) / 16 * 16;
        input[absorbed + 8..absorbed + 16].copy_from_slice(&session.to_be_bytes());
        let mut derived = Array(*key.secret());
        for block in input[..absorbed + 16].as_chunks::<16>().0 {
            derived = hchacha::<chacha20::R20>(&derived, &Array(*block));
        }
        let cipher = ChaCha20Poly1305::new(&derived);
        derived.as_mut_slice().zeroize();
        Self(cipher)
    }

    /// Seals, in place, the `body` bytes of a datagram that stand in `buffer` from [`SEALED_HEADER_LEN`] on: puts header and
    /// tag around them. The length of the datagram; `None` when the buffer is too short for it.
    ///
    /// `seal` must name this key and session, and a counter that was never used with them.
    pub fn seal<A: Address>(
        &self,
        buffer: &mut [u8],
        body: usize,
        seal: &Seal,
        cluster: ClusterTag,
        receiver: &A,
    ) -> Option<usize> {
        let (header, rest) = buffer.split_first_chunk_mut::<SEALED_HEADER_LEN>()?;
        let (body, rest) = rest.split_at_mut_checked(body)?;
        let tag_place = rest.first_chunk_mut::<TAG_LEN>()?;
        *header = seal.header(cluster);
        let mut associated = [0; SEALED_HEADER_LEN + ADDRESS_MAX];
        let associated = associated_data(header, receiver, &mut associated)?;
        let len = body.len();
        let tag = self.0.encrypt_inout_detached(&nonce(seal.counter), associated, body.into()).ok()?;
        *tag_place = tag.0;
        Some(SEALED_HEADER_LEN + len + TAG_LEN)
    }

    /// Opens a datagram whose clear part is `seal` into the front of `scratch`, which must be as long as the datagram at least;
    /// the length of what was inside.
    ///
    /// # Errors
    /// [`DecodeError::Forged`]: it was not sealed like this by this sender for `receiver`, or it was changed since.
    pub fn open<A: Address>(
        &self,
        bytes: &[u8],
        seal: &Seal,
        receiver: &A,
        scratch: &mut [u8],
    ) -> Result<usize, DecodeError> {
        self.open_body(bytes, seal, receiver, scratch).ok_or(DecodeError::Forged)
    }

    fn open_body<A: Address>(&self, bytes: &[u8], seal: &Seal, receiver: &A, scratch: &mut [u8]) -> Option<usize> {
        let (header, rest) = bytes.split_first_chunk::<SEALED_HEADER_LEN>()?;
        let (body, tag) = rest.split_last_chunk::<TAG_LEN>()?;
        let mut associated = [0; SEALED_HEADER_LEN + ADDRESS_MAX];
        let associated = associated_data(header, receiver, &mut associated)?;
        let buffers = InOutBuf::new(body, scratch.get_mut(..body.len())?).ok()?;
        self.0.decrypt_inout_detached(&nonce(seal.counter), associated, buffers, &Array(*tag)).ok()?;
        Some(body.len())
    }
}

fn associated_data<'b, A: Address>(
    header: &[u8; SEALED_HEADER_LEN],
    receiver: &A,
    buffer: &'b mut [u8],
) -> Option<&'b [u8]> {
    let mut writer = Writer::new(buffer);
    writer.bytes(header)?;
    writer.address(receiver)?;
    let len = writer.len();
    Some(&buffer[..len])
}

fn nonce(counter: u64) -> chacha20poly1305::Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    Array(nonce)
}

#[cfg(test)]
mod tests;
