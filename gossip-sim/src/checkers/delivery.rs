//! An event comes to an application once at most, and none comes that nobody started.
//!
//! *Promised*, whatever happens: in one life of a process each event and each query comes once at most, never to the life that
//! started it, and with the bytes that were started. A life that begins from a snapshot counts as one with the life before it: what
//! was delivered until the snapshot was taken does not come again. A fresh process has no memory: it gets again what is still
//! alive, its own former events among it. *Not promised*: that it comes ([`Spread`](super::Spread) says when it does), and
//! anything about events that a node forgot because of `seen_max`, where datagrams take longer than a gossip interval.

use std::collections::{BTreeMap, BTreeSet};

use gossip_core::{Command, Event, EventId, InputError, Outcome};

use super::world::World;
use super::{Checker, Start, Verdict, called};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug)]
pub struct Delivery<A> {
    started: BTreeMap<EventId<A>, Box<[u8]>>,
    /// What each life knows.
    known: BTreeMap<NodeId, BTreeSet<EventId<A>>>,
}

impl<A> Default for Delivery<A> {
    fn default() -> Self {
        Self { started: BTreeMap::new(), known: BTreeMap::new() }
    }
}

impl<A: Addresses> Delivery<A> {
    fn deliver(&mut self, node: NodeId, id: &EventId<A>, payload: &[u8]) -> Verdict {
        match self.started.get(id) {
            None => return Err(format!("node {node} got {}, which nobody started", called(id))),
            Some(started) if **started != *payload => {
                return Err(format!("node {node} got {} with other bytes than it was started with", called(id)));
            }
            Some(_) => {}
        }
        if !self.known.entry(node).or_default().insert(*id) {
            return Err(format!("node {node} got {} again", called(id)));
        }
        Ok(())
    }
}

impl<A: Addresses> Checker<A> for Delivery<A> {
    fn name(&self) -> &'static str {
        "delivery"
    }

    fn on_command(
        &mut self,
        _world: &World,
        node: NodeId,
        command: &Command<'_, A>,
        outcome: &Result<Outcome<A>, InputError>,
    ) -> Verdict {
        let (Command::StartEvent { payload, .. } | Command::StartQuery { payload, .. }) = command else {
            return Ok(());
        };
        let Ok(Outcome::Started(id)) = outcome else { return Ok(()) };
        self.known.entry(node).or_default().insert(*id);
        match self.started.insert(*id, (*payload).into()) {
            None => Ok(()),
            Some(_) => Err(format!("node {node} started {} twice", called(id))),
        }
    }

    fn on_started(&mut self, _world: &World, node: NodeId, start: Start) -> Verdict {
        if start == Start::Fresh {
            self.known.remove(&node);
        }
        Ok(())
    }

    fn on_event(&mut self, _world: &World, node: NodeId, event: &Event<A>) -> Verdict {
        match event {
            Event::UserEvent { id, payload, .. } | Event::Query { id, payload, .. } => self.deliver(node, id, payload),
            _ => Ok(()),
        }
    }
}
