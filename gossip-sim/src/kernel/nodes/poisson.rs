//! Push-pull without rounds: each node calls one other at the rings of a Poisson clock of rate 1. Serial, call by call.

use super::bits::Bits;
use crate::kernel::outcome::Outcome;
use crate::kernel::random::Stream;
use crate::kernel::strategy::Spec;

/// One run. Time is in mean intervals of a clock.
pub(super) fn simulate(spec: &Spec, stream: &mut Stream) -> Outcome {
    let (nodes, knows) = (spec.nodes, Bits::new(spec.nodes));
    let mut outcome = Outcome::default();
    let (mut time, mut informed) = (0.0, 1);
    knows.set(0);
    outcome.reached.note(time, informed, nodes);
    outcome.traffic.out_max = 1;
    while informed < nodes {
        time += stream.exponential() / nodes as f64;
        let caller = stream.below(nodes);
        let called = stream.other(caller, nodes);
        let (tells, asked) = (knows.get(caller), knows.get(called));
        let arrives = !stream.happens(spec.loss);
        outcome.traffic.datagrams += 1;
        outcome.traffic.rumor += u128::from(tells);
        if tells == asked || !arrives {
            continue;
        }
        if asked {
            outcome.traffic.datagrams += 1;
            outcome.traffic.rumor += 1;
            if stream.happens(spec.loss) {
                continue;
            }
        }
        informed += u64::from(knows.set(if asked { caller } else { called }));
        outcome.reached.note(time, informed, nodes);
    }
    outcome
}
