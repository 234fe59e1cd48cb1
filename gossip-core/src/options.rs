//! What an application can ask for an event or a query, and what it is told of the order.

use core::time::Duration;

/// Which of several events goes first. Of equal ones the least told goes first, and the oldest is given up first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// After all others.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before the usual.
    High,
    /// Before all others.
    Urgent,
}

impl Priority {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;

    /// All, in the order of their [`bits`](Self::bits).
    const BY_BITS: [Self; Self::COUNT] = [Self::Normal, Self::High, Self::Urgent, Self::Low];

    /// Two bits, as it travels; those of the usual one are zero.
    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::High => 1,
            Self::Urgent => 2,
            Self::Low => 3,
        }
    }

    /// The one with these low bits.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self::BY_BITS[(bits & 0b11) as usize]
    }
}

/// What an application asks for an event, beside its payload. The default asks for nothing in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct EventOptions {
    /// Events of a higher priority come first in a datagram, and are the last to be forgotten at
    /// [`events_max`](crate::Config::events_max) and [`event_bytes_max`](crate::Config::event_bytes_max).
    pub priority: Priority,
    /// For how long the event is kept and told, from its start on; 1 ms to [`event_lifetime`](crate::Config::event_lifetime),
    /// which is also what `None` means. Shorter: less memory and traffic, and who is away for longer misses it. Costs one to
    /// four bytes in each copy.
    pub lifetime: Option<Duration>,
    /// Deliver it after all earlier ordered events of this node, see [`Order`]. Costs a byte or two in each copy, and
    /// waiting where an earlier one is missing.
    pub ordered: bool,
}

/// What an application asks for a query, beside its payload and its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct QueryOptions {
    /// As that of an event.
    pub priority: Priority,
    /// Every member that the query reaches says so to its origin, whether its application answers or not. Costs a datagram from
    /// each, and one to each.
    pub receipts: bool,
}

/// Where an event stands in the order of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Its origin did not ask for an order.
    Unordered,
    /// All ordered events that its origin started before it, and that were still alive then, were delivered before it.
    InOrder,
    /// The ordered event before it did not come within [`ordered_wait`](crate::Config::ordered_wait), or
    /// [`ordered_max`](crate::Config::ordered_max) events waited already.
    Gap,
    /// A later one did not wait for it any longer.
    Late,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_come_back_from_their_bits_and_are_ordered() {
        use Priority::{High, Low, Normal, Urgent};
        for priority in [Low, Normal, High, Urgent] {
            assert_eq!(Priority::from_bits(0b1111_1100 | priority.bits()), priority);
        }
        assert!(Low < Normal && Normal < High && High < Urgent);
        assert_eq!(Priority::default().bits(), 0, "an event without options has the shortest form");
    }
}
