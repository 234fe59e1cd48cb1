//! Integers and byte strings at a cursor. Nothing here can panic on foreign bytes or write past a buffer.

use crate::address::Address;

/// Reads from the front of a byte string.
#[derive(Debug, Clone)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What was not read yet.
    #[must_use]
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// Four bytes in network order.
    pub fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    /// Eight bytes in network order.
    pub fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*bytes))
    }

    /// The next `len` bytes.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    /// An unsigned LEB128 varint in its shortest form.
    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return None;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                // A zero at the end is a longer form of a shorter number.
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    /// A varint that fits 32 bits.
    #[inline]
    pub fn varint32(&mut self) -> Option<u32> {
        u32::try_from(self.varint()?).ok()
    }

    /// A varint length of at most `max`, and as many bytes.
    #[inline]
    pub fn string(&mut self, max: usize) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok().filter(|&len| len <= max)?;
        self.bytes(len)
    }

    /// An address.
    #[inline]
    pub fn address<A: Address>(&mut self) -> Option<A> {
        let (address, len) = A::decode(self.0)?;
        self.0 = self.0.get(len..)?;
        Some(address)
    }
}

/// Writes to the front of a buffer. Every method says `None` when it does not fit; what was written before stays valid.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Writer<'b> {
    /// Writes to `buffer` from its start.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Bytes written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.buffer.len() - self.len
    }

    /// Goes back to `len` written bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// What was written.
    #[must_use]
    pub fn written(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.len]
    }

    /// Byte string as it is.
    pub fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.buffer.get_mut(self.len..self.len + bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> Option<()> {
        self.bytes(&[value])
    }

    /// Four bytes in network order.
    pub fn u32(&mut self, value: u32) -> Option<()> {
        self.bytes(&value.to_be_bytes())
    }

    /// Eight bytes in network order.
    pub fn u64(&mut self, value: u64) -> Option<()> {
        self.bytes(&value.to_be_bytes())
    }

    /// An unsigned LEB128 varint.
    pub fn varint(&mut self, mut value: u64) -> Option<()> {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80)?;
            value >>= 7;
        }
        self.u8(value as u8)
    }

    /// A varint length and the bytes.
    pub fn string(&mut self, bytes: &[u8]) -> Option<()> {
        self.varint(bytes.len() as u64)?;
        self.bytes(bytes)
    }

    /// An address.
    pub fn address<A: Address>(&mut self, address: &A) -> Option<()> {
        let len = address.encode(&mut self.buffer[self.len..])?;
        self.len += len;
        Some(())
    }
}

/// Small numbers of either sign as small unsigned ones.
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_one_form_only() {
        for (value, form) in [
            (0_u64, &[0_u8][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ] {
            let mut buffer = [0; 10];
            let mut writer = Writer::new(&mut buffer);
            writer.varint(value).unwrap();
            assert_eq!(writer.written(), form);
            assert_eq!(Reader::new(form).varint(), Some(value));
        }
        assert_eq!(Reader::new(&[0x80, 0x00]).varint(), None, "a longer form of 0");
        assert_eq!(Reader::new(&[0xff; 9]).varint(), None, "cut off");
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).varint(),
            None,
            "65 bits"
        );
        assert_eq!(Reader::new(&[0x80; 11]).varint(), None, "endless");
    }

    #[test]
    fn a_writer_refuses_what_does_not_fit_and_keeps_what_did() {
        let mut buffer = [0; 5];
        let mut writer = Writer::new(&mut buffer);
        writer.u32(1).unwrap();
        assert_eq!(writer.u32(2), None);
        assert_eq!(writer.string(b"ab"), None);
        assert_eq!((writer.len(), writer.room()), (5, 0), "the length of the string fitted, the string did not");
        writer.truncate(4);
        assert_eq!(writer.written(), [0, 0, 0, 1]);
    }
}
