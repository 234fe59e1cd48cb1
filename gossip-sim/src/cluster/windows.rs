//! Several threads for one run, which change how long it takes and nothing else.
//!
//! No datagram is under way for less than the network's least latency. So what happens to a host up to that much later is known: the
//! datagrams that are under way to it already, and its own timers. Such a window is worked through twice:
//! ```text
//!   computed    on all threads, host by host: each node handles what comes to it, and what follows from that is written down
//!   followed    on one thread, in the exact order of the run: as ever, but what a node says is read from what was written down
//! ```
//! It is the conservative scheme of Chandy and Misra (*IEEE Transactions on Software Engineering* SE-5, 1979) with windows for its
//! lookahead, and with the second pass for the exact order, in which observers see a run and draws of the network are made. A host to which
//! something else happens in a window (an action, a fault, a message of its application) waits for its turn in the second pass.

use std::ops::Range;
use std::sync::Mutex;

use gossip_core::{Event, Input, Instant, Node, Transmit};

use super::run::Happening;
use super::{Cluster, nanos};
use crate::addresses::{Addresses, NodeId};
use crate::host::{DOUBLED, LEFT, ORIGIN, SKEWED, TROUBLED, UP};
use crate::network::Flights;
use crate::observe::{Handled, Observer};
use crate::queue::{Entry, Queue};

/// Fewer datagrams and timers are not worth another thread.
const HAPPENINGS_MIN: usize = 64;

/// What is computed ahead, and with how many threads.
#[derive(Debug)]
pub(super) struct Windows<A: Addresses> {
    threads: usize,
    /// With fewer happenings a window is not computed ahead.
    least: usize,
    /// Inputs that were handled, and that nobody followed yet.
    waiting: usize,
    /// And all that ever were.
    computed: u64,
    works: Vec<Work<A>>,
    /// Where what a host said is, by host.
    hosts: Vec<Option<Said>>,
    upcoming: Vec<Entry>,
    turns: Vec<Turn>,
}

/// What happens to a host in a window.
#[derive(Debug, Clone, Copy)]
struct Turn {
    host: NodeId,
    at: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Datagram(u32),
    /// Its node is served when it wants to be: when, it says itself.
    Timer,
    /// What is not computed ahead.
    Other,
}

/// What one thread computed.
#[derive(Debug)]
struct Work<A: Addresses> {
    buffer: Box<[u8]>,
    steps: Vec<Step<A>>,
    datagrams: Vec<(A, u32)>,
    bytes: Vec<u8>,
    events: Vec<Option<Event<A>>>,
    said: Vec<(NodeId, Said)>,
}

/// Where the next of what a host said is: its steps lie one behind the other, and so do the datagrams, bytes and events of them.
#[derive(Debug, Clone, Copy)]
struct Said {
    work: u32,
    step: u32,
    end: u32,
    datagram: u32,
    byte: usize,
    event: u32,
}

/// One input, and what followed from it.
#[derive(Debug)]
struct Step<A: Addresses> {
    at: u64,
    /// The datagram; none when it was served because its time had come.
    flight: Option<u32>,
    handled: Option<Handled<A>>,
    datagrams: u32,
    events: u32,
    due: u64,
}

/// What a node said to an input, to be followed.
#[derive(Debug)]
pub(super) struct Answer<A: Addresses> {
    pub(super) handled: Handled<A>,
    work: u32,
    datagrams: Range<u32>,
    byte: usize,
    events: Range<u32>,
    due: u64,
}

/// A host's turn on a thread.
struct Job<'a, A: Addresses> {
    host: NodeId,
    node: &'a mut Node<A>,
    due: u64,
    turns: &'a [Turn],
}

impl<A: Addresses> Windows<A> {
    pub(super) fn new() -> Self {
        Self {
            threads: 1,
            least: HAPPENINGS_MIN,
            waiting: 0,
            computed: 0,
            works: Vec::new(),
            hosts: Vec::new(),
            upcoming: Vec::new(),
            turns: Vec::new(),
        }
    }

    /// Whether the nodes of some hosts are ahead of the run.
    #[inline]
    pub(super) fn is_ahead(&self) -> bool {
        self.waiting > 0
    }

    /// What a host said to an input, if that was computed ahead.
    #[inline]
    pub(super) fn take(&mut self, host: NodeId, at: u64, flight: Option<u32>) -> Option<Answer<A>> {
        if self.waiting == 0 { None } else { self.take_ahead(host, at, flight) }
    }

