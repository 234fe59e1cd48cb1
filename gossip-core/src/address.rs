//! What a node needs to know of an address: nearly nothing.

use core::fmt::Debug;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address of a node in whatever network carries its datagrams: UDP, a radio, a CAN bus.
///
/// The address *is* the identity of a member; a node that moves to another address is another member. It borrows nothing.
pub trait Address: Copy + Eq + Ord + Hash + Debug + 'static {
    /// The form in which the member table keeps an address: `Self`, unless there is a shorter one. What it leaves out is
    /// left out everywhere: two addresses with the same stored form are one.
    type Stored: Copy + Eq + Hash + Debug + From<Self> + Into<Self>;

    /// The most bytes that [`encode`](Self::encode) writes.
    const ENCODED_MAX: usize;

    /// Writes the address to the front of `out` and returns its length, or `None` when it does not fit.
    ///
    /// Equal addresses must have equal encodings.
    fn encode(&self, out: &mut [u8]) -> Option<usize>;

    /// Reads an address from the front of `bytes`: the address and its length, or `None` when the bytes are none. The
    /// bytes come from the network: anything may be in them.
    fn decode(bytes: &[u8]) -> Option<(Self, usize)>;
}

/// One byte of family (4 or 6), the IP address, the port in network order: 7 or 19 bytes.
///
/// The flow label and scope of an IPv6 address mean something on one host only: they are neither kept nor sent, so link-local
/// addresses will not do.
impl Address for SocketAddr {
    type Stored = CompactSocketAddr;
    const ENCODED_MAX: usize = 19;

    #[inline]
    fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let len = match self.ip() {
            IpAddr::V4(ip) => {
                *out.first_mut()? = 4;
                out.get_mut(1..5)?.copy_from_slice(&ip.octets());
                5
            }
            IpAddr::V6(ip) => {
                *out.first_mut()? = 6;
                out.get_mut(1..17)?.copy_from_slice(&ip.octets());
                17
            }
        };
        out.get_mut(len..len + 2)?.copy_from_slice(&self.port().to_be_bytes());
        Some(len + 2)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&family, rest) = bytes.split_first()?;
        let (ip, rest): (IpAddr, &[u8]) = match family {
            4 => {
                let (octets, rest) = rest.split_first_chunk::<4>()?;
                (Ipv4Addr::from(*octets).into(), rest)
            }
            6 => {
                let (octets, rest) = rest.split_first_chunk::<16>()?;
                (Ipv6Addr::from(*octets).into(), rest)
            }
            _ => return None,
        };
        let (port, rest) = rest.split_first_chunk::<2>()?;
        Some((Self::new(ip, u16::from_be_bytes(*port)), bytes.len() - rest.len()))
    }
}

/// A [`SocketAddr`] in 19 bytes instead of 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactSocketAddr {
    ip: [u8; 16],
    port: [u8; 2],
    is_v6: bool,
}

/// Two words, where the derived one would go by the byte.
impl Hash for CompactSocketAddr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.ip));
        state.write_u32(u32::from(u16::from_ne_bytes(self.port)) << 1 | u32::from(self.is_v6));
    }
}

impl From<SocketAddr> for CompactSocketAddr {
    #[inline]
    fn from(addr: SocketAddr) -> Self {
        // As one number: written byte by byte it could not be read by the word, as a hash does, before it has reached the cache.
        let ip = match addr.ip() {
            IpAddr::V4(v4) => u128::from(u32::from_le_bytes(v4.octets())).to_le_bytes(),
            IpAddr::V6(v6) => v6.octets(),
        };
        Self { ip, port: addr.port().to_ne_bytes(), is_v6: addr.is_ipv6() }
    }
}

impl From<CompactSocketAddr> for SocketAddr {
    #[inline]
    fn from(addr: CompactSocketAddr) -> Self {
        let port = u16::from_ne_bytes(addr.port);
        if addr.is_v6 {
            return Self::new(Ipv6Addr::from(addr.ip).into(), port);
        }
        let [a, b, c, d, ..] = addr.ip;
        Self::new(Ipv4Addr::new(a, b, c, d).into(), port)
    }
}

/// Two bytes in network order: a radio's short address, or the index of a node in a simulation.
impl Address for u16 {
    type Stored = Self;
    const ENCODED_MAX: usize = 2;

    #[inline]
    fn encode(&self, out: &mut [u8]) -> Option<usize> {
        out.get_mut(..2)?.copy_from_slice(&self.to_be_bytes());
        Some(2)
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Option<(Self, usize)> {
        Some((Self::from_be_bytes(*bytes.first_chunk()?), 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_addresses_come_back_as_they_went() {
        for text in ["127.0.0.1:7000", "[2001:db8::1]:65535", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut bytes = [0; 19];
            let len = address.encode(&mut bytes).unwrap();
            assert_eq!(SocketAddr::decode(&bytes[..len]), Some((address, len)));
            assert_eq!(SocketAddr::from(CompactSocketAddr::from(address)), address);
            for short in 0..len {
                assert_eq!(SocketAddr::decode(&bytes[..short]), None);
                assert_eq!(address.encode(&mut [0; 19][..short]), None);
            }
        }
        assert_eq!(SocketAddr::decode(&[5, 1, 2, 3, 4, 5, 6]), None);
    }
}
