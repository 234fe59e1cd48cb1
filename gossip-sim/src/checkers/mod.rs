//! What must hold of a cluster, each in a file of its own, apart from whoever makes trouble: stories, chaos and the simulator as
//! a backend use the same.
//!
//! A [`Suite`] is an [`Observer`]: it sees what a cluster does, keeps the truth ([`World`]), and asks each [`Checker`]. The
//! caller tells it what cannot be seen, whom it disturbs and what the applications ask for, and has it look at the nodes
//! themselves now and then ([`Suite::tick`]). The first violation is kept.

pub mod bounds;
mod convergence;
mod deaths;
mod delivery;
mod detection;
pub mod idle;
mod incarnations;
mod invariants;
mod limits;
mod order;
mod queries;
mod refusals;
mod spread;
pub mod world;

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use gossip_core::{Command, Event, EventId, Input, InputError, Instant, Node, Outcome};

pub use self::convergence::{Convergence, difference};
pub use self::deaths::Deaths;
pub use self::delivery::Delivery;
pub use self::detection::Detection;
pub use self::idle::Idle;
pub use self::incarnations::Incarnations;
pub use self::invariants::Invariants;
pub use self::limits::Limits;
pub use self::order::InOrder;
pub use self::queries::Queries;
pub use self::refusals::Refusals;
pub use self::spread::Spread;
pub use self::world::World;
use crate::addresses::{Addresses, NodeId};
use crate::network::Fate;
use crate::observe::{Handled, Lifecycle, Observer};

/// The nodes that are up, to be looked at.
pub type Nodes<'a, A> = dyn Fn(NodeId) -> Option<&'a Node<A>> + 'a;

/// What a checker has to say: nothing, or what is wrong.
pub type Verdict = Result<(), String>;

/// One thing that must hold. Every method sees the world as it is after what is told.
pub trait Checker<A: Addresses> {
    /// Its name, which a violation bears.
    fn name(&self) -> &'static str;

    /// A node tells its application something.
    fn on_event(&mut self, _world: &World, _node: NodeId, _event: &Event<A>) -> Verdict {
        Ok(())
    }

    /// An application asked for something, with this outcome.
    fn on_command(
        &mut self,
        _world: &World,
        _node: NodeId,
        _command: &Command<'_, A>,
        _outcome: &Result<Outcome<A>, InputError>,
    ) -> Verdict {
        Ok(())
    }

    /// A node sends a datagram.
    fn on_sent(&mut self, _world: &World, _from: NodeId, _bytes: &[u8]) -> Verdict {
        Ok(())
    }

    /// A node takes a datagram in, or refuses it.
    fn on_delivered(&mut self, _world: &World, _to: NodeId, _result: &Result<Outcome<A>, InputError>) -> Verdict {
        Ok(())
    }

    /// A process starts with nothing in its memory but perhaps a snapshot.
    fn on_started(&mut self, _world: &World, _node: NodeId, _start: Start) -> Verdict {
        Ok(())
    }

    /// Some time went by.
    fn on_tick(&mut self, _world: &World, _nodes: &Nodes<'_, A>) -> Verdict {
        Ok(())
    }
}

/// How a process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With nothing.
    Fresh,
    /// From a snapshot of its last moment.
    FromSnapshot,
}

/// Something that must not happen, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the checker.
    pub checker: &'static str,
    /// When, in virtual time.
    pub at: Duration,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.checker, self.at.as_secs_f64(), self.what)
    }
}

/// Checkers, and what they know in common.
pub struct Suite<A> {
    world: World,
    checkers: Vec<Box<dyn Checker<A>>>,
    violation: Option<Violation>,
    /// How processes are about to start.
    starts: BTreeMap<NodeId, Start>,
}

impl<A> Default for Suite<A> {
    /// No checkers.
    fn default() -> Self {
        Self { world: World::default(), checkers: Vec::new(), violation: None, starts: BTreeMap::new() }
    }
}

impl<A> fmt::Debug for Suite<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("violation", &self.violation).finish_non_exhaustive()
    }
}

