//! Memory that the nodes of a cluster have in common.

use gossip_core::SharedView;

use super::Cluster;
use crate::addresses::{Addresses, NodeId};
use crate::observe::Observer;
use crate::queue::Queue;

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// Has a node refer to `view` for what it knows of the members, see [`Node::share`](gossip_core::Node::share): what it knows stays
    /// as it was, what it draws and probes next may be another. So when this is called is part of what determines a run. False
    /// if the node must not now, or there is none.
    pub fn share(&mut self, id: NodeId, view: &SharedView<A>) -> bool {
        let Some(node) = self.nodes.get_mut(id as usize).and_then(Option::as_mut) else { return false };
        node.share(view)
    }
}
