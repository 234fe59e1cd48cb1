//! When all is over, all know the same, which is the truth, and it stays so.
//!
//! *Promised* once the world is calm (nobody is disturbed, nobody comes or goes): within M plus the longest lifetime of an event
//! ([`bounds`](super::bounds)) every member holds just the members for live, each with the incarnation and the metadata that it
//! itself states, and the digests are equal: so are the kept events. Once that is so, and as long as the world stays calm, no member
//! is held for anything but alive, or but for a suspect where datagrams are lost. *Not promised*: a cluster that has nothing in common
//! any more. Two groups of which none knows an address of the other do not find together unless an application asks.

use core::time::Duration;

use super::world::World;
use super::{Checker, Nodes, Verdict};
use crate::addresses::{Addresses, NodeId};
use gossip_core::{MemberState, Node};

/// See the head of this file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Convergence {
    /// Whether datagrams are lost even while all is calm.
    pub lossy: bool,
}

impl<A: Addresses> Checker<A> for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn on_tick(&mut self, world: &World, nodes: &Nodes<'_, A>) -> Verdict {
        let Some(calm) = world.calm_since() else { return Ok(()) };
        let difference = if world.settled_since().is_some() {
            wavering(world, nodes, self.lossy).map(|what| format!("well, and ill again: {what}"))
        } else {
            let bound = bound(world);
            let late = world.now() > calm + bound;
            late.then(|| difference(world, nodes)).flatten().map(|what| format!("after {bound:?}: {what}"))
        };
        difference.map_or(Ok(()), Err)
    }
}

/// M and the longest lifetime, over all members.
fn bound(world: &World) -> Duration {
    let meeting = world.members().filter_map(|id| Some(world.bounds(id)?.meeting())).max();
    let lifetime = world.members().filter_map(|id| Some(world.bounds(id)?.config.event_lifetime)).max();
    meeting.unwrap_or_default() + lifetime.unwrap_or_default() * 2
}

/// What keeps the cluster from being at one, if anything does.
pub fn difference<A: Addresses>(world: &World, nodes: &Nodes<'_, A>) -> Option<String> {
    let members: Vec<(NodeId, &Node<A>)> = world.members().filter_map(|id| Some((id, nodes(id)?))).collect();
    let (first, reference) = *members.first()?;
    for &(id, node) in &members {
        for other in node.members().filter(|other| other.state.is_live()) {
            if !other.addr.id().is_some_and(|other| world.is_member(other)) {
                return Some(format!("node {id} holds {:?} for {:?}, who is gone", other.addr, other.state));
            }
        }
        for &(about, other) in &members {
            let own = other.member(&other.local()).expect("a node is in its own table");
            let Some(held) = node.member(&own.addr).filter(|held| held.state.is_live()) else {
                let held = node.member(&own.addr).map(|held| held.state);
                return Some(format!("node {id} holds node {about} for {held:?}, who is there"));
            };
            if held.state != MemberState::Alive {
                return Some(format!("node {id} suspects node {about}"));
            }
            if (held.incarnation, held.metadata_version, held.metadata)
                != (own.incarnation, own.metadata_version, own.metadata)
            {
                return Some(format!(
                    "node {id} holds node {about} at incarnation {} with metadata of version {}, and it is {} and {}",
                    held.incarnation, held.metadata_version, own.incarnation, own.metadata_version
                ));
            }
        }
        if node.digest() != reference.digest() {
            return Some(format!("nodes {first} and {id} have the same members and do not keep the same events"));
        }
    }
    None
}

/// Who is held for anything that it is not, in a cluster that was at one.
fn wavering<A: Addresses>(world: &World, nodes: &Nodes<'_, A>, lossy: bool) -> Option<String> {
    for id in world.members() {
        let Some(node) = nodes(id) else { continue };
        for about in world.members() {
            let Some(address) = nodes(about).map(Node::local) else { continue };
            let held = node.member(&address).map(|held| held.state);
            let well = held == Some(MemberState::Alive) || (lossy && held == Some(MemberState::Suspect));
            if !well {
                return Some(format!("node {id} holds node {about} for {held:?}"));
            }
        }
        if node.live_members() as usize != world.members().count() {
            return Some(format!("node {id} counts {} members", node.live_members()));
        }
    }
    None
}
