//! What a node's own state must obey at all times, and what it tells must be what it holds.
//!
//! With each tick: `Node::check_invariants` of each node (every table within its bound, every index what it is an index of,
//! every suspect watched; it panics), and the state that each node holds of each other is the last that it told its
//! application. So an application that follows the events knows what one that reads the table knows.

use super::world::{Belief, World};
use super::{Checker, Nodes, Verdict};
use crate::addresses::Addresses;

/// See the head of this file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Invariants;

impl<A: Addresses> Checker<A> for Invariants {
    fn name(&self) -> &'static str {
        "invariants"
    }

    fn on_tick(&mut self, world: &World, nodes: &Nodes<'_, A>) -> Verdict {
        for observer in world.ids() {
            let Some(node) = nodes(observer) else { continue };
            node.check_invariants();
            let told = world.ids().filter(|&about| world.belief(observer, about).is_some_and(Belief::is_live)).count();
            let others = node.members().filter(|member| member.addr != node.local());
            let holds = others.filter(|member| member.state.is_live()).count();
            if holds != told {
                return Err(format!("node {observer} holds {holds} others for live and told of {told}"));
            }
            for member in node.members().filter(|member| member.addr != node.local()) {
                let Some(about) = member.addr.id() else { continue };
                let told = world.belief(observer, about).and_then(|belief| belief.state);
                if told != Some(member.state) {
                    let state = member.state;
                    return Err(format!("node {observer} holds node {about} for {state:?} and told {told:?}"));
                }
            }
        }
        Ok(())
    }
}
