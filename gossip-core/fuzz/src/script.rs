//! Bytes read as a script of choices.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use gossip_core::Address;

/// Choices from the front of a byte string; zeros when it has ended.
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(core::array::from_fn(|_| self.u8()))
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(core::array::from_fn(|_| self.u8()))
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.u8()) % choices.len()]
    }

    /// A number that is small, near a power of two, or anything.
    pub(crate) fn number(&mut self) -> u64 {
        let byte = self.u8();
        match byte {
            0..128 => u64::from(byte),
            128..192 => (1_u64 << (byte - 128)).wrapping_add(u64::from(self.u8() % 3)).wrapping_sub(1),
            192.. => self.u64(),
        }
    }

    /// At most `len` bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// A byte string with its length before it.
    pub(crate) fn string(&mut self) -> &'a [u8] {
        let len = usize::from(self.u8());
        self.bytes(len)
    }
}

/// Addresses of a small world, so that a script meets the same members again and again.
pub(crate) trait World: Address {
    /// The address with a number. The low four bits name the member; others may change what its address is without.
    fn numbered(number: u8) -> Self;

    /// As a node keeps it.
    fn stored(self) -> Self {
        Self::Stored::from(self).into()
    }
}

impl World for u16 {
    fn numbered(number: u8) -> Self {
        u16::from(number & 15)
    }
}

/// IPv4 and IPv6, the latter also with the parts that a node leaves out.
impl World for SocketAddr {
    fn numbered(number: u8) -> Self {
        let id = u16::from(number & 15);
        if id % 3 == 0 {
            let (flow, scope) = (u32::from(number >> 4 & 3), u32::from(number >> 6));
            SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, id), 7400, flow, scope).into()
        } else {
            (Ipv4Addr::new(10, 0, 0, 1), 7400 + id).into()
        }
    }
}
