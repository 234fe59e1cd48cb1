//! What becomes of a datagram, and of whom that is asked.

use core::time::Duration;

/// A node as the fault models know it: its index. The caller maps addresses to it and keeps the mapping for the whole
/// run, because the random streams of a link are derived from the indices of its two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(pub u64);

/// What becomes of a datagram: a value, not an action. Who asked carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, held back by so much.
    Deliver {
        /// Extra one-way delay; zero means at once.
        delay: Duration,
    },
    /// It does not arrive.
    Drop(Cause),
}

impl Fate {
    /// Delivered at once.
    pub const AT_ONCE: Self = Self::Deliver { delay: Duration::ZERO };
}

/// Why a datagram does not arrive. When several faults would drop it, the first of this list is the cause: the models
/// are asked in this order, and the ones after it do not see the datagram (nor does it use up a "drop the next").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The node sleeps: [`crate::spec::Sleep`].
    Asleep,
    /// The peer is on the other side of a partition: [`crate::Impairment::Block`].
    Partitioned,
    /// [`crate::spec::DropNext`].
    DropNext,
    /// [`crate::spec::Loss`].
    Loss,
}
