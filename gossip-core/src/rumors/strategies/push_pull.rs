//! Push-pull: a call tells what is new, and its answer what the caller lacks (Karp, Schindelhauer, Shenker, Vöcking, FOCS
//! 2000).

use super::{Situation, Targets};
use crate::address::Address;

pub(super) fn round<A: Address>(fanout: u8, situation: &Situation<'_, A>, targets: &mut Targets<'_>) -> bool {
    targets.random(situation, if situation.news || situation.config.idle_calls { fanout } else { 0 }, None);
    true
}
