//! The way of a datagram: pulled from its node, judged, under way, judged again, given to the other node.

use std::time::Duration;

use gossip_core::{Command, Event, Input, Instant, Transmit};
use netem::Endpoint;
use netem::spec::Direction;

use super::run::Happening;
use super::{Cluster, nanos};
use crate::addresses::{Addresses, NodeId};
use crate::host::{DOUBLED, INBOX_MAX, LEFT, ORIGIN, SKEWED, TROUBLED, UP};
use crate::network::{Cause, Fate, Occasion};
use crate::observe::{Handled, Observer};
use crate::queue::Queue;

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// What the node of a host is told of the time.
    #[inline]
    pub(super) fn local_now(&self, id: NodeId) -> Instant {
        if self.hot[id as usize].has(SKEWED) {
            return self.clocks[id as usize].at(self.now);
        }
        Instant::from_nanos(self.now + ORIGIN.as_nanos())
    }

    /// Gives a node an input. What follows from it is still in the node.
    #[inline]
    pub(super) fn handle(&mut self, id: NodeId, input: Input<'_, A>) -> Handled<A> {
        let local = self.local_now(id);
        self.observer.on_input(Duration::from_nanos(self.now), local, id, &input);
        self.nodes[id as usize].as_mut().expect("a host of the cluster").handle(local, input)
    }

    pub(super) fn show_input(&mut self, id: NodeId, input: &Input<'_, A>) {
        let local = self.local_now(id);
        self.observer.on_input(Duration::from_nanos(self.now), local, id, input);
    }

    /// Carries out what follows from the last input of a node: sends all that it has to send, then tells all that it has to say, and
    /// again if it answers to that.
    pub(super) fn drain(&mut self, id: NodeId) {
        let local = self.local_now(id);
        let due = loop {
            let node = self.nodes[id as usize].as_mut().expect("a host of the cluster");
            if let Some(Transmit { to, len }) = node.poll_transmit(local, &mut self.buffer) {
                self.put_out(id, to, len);
                continue;
            }
            let mut answered = false;
            while let Some(event) = node.poll_event() {
                let now = Duration::from_nanos(self.now);
                self.observer.on_event(now, id, &event);
                match &event {
                    Event::Left => self.hot[id as usize].set(LEFT, true),
                    Event::Query { id: query, .. } => {
                        let Some(answer) = self.answers.get(&id) else { continue };
                        let input = Input::Command(Command::Respond { id: *query, payload: answer });
                        self.observer.on_input(now, local, id, &input);
                        // It may have given way to another that came with it.
                        answered |= node.handle(local, input).is_ok();
                    }
                    _ => {}
                }
            }
            if !answered {
                break node.poll_timeout();
            }
        };
        let due = due.map_or(u64::MAX, |due| self.virtual_time(id, due).max(self.now));
        self.schedule_for(id, due);
    }

    /// A node put a datagram into the buffer.
    #[inline]
    pub(super) fn put_out(&mut self, id: NodeId, to: A, len: usize) {
        self.stats.datagrams += 1;
        self.stats.bytes += len as u64;
        self.stats.largest = self.stats.largest.max(len);
        self.send(id, to, len);
    }

    pub(super) fn tell_one(&mut self, id: NodeId, event: &Event<A>) {
        self.observer.on_event(Duration::from_nanos(self.now), id, event);
        if matches!(event, Event::Left) {
            self.hot[id as usize].set(LEFT, true);
        }
    }

    /// Sends what is in the buffer.
    #[inline]
    pub(super) fn send(&mut self, from: NodeId, to: A, len: usize) {
        let is_there =
            |&host: &NodeId| self.there.get(host as usize / 64).is_some_and(|bits| bits >> (host % 64) & 1 != 0);
        let Some(host) = to.id().filter(is_there) else { return self.withhold(from, to, len, Cause::Nobody) };
        let fate = self.judge(from, host, len);
        if let Fate::Dropped(cause) = fate {
            return self.withhold(from, to, len, cause);
        }
        let now = Duration::from_nanos(self.now);
        self.observer.on_sent(now, from, to, &self.buffer[..len], fate.map(Duration::from_nanos));
        match fate {
            Fate::Sent { delay } => {
                let len = self.damage(from, host, len);
                self.launch(from, host, len, delay);
            }
            Fate::Twice { delays } => {
                self.stats.duplicated += 1;
                let len = self.damage(from, host, len);
                delays.into_iter().for_each(|delay| self.launch(from, host, len, delay));
            }
            Fate::Waits => {
                let flight = self.flights.put(self.hot[from as usize].address, &self.buffer[..len]);
                self.trouble(from).outbox.push_back((host, flight));
            }
            Fate::Dropped(_) => {}
        }
    }

    /// What is in the buffer does not go.
    #[cold]
    fn withhold(&mut self, from: NodeId, to: A, len: usize, cause: Cause) {
        let now = Duration::from_nanos(self.now);
        self.observer.on_sent(now, from, to, &self.buffer[..len], Fate::Dropped(cause));
        self.stats.dropped[cause as usize] += 1;
    }

    #[inline]
    fn judge(&mut self, from: NodeId, to: NodeId, len: usize) -> Fate<u64> {
        let now = self.now;
        let hot = &mut self.hot[from as usize];
        hot.sent_then = if hot.sent_at == now { hot.sent_then.wrapping_add(1) } else { 0 };
        hot.sent_at = now;
        let occasion = Occasion { from, to, at: now, number: hot.sent_then.into() };
        let held = if hot.has(TROUBLED) {
            match self.judge_out(from, to, len) {
                Ok(held) => held,
                Err(fate) => return fate,
            }
        } else {
            0
        };
        if self.blocks.is_cut(from, to) {
            return Fate::Dropped(Cause::Blocked);
        }
        self.network.judge(&self.seeds, occasion, len).map(|delay| delay.saturating_add(held))
    }

    /// What the network makes of what is in the buffer; how many bytes are left.
    #[inline]
    fn damage(&mut self, from: NodeId, to: NodeId, len: usize) -> usize {
        if self.network.corrupt <= 0.0 && self.network.truncate <= 0.0 {
            return len;
        }
        let occasion = Occasion { from, to, at: self.now, number: u32::from(self.hot[from as usize].sent_then) };
        self.network.damage(&self.seeds, occasion, &mut self.buffer[..len])
    }

    /// What ails the sender: how long it holds the datagram back, or why it does not go.
    #[cold]
    fn judge_out(&mut self, from: NodeId, to: NodeId, len: usize) -> Result<u64, Fate<u64>> {
        let now = self.now;
        let trouble = self.trouble(from);
        if trouble.deaf_until > now {
            return Err(Fate::Dropped(Cause::Deaf));
        }
        if trouble.stuck_until > now {
            let full = trouble.outbox.len() >= INBOX_MAX;
            return Err(if full { Fate::Dropped(Cause::OutboxFull) } else { Fate::Waits });
        }
        let Some(netem) = &mut trouble.netem else { return Ok(0) };
        match netem.judge(Duration::from_nanos(now), Direction::Out, Endpoint(to.into()), len) {
            netem::Fate::Deliver { delay } => Ok(nanos(delay)),
            netem::Fate::Drop(cause) => {
                self.may_be_used_up(from, cause);
                Err(Fate::Dropped(cause.into()))
            }
        }
    }

    /// A fault that drops the next datagrams may just have dropped its last.
    fn may_be_used_up(&mut self, id: NodeId, cause: netem::Cause) {
        if cause == netem::Cause::DropNext {
            self.push(self.now, Happening::FaultEnd { id });
        }
    }

    #[inline]
    fn launch(&mut self, from: NodeId, to: NodeId, len: usize, delay: u64) {
        let flight = self.flights.put(self.hot[from as usize].address, &self.buffer[..len]);
        self.push(self.now.saturating_add(delay), Happening::Arrival { to, flight });
    }

    /// A datagram reaches an address.
    #[inline]
    pub(super) fn arrive(&mut self, mut to: NodeId, flight: u32) {
        if self.hot[to as usize].flags & (UP | TROUBLED | DOUBLED) == UP {
            return self.deliver(to, flight);
        }
        if let Some((twin, turn)) = self.twins.get_mut(&to) {
            *turn = !*turn;
            // In turn, as long as both are there.
            let is_up = |id: NodeId| self.hot[id as usize].has(UP);
            if (*turn || !is_up(to)) && is_up(*twin) {
                to = *twin;
            }
        }
        if !self.hot[to as usize].has(UP) {
            return self.lose(to, flight, Cause::Nobody);
        }
        if self.hot[to as usize].has(TROUBLED) {
            match self.judge_in(to, flight) {
                Ok(Duration::ZERO) => {}
                Ok(held) => {
                    let at = self.after(held);
                    return self.push(at, Happening::Release { to, flight });
                }
                Err(cause) => return self.lose(to, flight, cause),
            }
        }
        self.receive(to, flight);
    }

    /// What ails the receiver: how long a datagram is held back, or why it does not arrive.
    #[cold]
    fn judge_in(&mut self, to: NodeId, flight: u32) -> Result<Duration, Cause> {
        let now = self.now;
        let (from, bytes) = self.flights.get(flight);
        let len = bytes.len();
        let trouble = self.trouble(to);
        if trouble.deaf_until > now {
            return Err(Cause::Deaf);
        }
        let Some(netem) = &mut trouble.netem else { return Ok(Duration::ZERO) };
        match netem.judge(Duration::from_nanos(now), Direction::In, Endpoint(from.into()), len) {
            netem::Fate::Deliver { delay } => Ok(delay),
            netem::Fate::Drop(cause) => {
                self.may_be_used_up(to, cause);
                Err(cause.into())
            }
        }
    }

    /// A datagram that nothing keeps from its host any more. The process may not read it yet.
    pub(super) fn receive(&mut self, to: NodeId, flight: u32) {
        if !self.hot[to as usize].has(UP) {
            return self.lose(to, flight, Cause::Nobody);
        }
        if self.hot[to as usize].has(TROUBLED) {
            let now = self.now;
            let trouble = self.trouble(to);
            if trouble.stopped_until > now || trouble.stuck_until > now {
                if trouble.inbox.len() >= trouble.inbox_max() {
                    return self.lose(to, flight, Cause::InboxFull);
                }
                return trouble.inbox.push_back(flight);
            }
            self.deliver(to, flight);
            self.read_one(to);
            return self.served(to);
        }
        self.deliver(to, flight);
    }

    /// Gives a node a datagram.
    pub(super) fn deliver(&mut self, to: NodeId, flight: u32) {
        let local = self.local_now(to);
        let now = Duration::from_nanos(self.now);
        let (from, bytes) = self.flights.get(flight);
        let from = A::of(from);
        let input = Input::Datagram { from, bytes };
        self.observer.on_input(now, local, to, &input);
        self.stats.delivered += 1;
        if let Some(answer) = self.windows.take(to, self.now, Some(flight)) {
            self.stats.refused += u64::from(answer.handled.is_err());
            self.observer.on_delivered(now, from, to, bytes, &answer.handled);
            self.flights.free(flight);
            return self.follow(to, answer);
        }
        let handled = self.nodes[to as usize].as_mut().expect("a host that is up").handle(local, input);
        self.stats.refused += u64::from(handled.is_err());
        self.observer.on_delivered(now, from, to, bytes, &handled);
        self.flights.free(flight);
        self.drain(to);
    }

    /// A datagram that was under way does not arrive.
    #[cold]
    fn lose(&mut self, to: NodeId, flight: u32, cause: Cause) {
        self.stats.dropped[cause as usize] += 1;
        let (from, bytes) = self.flights.get(flight);
        self.observer.on_lost(Duration::from_nanos(self.now), A::of(from), to, bytes, cause);
        self.flights.free(flight);
    }

    /// Sends again what waited at a host: it is judged as it goes.
    pub(super) fn send_waiting(&mut self, from: NodeId, to: NodeId, flight: u32) {
        let (_, bytes) = self.flights.get(flight);
        let len = bytes.len();
        self.buffer[..len].copy_from_slice(bytes);
        self.flights.free(flight);
        self.send(from, A::of(to), len);
    }
}
