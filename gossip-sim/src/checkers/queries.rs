//! Queries and their answers add up.
//!
//! *Promised* to the life that asks: each member's answer comes once at most, with the bytes with which it answered; when the
//! deadline is over, or the node leaves, the query is closed, once, and the counts are those of the answers that came, with no more
//! received than there are nodes, and just the answers where no receipts are wanted. A query that is asked and ends while all is
//! calm, nothing is lost and nobody is at its bounds is received and answered by all. *Not promised*: that answers arrive in trouble, and anything to a life
//! that ended.

use core::time::Duration;
use std::collections::BTreeMap;

use gossip_core::{Command, Event, EventId, InputError, Outcome};

use super::world::World;
use super::{Checker, Nodes, Start, Verdict, called};
use crate::addresses::{Addresses, NodeId};

/// See the head of this file.
#[derive(Debug)]
pub struct Queries<A> {
    open: BTreeMap<EventId<A>, Open<A>>,
    /// What was answered: to which, by whom.
    said: BTreeMap<(EventId<A>, A), Answers>,
    lossy: bool,
}

/// By two processes at one address there may be two.
type Answers = Vec<Box<[u8]>>;

#[derive(Debug)]
struct Open<A> {
    node: NodeId,
    asked: Duration,
    deadline: Duration,
    receipts: bool,
    answers: Vec<A>,
    calm: bool,
}

impl<A> Queries<A> {
    /// Whether datagrams are lost even while all is calm.
    #[must_use]
    pub fn new(lossy: bool) -> Self {
        Self { open: BTreeMap::new(), said: BTreeMap::new(), lossy }
    }
}

impl<A: Addresses> Queries<A> {
    fn on_answer(&mut self, node: NodeId, id: &EventId<A>, from: A, payload: &[u8]) -> Verdict {
        let Some(open) = self.open.get_mut(id).filter(|open| open.node == node) else {
            return Err(format!("node {node} got an answer to {}, which is not open there", called(id)));
        };
        if open.answers.contains(&from) {
            return Err(format!("node {node} got two answers of {from:?} to {}", called(id)));
        }
        open.answers.push(from);
        match self.said.get(&(*id, from)) {
            Some(said) if said.iter().any(|said| **said == *payload) => Ok(()),
            _ => Err(format!("node {node} got an answer to {} that {from:?} did not give", called(id))),
        }
    }

    fn on_closed(&mut self, world: &World, node: NodeId, id: &EventId<A>, received: u32, answered: u32) -> Verdict {
        let Some(open) = self.open.remove(id).filter(|open| open.node == node) else {
            return Err(format!("{} was closed at node {node}, where it was not open", called(id)));
        };
        let came = open.answers.len();
        let others = world.ids().count().saturating_sub(1);
        let counts = format!("{} closed with {received} received and {answered} answered", called(id));
        if answered as usize != came {
            return Err(format!("{counts}, and {came} came"));
        }
        if received < answered || received as usize > others || (!open.receipts && received != answered) {
            return Err(format!("{counts}, of {others} others"));
        }
        let members = world.members().count().saturating_sub(1);
        if open.calm && !self.lossy && world.is_member(node) && answered as usize != members {
            return Err(format!("{counts}, though all was calm for its {members} others"));
        }
        Ok(())
    }
}

impl<A: Addresses> Checker<A> for Queries<A> {
    fn name(&self) -> &'static str {
        "queries"
    }

    fn on_command(
        &mut self,
        world: &World,
        node: NodeId,
        command: &Command<'_, A>,
        outcome: &Result<Outcome<A>, InputError>,
    ) -> Verdict {
        match (command, outcome) {
            (Command::StartQuery { deadline, options, .. }, Ok(Outcome::Started(id))) => {
                let long = world.bounds(node).is_some_and(|bounds| *deadline >= bounds.telling() * 2);
                let open = Open {
                    node,
                    asked: world.now(),
                    deadline: *deadline,
                    receipts: options.receipts,
                    answers: Vec::new(),
                    calm: long && world.settled_since().is_some(),
                };
                self.open.insert(*id, open);
            }
            (Command::Respond { id, payload }, Ok(_)) => {
                let address = world.node(node).map_or(node, |truth| truth.address);
                // Two processes at one address both answer.
                self.said.entry((*id, A::of(address))).or_default().push((*payload).into());
            }
            _ => {}
        }
        Ok(())
    }

    fn on_started(&mut self, _world: &World, node: NodeId, _start: Start) -> Verdict {
        self.open.retain(|_, open| open.node != node);
        Ok(())
    }

    fn on_event(&mut self, world: &World, node: NodeId, event: &Event<A>) -> Verdict {
        match event {
            Event::QueryAnswer { id, from, payload } => self.on_answer(node, id, *from, payload),
            Event::QueryClosed { id, received, answered, .. } => self.on_closed(world, node, id, *received, *answered),
            _ => Ok(()),
        }
    }

    fn on_tick(&mut self, world: &World, nodes: &Nodes<'_, A>) -> Verdict {
        let full =
            |id| nodes(id).is_some_and(|node| node.counters().events_evicted + node.counters().queries_dropped > 0);
        if world.calm_since().is_none() || world.ids().any(full) {
            self.open.values_mut().for_each(|open| open.calm = false);
        }
        for (id, open) in &self.open {
            // A clock that is slow, and a tick.
            let due = open.asked + open.deadline + open.deadline / 16 + Duration::from_secs(1);
            let well = world.well_since(open.node).is_some_and(|since| since <= open.asked);
            if well && world.now() > due {
                return Err(format!("{} of {:?} was not closed at node {}", called(id), open.deadline, open.node));
            }
        }
        Ok(())
    }
}
