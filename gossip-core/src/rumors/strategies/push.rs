//! Push: who has something to tell calls k random members and tells them.

use super::{Situation, Targets};
use crate::address::Address;

pub(super) fn round<A: Address>(fanout: u8, situation: &Situation<'_, A>, targets: &mut Targets<'_>) -> bool {
    targets.random(situation, if situation.news { fanout } else { 0 }, None);
    false
}
