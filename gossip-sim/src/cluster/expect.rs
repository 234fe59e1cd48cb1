//! What a story asks of a cluster.

use std::collections::BTreeSet;

use gossip_core::{Command, EventId, EventOptions, Node, Outcome};

use super::Cluster;
use crate::addresses::{Addresses, NodeId};
use crate::observe::{Captured, HostJournal, Journal, Observer};
use crate::queue::Queue;

/// A host as a story looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a, A: Addresses> {
    /// Its node.
    pub node: &'a Node<A>,
    /// What is written down of it.
    pub journal: &'a HostJournal<A>,
}

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// Whether every live node sees exactly the live nodes.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        if !self.is_full() {
            return false;
        }
        let live: BTreeSet<A> = self.live().map(|id| self.node(id).local()).collect();
        self.live().all(|id| {
            let mut members = self.node(id).members().filter(|member| member.state.is_live());
            members.all(|member| live.contains(&member.addr))
        })
    }

    /// Whether every live node sees as many live nodes as there are: nearly the same, and quick at any size.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let count = self.live().count();
        self.live().all(|id| self.node(id).live_members() as usize == count)
    }

    /// How many live members each live node sees.
    #[must_use]
    pub fn sizes(&self) -> Vec<u32> {
        self.live().map(|id| self.node(id).live_members()).collect()
    }

    /// A node starts an event that asks for nothing in particular.
    ///
    /// # Panics
    /// If the node refuses.
    pub fn start_event(&mut self, id: NodeId, payload: &[u8]) -> EventId<A> {
        self.start_event_with(id, payload, EventOptions::default())
    }

    /// A node starts an event.
    ///
    /// # Panics
    /// If the node refuses.
    pub fn start_event_with(&mut self, id: NodeId, payload: &[u8], options: EventOptions) -> EventId<A> {
        match self.command(id, Command::StartEvent { payload, options }) {
            Ok(Outcome::Started(event)) => event,
            other => panic!("host {id} starts no event: {other:?}"),
        }
    }
}

impl<A: Addresses, Q: Queue> Cluster<A, Journal<A>, Q> {
    /// What is written down of a host.
    #[must_use]
    pub fn journal(&self, id: NodeId) -> &HostJournal<A> {
        self.observer.of(id)
    }

    /// Everything that is sent while something is done, lost or not.
    pub fn capture(&mut self, work: impl FnOnce(&mut Self)) -> Vec<Captured<A>> {
        let before = self.observer.capture.replace(Vec::new());
        work(self);
        std::mem::replace(&mut self.observer.capture, before).unwrap_or_default()
    }

    /// What is written down of a host so far is forgotten.
    pub fn clear_journal(&mut self, id: NodeId) {
        *self.observer.of_mut(id) = HostJournal::default();
    }

    /// The hosts that are up, those whose node has left included.
    pub fn up(&self) -> impl Iterator<Item = (NodeId, Host<'_, A>)> {
        self.ids_up().map(|id| (id, Host { node: self.node(id), journal: self.journal(id) }))
    }

    /// How many of the hosts that are up got an event, its origin included.
    #[must_use]
    pub fn informed(&self, event: EventId<A>) -> usize {
        let has = |&id: &NodeId| Some(id) == event.origin.id() || self.observer.times_delivered(event, id) > 0;
        self.ids_up().filter(has).count()
    }

    /// Every host that is up got an event once, but for its origin.
    ///
    /// # Panics
    /// If not.
    pub fn assert_delivered_once(&self, event: EventId<A>) {
        for id in self.ids_up() {
            let times = self.observer.times_delivered(event, id);
            assert_eq!(times, usize::from(Some(id) != event.origin.id()), "host {id} got {event:?} {times} times");
        }
    }

    /// All deaths that somebody declared or learnt, by hosts: by whom, of whom.
    #[must_use]
    pub fn deaths(&self) -> BTreeSet<(NodeId, NodeId)> {
        let deaths = self.observer.deaths();
        deaths.into_iter().filter_map(|(by, of)| Some((by, of.id()?))).collect()
    }
}
