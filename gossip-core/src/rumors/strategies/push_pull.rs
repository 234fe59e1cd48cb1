//! Push-pull: a call tells what is new, and its answer what the caller lacks (Karp, Schindelhauer, Shenker, Vöcking, FOCS
//! 2000).

use super::{Situation, Targets};
use crate::address::Address;
use crate::fanout::Fanout;

pub(super) fn round<A: Address>(fanout: Fanout, situation: &Situation<'_, A>, targets: &mut Targets<'_>) -> bool {
    let calls = situation.news || situation.config.idle_calls;
    targets.random(situation, if calls { situation.calls_of_part(fanout) } else { 0 }, None);
    true
}
