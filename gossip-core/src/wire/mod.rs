//! (being written)
use crate::address::Address;
/// Header.
pub const HEADER_LEN: usize = 8;
/// Message.
#[must_use]
pub const fn message_max<A: Address>() -> usize {
    40 + A::ENCODED_MAX
}
/// Rumor.
#[must_use]
pub const fn rumor_overhead_max<A: Address>() -> usize {
    30 + A::ENCODED_MAX
}
