//! Push: who has something to tell calls k random members and tells them.

use super::{Situation, Targets};
use crate::address::Address;
use crate::fanout::Fanout;

pub(super) fn round<A: Address>(fanout: Fanout, situation: &Situation<'_, A>, targets: &mut Targets<'_>) -> bool {
    targets.random(situation, if situation.news { situation.calls_of_part(fanout) } else { 0 }, None);
    false
}
