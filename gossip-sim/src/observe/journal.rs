//! An observer that writes everything down, by host: for stories, which look at it afterwards. It grows with the run; a large
//! or long one wants an observer of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use gossip_core::{Event, EventId, MemberState, Order, Via};

use super::{Handled, Lifecycle, Observer};
use crate::addresses::{Addresses, NodeId};
use crate::network::{Cause, Fate};

/// An event as a node's application got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery<A> {
    /// Virtual time.
    pub at: Duration,
    /// Which.
    pub id: EventId<A>,
    /// Hops from the origin.
    pub hops: u8,
    /// Who told.
    pub from: A,
    /// How.
    pub via: Via,
    /// Whether it came in the order of its origin.
    pub order: Order,
}

/// A datagram that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured<A> {
    /// Virtual time.
    pub at: Duration,
    /// By whom.
    pub from: NodeId,
    /// To whom.
    pub to: A,
    /// What.
    pub bytes: Vec<u8>,
}

/// What happened at one host.
#[derive(Debug, Clone)]
pub struct HostJournal<A> {
    /// Events that its application got.
    pub delivered: Vec<Delivery<A>>,
    /// Every change of a member's state.
    pub changes: Vec<(Duration, A, MemberState)>,
    /// Messages to its application.
    pub messages: Vec<(A, Vec<u8>)>,
    /// Answers to its queries: when, to which, of whom, what.
    pub answers: Vec<(Duration, EventId<A>, A, Vec<u8>)>,
    /// Queries that its application was asked.
    pub asked: Vec<EventId<A>>,
    /// Everything that its application was told.
    pub events: Vec<Event<A>>,
    /// What became of the process.
    pub lifecycle: Vec<(Duration, Lifecycle)>,
    /// Bytes that it sent.
    pub bytes: u64,
    /// Datagrams that it refused.
    pub refused: u64,
}

impl<A> Default for HostJournal<A> {
    fn default() -> Self {
        Self {
            delivered: Vec::new(),
            changes: Vec::new(),
            messages: Vec::new(),
            answers: Vec::new(),
            asked: Vec::new(),
            events: Vec::new(),
            lifecycle: Vec::new(),
            bytes: 0,
            refused: 0,
        }
    }
}

/// What happened at all hosts.
#[derive(Debug, Clone)]
pub struct Journal<A> {
    hosts: Vec<HostJournal<A>>,
    nothing: HostJournal<A>,
    /// Everything that is sent, while this is `Some`.
    pub capture: Option<Vec<Captured<A>>>,
    /// Datagrams that did not arrive, by cause.
    pub lost: [u64; Cause::COUNT],
}

impl<A> Default for Journal<A> {
    fn default() -> Self {
        Self { hosts: Vec::new(), nothing: HostJournal::default(), capture: None, lost: [0; Cause::COUNT] }
    }
}

impl<A: Addresses> Journal<A> {
    /// What happened at a host.
    #[must_use]
    pub fn of(&self, id: NodeId) -> &HostJournal<A> {
        self.hosts.get(id as usize).unwrap_or(&self.nothing)
    }

    /// The same, to be changed: cleared, for instance.
    pub fn of_mut(&mut self, id: NodeId) -> &mut HostJournal<A> {
        let index = id as usize;
        if index >= self.hosts.len() {
            self.hosts.resize_with(index + 1, HostJournal::default);
        }
        &mut self.hosts[index]
    }

    /// All hosts at which something happened, and maybe others.
    pub fn hosts(&self) -> impl Iterator<Item = (NodeId, &HostJournal<A>)> {
        (0..).zip(&self.hosts)
    }

    /// How often a host's application got an event.
    #[must_use]
    pub fn times_delivered(&self, id: EventId<A>, to: NodeId) -> usize {
        self.of(to).delivered.iter().filter(|delivery| delivery.id == id).count()
    }

    /// All deaths that somebody declared or learnt: by whom, of whom.
    #[must_use]
    pub fn deaths(&self) -> BTreeSet<(NodeId, A)> {
        let of = |(by, host): (NodeId, &HostJournal<A>)| -> Vec<(NodeId, A)> {
            let dead = host.changes.iter().filter(|(.., state)| *state == MemberState::Dead);
            dead.map(|&(_, of, _)| (by, of)).collect()
        };
        self.hosts().flat_map(of).collect()
    }

    /// Starts counting bytes anew.
    pub fn clear_bytes(&mut self) {
        self.hosts.iter_mut().for_each(|host| host.bytes = 0);
    }
}

impl<A: Addresses> Observer<A> for Journal<A> {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<A>) {
        let host = self.of_mut(node);
        match event {
            Event::UserEvent { id, hops, from, via, order, .. } => {
                let (id, hops, from, via, order) = (*id, *hops, *from, *via, *order);
                host.delivered.push(Delivery { at: now, id, hops, from, via, order });
            }
            Event::MemberChanged { addr, state, .. } => host.changes.push((now, *addr, *state)),
            Event::Query { id, .. } => host.asked.push(*id),
            Event::QueryAnswer { id, from, payload } => host.answers.push((now, *id, *from, payload.to_vec())),
            Event::Message { from, payload } => host.messages.push((*from, payload.to_vec())),
            _ => {}
        }
        host.events.push(event.clone());
    }

    fn on_sent(&mut self, now: Duration, from: NodeId, to: A, bytes: &[u8], fate: Fate) {
        if fate == Fate::Waits {
            return;
        }
        if let Fate::Dropped(cause) = fate {
            self.lost[cause as usize] += 1;
        }
        self.of_mut(from).bytes += bytes.len() as u64;
        if let Some(capture) = &mut self.capture {
            capture.push(Captured { at: now, from, to, bytes: bytes.to_vec() });
        }
    }

    fn on_delivered(&mut self, _: Duration, _: A, to: NodeId, _: &[u8], result: &Handled<A>) {
        if result.is_err() {
            self.of_mut(to).refused += 1;
        }
    }

    fn on_lost(&mut self, _: Duration, _: A, _: NodeId, _: &[u8], cause: Cause) {
        self.lost[cause as usize] += 1;
    }

    fn on_lifecycle(&mut self, now: Duration, node: NodeId, lifecycle: Lifecycle) {
        self.of_mut(node).lifecycle.push((now, lifecycle));
    }
}
