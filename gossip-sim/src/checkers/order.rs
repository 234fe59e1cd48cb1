//! Ordered events come in the order of their origin, or with the word that they do not.
//!
//! *Promised* in one life of the receiver, of the events of one origin: those that come `InOrder` or with a `Gap` have rising
//! numbers; one that comes `Late` has a lower number than one before it; and when one comes `InOrder`, the ordered event that the same
//! life of the origin started before it, if that was still alive then, came before it, in this life or in one whose memory
//! this one has from a snapshot. *Not promised*: an order over two lives of the origin, but for the rising numbers, and over two
//! lives of the receiver (a snapshot holds identities, not what was last).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use gossip_core::{Command, Event, EventId, InputError, Order, Outcome};

use super::world::World;
use super::{Checker, Start, Verdict, called};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug)]
pub struct InOrder<A> {
    /// The last ordered event of each node's present life, and when its life is over.
    last_started: BTreeMap<NodeId, (EventId<A>, Duration)>,
    /// Which ordered event comes before which.
    before: BTreeMap<EventId<A>, EventId<A>>,
    known: BTreeMap<NodeId, BTreeSet<EventId<A>>>,
    /// The highest number that came in order, by receiver and origin.
    highest: BTreeMap<(NodeId, A), u64>,
}

impl<A> Default for InOrder<A> {
    fn default() -> Self {
        Self {
            last_started: BTreeMap::new(),
            before: BTreeMap::new(),
            known: BTreeMap::new(),
            highest: BTreeMap::new(),
        }
    }
}

impl<A: Addresses> InOrder<A> {
    fn deliver(&mut self, node: NodeId, id: &EventId<A>, order: Order) -> Verdict {
        let highest = self.highest.get(&(node, id.origin)).copied();
        let known = self.known.entry(node).or_default();
        match order {
            Order::Unordered => return Ok(()),
            Order::Late => {
                if highest.is_none_or(|highest| highest < id.sequence) {
                    return Err(format!("node {node} got {} late, and none after it before", called(id)));
                }
            }
            Order::InOrder | Order::Gap => {
                if let Some(highest) = highest.filter(|&highest| highest > id.sequence) {
                    return Err(format!("node {node} got {} as {order:?} after number {highest}", called(id)));
                }
                self.highest.insert((node, id.origin), id.sequence);
            }
        }
        let before = self.before.get(id).filter(|before| order == Order::InOrder && !known.contains(before));
        known.insert(*id);
        match before {
            Some(before) => Err(format!("node {node} got {} in order before number {}", called(id), before.sequence)),
            None => Ok(()),
        }
    }
}

impl<A: Addresses> Checker<A> for InOrder<A> {
    fn name(&self) -> &'static str {
        "order"
    }

    fn on_command(
        &mut self,
        world: &World,
        node: NodeId,
        command: &Command<'_, A>,
        outcome: &Result<Outcome<A>, InputError>,
    ) -> Verdict {
        let Command::StartEvent { options, .. } = command else { return Ok(()) };
        let (Ok(Outcome::Started(id)), true) = (outcome, options.ordered) else { return Ok(()) };
        let lifetime = world.node(node).and_then(|truth| truth.config.as_ref()).map(|config| config.event_lifetime);
        let lifetime = options.lifetime.or(lifetime).unwrap_or_default();
        // Clocks drift: whether one that is about to end is still alive is its origin's to say.
        let expires = world.now() + lifetime - lifetime / 16;
        let last = self.last_started.insert(node, (*id, expires));
        if let Some((last, _)) = last.filter(|(_, expires)| *expires > world.now()) {
            self.before.insert(*id, last);
        }
        self.known.entry(node).or_default().insert(*id);
        Ok(())
    }

    fn on_started(&mut self, _world: &World, node: NodeId, start: Start) -> Verdict {
        self.last_started.remove(&node);
        self.highest.retain(|(receiver, _), _| *receiver != node);
        if start == Start::Fresh {
            self.known.remove(&node);
        }
        Ok(())
    }

    fn on_event(&mut self, _world: &World, node: NodeId, event: &Event<A>) -> Verdict {
        match event {
            Event::UserEvent { id, order, .. } => self.deliver(node, id, *order),
            _ => Ok(()),
        }
    }
}
