//! What can be done to hosts and links.

use std::time::Duration;

use netem::{Endpoint, Impairment, Netem};

use super::Cluster;
use super::run::Happening;
use crate::addresses::{Addresses, NodeId};
use crate::host::{TROUBLED, Trouble, UP};
use crate::network::{Occasion, unit};
use crate::observe::{Lifecycle, Observer};
use crate::queue::Queue;

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// Cuts all links between the two groups, both ways. What is under way arrives.
    pub fn block(&mut self, ours: &[NodeId], theirs: &[NodeId]) {
        self.blocks.add(ours, theirs, true);
    }

    /// What the first send does not arrive at the others; the other way it does.
    pub fn block_one_way(&mut self, senders: &[NodeId], receivers: &[NodeId]) {
        self.blocks.add(senders, receivers, false);
    }

    /// Cuts `side` off from all other hosts that there are now.
    pub fn partition(&mut self, side: &[NodeId]) {
        let others: Vec<NodeId> = self.ids().filter(|id| !side.contains(id)).collect();
        self.block(side, &others);
    }

    /// All links are whole again.
    pub fn unblock_all(&mut self) {
        self.blocks.clear();
    }

    /// Nothing arrives at a host and nothing leaves it for a while, and nothing is kept. Its node goes on.
    pub fn deafen(&mut self, id: NodeId, span: Duration) {
        let until = self.after(span);
        self.trouble(id).deaf_until = until;
        self.push(until, Happening::Wake { id });
        self.tell(id, Lifecycle::Deafened);
    }

    /// The process of a host is stopped for a while. When it wakes, its timers come first, late, and then the datagrams that
    /// waited, [`INBOX_MAX`](crate::INBOX_MAX) of them at most.
    pub fn pause(&mut self, id: NodeId, span: Duration) {
        self.stop(id, span);
        self.tell(id, Lifecycle::Paused);
    }

    /// The messages of a host are stuck for a while, in and out, and its timers are not: it goes on to judge. At the end what it
    /// wanted to say goes out, and then it reads what waited; at most [`INBOX_MAX`](crate::INBOX_MAX) each way.
    pub fn block_process(&mut self, id: NodeId, span: Duration) {
        let until = self.after(span);
        let trouble = self.trouble(id);
        trouble.stuck_until = trouble.stuck_until.max(until);
        self.push(until, Happening::Wake { id });
        self.tell(id, Lifecycle::Blocked);
    }

    /// From now on the process of a host lacks processor time: each time that it was served it waits for a random time between
    /// the two, and is then given all that came in between at once.
    pub fn starve(&mut self, id: NodeId, least: Duration, most: Duration) {
        self.trouble(id).starved = Some((least, most));
        self.stop(id, least);
        self.tell(id, Lifecycle::Starved);
    }

    /// From now on a process takes `span` over each datagram, and what comes when `waiting` are not read yet is lost.
    pub fn slow_down(&mut self, id: NodeId, span: Duration, waiting: usize) {
        self.trouble(id).service = Some((span, waiting));
        self.tell(id, Lifecycle::Slowed);
    }

    /// Ends [`starve`](Self::starve) and [`slow_down`](Self::slow_down).
    pub fn feed(&mut self, id: NodeId) {
        let trouble = self.trouble(id);
        (trouble.starved, trouble.service) = (None, None);
        self.tell(id, Lifecycle::Fed);
    }

    /// Lets a fault take effect at a host: the fault models that a real agent has. Peers are known to them by the numbers of
    /// their hosts.
    pub fn impair(&mut self, id: NodeId, fault: u32, impairment: Impairment) {
        let own = self.births[id as usize].as_ref().and_then(|birth| birth.seed);
        let seed = own.map_or(self.seed, |seed| netem::seed::child(seed, "netem"));
        let now = Duration::from_nanos(self.now);
        let netem = self.trouble(id).netem.get_or_insert_with(|| Netem::new(seed, Endpoint(id.into())));
        netem.impair(now, fault, impairment);
        let end = netem.next_end();
        self.tell(id, Lifecycle::Impaired { fault });
        self.watch_faults(id, end);
    }

    /// Ends all faults at a host that [`impair`](Self::impair) began.
    pub fn heal(&mut self, id: NodeId) {
        if let Some(netem) = self.troubles[id as usize].as_mut().and_then(|trouble| trouble.netem.as_mut()) {
            netem.heal();
            self.tell(id, Lifecycle::Healed);
        }
    }

    fn watch_faults(&mut self, id: NodeId, end: Option<Duration>) {
        if let Some(end) = end {
            self.push(super::nanos(end), Happening::FaultEnd { id });
        }
    }

    pub(super) fn on_fault_end(&mut self, id: NodeId) {
        let now = Duration::from_nanos(self.now);
        while let Some(fault) = self.trouble(id).netem.as_mut().and_then(|netem| netem.poll_ended(now)) {
            self.tell(id, Lifecycle::FaultEnded { fault });
        }
        let end = self.trouble(id).netem.as_ref().and_then(Netem::next_end);
        self.watch_faults(id, end);
        self.recover(id);
    }

    /// What ails a host, to be changed.
    pub(super) fn trouble(&mut self, id: NodeId) -> &mut Trouble {
        self.hot[id as usize].set(TROUBLED, true);
        self.troubles[id as usize].get_or_insert_default()
    }

    pub(super) fn is_stopped(&self, id: NodeId) -> bool {
        self.troubles[id as usize].as_ref().is_some_and(|trouble| trouble.stopped_until > self.now)
    }

    fn stop(&mut self, id: NodeId, span: Duration) {
        let until = self.after(span);
        let trouble = self.trouble(id);
        trouble.stopped_until = trouble.stopped_until.max(until);
        self.push(until, Happening::Wake { id });
    }

    /// A process was served: one that is starved waits for its next turn.
    pub(super) fn served(&mut self, id: NodeId) {
        if !self.hot[id as usize].has(TROUBLED) {
            return;
        }
        if let Some((least, most)) = self.trouble(id).starved {
            let word = Occasion { from: id, to: id, at: self.now, number: 0 }.word(self.starvation_seed);
            self.stop(id, least + most.saturating_sub(least).mul_f64(unit(word)));
        }
    }

    /// A process read a datagram: one that is slow is busy with it.
    pub(super) fn read_one(&mut self, id: NodeId) {
        if let Some((span, _)) = self.trouble(id).service {
            self.stop(id, span);
        }
    }

    /// A host may not be stopped or stuck any longer. The entry in the queue may be outdated.
    pub(super) fn on_wake(&mut self, id: NodeId) {
        let now = self.now;
        if !self.hot[id as usize].flags & (UP | TROUBLED) != 0 {
            return;
        }
        let trouble = self.trouble(id);
        if trouble.stuck_until == now {
            trouble.stuck_until = 0;
            for (to, flight) in std::mem::take(&mut trouble.outbox) {
                self.send_waiting(id, to, flight);
            }
            self.tell(id, Lifecycle::Unblocked);
        }
        let trouble = self.trouble(id);
        if trouble.stopped_until > now {
            return;
        }
        let was_stopped = std::mem::take(&mut trouble.stopped_until) == now;
        if was_stopped && trouble.starved.is_none() && trouble.service.is_none() {
            self.tell(id, Lifecycle::Resumed);
        }
        let late = was_stopped && self.due(id).is_some_and(|due| due <= now);
        if late {
            self.serve_timers(id);
        }
        let read = self.read_inbox(id);
        if late || read {
            self.served(id);
        } else if was_stopped {
            self.schedule(id);
        }
        self.recover(id);
    }

    /// Lets a process read what waited, one if it is slow; whether there was any.
    fn read_inbox(&mut self, id: NodeId) -> bool {
        let mut read = false;
        loop {
            let now = self.now;
            let trouble = self.trouble(id);
            if trouble.stopped_until > now || trouble.stuck_until > now {
                return read;
            }
            let Some(flight) = trouble.inbox.pop_front() else { return read };
            self.deliver(id, flight);
            self.read_one(id);
            read = true;
        }
    }

    /// Forgets what ailed a host, if that is over.
    fn recover(&mut self, id: NodeId) {
        let trouble = &mut self.troubles[id as usize];
        if trouble.as_ref().is_some_and(|trouble| trouble.is_over(self.now)) {
            *trouble = None;
        }
        self.hot[id as usize].set(TROUBLED, trouble.is_some());
    }
}
