//! Push-pull(1) in which a node takes only one of the calls that reach it in a round, chosen uniformly: the others are lost on it.
//! Calls go to all nodes, the caller included; see [`Strategy::OneAnswer`](crate::kernel::Strategy::OneAnswer).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Protocol;
use super::uniform::sent;
use super::world::{Done, World};

/// The call that each node takes.
pub(super) struct OneAnswer {
    /// A random rank in the upper half, the caller in the lower: the greatest is taken, which is a uniform choice but for ties of
    /// ranks (2⁻³²). 0: nobody called.
    taken: Vec<AtomicU64>,
}

impl OneAnswer {
    pub(super) fn new(nodes: u64) -> Self {
        Self { taken: (0..nodes).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Protocol for OneAnswer {
    fn round(&mut self, world: &World) -> Done {
        world.chunks(1, |words, mut stream| {
            for node in words.start * 64..(words.end * 64).min(world.nodes) {
                let called = stream.below(world.nodes);
                if world.arrives(&mut stream) {
                    world.arrived(called);
                    let rank = stream.bits() >> 32 | 1;
                    self.taken[called as usize].fetch_max(rank << 32 | node, Relaxed);
                }
            }
        });
        let mut done = Done::sum(world.chunks(2, |words, mut stream| {
            let (mut answers, mut learnt) = (0, 0);
            for node in words.start * 64..(words.end * 64).min(world.nodes) {
                let call = self.taken[node as usize].swap(0, Relaxed);
                if call == 0 {
                    continue;
                }
                let caller = call & u64::from(u32::MAX);
                match (world.now.get(caller), world.now.get(node)) {
                    (true, false) => learnt += u64::from(world.next.set(node)),
                    (false, true) => {
                        answers += 1;
                        world.answered(node);
                        if world.arrives(&mut stream) {
                            world.arrived(caller);
                            learnt += u64::from(world.next.set(caller));
                        }
                    }
                    (true, true) | (false, false) => {}
                }
            }
            Done { traffic: sent(answers, answers, 1), learnt }
        }));
        done.traffic.add(sent(world.informed(), world.nodes, 1));
        done
    }
}
