//! Addresses of updates, each as what differs from the one before it in the datagram: the members of a cluster tend to share
//! the front of their addresses (a network) and the end (a port).
//!
//! ```text
//!   plain    the address as its type encodes it
//!   delta    p s (a byte: two numbers of four bits), then what is between the first p and the last s bytes, which are those
//!            of the address before; both have one length
//! ```
//! The shorter form is the only one allowed, and p, then s, are as great as they can be.

use super::{Reader, Writer};
use crate::address::Address;

/// Longer addresses are always written out.
const LEN_MAX: usize = 32;

/// The greatest number of four bits.
const NIBBLE: usize = 15;

/// The encoded address of the last update in a datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Previous {
    bytes: [u8; LEN_MAX],
    len: usize,
}

/// An address that is about to be written.
pub(crate) struct Coded {
    next: Previous,
    /// Bytes at the front and at the end that are those of the address before, if that makes it shorter.
    pub(crate) shared: Option<(usize, usize)>,
}

impl Previous {
    pub(crate) const NONE: Self = Self { bytes: [0; LEN_MAX], len: 0 };

    /// How to write `address` after this one. `None` when the address does not encode.
    pub(crate) fn code<A: Address>(&self, address: &A) -> Option<Coded> {
        let mut next = Self::NONE;
        if A::ENCODED_MAX > LEN_MAX {
            return Some(Coded { next, shared: None });
        }
        next.len = address.encode(&mut next.bytes)?;
        let (old, new) = (&self.bytes[..self.len], &next.bytes[..next.len]);
        if old.len() != new.len() {
            return Some(Coded { next, shared: None });
        }
        let common =
            |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(a, b)| a == b).count().min(NIBBLE);
        let front = common(&mut old.iter().zip(new));
        let back = common(&mut old.iter().rev().zip(new.iter().rev())).min(new.len() - front);
        Some(Coded { next, shared: (front + back >= 2).then_some((front, back)) })
    }

    /// Reads an address that is written out.
    #[inline]
    pub(crate) fn read_plain<A: Address>(&mut self, reader: &mut Reader<'_>) -> Option<A> {
        let (address, len) = A::decode(reader.rest())?;
        let encoded = reader.bytes(len)?;
        if A::ENCODED_MAX > LEN_MAX {
            return Some(address);
        }
        let old = &self.bytes[..self.len];
        if old.len() == len && len >= 2 {
            let same = |at: usize| old[at] == encoded[at];
            let (first, last) = (same(0), same(len - 1));
            if (first && (last || same(1))) || (last && same(len - 2)) {
                return None;
            }
        }
        self.bytes.get_mut(..len)?.copy_from_slice(encoded);
        self.len = len;
        Some(address)
    }

    /// Reads an address that is written as a difference; `CHECKED`: one that was read before.
    #[inline]
    pub(crate) fn read_delta<A: Address, const CHECKED: bool>(&mut self, reader: &mut Reader<'_>) -> Option<A> {
        let shared = usize::from(reader.u8()?);
        let (front, back) = (shared >> 4, shared & NIBBLE);
        let end = self.len.checked_sub(back).filter(|&end| front <= end && front + back >= 2)?;
        let new = reader.bytes(end - front)?;
        let old = self.bytes.get_mut(front..end)?;
        let longest = CHECKED
            || match (new.first(), new.last()) {
                (Some(first), Some(last)) => {
                    (front == NIBBLE || old.first() != Some(first)) && (back == NIBBLE || old.last() != Some(last))
                }
                _ => front == self.len.min(NIBBLE),
            };
        if !longest {
            return None;
        }
        // A byte or two: a loop is quicker than a call.
        for (old, new) in old.iter_mut().zip(new) {
            *old = *new;
        }
        A::decode(self.bytes.get(..self.len)?).filter(|(_, len)| *len == self.len).map(|(address, _)| address)
    }
}

impl Coded {
    /// Writes the address; the previous one for the next.
    pub(crate) fn write<A: Address>(&self, writer: &mut Writer<'_>, address: &A) -> Option<Previous> {
        match self.shared {
            None if A::ENCODED_MAX > LEN_MAX => writer.address(address)?,
            None => writer.bytes(&self.next.bytes[..self.next.len])?,
            Some((front, back)) => {
                writer.u8((front << 4 | back) as u8)?;
                writer.bytes(&self.next.bytes[front..self.next.len - back])?;
            }
        }
        Some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;

    fn written(previous: &mut Previous, address: SocketAddr) -> (bool, std::vec::Vec<u8>) {
        let mut buffer = [0; 40];
        let mut writer = Writer::new(&mut buffer);
        let coded = previous.code(&address).unwrap();
        *previous = coded.write(&mut writer, &address).unwrap();
        (coded.shared.is_some(), writer.written().to_vec())
    }

    #[test]
    fn hand_worked_differences() {
        let mut previous = Previous::NONE;
        let mut code = |text: &str| written(&mut previous, text.parse().unwrap());
        assert_eq!(code("10.0.1.7:7400"), (false, std::vec![4, 10, 0, 1, 7, 0x1c, 0xe8]));
        assert_eq!(code("10.0.1.8:7400"), (true, std::vec![0x42, 8]));
        assert_eq!(code("10.0.2.8:7400"), (true, std::vec![0x33, 2]));
        assert_eq!(code("10.0.2.8:7400"), (true, std::vec![0x70]), "the same again");
        assert_eq!(code("10.0.2.8:7401"), (true, std::vec![0x60, 0xe9]));
        assert!(!code("[::1]:7401").0, "another length");
        let one = "[2001:db8::1]:7401";
        assert_eq!(code(one), (true, std::vec![0x1e, 0x20, 0x01, 0x0d, 0xb8]));
        assert_eq!(code("[2001:db8::1:1]:7401"), (true, std::vec![0xe4, 1]));
        assert_eq!(code(one), (true, std::vec![0xe4, 0]));
        assert_eq!(code(one), (true, std::vec![0xf4]), "no more than fifteen");
    }

    #[test]
    fn only_the_shortest_form_is_read() {
        let first = [4, 10, 0, 1, 7, 0x1c, 0xe8];
        let mut start = Previous::NONE;
        let _: SocketAddr = start.read_plain(&mut Reader::new(&first)).unwrap();
        let delta = |bytes: &[u8]| start.clone().read_delta::<SocketAddr, false>(&mut Reader::new(bytes));
        assert_eq!(delta(&[0x42, 8]), Some("10.0.1.8:7400".parse().unwrap()));
        for longer in
            [&[0x32, 1, 8][..], &[0x41, 8, 0x1c], &[0x42, 7], &[0x61, 0], &[0x80], &[0x52], &[0x00], &[0x01, 1]]
        {
            assert_eq!(delta(longer), None, "{longer:02x?}");
        }
        let plain = |bytes: &[u8]| start.clone().read_plain::<SocketAddr>(&mut Reader::new(bytes));
        assert_eq!(plain(&[4, 10, 0, 1, 8, 0x1c, 0xe8]), None, "a difference would be shorter");
        assert_eq!(plain(&[4, 11, 0, 1, 8, 0x1c, 0xe9]), Some("11.0.1.8:7401".parse().unwrap()));
        // The family is checked after the bytes are put together.
        assert_eq!(delta(&[0x06, 9]), None);
    }
}
