//! Why a datagram is refused.

use core::fmt;

use super::VERSION;
use crate::config::ClusterTag;

/// Why a datagram was not accepted. Nothing of it had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecodeError {
    /// Shorter than a header, or does not begin with [`MAGIC`](super::MAGIC): not of this protocol.
    Foreign,
    /// A version that this code does not read: more than one away from its own.
    Version(u8),
    /// From another cluster.
    Cluster(ClusterTag),
    /// The checksum does not match: damaged on the way.
    Checksum,
    /// Well checksummed or sealed, but not what the format allows: a faulty or hostile sender.
    Malformed,
    /// Sealed, and this node has no keyring.
    Sealed,
    /// Not sealed, and this node's keyring refuses what is not.
    Plain,
    /// Sealed with a key that is not in the keyring.
    UnknownKey(u8),
    /// It does not open: changed on the way, sealed with another key of the same id, sent from another address than it was
    /// sealed at, or meant for another receiver.
    Forged,
    /// Sealed, and received before, or too old to tell; or of a former life of its sender.
    Replayed,
    /// Sealed by somebody new, and there is no room to remember its counter.
    SendersFull,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("not a datagram of this protocol"),
            Self::Version(version) => write!(f, "wire version {version}, this node speaks {VERSION}"),
            Self::Cluster(tag) => write!(f, "from the cluster with tag {:#06x}", tag.0),
            Self::Checksum => f.write_str("damaged: the checksum does not match"),
            Self::Malformed => f.write_str("malformed"),
            Self::Sealed => f.write_str("sealed, and this node has no keyring"),
            Self::Plain => f.write_str("not sealed"),
            Self::UnknownKey(id) => write!(f, "sealed with key {id}, which is not in the keyring"),
            Self::Forged => f.write_str("the seal is not its sender's, or not for this receiver"),
            Self::Replayed => f.write_str("received before"),
            Self::SendersFull => f.write_str("no room for another sender's counter"),
        }
    }
}

impl core::error::Error for DecodeError {}
