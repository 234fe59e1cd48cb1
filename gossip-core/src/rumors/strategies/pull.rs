//! Pull: everybody asks k random members in every round, and rumors travel in the answers.
//!
//! A call carries updates of members but no rumor. What is sent anyway carries both, as under every strategy: a probe can
//! still tell somebody who did not ask.

use super::{Situation, Targets};
use crate::address::Address;
use crate::fanout::Fanout;
use crate::wire::Message;

pub(super) fn round<A: Address>(fanout: Fanout, situation: &Situation<'_, A>, targets: &mut Targets<'_>) -> bool {
    // Who lacks a rumor does not know it: everybody calls, whatever `idle_calls` says.
    targets.random(situation, situation.calls_of_part(fanout), None);
    true
}

pub(super) fn carries<A>(message: &Message<'_, A>) -> bool {
    !matches!(message, Message::Gossip { .. })
}