impl<A: Addresses + 'static> Suite<A> {
    /// These checkers.
    #[must_use]
    pub fn of(checkers: Vec<Box<dyn Checker<A>>>) -> Self {
        Self { checkers, ..Self::default() }
    }

    /// All checkers, for a network with this longest round trip, which loses this share of the datagrams at all times, and damages
    /// some or none in trouble.
    #[must_use]
    pub fn all(round_trip: Duration, loss: f64, damaged: bool) -> Self {
        Self::of(vec![
            Box::new(Deaths),
            Box::new(Detection),
            Box::new(Convergence { lossy: loss > 0.0 }),
            Box::new(Delivery::default()),
            Box::new(Spread::default()),
            Box::new(InOrder::default()),
            Box::new(Queries::new(loss > 0.0)),
            Box::new(Incarnations::default()),
            Box::new(Limits::default()),
            Box::new(Idle::new(loss, round_trip)),
            Box::new(Refusals { damaged }),
            Box::new(Invariants),
        ])
    }

    /// The first violation, if there was one.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The truth.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The truth, to be told what cannot be seen.
    pub fn world_mut(&mut self, now: Duration) -> &mut World {
        self.world.at(now);
        &mut self.world
    }

    /// An application asked for something, with this outcome.
    pub fn on_command(
        &mut self,
        now: Duration,
        node: NodeId,
        command: &Command<'_, A>,
        outcome: &Result<Outcome<A>, InputError>,
    ) {
        self.world.at(now);
        match (command, outcome) {
            (Command::Join { .. }, Ok(_)) => self.world.on_member(node),
            (Command::Reconfigure { config }, Ok(_)) => self.world.on_config(node, config),
            _ => {}
        }
        self.ask(|checker, world| checker.on_command(world, node, command, outcome));
    }

    /// Has a look at the nodes.
    pub fn tick(&mut self, now: Duration, nodes: &Nodes<'_, A>) {
        self.world.at(now);
        self.world.on_tick(nodes);
        self.ask(|checker, world| checker.on_tick(world, nodes));
    }

    /// The next start of this process will be from a snapshot of its last moment. Without this word it counts as fresh.
    pub fn starts_from_snapshot(&mut self, node: NodeId) {
        self.starts.insert(node, Start::FromSnapshot);
    }

    fn on_start(&mut self, node: NodeId) {
        let start = self.starts.remove(&node).unwrap_or(Start::Fresh);
        self.world.on_start(node);
        if start == Start::FromSnapshot {
            // It joins by itself.
            self.world.on_member(node);
        }
        self.ask(|checker, world| checker.on_started(world, node, start));
    }

    #[inline]
    fn ask(&mut self, mut question: impl FnMut(&mut dyn Checker<A>, &World) -> Verdict) {
        if self.violation.is_some() {
            return;
        }
        for checker in &mut self.checkers {
            if let Err(what) = question(checker.as_mut(), &self.world) {
                self.violation = Some(Violation { checker: checker.name(), at: self.world.now(), what });
                return;
            }
        }
    }
}

impl<A: Addresses + 'static> Observer<A> for Suite<A> {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<A>) {
        self.world.at(now);
        self.world.on_event(node, event);
        self.ask(|checker, world| checker.on_event(world, node, event));
    }

    fn on_input(&mut self, now: Duration, _local: Instant, node: NodeId, input: &Input<'_, A>) {
        // Applications answer by themselves; other commands are told with what came of them.
        if let Input::Command(command @ Command::Respond { .. }) = input {
            self.on_command(now, node, command, &Ok(Outcome::Done));
        }
    }

    fn on_sent(&mut self, now: Duration, from: NodeId, _to: A, bytes: &[u8], fate: Fate) {
        if fate != Fate::Waits {
            self.world.at(now);
            self.ask(|checker, world| checker.on_sent(world, from, bytes));
        }
    }

    fn on_delivered(&mut self, now: Duration, _from: A, to: NodeId, _bytes: &[u8], result: &Handled<A>) {
        self.world.at(now);
        self.ask(|checker, world| checker.on_delivered(world, to, result));
    }

    fn on_lifecycle(&mut self, now: Duration, node: NodeId, lifecycle: Lifecycle) {
        self.world.at(now);
        match lifecycle {
            Lifecycle::Started | Lifecycle::Restarted => self.on_start(node),
            Lifecycle::Crashed => self.world.on_gone(node, false),
            Lifecycle::Joining => self.world.on_member(node),
            _ => {}
        }
    }
}

/// How checkers call an event.
pub(crate) fn called<A: Addresses>(id: &EventId<A>) -> String {
    match id.origin.id() {
        Some(origin) => format!("event {} of node {origin}", id.sequence),
        None => format!("event {} of {:?}", id.sequence, id.origin),
    }
}

#[cfg(test)]
mod tests;
