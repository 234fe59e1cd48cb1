//! Incarnations never fall.
//!
//! *Promised*: a node's own incarnation never falls in one life, and a life that begins from a snapshot begins above that of the
//! snapshot; what a node holds of a member never falls while it remembers that member. *Not promised*: anything of a fresh
//! process, which begins at 0 and learns from the others, and of a member that was forgotten. Looked at with each tick.

use std::collections::BTreeMap;

use gossip_core::Event;

use super::world::World;
use super::{Checker, Nodes, Start, Verdict};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Incarnations {
    /// The last seen: of whom, by whom.
    known: BTreeMap<(NodeId, NodeId), u32>,
    /// Those of nodes that come from a snapshot, which they must exceed.
    snapshots: BTreeMap<NodeId, u32>,
}

impl Incarnations {
    fn see(&mut self, observer: NodeId, member: NodeId, incarnation: u32) -> Verdict {
        let last = self.known.insert((observer, member), incarnation).unwrap_or(0);
        if incarnation < last {
            return Err(format!("that of node {member} fell from {last} to {incarnation} at node {observer}"));
        }
        Ok(())
    }
}

impl<A: Addresses> Checker<A> for Incarnations {
    fn name(&self) -> &'static str {
        "incarnations"
    }

    fn on_started(&mut self, _world: &World, node: NodeId, start: Start) -> Verdict {
        let own = self.known.get(&(node, node)).copied();
        self.known.retain(|&(observer, _), _| observer != node);
        self.snapshots.remove(&node);
        if let (Start::FromSnapshot, Some(own)) = (start, own) {
            self.snapshots.insert(node, own);
        }
        Ok(())
    }

    fn on_event(&mut self, _world: &World, node: NodeId, event: &Event<A>) -> Verdict {
        match event {
            Event::MemberForgotten { addr } => {
                addr.id().map(|member| self.known.remove(&(node, member)));
                Ok(())
            }
            Event::MemberChanged { addr, incarnation, .. } => match addr.id() {
                Some(member) => self.see(node, member, *incarnation),
                None => Ok(()),
            },
            Event::Refuted { incarnation, .. } => self.see(node, node, *incarnation),
            _ => Ok(()),
        }
    }

    fn on_tick(&mut self, world: &World, nodes: &Nodes<'_, A>) -> Verdict {
        for observer in world.ids() {
            let Some(node) = nodes(observer) else { continue };
            for member in node.members() {
                let Some(id) = member.addr.id() else { continue };
                // Two processes may share an address; each has its own place here by whose node it is.
                let id = if member.addr == node.local() { observer } else { id };
                self.see(observer, id, member.incarnation)?;
            }
            if let Some(former) = self.snapshots.remove(&observer) {
                let own = self.known.get(&(observer, observer)).copied().unwrap_or(0);
                if own <= former {
                    return Err(format!("node {observer} came back from a snapshot of {former} with {own}"));
                }
            }
        }
        Ok(())
    }
}
