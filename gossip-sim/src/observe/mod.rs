//! Who watches a cluster.

mod journal;

use std::time::Duration;

use gossip_core::{Address, Event, Input, InputError, Instant, Outcome};

use crate::addresses::NodeId;
use crate::network::{Cause, Fate};

pub use journal::{Captured, Delivery, HostJournal, Journal};

/// What a node said to an input.
pub type Handled<A> = Result<Outcome<A>, InputError>;

/// What became of a process. What the node inside says of itself comes as [`Event`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// Started for the first time.
    Started,
    /// Started again after a crash.
    Restarted,
    /// Told to join.
    Joining,
    /// Told to leave; [`Event::Left`] tells when it has.
    Leaving,
    /// Gone without a word.
    Crashed,
    /// Stopped until it [`Resumed`](Self::Resumed).
    Paused,
    /// Goes on after it was stopped.
    Resumed,
    /// Says and hears nothing until [`Unblocked`](Self::Unblocked), while its timers go on.
    Blocked,
    /// Says what it had to say, and hears what waited.
    Unblocked,
    /// Deaf and dumb for a while.
    Deafened,
    /// Served late from now on.
    Starved,
    /// Slow over each datagram from now on.
    Slowed,
    /// Served at once again.
    Fed,
    /// A fault of the fault models holds.
    Impaired {
        /// Its number.
        fault: u32,
    },
    /// A fault ended by itself.
    FaultEnded {
        /// Its number.
        fault: u32,
    },
    /// All its faults are over.
    Healed,
}

/// Gets what happens in a cluster, as it happens. Called without dispatch: what an observer leaves out costs nothing.
///
/// `now` is virtual time since the beginning of the run.
pub trait Observer<A: Address> {
    /// A node tells its application something.
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<A>) {
        let _ = (now, node, event);
    }

    /// A node is given an input, at `local` of its own clock. Those of one node, in order, are a recording of it.
    fn on_input(&mut self, now: Duration, local: Instant, node: NodeId, input: &Input<'_, A>) {
        let _ = (now, local, node, input);
    }

    /// A node sent a datagram. One that [waits](Fate::Waits) comes again when it goes.
    fn on_sent(&mut self, now: Duration, from: NodeId, to: A, bytes: &[u8], fate: Fate) {
        let _ = (now, from, to, bytes, fate);
    }

    /// A node was given a datagram, and what it said to that.
    fn on_delivered(&mut self, now: Duration, from: A, to: NodeId, bytes: &[u8], result: &Handled<A>) {
        let _ = (now, from, to, bytes, result);
    }

    /// A datagram that had been sent did not arrive after all.
    fn on_lost(&mut self, now: Duration, from: A, to: NodeId, bytes: &[u8], cause: Cause) {
        let _ = (now, from, to, bytes, cause);
    }

    /// A scheduled action gave a command, and what came of it.
    fn on_outcome(&mut self, now: Duration, node: NodeId, outcome: &Handled<A>) {
        let _ = (now, node, outcome);
    }

    /// Something became of a process.
    fn on_lifecycle(&mut self, now: Duration, node: NodeId, lifecycle: Lifecycle) {
        let _ = (now, node, lifecycle);
    }
}

/// Nobody watches.
impl<A: Address> Observer<A> for () {}

/// Two observers, one after the other.
impl<A: Address, O: Observer<A>, P: Observer<A>> Observer<A> for (O, P) {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<A>) {
        self.0.on_event(now, node, event);
        self.1.on_event(now, node, event);
    }

    fn on_input(&mut self, now: Duration, local: Instant, node: NodeId, input: &Input<'_, A>) {
        self.0.on_input(now, local, node, input);
        self.1.on_input(now, local, node, input);
    }

    fn on_sent(&mut self, now: Duration, from: NodeId, to: A, bytes: &[u8], fate: Fate) {
        self.0.on_sent(now, from, to, bytes, fate);
        self.1.on_sent(now, from, to, bytes, fate);
    }

    fn on_delivered(&mut self, now: Duration, from: A, to: NodeId, bytes: &[u8], result: &Handled<A>) {
        self.0.on_delivered(now, from, to, bytes, result);
        self.1.on_delivered(now, from, to, bytes, result);
    }

    fn on_lost(&mut self, now: Duration, from: A, to: NodeId, bytes: &[u8], cause: Cause) {
        self.0.on_lost(now, from, to, bytes, cause);
        self.1.on_lost(now, from, to, bytes, cause);
    }

    fn on_outcome(&mut self, now: Duration, node: NodeId, outcome: &Handled<A>) {
        self.0.on_outcome(now, node, outcome);
        self.1.on_outcome(now, node, outcome);
    }

    fn on_lifecycle(&mut self, now: Duration, node: NodeId, lifecycle: Lifecycle) {
        self.0.on_lifecycle(now, node, lifecycle);
        self.1.on_lifecycle(now, node, lifecycle);
    }
}
