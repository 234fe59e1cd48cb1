//! Nobody who is alive and reachable is held for dead, departed or unknown for longer than the bound.
//!
//! *Promised* to each ordered pair (o, m) of members that are well, from when both are: o holds m for live, but for times of at
//! most R while m holds o for live (then m probes o, and hears what is said of it), and of at most M otherwise
//! ([`bounds`](super::bounds)). *Not promised*: that nobody is ever accused wrongly. Where nothing is lost and nobody is
//! disturbed, that is promised as well, see [`Convergence`](super::Convergence).

use super::world::World;
use super::{Checker, Nodes, Verdict};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deaths;

impl<A: Addresses> Checker<A> for Deaths {
    fn name(&self) -> &'static str {
        "deaths"
    }

    fn on_tick(&mut self, world: &World, _nodes: &Nodes<'_, A>) -> Verdict {
        for observer in world.members() {
            for member in world.members().filter(|&member| member != observer) {
                check(world, observer, member)?;
            }
        }
        Ok(())
    }
}

fn check(world: &World, observer: NodeId, member: NodeId) -> Verdict {
    let (Some(a), Some(b)) = (world.well_since(observer), world.well_since(member)) else { return Ok(()) };
    let (Some(belief), Some(back)) = (world.belief(observer, member), world.belief(member, observer)) else {
        return Ok(());
    };
    if belief.is_live() {
        return Ok(());
    }
    let (Some(ours), Some(theirs)) = (world.bounds(observer), world.bounds(member)) else { return Ok(()) };
    let since = a.max(b).max(belief.live_since);
    let beyond = |since, bound| world.now() > since + bound;
    let refuting = ours.refuting().max(theirs.refuting());
    let meeting = ours.meeting().max(theirs.meeting());
    let why = if back.is_live() && beyond(since.max(back.live_since), refuting) {
        format!("though that one holds it for live, and R is {refuting:?}")
    } else if beyond(since, meeting) {
        format!("and so does that one it, and M is {meeting:?}")
    } else {
        return Ok(());
    };
    let state = belief.state.map_or_else(|| "unknown".to_owned(), |state| format!("{state:?}"));
    Err(format!(
        "node {observer} has held node {member}, which is there, for {state} since {:.3} s, {why}",
        belief.live_since.as_secs_f64()
    ))
}
