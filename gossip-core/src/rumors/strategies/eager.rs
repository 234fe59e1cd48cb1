//! Eager: an event is told on as soon as it is learnt, to k random members; the rounds of push-pull repair what that misses.

use super::{Situation, Targets};
use crate::address::Address;
use crate::fanout::Fanout;
use crate::members::Slot;

pub(super) fn forward<A: Address>(
    fanout: Fanout,
    situation: &Situation<'_, A>,
    except: Option<Slot>,
    targets: &mut Targets<'_>,
) {
    // One call tells all that a datagram brought.
    if targets.slots.is_empty() {
        targets.random(situation, situation.calls(fanout), except);
    }
}
