//! Whoever is gone is known to be, by every member that is well, within SWIM's bound.
//!
//! *Promised* to each member o that is well, of each node m that crashed or said goodbye: o holds m for live no longer than D
//! ([`bounds`](super::bounds)) from when m went, o is well, and o heard the last good of m, whichever is last. A goodbye is told
//! sooner, but it can be lost, so it has the same bound. Loss, delay and trouble elsewhere do not matter: a member that is well
//! probes by itself. *Not promised*: a least time, and anything about nodes that are stopped or cut off.

use super::world::World;
use super::{Checker, Nodes, Verdict};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Detection;

impl<A: Addresses> Checker<A> for Detection {
    fn name(&self) -> &'static str {
        "detection"
    }

    fn on_tick(&mut self, world: &World, _nodes: &Nodes<'_, A>) -> Verdict {
        for observer in world.members() {
            for gone in world.ids().filter(|&id| !world.is_member(id)) {
                check(world, observer, gone)?;
            }
        }
        Ok(())
    }
}

fn check(world: &World, observer: NodeId, gone: NodeId) -> Verdict {
    let (Some(well), Some(bounds)) = (world.well_since(observer), world.bounds(observer)) else { return Ok(()) };
    let (Some(belief), Some(truth)) = (world.belief(observer, gone), world.node(gone)) else { return Ok(()) };
    // While another process has its address, somebody answers for it.
    let Some(undisturbed) = world.undisturbed_since(gone) else { return Ok(()) };
    let bound = bounds.detection();
    let since = well.max(truth.gone_since).max(belief.since).max(undisturbed);
    if !belief.is_live() || truth.life == 0 || world.now() <= since + bound {
        return Ok(());
    }
    Err(format!(
        "node {observer} still holds node {gone} for {:?}, which went at {:.3} s, and D is {bound:?}",
        belief.state,
        truth.gone_since.as_secs_f64()
    ))
}