    #[inline(never)]
    fn take_ahead(&mut self, host: NodeId, at: u64, flight: Option<u32>) -> Option<Answer<A>> {
        let said = self.hosts.get_mut(host as usize)?.as_mut()?;
        let work = &mut self.works[said.work as usize];
        let step = &mut work.steps[said.step as usize];
        assert_eq!((step.at, step.flight), (at, flight), "host {host} was given something else than was known ahead");
        let (datagrams, events) = (said.datagram + step.datagrams, said.event + step.events);
        let answer = Answer {
            handled: step.handled.take().expect("it is taken once"),
            work: said.work,
            datagrams: said.datagram..datagrams,
            byte: said.byte,
            events: said.event..events,
            due: step.due,
        };
        let sent = &work.datagrams[said.datagram as usize..datagrams as usize];
        said.byte += sent.iter().map(|&(_, len)| len as usize).sum::<usize>();
        (said.step, said.datagram, said.event) = (said.step + 1, datagrams, events);
        if said.step == said.end {
            self.hosts[host as usize] = None;
        }
        self.waiting -= 1;
        Some(answer)
    }
}

impl<A: Addresses> Work<A> {
    fn clear(&mut self) {
        self.steps.clear();
        self.datagrams.clear();
        self.bytes.clear();
        self.events.clear();
        self.said.clear();
    }

    /// Gives a node all that happens to it before `until`, as far as the order is known: a timer and a datagram of one time are
    /// left, for which of them comes first is the queue's.
    fn compute(&mut self, number: u32, job: Job<'_, A>, flights: &Flights, until: u64) {
        let Job { host, node, mut due, turns } = job;
        let mut said = Said {
            work: number,
            step: self.steps.len() as u32,
            end: 0,
            datagram: self.datagrams.len() as u32,
            byte: self.bytes.len(),
            event: self.events.len() as u32,
        };
        let mut flying = turns.iter().filter_map(|turn| match turn.what {
            What::Datagram(flight) => Some((turn.at, flight)),
            What::Timer | What::Other => None,
        });
        let mut next = flying.next();
        loop {
            let arrival = next.map_or(u64::MAX, |(at, _)| at);
            let at = due.min(arrival);
            if at >= until || due == arrival {
                break;
            }
            let flight = if due < arrival { None } else { next.map(|(_, flight)| flight) };
            let local = Instant::from_nanos(at + ORIGIN.as_nanos());
            let input = match flight {
                None => Input::Timeout,
                Some(flight) => {
                    next = flying.next();
                    let (from, bytes) = flights.get(flight);
                    Input::Datagram { from: A::of(from), bytes }
                }
            };
            let handled = node.handle(local, input);
            let (datagrams, events) = (self.datagrams.len(), self.events.len());
            while let Some(Transmit { to, len }) = node.poll_transmit(local, &mut self.buffer) {
                self.datagrams.push((to, len as u32));
                self.bytes.extend_from_slice(&self.buffer[..len]);
            }
            self.events.extend(std::iter::from_fn(|| node.poll_event()).map(Some));
            due = node.poll_timeout().map_or(u64::MAX, |due| (due.since(ORIGIN).as_nanos() as u64).max(at));
            self.steps.push(Step {
                at,
                flight,
                handled: Some(handled),
                datagrams: (self.datagrams.len() - datagrams) as u32,
                events: (self.events.len() - events) as u32,
                due,
            });
        }
        said.end = self.steps.len() as u32;
        if said.end > said.step {
            self.said.push((host, said));
        }
    }
}

impl<A: Addresses, O: Observer<A>, Q: Queue> Cluster<A, O, Q> {
    /// So many threads handle what comes to nodes from now on, where there is enough at a time; one, unless this says otherwise. It
    /// changes how long a run takes and nothing else.
    pub fn set_threads(&mut self, threads: usize) {
        self.set_threads_from(threads, HAPPENINGS_MIN);
    }

    /// The same, where so much happens in a window.
    pub(crate) fn set_threads_from(&mut self, threads: usize, least: usize) {
        self.windows = Windows { threads: threads.max(1), least, ..Windows::new() };
    }

    pub(super) fn threads(&self) -> usize {
        self.windows.threads
    }

    /// Inputs that were handled ahead, on whichever thread.
    #[must_use]
    pub fn computed_ahead(&self) -> u64 {
        self.windows.computed
    }

