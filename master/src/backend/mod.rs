//! Where nodes run: one small contract, one file per place.

pub mod arp;
pub mod docker;
pub mod ip;
pub mod local;
pub mod netns;
pub mod process;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use thiserror::Error;

/// UDP port of gossip, the same at every node.
pub const GOSSIP_PORT: u16 = 7400;

/// TCP port at which the master listens where it has an address of its own.
pub const CONTROL_PORT: u16 = 7401;

/// A node to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name.
    pub name: String,
    /// Its gossip address.
    pub addr: SocketAddr,
    /// The agent's arguments.
    pub arguments: Vec<String>,
}

/// What went wrong in a backend: what was tried, why it failed, what to do.
#[derive(Debug, Error)]
#[error("{what}: {why}")]
pub struct BackendError {
    /// What was tried.
    pub what: String,
    /// Why it failed and what can be done.
    pub why: String,
}

impl BackendError {
    /// `what` failed because of `why`.
    #[expect(clippy::needless_pass_by_value, reason = "callers hand over the error that they got")]
    pub fn new(what: impl Into<String>, why: impl ToString) -> Self {
        Self { what: what.into(), why: why.to_string() }
    }
}

/// A place where nodes run.
pub trait Backend {
    /// The gossip address of the node with this index (from 0).
    ///
    /// # Errors
    /// When the place has no address left.
    fn gossip_addr(&self, index: u32) -> Result<SocketAddr, BackendError>;

    /// Where the master listens for its nodes. Port 0 means any.
    fn control_addr(&self) -> SocketAddr;

    /// How many nodes to start at a time: more do not help here.
    fn batch(&self) -> usize;

    /// Starts these nodes, also ones that were started before and have left or were killed.
    ///
    /// # Errors
    /// [`BackendError`]; some of the nodes may run then.
    fn start(&mut self, nodes: &[NodeSpec]) -> impl Future<Output = Result<(), BackendError>>;

    /// Kills a node without a word (SIGKILL). It is dead when this returns.
    ///
    /// # Errors
    /// [`BackendError`].
    fn kill(&mut self, name: &str) -> impl Future<Output = Result<(), BackendError>>;

    /// Names of the nodes whose process has ended, for whatever reason, with what is known about the end.
    fn ended(&mut self) -> impl Future<Output = Vec<(String, String)>>;

    /// Ends all nodes and removes everything that was made for them. Saves what they said to their logs.
    ///
    /// # Errors
    /// [`BackendError`]: something may be left, which the next start finds and removes.
    fn stop_all(&mut self) -> impl Future<Output = Result<(), BackendError>>;
}

/// An IPv4 network in which the nodes get addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    base: u32,
    prefix: u8,
}

/// Why a subnet cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a private IPv4 network of 8 to 28 bits such as 10.77.0.0/16")]
pub struct SubnetError(String);

impl Subnet {
    /// A private network (RFC 1918) with room for nodes.
    ///
    /// # Errors
    /// [`SubnetError`].
    pub fn parse(text: &str) -> Result<Self, SubnetError> {
        let wrong = || SubnetError(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        if !(8..=28).contains(&prefix) || !address.is_private() {
            return Err(wrong());
        }
        let subnet = Self { base: address.to_bits(), prefix };
        if subnet.base & (subnet.size() - 1) == 0 { Ok(subnet) } else { Err(wrong()) }
    }

    /// The network of an instance: 10.77.0.0/16 for the usual one, another for any other, so that two can run at a time.
    #[must_use]
    pub fn of_instance(instance: &Instance) -> Self {
        Self { base: u32::from_be_bytes([10, instance.octet(), 0, 0]), prefix: 16 }
    }

    fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }

    /// Address of the node with this index, none when the network is full (its last four addresses are not for nodes).
    #[must_use]
    pub fn node(self, index: u32) -> Option<IpAddr> {
        (index < self.size() - 5).then(|| IpAddr::V4(Ipv4Addr::from_bits(self.base + 1 + index)))
    }

