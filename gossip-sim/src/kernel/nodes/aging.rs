//! Push-pull whose informed nodes call more the older the rumor is; whoever does not know it makes one call.

use super::Protocol;
use super::fanout::Fanout;
use super::uniform::Uniform;
use super::world::{Done, World};
use crate::kernel::strategy::aged_fanout;

pub(super) struct Aging {
    nodes: u64,
    uniform: Uniform,
}

impl Aging {
    pub(super) fn new(nodes: u64) -> Self {
        let asks = Some(Fanout::Same(1));
        Self { nodes, uniform: Uniform { fanout: Fanout::Same(1), asks, push: true, pull: true } }
    }
}

impl Protocol for Aging {
    fn round(&mut self, world: &World) -> Done {
        self.uniform.fanout = Fanout::Same(aged_fanout(self.nodes, world.round).into());
        self.uniform.round(world)
    }
}
