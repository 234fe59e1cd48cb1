//! Memory that the nodes of a cluster have in common.

use std::sync::Mutex;

use gossip_core::{Node, SharedView};

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

    /// The same for all nodes that `wants`, as if one after the other.
    pub fn share_all(&mut self, view: &SharedView<A>, wants: impl Fn(&Node<A>) -> bool + Sync) {
        let threads = self.threads();
        let nodes = Mutex::new(self.nodes.iter_mut().flatten());
        let next = || nodes.lock().expect("no thread panics while it holds it").next();
        let share = || std::iter::from_fn(next).filter(|node| wants(node)).for_each(|node| _ = node.share(view));
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| _ = scope.spawn(share));
            share();
        });
    }
}