    /// Lets time pass up to `end` in windows, as long as there are threads for them and the network has a least latency.
    pub(super) fn run_in_windows(&mut self, end: u64) {
        if self.windows.threads < 2 || !self.twins.is_empty() {
            return;
        }
        let mut start = self.now;
        while start <= end {
            let span = nanos(self.network.latency.least());
            if span == 0 {
                return;
            }
            let mut upcoming = std::mem::take(&mut self.windows.upcoming);
            upcoming.clear();
            let until = self.queue.upcoming(start.saturating_add(span).min(end.saturating_add(1)), &mut upcoming);
            let ends_it = |entry: &&Entry| match Happening::unpack(entry.what) {
                Happening::Act { index } => !self.actions.is_start(index),
                _ => false,
            };
            let until = upcoming.iter().find(ends_it).map_or(until, |act| act.at);
            let count = upcoming.partition_point(|entry| entry.at < until);
            if count >= self.windows.least {
                self.compute(&upcoming[..count], until);
            }
            self.windows.upcoming = upcoming;
            if count > 0 {
                while self.step_before(until - 1) {}
                assert!(!self.windows.is_ahead(), "something that was known ahead did not happen");
                start = until;
            } else if self.step_before(end) {
                // An action, or what lies beyond the window.
                start = self.now;
            } else {
                return;
            }
        }
    }

    /// Has the nodes handle what is to happen before `until`, of which the queue holds this.
    fn compute(&mut self, upcoming: &[Entry], until: u64) {
        let Self { windows, nodes, hot, answers, flights, buffer, .. } = self;
        let Windows { threads, waiting, computed, works, hosts, turns, .. } = windows;
        turns.clear();
        turns.extend(upcoming.iter().filter_map(|entry| {
            let (host, what) = match Happening::unpack(entry.what) {
                Happening::Arrival { to, flight } => (to, What::Datagram(flight)),
                Happening::Timer { id } => (id, What::Timer),
                Happening::Release { to: id, .. }
                | Happening::Wake { id }
                | Happening::FaultEnd { id }
                | Happening::Traffic { id, .. } => (id, What::Other),
                Happening::Act { .. } => return None,
            };
            Some(Turn { host, at: entry.at, what })
        }));
        // Stable: those of one host stay in order.
        turns.sort_by_key(|turn| turn.host);
        works.resize_with(*threads, || Work {
            buffer: Box::default(),
            steps: Vec::new(),
            datagrams: Vec::new(),
            bytes: Vec::new(),
            events: Vec::new(),
            said: Vec::new(),
        });
        for work in &mut *works {
            work.clear();
            if work.buffer.len() != buffer.len() {
                work.buffer = vec![0; buffer.len()].into();
            }
        }
        let mut jobs: Vec<Job<'_, A>> = Vec::new();
        let (mut rest, mut first) = (&mut nodes[..], 0);
        for turns in turns.chunk_by(|one, other| one.host == other.host) {
            let host = turns[0].host;
            let hot = &hot[host as usize];
            let plain = hot.flags & (UP | LEFT | TROUBLED | SKEWED | DOUBLED) == UP && !answers.contains_key(&host);
            if !plain || turns.iter().any(|turn| turn.what == What::Other) {
                continue;
            }
            let (front, behind) = rest.split_at_mut(host as usize - first + 1);
            (rest, first) = (behind, host as usize + 1);
            let Some(node) = front.last_mut().and_then(Option::as_mut) else { continue };
            jobs.push(Job { host, node, due: hot.due, turns });
        }
        let (flights, jobs) = (&*flights, Mutex::new(jobs.into_iter()));
        let compute = |number: usize, work: &mut Work<A>| {
            let next = || jobs.lock().expect("no thread panics while it holds it").next();
            std::iter::from_fn(next).for_each(|job| work.compute(number as u32, job, flights, until));
        };
        std::thread::scope(|scope| {
            let mut all = works.iter_mut().enumerate();
            let own = all.next();
            for (number, work) in all {
                scope.spawn(move || compute(number, work));
            }
            if let Some((number, work)) = own {
                compute(number, work);
            }
        });
        hosts.resize(nodes.len(), None);
        for &(host, said) in works.iter().flat_map(|work| &work.said) {
            hosts[host as usize] = Some(said);
        }
        *waiting = works.iter().map(|work| work.steps.len()).sum();
        *computed += *waiting as u64;
    }

    /// Carries out what followed from an input that was computed ahead.
    pub(super) fn follow(&mut self, id: NodeId, answer: Answer<A>) {
        let Answer { work, datagrams, mut byte, events, due, .. } = answer;
        for datagram in datagrams {
            let work = &self.windows.works[work as usize];
            let (to, len) = work.datagrams[datagram as usize];
            let len = len as usize;
            self.buffer[..len].copy_from_slice(&work.bytes[byte..byte + len]);
            byte += len;
            self.put_out(id, to, len);
        }
        for event in events {
            let event = self.windows.works[work as usize].events[event as usize].take();
            self.tell_one(id, &event.expect("it is told once"));
        }
        self.schedule_for(id, due);
    }
}
