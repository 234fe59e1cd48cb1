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
    fn local_now(&self, id: NodeId) -> Instant {
        if self.hot[id as usize].has(SKEWED) {
            return self.clocks[id as usize].at(self.now);
        }
        Instant::from_nanos(self.now + ORIGIN.as_nanos())
    }

    /// Gives a node an input. What follows from it is still in the node.
    pub(super) fn handle(&mut self, id: NodeId, input: Input<'_, A>) -> Handled<A> {
        self.show_input(id, &input);
        let local = self.local_now(id);
        self.nodes[id as usize].as_mut().expect("a host of the cluster").handle(local, input)
    }

    pub(super) fn show_input(&mut self, id: NodeId, input: &Input<'_, A>) {
        let local = self.local_now(id);
        self.observer.on_input(Duration::from_nanos(self.now), local, id, input);
    }

    /// Carries out what follows from the last input of a node.
    pub(super) fn drain(&mut self, id: NodeId) {
        let local = self.local_now(id);
        loop {
            self.send_all(id, local);
            if !self.tell_all(id, local) {
                break;
            }
        }
        self.schedule(id);
    }

    fn send_all(&mut self, id: NodeId, local: Instant) {
        let index = id as usize;
        loop {
            let node = self.nodes[index].as_mut().expect("a host of the cluster");
            let Some(Transmit { to, len }) = node.poll_transmit(local, &mut self.buffer) else { return };
            self.put_out(id, to, len);
        }
    }

    /// A node put a datagram into the buffer.
    #[inline]
    pub(super) fn put_out(&mut self, id: NodeId, to: A, len: usize) {
        self.stats.datagrams += 1;
        self.stats.bytes += len as u64;
        self.stats.largest = self.stats.largest.max(len);
        self.send(id, to, len);
    }

    /// Tells the observer what a node has to say, and answers queries; whether one was answered.
    fn tell_all(&mut self, id: NodeId, local: Instant) -> bool {
        let mut answered = false;
        loop {
            let node = self.nodes[id as usize].as_mut().expect("a host of the cluster");
            let Some(event) = node.poll_event() else { return answered };
            self.tell_one(id, &event);
            if let (Event::Query { id: query, .. }, Some(answer)) = (event, self.answers.get(&id)) {
                let input = Input::Command(Command::Respond { id: query, payload: answer });
                self.observer.on_input(Duration::from_nanos(self.now), local, id, &input);
                // It may have given way to another that came with it.
                let node = self.nodes[id as usize].as_mut().expect("a host of the cluster");
                answered |= node.handle(local, input).is_ok();
            }
        }
    }

    pub(super) fn tell_one(&mut self, id: NodeId, event: &Event<A>) {
        self.observer.on_event(Duration::from_nanos(self.now), id, event);
        if matches!(event, Event::Left) {
            self.hot[id as usize].set(LEFT, true);
        }
    }

    /// Sends what is in the buffer.
    pub(super) fn send(&mut self, from: NodeId, to: A, len: usize) {
        let fate = self.judge(from, to, len);
        let now = Duration::from_nanos(self.now);
        self.observer.on_sent(now, from, to, &self.buffer[..len], fate);
        let len = if matches!(fate, Fate::Sent { .. } | Fate::Twice { .. }) { self.damage(from, to, len) } else { len };
        match fate {
            Fate::Sent { delay } => self.launch(from, to, len, delay),
            Fate::Twice { delays } => {
                self.stats.duplicated += 1;
                delays.into_iter().for_each(|delay| self.launch(from, to, len, delay));
            }
            Fate::Dropped(cause) => self.stats.dropped[cause as usize] += 1,
            Fate::Waits => {
                let flight = self.flights.put(self.hot[from as usize].address, &self.buffer[..len]);
                let to = to.id().expect("it was judged");
                self.trouble(from).outbox.push_back((to, flight));
            }
        }
    }

    fn judge(&mut self, from: NodeId, to: A, len: usize) -> Fate {
        let Some(to) = to.id().filter(|&to| self.there.get(to as usize).is_some_and(|&there| there)) else {
            return Fate::Dropped(Cause::Nobody);
        };
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
            Duration::ZERO
        };
        if self.blocks.is_cut(from, to) {
            return Fate::Dropped(Cause::Blocked);
        }
        match self.network.judge(&self.seeds, occasion, len) {
            Fate::Sent { delay } => Fate::Sent { delay: delay + held },
            Fate::Twice { delays } => Fate::Twice { delays: delays.map(|delay| delay + held) },
            other => other,
        }
    }

    /// What the network makes of what is in the buffer; how many bytes are left.
    fn damage(&mut self, from: NodeId, to: A, len: usize) -> usize {
        if self.network.corrupt <= 0.0 && self.network.truncate <= 0.0 {
            return len;
        }
        let to = to.id().expect("it was judged");
        let occasion = Occasion { from, to, at: self.now, number: u32::from(self.hot[from as usize].sent_then) };
        self.network.damage(&self.seeds, occasion, &mut self.buffer[..len])
    }

    /// What ails the sender: how long it holds the datagram back, or why it does not go.
    fn judge_out(&mut self, from: NodeId, to: NodeId, len: usize) -> Result<Duration, Fate> {
        let now = self.now;
        let trouble = self.trouble(from);
        if trouble.deaf_until > now {
            return Err(Fate::Dropped(Cause::Deaf));
        }
        if trouble.stuck_until > now {
            let full = trouble.outbox.len() >= INBOX_MAX;
            return Err(if full { Fate::Dropped(Cause::OutboxFull) } else { Fate::Waits });
        }
        let Some(netem) = &mut trouble.netem else { return Ok(Duration::ZERO) };
        match netem.judge(Duration::from_nanos(now), Direction::Out, Endpoint(to.into()), len) {
            netem::Fate::Deliver { delay } => Ok(delay),
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

    fn launch(&mut self, from: NodeId, to: A, len: usize, delay: Duration) {
        let to = to.id().expect("it was judged");
        let flight = self.flights.put(self.hot[from as usize].address, &self.buffer[..len]);
        let at = self.now.saturating_add(nanos(delay));
        self.push(at, Happening::Arrival { to, flight });
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
        let answer = self.windows.take(to, self.now, Some(flight));
        let handled = match &answer {
            Some(answer) => &answer.handled,
            None => &self.nodes[to as usize].as_mut().expect("a host that is up").handle(local, input),
        };
        self.stats.delivered += 1;
        self.stats.refused += u64::from(handled.is_err());
        self.observer.on_delivered(now, from, to, bytes, handled);
        self.flights.free(flight);
        match answer {
            Some(answer) => self.follow(to, answer),
            None => self.drain(to),
        }
    }

    /// A datagram that was under way does not arrive.
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
