//! The loop: what happens next, and whose turn it is.

use std::time::Duration;

use gossip_core::{Input, Instant};

use super::{Cluster, nanos};
use crate::addresses::{Addresses, NodeId};
use crate::host::{ORIGIN, SKEWED, TROUBLED, UP};
use crate::observe::Observer;
use crate::queue::Queue;

/// Something that happens. In the queue it is one word: four bits of kind, 28 of host, 32 of argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happening {
    /// A datagram reaches a host.
    Arrival { to: NodeId, flight: u32 },
    /// A datagram that the fault models of its receiver held back is let through.
    Release { to: NodeId, flight: u32 },
    /// The time that a node named has come.
    Timer { id: NodeId },
    /// A host is no longer what it was: stopped, stuck.
    Wake { id: NodeId },
    /// A fault of the fault models ends.
    FaultEnd { id: NodeId },
    /// A host sends a message of its application: of which load.
    Traffic { id: NodeId, load: u32 },
    /// A scheduled action.
    Act { index: u32 },
}

impl Happening {
    #[inline]
    pub(super) fn pack(self) -> u64 {
        let (kind, host, argument) = match self {
            Self::Arrival { to, flight } => (0, to, flight),
            Self::Release { to, flight } => (1, to, flight),
            Self::Timer { id } => (2, id, 0),
            Self::Wake { id } => (3, id, 0),
            Self::FaultEnd { id } => (4, id, 0),
            Self::Traffic { id, load } => (5, id, load),
            Self::Act { index } => (6, 0, index),
        };
        kind << 60 | u64::from(host) << 32 | u64::from(argument)
    }

    /// Which host a word is about, if it is about one.
    #[inline]
    pub(super) fn host(word: u64) -> NodeId {
        (word >> 32) as NodeId & ((1 << 28) - 1)
    }

    #[inline]
    pub(super) fn unpack(word: u64) -> Self {
        let (host, argument) = (Self::host(word), word as u32);
        match word >> 60 {
            0 => Self::Arrival { to: host, flight: argument },
            1 => Self::Release { to: host, flight: argument },
            2 => Self::Timer { id: host },
            3 => Self::Wake { id: host },
            4 => Self::FaultEnd { id: host },
            5 => Self::Traffic { id: host, load: argument },
            _ => Self::Act { index: argument },
        }
    }
}

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// Lets `span` pass.
    pub fn run_for(&mut self, span: Duration) {
        self.run_to(Duration::from_nanos(self.after(span)));
    }

    /// Lets time pass up to `end`, what happens then included. An end that is over changes nothing.
    pub fn run_to(&mut self, end: Duration) {
        let end = nanos(end);
        self.run_in_windows(end);
        while self.step_before(end) {}
        self.now = self.now.max(end);
    }

    /// Lets time pass until `done`, looked at every millisecond; how long that took, or `None` if `limit` was not enough.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        self.run_until_every(Duration::from_millis(1), limit, done)
    }

    /// As [`run_until`](Self::run_until), but looked at every `look`: for a question that is dear.
    pub fn run_until_every(
        &mut self,
        look: Duration,
        limit: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Option<Duration> {
        let (start, end) = (self.now, self.after(limit));
        loop {
            if done(self) {
                return Some(Duration::from_nanos(self.now - start));
            }
            if self.now >= end {
                return None;
            }
            self.run_to(Duration::from_nanos(self.after(look).min(end)));
        }
    }

    /// Lets the next thing happen, whenever that is. False if nothing ever will.
    pub fn step(&mut self) -> bool {
        self.step_before(u64::MAX)
    }

    pub(super) fn push(&mut self, at: u64, happening: Happening) {
        self.queue.push(at, happening.pack());
    }

    #[inline]
    pub(super) fn step_before(&mut self, end: u64) -> bool {
        let Some(entry) = self.queue.pop(end) else { return false };
        self.now = entry.at;
        self.look_ahead(entry);
        self.stats.happenings += 1;
        match Happening::unpack(entry.what) {
            Happening::Arrival { to, flight } => self.arrive(to, flight),
            Happening::Release { to, flight } => self.receive(to, flight),
            Happening::Timer { id } => self.on_timer(id),
            Happening::Traffic { id, load } => self.on_traffic(id, load),
            Happening::Wake { id } => self.on_wake(id),
            Happening::FaultEnd { id } => self.on_fault_end(id),
            Happening::Act { index } => self.on_action(index),
        }
        true
    }

    /// The time that a node named may have come. The entry in the queue may be outdated; it may also be too early, since a
    /// deadline that moves further away does not move its entry.
    fn on_timer(&mut self, id: NodeId) {
        let hot = &mut self.hot[id as usize];
        if hot.scheduled != self.now || !hot.has(UP) {
            return;
        }
        hot.scheduled = u64::MAX;
        let due = hot.due;
        if hot.has(TROUBLED) && self.is_stopped(id) {
            // It is looked after when it wakes.
            return;
        }
        if due > self.now {
            self.schedule_at(id, due);
        } else {
            self.serve_timers(id);
            self.served(id);
        }
    }

    pub(super) fn serve_timers(&mut self, id: NodeId) {
        self.stats.timeouts += 1;
        match self.windows.take(id, self.now, None) {
            Some(answer) => {
                self.show_input(id, &Input::Timeout);
                self.follow(id, answer);
            }
            None => {
                let _ = self.handle(id, Input::Timeout);
                self.drain(id);
            }
        }
    }

    /// When a node wants to be served.
    #[inline]
    pub(super) fn due(&self, id: NodeId) -> Option<u64> {
        let due = self.nodes[id as usize].as_ref()?.poll_timeout()?;
        Some(self.virtual_time(id, due))
    }

    /// When the clock of a host says `local`.
    #[inline]
    pub(super) fn virtual_time(&self, id: NodeId, local: Instant) -> u64 {
        if self.hot[id as usize].has(SKEWED) {
            return self.clocks[id as usize].when(local);
        }
        local.as_nanos().saturating_sub(ORIGIN.as_nanos())
    }

    /// Sees to it that a node is served when it wants to be.
    #[inline]
    pub(super) fn schedule(&mut self, id: NodeId) {
        let due = self.due(id).map_or(u64::MAX, |due| due.max(self.now));
        self.schedule_for(id, due);
    }

    /// The same for when it wants to be.
    #[inline]
    pub(super) fn schedule_for(&mut self, id: NodeId, due: u64) {
        self.hot[id as usize].due = due;
        self.schedule_at(id, due);
    }

    #[inline]
    fn schedule_at(&mut self, id: NodeId, due: u64) {
        let hot = &mut self.hot[id as usize];
        if due < hot.scheduled {
            hot.scheduled = due;
            self.push(due, Happening::Timer { id });
        }
    }
}
