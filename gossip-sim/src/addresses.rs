//! Which address a host has.

use std::net::{Ipv4Addr, SocketAddr};

use gossip_core::Address;

/// The index of a host: stable for its life and beyond, since a host that is restarted keeps it.
pub type NodeId = u32;

/// The most hosts that a cluster can have.
pub const HOSTS_MAX: u32 = 1 << 24;

/// Addresses that stand for hosts. Several threads may use them.
pub trait Addresses: Address<Stored: Send + Sync> + Send + Sync {
    /// The address of a host.
    fn of(id: NodeId) -> Self;

    /// The host at an address, if it can be one's.
    fn id(self) -> Option<NodeId>;
}

/// 10.0.0.0 + id, port 7400.
impl Addresses for SocketAddr {
    #[inline]
    fn of(id: NodeId) -> Self {
        debug_assert!(id < HOSTS_MAX, "the network has 2^24 addresses");
        Self::from((Ipv4Addr::from_bits(FIRST + id), PORT))
    }

    #[inline]
    fn id(self) -> Option<NodeId> {
        let Self::V4(addr) = self else { return None };
        let id = addr.ip().to_bits().checked_sub(FIRST)?;
        (id < HOSTS_MAX && addr.port() == PORT).then_some(id)
    }
}

/// The number itself.
impl Addresses for u16 {
    #[inline]
    fn of(id: NodeId) -> Self {
        Self::try_from(id).expect("hosts with short addresses have numbers below 2^16")
    }

    #[inline]
    fn id(self) -> Option<NodeId> {
        Some(Self::into(self))
    }
}

const FIRST: u32 = 0x0a00_0000;
const PORT: u16 = 7400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_hosts_and_nobody_elses() {
        for id in [0, 1, 255, 65_535, HOSTS_MAX - 1] {
            assert_eq!(SocketAddr::of(id).id(), Some(id));
        }
        assert_eq!(SocketAddr::of(258), "10.0.1.2:7400".parse().unwrap());
        for other in ["10.0.0.1:7401", "9.255.255.255:7400", "11.0.0.0:7400", "[::1]:7400"] {
            assert_eq!(other.parse::<SocketAddr>().unwrap().id(), None, "{other}");
        }
        assert_eq!(u16::of(7).id(), Some(7));
    }
}