    /// Address of the master: the last but two.
    #[must_use]
    pub fn master(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(self.base + self.size() - 3))
    }

    /// The gateway's address, which no machine has: the last but one.
    #[must_use]
    pub fn gateway(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(self.base + self.size() - 2))
    }

    /// Length of the prefix.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The gossip address of the node with this index.
    ///
    /// # Errors
    /// When the network is full.
    pub fn gossip_addr(self, index: u32) -> Result<SocketAddr, BackendError> {
        let ip = self.node(index).ok_or_else(|| {
            BackendError::new(
                format!("an address for node {} in {self}", index + 1),
                "the network is full: give a larger one with --subnet",
            )
        })?;
        Ok(SocketAddr::new(ip, GOSSIP_PORT))
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

/// Name of everything that one master makes: containers, namespaces, networks, the folder of process ids. Two masters
/// with different instances can run at the same time; two with the same cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(String);

impl Instance {
    /// The instance that is meant when none is given.
    pub const DEFAULT: &'static str = "hearsay";

    /// Checks the name: 1 to 20 lower-case letters, digits and `-`, with a letter first.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let valid = (1..=20).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not an instance name: 1 to 20 of a-z, 0-9 and '-', a letter first"))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The second octet of its addresses.
    #[must_use]
    pub fn octet(&self) -> u8 {
        if self.0 == Self::DEFAULT {
            return 77;
        }
        let below = netem::seed::child(0, &self.0) % 170;
        80 + u8::try_from(below).expect("a number below 170 fits into a byte")
    }

    /// A network interface's name: `stem` and a tag of the instance. The kernel takes at most 15 bytes.
    #[must_use]
    pub fn interface(&self, stem: &str) -> String {
        if self.0 == Self::DEFAULT { stem.to_owned() } else { format!("{stem}-{:06x}", self.tag()) }
    }

    fn tag(&self) -> u64 {
        netem::seed::child(1, &self.0) & 0xff_ffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).expect("the subnet is valid")
    }

    #[test]
    fn addresses_are_handed_out_from_the_front_and_the_last_ones_are_not_for_nodes() {
        let net = subnet("10.77.0.0/16");
        assert_eq!(net.node(0), Some("10.77.0.1".parse().expect("an address")));
        assert_eq!(net.node(255), Some("10.77.1.0".parse().expect("an address")));
        assert_eq!(net.master().to_string(), "10.77.255.253");
        assert_eq!(net.gateway().to_string(), "10.77.255.254");
        let small = subnet("192.168.3.16/28");
        assert_eq!(small.node(10).map(|ip| ip.to_string()), Some("192.168.3.27".to_owned()));
        assert_eq!(small.node(11), None);
        assert_eq!(small.master().to_string(), "192.168.3.29");
        assert!(small.gossip_addr(11).is_err_and(|error| error.to_string().contains("--subnet")));
    }

    #[test]
    fn public_misaligned_and_tiny_networks_are_refused() {
        for text in ["8.8.0.0/16", "10.77.0.1/16", "10.77.0.0/30", "10.0.0.0/7", "10.77.0.0", "fe80::/64", "x/16"] {
            assert!(Subnet::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn instances_have_names_of_their_own() {
        let usual = Instance::parse("hearsay").expect("valid");
        let other = Instance::parse("test-17").expect("valid");
        assert_eq!(Subnet::of_instance(&usual).to_string(), "10.77.0.0/16");
        assert_ne!(other.octet(), 77);
        assert_eq!(usual.interface("hsv0"), "hsv0");
        assert!(other.interface("hsv0").len() <= 15 && other.interface("hsv0") != "hsv0");
        for text in ["", "Hearsay", "1a", "a/b", "a-name-that-is-too-long"] {
            assert!(Instance::parse(text).is_err(), "{text}");
        }
    }
}
